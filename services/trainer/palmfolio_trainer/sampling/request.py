"""The request and the answers of `Generate` as the protocol carries them."""

from palmfolio.v1 import trainer_pb2
from palmfolio_runtime import errors, names
from palmfolio_runtime.limits import TrainerLimits
from palmfolio_trainer.models.prompts import check_prompts
from palmfolio_trainer.sampling.backend import Completion, SamplingSettings

_MAX_SAMPLES = 1024
_MAX_TOKENS = 4096
_MAX_TEMPERATURE = 10

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
    violations += check_prompts(request.prompts, limits, "prompts")
    sent = {field.name: value for field, value in request.sampling.ListFields()}
    settings = SamplingSettings(**sent)
    checks = (
        (
            "samples_per_prompt",
            1 <= settings.samples_per_prompt <= _MAX_SAMPLES,
            f"1 to {_MAX_SAMPLES}",
        ),
        ("max_tokens", 1 <= settings.max_tokens <= _MAX_TOKENS, f"1 to {_MAX_TOKENS}"),
        ("temperature", 0 <= settings.temperature <= _MAX_TEMPERATURE, f"0 to {_MAX_TEMPERATURE}"),
        ("top_p", 0 < settings.top_p <= 1, "above 0 and at most 1"),
        ("seed", settings.seed >= 0, ">= 0"),
    )
    violations += [
        (f"sampling.{field}", f"{getattr(settings, field)} is not {allowed}")
        for field, holds, allowed in checks
        if not holds
    ]
    if violations:
        raise errors.invalid_argument(*violations)
    return settings


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
