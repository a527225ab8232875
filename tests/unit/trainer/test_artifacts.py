"""Artifacts: complete, unaltered, free of code, and where their URI says."""

from pathlib import Path

import fsspec
import pytest

from palmfolio_trainer.policies.artifacts import (
    MANIFEST,
    ArtifactError,
    ArtifactStore,
    seal,
    verify,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An unsealed folder of two files."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "adapter_model.safetensors").write_bytes(b"weights")
    (made / "adapter_config.json").write_text("{}")
    return made


def test_a_sealed_folder_verifies(folder: Path) -> None:
    assert seal(folder) == verify(folder)


def test_content_determines_the_digest(folder: Path) -> None:
    before = seal(folder)
    (folder / "adapter_model.safetensors").write_bytes(b"other weights")
    assert seal(folder) != before


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt", "state.pkl", "model.py"])
def test_a_file_that_may_carry_code_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    with pytest.raises(ArtifactError, match=name):
        seal(folder)


def test_damage_is_found(folder: Path) -> None:
    seal(folder)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(b"altered")
    with pytest.raises(ArtifactError, match="adapter_model"):
        verify(folder)
    weights.unlink()
    with pytest.raises(ArtifactError):
        verify(folder)


def test_a_folder_without_a_manifest_is_not_an_artifact(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=MANIFEST):
        verify(folder)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """A store on this machine, and one that fsspec reaches otherwise."""
    root = (tmp_path / "root").as_uri() if request.param == "file" else f"memory://{tmp_path.name}"
    return ArtifactStore(root, tmp_path / "cache")


def test_what_was_published_can_be_fetched(store: ArtifactStore, folder: Path) -> None:
    seal(folder)
    uri, digest = store.publish(folder, "p1")
    assert store.publish(folder, "p1") == (uri, digest)
    local = store.fetch(uri, digest)
    assert (local / "adapter_model.safetensors").read_bytes() == b"weights"
    assert store.fetch(uri, digest) == local


def test_an_unsealed_folder_is_not_published(store: ArtifactStore, folder: Path) -> None:
    with pytest.raises(ArtifactError):
        store.publish(folder, "p1")


def test_an_artifact_altered_at_its_place_is_not_fetched(
    store: ArtifactStore, folder: Path
) -> None:
    seal(folder)
    uri, digest = store.publish(folder, "p1")
    with fsspec.open(f"{uri}/adapter_model.safetensors", "wb") as file:
        file.write(b"altered")
    with pytest.raises(ArtifactError):
        store.fetch(uri, digest)


def test_a_deleted_artifact_is_gone(store: ArtifactStore, folder: Path) -> None:
    seal(folder)
    uri, digest = store.publish(folder, "p1")
    store.delete(uri)
    store.delete(uri)
    with pytest.raises((ArtifactError, OSError)):
        store.fetch(uri, digest)


@pytest.mark.parametrize("uri", ["file:///etc", "memory://elsewhere/p1/x"])
def test_a_uri_outside_the_root_is_refused(store: ArtifactStore, uri: str) -> None:
    with pytest.raises(ArtifactError, match="not under the artifact root"):
        store.fetch(uri, "0" * 64)


def test_a_uri_cannot_climb_out_of_the_root(tmp_path: Path) -> None:
    root = (tmp_path / "root").as_uri()
    with pytest.raises(ArtifactError, match="not under the artifact root"):
        ArtifactStore(root, tmp_path / "cache").delete(f"{root}/../other")
