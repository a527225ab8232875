"""The models that `Generate` samples from, and the checks of what is asked of them.

Everything that touches a model runs on the sampling thread; torch is imported there, so that the
service answers before it is loaded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from palmfolio.v1 import trainer_pb2
from palmfolio_runtime import errors, names
from palmfolio_runtime.limits import TrainerLimits
from palmfolio_trainer.policies.spec import BaseModel, Violation, check_prompts

if TYPE_CHECKING:
    from palmfolio_trainer.sampling.transformers.sampler import Completion, Sampler

_MAX_SAMPLES = 1024
_MAX_TOKENS = 4096
_MAX_TEMPERATURE = 10
# Less than the probability of the likeliest token, whatever the vocabulary.
_ONE_TOKEN = 1e-9


@dataclass(frozen=True)
class Sampling:
    """A checked `SamplingConfig`, defaults filled in."""

    samples_per_prompt: int = 1
    max_tokens: int = 64
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


def parse(request: trainer_pb2.GenerateRequest, limits: TrainerLimits) -> Sampling:
    """Checks a request, except for whether its policies exist.

    Raises:
        ServiceError: INVALID_ARGUMENT naming every field that is wrong.
    """
    violations: list[Violation] = []
    if not request.policies:
        violations.append(("policies", "is required: at least one policy"))
    for index, name in enumerate(request.policies):
        if name in request.policies[:index]:
            violations.append((f"policies[{index}]", f"{name} is asked for twice"))
    violations += check_prompts(request.prompts, limits, "prompts")
    sent = {field.name: value for field, value in request.sampling.ListFields()}
    config = Sampling(**sent)
    checks = (
        (
            "samples_per_prompt",
            1 <= config.samples_per_prompt <= _MAX_SAMPLES,
            f"1 to {_MAX_SAMPLES}",
        ),
        ("max_tokens", 1 <= config.max_tokens <= _MAX_TOKENS, f"1 to {_MAX_TOKENS}"),
        ("temperature", 0 <= config.temperature <= _MAX_TEMPERATURE, f"0 to {_MAX_TEMPERATURE}"),
        ("top_p", 0 < config.top_p <= 1, "above 0 and at most 1"),
        ("seed", config.seed >= 0, ">= 0"),
    )
    violations += [
        (f"sampling.{field}", f"{getattr(config, field)} is not {allowed}")
        for field, holds, allowed in checks
        if not holds
    ]
    if violations:
        raise errors.invalid_argument(*violations)
    return config


class Samplers:
    """A sampler for each base model that was asked for. Used on the sampling thread alone.

    Args:
        threads: of torch; None leaves the choice to torch.
    """

    def __init__(self, threads: int | None) -> None:
        self._threads = threads
        self._samplers: dict[str, Sampler] = {}
        self.devices: tuple[str, ...] = ()
        """The devices that responses are sampled on; empty until torch is loaded."""

    def sample(
        self,
        base: BaseModel,
        adapters: Mapping[str, str | None],
        prompts: Sequence[str],
        sampling: Sampling,
        cancelled: Callable[[], bool],
    ) -> Iterator[list[trainer_pb2.Completion]]:
        """Batches of completions of several policies of one base model.

        Args:
            base: the base model.
            adapters: the adapter's folder by policy id; None for the base model itself.
            prompts: what to answer.
            sampling: how.
            cancelled: asked between tokens.
        """
        # Greedy decoding is a nucleus of one token.
        greedy = sampling.temperature == 0
        policies = {name: Path(folder) if folder else None for name, folder in adapters.items()}
        batches = self._sampler(base).sample(
            policies,
            prompts,
            samples_per_prompt=sampling.samples_per_prompt,
            max_tokens=sampling.max_tokens,
            temperature=1.0 if greedy else sampling.temperature,
            top_p=_ONE_TOKEN if greedy else sampling.top_p,
            seed=sampling.seed,
            cancelled=cancelled,
        )
        for batch in batches:
            yield [_message(completion) for completion in batch]

    def load(self) -> None:
        """Loads torch, which takes seconds."""
        import torch

        from palmfolio_trainer.models.loading import preferred_device
        from palmfolio_trainer.sampling.transformers import sampler  # noqa: F401

        if self._threads:
            torch.set_num_threads(self._threads)
        self.devices = (preferred_device(),)

    def _sampler(self, base: BaseModel) -> "Sampler":
        if base.policy_id not in self._samplers:
            self.load()
            from palmfolio_trainer.sampling.transformers.sampler import Sampler

            self._samplers[base.policy_id] = Sampler(Path(base.path))
        return self._samplers[base.policy_id]


def _message(completion: "Completion") -> trainer_pb2.Completion:
    return trainer_pb2.Completion(
        policy=names.POLICIES.name(completion.policy),
        prompt_index=completion.prompt_index,
        sample_index=completion.sample_index,
        text=completion.text,
        tokens=completion.tokens,
        finish_reason=(
            trainer_pb2.FINISH_REASON_STOP
            if completion.finish_reason == "stop"
            else trainer_pb2.FINISH_REASON_LENGTH
        ),
    )
