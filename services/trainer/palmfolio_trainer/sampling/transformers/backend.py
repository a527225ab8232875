"""Sampling with Transformers in this process: one base model in memory for each that is used."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from palmfolio_runtime.prompts import Prompt
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.sampling.backend import Completion, SamplingSettings

if TYPE_CHECKING:
    from palmfolio_trainer.sampling.transformers.sampler import Sampler

# Less than the probability of the likeliest token, whatever the vocabulary.
_ONE_TOKEN = 1e-9


class TransformersBackend:
    """A `SamplingBackend` that keeps a `Sampler` for each base model that was asked for.

    Args:
        threads: of torch; None leaves the choice to torch.
    """

    def __init__(self, threads: int | None) -> None:
        self._threads = threads
        self._samplers: dict[str, Sampler] = {}
        self._devices: tuple[str, ...] = ()

    @property
    def devices(self) -> Sequence[str]:
        """The device that torch prefers; empty until `load`."""
        return self._devices

    def load(self) -> None:
        """Loads torch, which takes seconds."""
        import torch

        from palmfolio_trainer.models.loading import preferred_device
        from palmfolio_trainer.sampling.transformers import sampler  # noqa: F401

        # Here and not when the process starts: importing torch for it would delay the start.
        if self._threads:
            torch.set_num_threads(self._threads)
        self._devices = (preferred_device(),)

    def sample(
        self,
        base: BaseModel,
        adapters: Mapping[str, Path | None],
        prompts: Sequence[Prompt],
        settings: SamplingSettings,
        cancelled: Callable[[], bool],
    ) -> Iterator[list[Completion]]:
        """Batches of completions; see `SamplingBackend.sample`."""
        # The decoder knows no greedy mode: a nucleus of one token has only one choice.
        greedy = settings.temperature == 0
        return self._sampler(base).sample(
            adapters,
            prompts,
            samples_per_prompt=settings.samples_per_prompt,
            max_tokens=settings.max_tokens,
            temperature=1.0 if greedy else settings.temperature,
            top_p=_ONE_TOKEN if greedy else settings.top_p,
            seed=settings.seed,
            cancelled=cancelled,
        )

    def _sampler(self, base: BaseModel) -> "Sampler":
        if base.revision not in self._samplers:
            self.load()
            from palmfolio_trainer.sampling.transformers.sampler import Sampler

            self._samplers[base.revision] = Sampler(Path(base.path))
        return self._samplers[base.revision]
