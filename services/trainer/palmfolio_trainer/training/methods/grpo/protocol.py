"""GRPO's settings as the protocol carries them, and the checks against the server's limits."""

from palmfolio.v1 import trainer_pb2
from palmfolio_trainer.training.methods.contract import ParseContext, Violation, validate
from palmfolio_trainer.training.methods.grpo.settings import GrpoSettings

# The protocol does not show every setting: the others are for callers of the Python function.
_SHOWN = set(trainer_pb2.GrpoConfig.DESCRIPTOR.fields_by_name)


def parse(message: trainer_pb2.GrpoConfig, context: ParseContext) -> GrpoSettings | list[Violation]:
    """Settings with the unset fields filled in, or everything that is wrong with the message."""
    sent = {field.name: value for field, value in message.ListFields()}
    settings = validate(GrpoSettings, sent, context.field)
    if isinstance(settings, list):
        return settings
    violations: list[Violation] = []
    if "prompts_per_step" not in sent:
        # The default must not refuse a client that has fewer prompts than it.
        fitting = max(1, min(settings.prompts_per_step, context.prompts))
        settings = settings.model_copy(update={"prompts_per_step": fitting})
    elif settings.prompts_per_step > context.prompts:
        text = f"{settings.prompts_per_step} is more than the {context.prompts} prompts"
        violations.append((f"{context.field}.prompts_per_step", text))
    samples = settings.prompts_per_step * settings.completions_per_prompt
    if samples > context.limits.max_samples:
        text = (
            f"makes {samples} completions a step; "
            f"the limit max_samples is {context.limits.max_samples}"
        )
        violations.append((f"{context.field}.completions_per_prompt", text))
    return violations or settings


def show(settings: GrpoSettings, spec: trainer_pb2.PolicySpec) -> None:
    """Writes the settings into `spec.grpo`."""
    spec.grpo.CopyFrom(trainer_pb2.GrpoConfig(**settings.model_dump(include=_SHOWN)))
