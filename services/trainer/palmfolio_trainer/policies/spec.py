"""What determines a policy: the checked, canonical form of a `PolicySpec`, and its address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pydantic
from google.rpc import error_details_pb2
from pydantic import ConfigDict

from palmfolio.v1 import scorer_pb2, trainer_pb2, types_pb2
from palmfolio_runtime import errors, names
from palmfolio_runtime.digest import digest
from palmfolio_runtime.limits import TrainerLimits
from palmfolio_runtime.weights import canonical_weights
from palmfolio_trainer.training.methods.grpo.settings import GrpoConfig

_ID_DIGITS = 24
_BASE_DIGITS = 12
# Settings that change how a result is computed, not the result.
_NO_PART_OF_IDENTITY = {"completions_per_pass"}
_GRPO_FIELDS = set(trainer_pb2.GrpoConfig.DESCRIPTOR.fields_by_name)

Violation = tuple[str, str]


@dataclass(frozen=True)
class BaseModel:
    """A model that policies are trained from; unchanged, it is a policy itself."""

    name: str
    revision: str
    """Digest of the weights."""
    path: str
    """The folder of its safetensors."""

    @property
    def policy_id(self) -> str:
        """The id of the unchanged model's policy."""
        return base_policy_id(self.name, self.revision)


def base_policy_id(name: str, revision: str) -> str:
    """The id of the policy that a base model is, unchanged."""
    identity = {"base_model": name, "base_revision": revision}
    return f"base-{digest(identity, _BASE_DIGITS)}"


class TrainingSpec(pydantic.BaseModel):
    """Everything that determines a trained policy; equal specs give the same policy.

    Traits of weight 0 do not take part in a training, so they are no part of its identity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str
    base_revision: str
    weights: dict[str, float]
    """Positive weights that sum to 1, by trait."""
    trait_versions: dict[str, str]
    """The versions of exactly the traits in `weights`."""
    prompts_digest: str
    seed: int
    initial_policy: str | None
    """The id of the policy whose adapter training starts from."""
    method: Literal["grpo"] = "grpo"
    grpo: GrpoConfig

    @property
    def policy_id(self) -> str:
        """The policy's id: a digest of all that is above."""
        identity = self.model_dump(mode="json", exclude={"grpo": _NO_PART_OF_IDENTITY})
        return digest(identity, _ID_DIGITS)

    @property
    def base_policy_id(self) -> str:
        """The id of the base model's own policy."""
        return base_policy_id(self.base_model, self.base_revision)

    def to_proto(self) -> trainer_pb2.PolicySpec:
        """The spec as the protocol shows it, defaults filled in, without its prompts."""
        return trainer_pb2.PolicySpec(
            base_model=self.base_model,
            weights=types_pb2.Weights(values=self.weights),
            trait_versions=self.trait_versions,
            seed=self.seed,
            initial_policy=names.POLICIES.name(self.initial_policy) if self.initial_policy else "",
            grpo=trainer_pb2.GrpoConfig(**self.grpo.model_dump(include=_GRPO_FIELDS)),
        )


@dataclass(frozen=True)
class TrainingRequest:
    """A spec with the prompts that its digest stands for."""

    spec: TrainingSpec
    prompts: tuple[str, ...]

    @property
    def policy_id(self) -> str:
        """The id of the policy that the training makes."""
        return self.spec.policy_id


def parse(
    message: trainer_pb2.PolicySpec,
    bases: Mapping[str, BaseModel],
    traits: Mapping[str, scorer_pb2.Trait],
    limits: TrainerLimits,
) -> TrainingRequest:
    """Checks a spec and puts it into canonical form.

    Whether `initial_policy` exists and can be started from is for the database to say.

    Args:
        message: what the client sent.
        bases: the base models by name.
        traits: the scorer's traits by name, without `traits/`.
        limits: the server's.

    Raises:
        ServiceError: INVALID_ARGUMENT naming every field that is wrong.
    """
    violations: list[Violation] = []
    base = bases.get(message.base_model)
    if base is None:
        known = ", ".join(sorted(bases))
        text = f"unknown base model {message.base_model!r}; known: {known}"
        violations.append(("spec.base_model", text))
    weights = _weights(message, traits, violations)
    versions = _trait_versions(message, weights, traits, violations)
    prompts = tuple(message.prompts)
    violations += check_prompts(prompts, limits, "spec.prompts")
    config = _grpo(message, len(prompts), limits.max_samples, violations)
    if message.seed < 0:
        violations.append(("spec.seed", f"{message.seed} is not >= 0"))
    initial = _initial_policy(message, bases, violations)
    if violations or base is None or config is None:
        raise errors.invalid_argument(*violations)
    spec = TrainingSpec(
        base_model=base.name,
        base_revision=base.revision,
        weights=weights,
        trait_versions=versions,
        prompts_digest=digest(list(prompts)),
        seed=message.seed,
        initial_policy=initial,
        grpo=config,
    )
    return TrainingRequest(spec, prompts)


