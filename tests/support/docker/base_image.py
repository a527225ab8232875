"""A Python base image and a PostgreSQL image where no registry can be reached.

Both stand for the official images `python:3.11-slim` and `postgres`: Debian's packages, and the
same variables.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.docker.engine import cache_folder, run

# The Debian release whose python3 is 3.11, for which the wheels are that the host may hold.
_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
# What the official slim images leave out as well.
_UNWANTED = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt/archives",
    "var/lib/apt/lists",
)
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_BUNDLE_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_HERE = Path(__file__).parent
_WHEELS = _HERE.parents[2] / "docker" / "wheels"


def base_image() -> str:
    """The name of the base image, made unless the engine has it."""
    bundle = Path(os.environ.get("SSL_CERT_FILE") or _BUNDLE)
    recipe = hashlib.sha256(f"{_SUITE} {_PACKAGES} {_UNWANTED}".encode())
    archive = cache_folder() / f"{_SUITE}-{recipe.hexdigest()[:12]}.tar"
    recipe.update(bundle.read_bytes())
    name = f"palmfolio-test-base:{recipe.hexdigest()[:12]}"
    if run(["docker", "images", "--quiet", name]).strip():
        return name
    if not archive.exists():
        _debootstrap(archive)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "image.tar"
        shutil.copy(archive, copy)
        inside = f".{_BUNDLE}"
        (Path(folder) / inside).parent.mkdir(parents=True)
        shutil.copy(bundle, Path(folder) / inside)
        owner = ("--owner=0", "--group=0", "--mode=644")
        run(["tar", "--append", *owner, f"--file={copy}", "-C", folder, inside])
        changes = [f"--change=ENV {variable}={_BUNDLE}" for variable in _BUNDLE_VARIABLES]
        run(["docker", "import", *changes, copy, name])
    return name


def postgres_image(base: str) -> str:
    """The name of the PostgreSQL image on a base image, built unless the engine has it."""
    name = "palmfolio-test-postgres"
    arguments = ["--network=host", f"--build-arg=BASE_IMAGE={base}", f"--tag={name}"]
    run(["docker", "build", *arguments, _HERE / "postgres"])
    return name


def copy_wheels() -> None:
    """Copies the wheels that pip finds on this machine to where the images take them first."""
    _WHEELS.mkdir(exist_ok=True)
    for source in _pip_setting("find-links", "PIP_FIND_LINKS").split():
        folder = Path(source.removeprefix("file://"))
        for wheel in folder.glob("*.whl") if folder.is_dir() else ():
            target = _WHEELS / wheel.name
            if not target.exists() or target.stat().st_size != wheel.stat().st_size:
                shutil.copy(wheel, target)


def index_url() -> str:
    """The package index that this machine uses; empty for the usual one."""
    return _pip_setting("index-url", "PIP_INDEX_URL")


def _pip_setting(key: str, variable: str) -> str:
    if variable in os.environ:
        return os.environ[variable]
    command = [sys.executable, "-m", "pip", "config", "get", f"global.{key}"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _debootstrap(archive: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        root = Path(folder) / "root"
        run(
            ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, root],
            # Nobody needs a half-made image after a power failure.
            {"DPKG_FORCE": "unsafe-io"},
        )
        for unwanted in _UNWANTED:
            shutil.rmtree(root / unwanted, ignore_errors=True)
        aside = Path(folder) / "aside.tar"
        # The host's bundle takes the place of Debian's.
        without = f"--exclude=.{_BUNDLE}"
        run(["tar", "--create", "--one-file-system", without, f"--file={aside}", "-C", root, "."])
        aside.replace(archive)
