"""A model with known outputs, and traits on it, for tests of the engine."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from palmfolio_scorer.calibration.normalisation import Identity
from palmfolio_scorer.engine import Engine, EngineSettings
from palmfolio_scorer.models.model import DeviceModel, Encoded, ModelInput, ModelOptions, Output
from palmfolio_scorer.models.store import LoadedModel, ModelStore
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.catalogue.served_trait import ServedTrait
from palmfolio_scorer.traits.catalogue.spec import TraitSpec
from palmfolio_scorer.traits.kind import ModelTrait


class CountingModel(DeviceModel):
    """Outputs (sum of character codes, length) for a text; keeps the batches that it computed.

    A text with `…` is cut there.
    """

    revision = "test"
    device = "cpu"
    dtype = "float32"

    def __init__(self, fault: Callable[[Sequence[str]], None] | None = None) -> None:
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self._fault = fault

    def encode(self, inputs: Sequence[ModelInput]) -> list[Encoded]:
        for (text,) in inputs:
            if "untokenisable" in text:
                raise SampleError("cannot be tokenised", field="response")
        return [self._encoded(text) for (text,) in inputs]

    @staticmethod
    def _encoded(text: str) -> Encoded:
        read, _, cut = text.partition("…")
        return Encoded([ord(character) for character in read], cut=len(cut))

    def forward(self, batch: Sequence[Encoded]) -> npt.NDArray[np.float32]:
        texts = ["".join(map(chr, encoded.ids)) for encoded in batch]
        self.entered.set()
        assert self.gate.wait(20)
        self.batches.append(texts)
        if self._fault:
            self._fault(texts)
        return np.array(
            [[np.nan if "nan" in t else value_of(t), len(t)] for t in texts], dtype=np.float32
        )

    def memory_bytes(self) -> int:
        return 0


def value_of(text: str) -> float:
    """The first output of `CountingModel` for a text."""
    return float(sum(map(ord, text)))


class NoOptions(BaseModel):
    """No options."""


class CountingTrait(ModelTrait[NoOptions]):
    """One output for the response, the first by default."""

    kind = "counting"
    options_type = NoOptions

    def __init__(self, model: CountingModel, which: int = 0) -> None:
        super().__init__(NoOptions())
        self.model = model
        self._which = which

    def inputs(self, sample: Sample) -> Sequence[ModelInput]:
        return [(sample.response,)]

    def reward_from(self, sample: Sample, outputs: Sequence[Output]) -> float:
        return float(outputs[0][self._which])


def served(trait: object, name: str = "trait", failure: str = "") -> ServedTrait:
    """A trait in the form that the engine takes."""
    spec = TraitSpec(name=name, kind="test", normalisation=Identity())
    return ServedTrait(spec, trait, version="v", failure=failure)  # type: ignore[arg-type]


def engine_on(*models: DeviceModel, max_characters: int = 1000, **settings: int) -> Engine:
    """A running engine for models made by a test; one batch at a time unless `lanes` says more."""
    store = ModelStore("cpu")
    for i, model in enumerate(models):
        store._models[i] = LoadedModel(ModelOptions(model=str(i)), model)
    engine = Engine(EngineSettings(**{"lanes": 1, "text_workers": 0, **settings}), max_characters)
    engine.start(store)
    return engine


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; fails after 20 s."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - threads change what it tests
            await asyncio.sleep(0.01)


def responses(*texts: str) -> list[Sample]:
    """Samples with these responses."""
    return [Sample("prompt", text) for text in texts]
