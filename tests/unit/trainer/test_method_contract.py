"""A method is one folder: a toy method joins by the registry only, and can do what GRPO can."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import palmfolio_trainer
from palmfolio.v1 import scorer_pb2, trainer_pb2
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.limits import TrainerLimits
from palmfolio_runtime.prompts import Prompt
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.policies.artifacts import ArtifactStore, seal
from palmfolio_trainer.policies.spec import TrainingRequest, TrainingSpec, parse
from palmfolio_trainer.training.methods import registry
from palmfolio_trainer.training.run import run
from palmfolio_trainer.training.task import (
    Progress,
    TrainingCancelled,
    TrainingResult,
    TrainingTask,
    TrainingTools,
)
from tests.support.prompts import text_messages, text_prompts
from tests.unit.trainer.toy_method import METHOD
from tests.unit.trainer.toy_method.settings import ToySettings

BASE = BaseModel("tiny", "r1", "tiny")
TRAITS = {"brevity": scorer_pb2.Trait(name="traits/brevity", version="b1")}
_PACKAGE = "palmfolio.tests"


def _protocol() -> type[Any]:
    """`PolicySpec` of a protocol whose oneof `method` has a field `toy` as well."""
    file = descriptor_pb2.FileDescriptorProto(
        name="tests/toy_method.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=["palmfolio/v1/types.proto", "palmfolio/v1/trainer.proto"],
    )
    config = file.message_type.add(name="ToyConfig")
    field = descriptor_pb2.FieldDescriptorProto
    optional = field.LABEL_OPTIONAL
    config.oneof_decl.add(name="_repeats")
    config.field.add(
        name="repeats",
        number=1,
        type=field.TYPE_INT32,
        label=optional,
        proto3_optional=True,
        oneof_index=0,
    )
    spec = file.message_type.add()
    trainer_pb2.PolicySpec.DESCRIPTOR.CopyToProto(spec)
    for known in spec.field:
        if known.type_name.startswith(".palmfolio.v1.PolicySpec."):  # the entries of a map
            known.type_name = known.type_name.replace(".palmfolio.v1.", f".{_PACKAGE}.")
    (oneof,) = {known.oneof_index for known in spec.field if known.HasField("oneof_index")}
    spec.field.add(
        name="toy",
        number=100,
        type=field.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.ToyConfig",
        label=optional,
        oneof_index=oneof,
    )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.PolicySpec"))


PolicySpec = _protocol()


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds the toy to the registry, and its field to the protocol."""
    monkeypatch.setitem(registry.METHODS, METHOD.name, METHOD)
    monkeypatch.setattr(trainer_pb2, "PolicySpec", PolicySpec)


def parsed(**toy: int) -> TrainingRequest:
    """A request of the toy, checked."""
    message = PolicySpec(
        base_model="tiny",
        weights={"values": {"brevity": 1.0}},
        prompts=text_messages(["One?", "Two?"]),
        toy=toy,
    )
    return parse(message, {"tiny": BASE}, TRAITS, TrainerLimits())


def test_the_toys_message_becomes_its_settings_and_back() -> None:
    spec = parsed(repeats=1).spec
    assert spec.settings == ToySettings(repeats=1)
    shown: Any = spec.to_proto()
    assert shown.WhichOneof("method") == "toy"
    assert shown.toy.repeats == 1
    assert parsed().spec.settings.total_steps == 2


@pytest.mark.parametrize("repeats", [0, 3, 6])
def test_the_toy_names_its_bad_field(repeats: int) -> None:
    with pytest.raises(ServiceError, match=r"^spec\.toy\.repeats: "):
        parsed(repeats=repeats)


def test_no_method_is_refused() -> None:
    message = PolicySpec(
        base_model="tiny", weights={"values": {"brevity": 1.0}}, prompts=text_messages(["One?"])
    )
    with pytest.raises(ServiceError, match=r"spec\.grpo: is required: how to train or spec\.toy"):
        parse(message, {"tiny": BASE}, TRAITS, TrainerLimits())


def test_the_toys_settings_are_part_of_the_address_and_survive_the_database() -> None:
    spec = parsed(repeats=1).spec
    assert spec.address != parsed(repeats=2).spec.address
    again = TrainingSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert isinstance(again.settings, ToySettings)


def test_an_unknown_method_is_refused_by_its_name() -> None:
    stored = parsed().spec.model_dump_json().replace('"toy"', '"dpo"')
    with pytest.raises(ValueError, match=r"unknown method 'dpo'; known: grpo, toy"):
        TrainingSpec.model_validate_json(stored)


def share_of_vowels(prompts: list[Prompt], _completions: list[str]) -> npt.NDArray[np.float64]:
    """One trait's rewards."""
    texts = [prompt.plain_text for prompt in prompts]
    return np.array([[sum(c in "aeiou" for c in text) / len(text)] for text in texts])


def train(folder: Path, tools: TrainingTools) -> TrainingResult:
    """Trains the toy in a folder, with its base model next to it."""
    spec = parsed().spec
    task = TrainingTask(
        base_path=folder / "base",
        output_dir=folder / "adapter",
        prompts=text_prompts("One?", "Two?"),
        weights=spec.weights,
        traits=tuple(spec.trait_versions),
        settings=spec.settings,
        seed=spec.seed,
        base_model=spec.base_model,
        base_revision=spec.base_revision,
    )
    return run(task, tools)


def test_the_toy_trains_reports_and_leaves_an_artifact(tmp_path: Path) -> None:
    seen: list[Progress] = []
    result = train(tmp_path, TrainingTools(share_of_vowels, on_progress=seen.append))
    assert [progress.step for progress in seen] == [1, 2]
    assert result.history == tuple(seen)
    seal(result.output_dir)
    names = {path.name for path in result.output_dir.iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors", "manifest.json"}


def test_the_toy_stops_when_told_to(tmp_path: Path) -> None:
    with pytest.raises(TrainingCancelled):
        train(tmp_path, TrainingTools(share_of_vowels, should_stop=lambda: True))


def test_the_same_training_in_another_folder_is_the_same_artifact(tmp_path: Path) -> None:
    store = ArtifactStore((tmp_path / "root").as_uri(), tmp_path / "cache")
    published = []
    for place in ("here", "over/there"):
        result = train(tmp_path / place, TrainingTools(share_of_vowels))
        seal(result.output_dir)
        published.append(store.publish(result.output_dir, "p1"))
    assert published[0] == published[1]


def test_no_other_module_names_a_method() -> None:
    """What the rest of the trainer knows of a method, it knows from the registry."""
    package = Path(palmfolio_trainer.__file__).parent
    naming = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "grpo" in path.read_text(encoding="utf-8").lower()
    }
    methods = "training/methods/"
    assert {path for path in naming if not path.startswith(f"{methods}grpo/")} <= {
        f"{methods}registry.py",
        f"{methods}contract.py",  # its docstrings have examples
    }
