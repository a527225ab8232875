"""Adapters as files: the manifest that makes them final, and the root where they are kept."""

import json
import posixpath
import shutil
from pathlib import Path

import fsspec

from palmfolio_runtime.digest import canonical_json, file_digest
from palmfolio_runtime.volumes import write_text

MANIFEST = "manifest.json"
# Nothing that can carry code is ever stored or loaded: no pickles, no scripts.
_ALLOWED_SUFFIXES = frozenset({".safetensors", ".json"})


class ArtifactError(Exception):
    """An artifact that is incomplete or altered, or holds a file that is not allowed."""


def seal(folder: Path) -> str:
    """Writes the manifest of a folder's files; returns the manifest's SHA-256.

    Raises:
        ArtifactError: the folder is empty, or holds a file of a kind that is not allowed.
    """
    files = _files(folder)
    if not files:
        raise ArtifactError(f"{folder} holds no files")
    manifest = {"files": {name: file_digest(folder / name) for name in files}}
    write_text(folder / MANIFEST, canonical_json(manifest))
    return file_digest(folder / MANIFEST)


def verify(folder: Path) -> str:
    """Checks every file against the manifest; returns the manifest's SHA-256.

    Raises:
        ArtifactError: the manifest or a file is missing or altered, or there are further files.
    """
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder} has no readable {MANIFEST}: {error}") from error
    present = _files(folder)
    if sorted(listed) != present:
        raise ArtifactError(f"{folder} holds {present}, its manifest lists {sorted(listed)}")
    for name in present:
        if file_digest(folder / name) != listed[name]:
            raise ArtifactError(f"{folder / name} is not the file that its manifest lists")
    return file_digest(folder / MANIFEST)


def _files(folder: Path) -> list[str]:
    paths = [path for path in folder.rglob("*") if not path.is_dir()]
    names = sorted(path.relative_to(folder).as_posix() for path in paths)
    names = [name for name in names if name != MANIFEST]
    for name in names:
        if Path(name).suffix not in _ALLOWED_SUFFIXES:
            allowed = ", ".join(sorted(_ALLOWED_SUFFIXES))
            raise ArtifactError(f"{folder / name} is not allowed in an artifact (only {allowed})")
    return names


class ArtifactStore:
    """Adapters under a root that fsspec reaches.

    Args:
        root: a URI such as `file:///var/palmfolio/policies` or `s3://bucket/prefix`.
        cache: a local folder for copies of adapters when the root is not on this machine.
    """

    def __init__(self, root: str, cache: Path) -> None:
        self._root = root.rstrip("/")
        self._cache = cache
        self._filesystem, self._base = fsspec.core.url_to_fs(self._root)
        self._is_local = "file" in _protocols(self._filesystem)

    @property
    def local_folder(self) -> Path | None:
        """The root if it is a folder of this machine, otherwise None."""
        return Path(self._base) if self._is_local else None

    def publish(self, folder: Path, policy: str) -> tuple[str, str]:
        """Copies a sealed folder under the root.

        Equal content has one URI, so publishing again is harmless.

        Returns:
            The artifact's URI and its manifest's SHA-256.

        Raises:
            ArtifactError: the folder does not match its manifest.
            OSError: the root cannot be written.
        """
        digest = verify(folder)
        # Enough digits to tell the contents of one policy apart, few enough to read.
        name = f"{policy}/{digest[:16]}"
        target = posixpath.join(self._base, name)
        if not self._filesystem.exists(posixpath.join(target, MANIFEST)):
            if self._is_local:
                _copy_aside(folder, Path(target))
            else:
                self._upload(folder, target)
        return f"{self._root}/{name}", digest

    def fetch(self, uri: str, digest: str) -> Path:
        """A local, verified folder of the artifact.

        Raises:
            ArtifactError: the URI is not under the root, or the content is not what was published.
            OSError: the root cannot be read.
        """
        path = posixpath.join(self._base, self._name(uri))
        if self._is_local:
            return _verified(Path(path), digest)
        # Content-addressed: a copy that is there is the right one unless it was damaged.
        local = self._cache / digest
        if not local.exists():
            aside = local.with_suffix(".partial")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            self._filesystem.get(path + "/", str(aside) + "/", recursive=True)
            _verified(aside, digest)
            aside.rename(local)
        # Also a copy from the cache is verified: it may have been damaged since.
        return _verified(local, digest)

    def delete(self, uri: str) -> None:
        """Deletes an artifact; one that does not exist is ignored."""
        path = posixpath.join(self._base, self._name(uri))
        if self._filesystem.exists(path):
            self._filesystem.rm(path, recursive=True)

    def _name(self, uri: str) -> str:
        # A URI comes from the database, which others may write: it must not lead out of the root.
        prefix, name = f"{self._root}/", uri.removeprefix(f"{self._root}/")
        if not uri.startswith(prefix) or ".." in name.split("/"):
            raise ArtifactError(f"{uri} is not under the artifact root {self._root}")
        return name

    def _upload(self, folder: Path, target: str) -> None:
        for name in [*_files(folder), MANIFEST]:
            # The manifest is written last: without it the artifact does not exist.
            self._filesystem.put_file(str(folder / name), posixpath.join(target, name))


def _protocols(filesystem: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _copy_aside(folder: Path, target: Path) -> None:
    aside = target.with_suffix(".partial")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        shutil.copytree(folder, aside)
    except OSError:
        # On a full volume, a partial copy would take the space that deleting other files frees.
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)


def _verified(folder: Path, digest: str) -> Path:
    if verify(folder) != digest:
        raise ArtifactError(f"{folder} is not the artifact that was published")
    return folder
