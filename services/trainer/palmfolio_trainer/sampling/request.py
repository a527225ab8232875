"""The request and the answers of `Generate` as the protocol carries them."""

from palmfolio.v1 import trainer_pb2
from palmfolio_runtime import errors, names
from palmfolio_runtime.limits import TrainerLimits
from palmfolio_runtime.prompts import check_prompts
from palmfolio_runtime.settings.ranges import range_violations
from palmfolio_runtime.settings.sampling import SAMPLING_RANGES, full_sampling
from palmfolio_trainer.sampling.backend import Completion, SamplingSettings

_FINISH_REASONS = {
    "stop": trainer_pb2.FINISH_REASON_STOP,
    "length": trainer_pb2.FINISH_REASON_LENGTH,
}


def parse(request: trainer_pb2.GenerateRequest, limits: TrainerLimits) -> SamplingSettings:
    """The request's settings of sampling. Whether its policies exist is not checked here.

    Raises:
        ServiceError: INVALID_ARGUMENT naming every field that is wrong.
    """
    violations: list[tuple[str, str]] = []
    if not request.policies:
        violations.append(("policies", "is required: at least one policy"))
    for index, name in enumerate(request.policies):
        if name in request.policies[:index]:
            violations.append((f"policies[{index}]", f"{name} is asked for twice"))
    violations += check_prompts(
        request.prompts,
        "prompts",
        max_prompts=limits.max_prompts,
        max_characters=limits.max_characters,
    )
    violations += range_violations(request.sampling, SAMPLING_RANGES, "sampling")
    if violations:
        raise errors.invalid_argument(*violations)
    full = full_sampling(request.sampling)
    return SamplingSettings(**{field.name: value for field, value in full.ListFields()})


def to_proto(completion: Completion) -> trainer_pb2.Completion:
    """The completion as the protocol shows it."""
    return trainer_pb2.Completion(
        policy=names.POLICIES.name(completion.policy),
        prompt_index=completion.prompt_index,
        sample_index=completion.sample_index,
        text=completion.text,
        tokens=completion.tokens,
        finish_reason=_FINISH_REASONS[completion.finish_reason],
    )
