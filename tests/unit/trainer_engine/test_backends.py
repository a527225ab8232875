"""The contract of sampling backends. A new backend joins by one line in `BACKENDS`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.sampling.backend import (
    Completion,
    SamplingBackend,
    SamplingCancelled,
    SamplingSettings,
)
from palmfolio_trainer.sampling.transformers.backend import TransformersBackend
from tests.support.prompts import text_prompts
from tests.support.small_training import train

PROMPTS = text_prompts("one", "a longer prompt")
BACKENDS: dict[str, Callable[[], SamplingBackend]] = {
    "transformers": lambda: TransformersBackend(threads=None),
}


@pytest.fixture(scope="module", params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> SamplingBackend:
    """A backend with its libraries loaded."""
    name: str = request.param
    made = BACKENDS[name]()
    assert not made.devices
    made.load()
    return made


@pytest.fixture(scope="module")
def base(base_path: Path) -> BaseModel:
    """The tiny base model."""
    return BaseModel("tiny", "r1", str(base_path))


@pytest.fixture(scope="module")
def adapters(base_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path | None]:
    """The base model itself and one trained policy."""
    folder = tmp_path_factory.mktemp("adapter")
    train(base_path, folder)
    return {"base": None, "trained": folder}


def sample(
    backend: SamplingBackend,
    base: BaseModel,
    adapters: dict[str, Path | None],
    settings: SamplingSettings,
) -> list[Completion]:
    """All completions, in order."""
    batches = backend.sample(base, adapters, PROMPTS, settings, lambda: False)
    completions = [completion for batch in batches for completion in batch]
    return sorted(completions, key=lambda c: (c.policy, c.prompt_index, c.sample_index))


def test_devices_are_known_once_loaded(backend: SamplingBackend) -> None:
    assert backend.devices


def test_each_completion_comes_once_and_the_seed_determines_it(
    backend: SamplingBackend, base: BaseModel, adapters: dict[str, Path | None]
) -> None:
    settings = SamplingSettings(samples_per_prompt=2, max_tokens=6, seed=1)
    completions = sample(backend, base, adapters, settings)
    assert [(c.policy, c.prompt_index, c.sample_index) for c in completions] == [
        (policy, prompt, number)
        for policy in ("base", "trained")
        for prompt in range(2)
        for number in range(2)
    ]
    assert all(1 <= c.tokens <= 6 for c in completions)
    assert {c.finish_reason for c in completions} <= {"stop", "length"}
    assert sample(backend, base, adapters, settings) == completions


def test_temperature_zero_is_greedy(
    backend: SamplingBackend, base: BaseModel, adapters: dict[str, Path | None]
) -> None:
    def texts(seed: int) -> list[str]:
        settings = SamplingSettings(2, max_tokens=6, temperature=0.0, seed=seed)
        return [completion.text for completion in sample(backend, base, adapters, settings)]

    assert texts(0) == texts(9)
    assert texts(0)[0::2] == texts(0)[1::2]


def test_a_cancelled_call_stops(backend: SamplingBackend, base: BaseModel) -> None:
    settings = SamplingSettings(max_tokens=64)
    with pytest.raises(SamplingCancelled):
        list(backend.sample(base, {"base": None}, PROMPTS, settings, lambda: True))