def check_prompts(prompts: Sequence[str], limits: TrainerLimits, field: str) -> list[Violation]:
    """What is wrong with prompts: none, too many, an empty one, one that is too long."""
    if not prompts:
        return [(field, "is required: at least one prompt")]
    if len(prompts) > limits.max_prompts:
        allowed = f"the limit max_prompts is {limits.max_prompts}"
        return [(field, f"{len(prompts)} prompts are too many; {allowed}")]
    violations = []
    for index, prompt in enumerate(prompts):
        if not prompt.strip():
            violations.append((f"{field}[{index}]", "is empty"))
        elif len(prompt) > limits.max_characters:
            allowed = f"the limit max_characters is {limits.max_characters}"
            violations.append((f"{field}[{index}]", f"has {len(prompt)} characters; {allowed}"))
    return violations


def _violations(error: errors.ServiceError) -> list[Violation]:
    """The fields that an INVALID_ARGUMENT names."""
    return [
        (violation.field, violation.description)
        for detail in error.details
        if isinstance(detail, error_details_pb2.BadRequest)
        for violation in detail.field_violations
    ]


def _weights(
    message: trainer_pb2.PolicySpec,
    traits: Mapping[str, scorer_pb2.Trait],
    violations: list[Violation],
) -> dict[str, float]:
    try:
        weights = canonical_weights(message.weights.values, traits.keys(), "spec.weights")
    except errors.ServiceError as error:
        violations += _violations(error)
        return {}
    return {trait: weight for trait, weight in weights.items() if weight > 0}


def _trait_versions(
    message: trainer_pb2.PolicySpec,
    weights: Mapping[str, float],
    traits: Mapping[str, scorer_pb2.Trait],
    violations: list[Violation],
) -> dict[str, str]:
    for trait, version in message.trait_versions.items():
        field = f"spec.trait_versions[{trait}]"
        if trait not in message.weights.values:
            violations.append((field, "is not a trait of spec.weights"))
        elif trait in traits and traits[trait].version != version:
            served = traits[trait].version
            violations.append((field, f"the scorer serves version {served!r}, not {version!r}"))
    for trait in weights:
        if traits[trait].failure:
            text = f"the scorer cannot score this trait: {traits[trait].failure}"
            violations.append((f"spec.weights.values[{trait}]", text))
    return {trait: traits[trait].version for trait in weights}


def _grpo(
    message: trainer_pb2.PolicySpec, prompts: int, max_samples: int, violations: list[Violation]
) -> GrpoConfig | None:
    if message.WhichOneof("method") != "grpo":
        violations.append(("spec.grpo", "is required: how to train"))
        return None
    values = {field.name: value for field, value in message.grpo.ListFields()}
    try:
        config = GrpoConfig(**values)
    except pydantic.ValidationError as error:
        violations += [
            (".".join(["spec.grpo", *map(str, issue["loc"])]), issue["msg"])
            for issue in error.errors()
        ]
        return None
    if "prompts_per_step" not in values:
        fitting = max(1, min(config.prompts_per_step, prompts))
        config = config.model_copy(update={"prompts_per_step": fitting})
    elif config.prompts_per_step > prompts:
        text = f"{config.prompts_per_step} is more than the {prompts} prompts"
        violations.append(("spec.grpo.prompts_per_step", text))
    samples = config.prompts_per_step * config.completions_per_prompt
    if samples > max_samples:
        text = f"makes {samples} completions a step; the limit max_samples is {max_samples}"
        violations.append(("spec.grpo.completions_per_prompt", text))
    return config


def _initial_policy(
    message: trainer_pb2.PolicySpec, bases: Mapping[str, BaseModel], violations: list[Violation]
) -> str | None:
    if not message.initial_policy:
        return None
    try:
        identifier = names.POLICIES.parse(message.initial_policy, "spec.initial_policy")
    except errors.ServiceError as error:
        violations += _violations(error)
        return None
    base = bases.get(message.base_model)
    # To start from the unchanged base model is to start from nothing.
    return None if base and identifier == base.policy_id else identifier
