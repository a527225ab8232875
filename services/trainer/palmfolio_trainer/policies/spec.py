"""What determines a policy: the checked, canonical form of a `PolicySpec`, and its address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import pydantic
from google.rpc import error_details_pb2
from pydantic import ConfigDict

from palmfolio.v1 import scorer_pb2, trainer_pb2, types_pb2
from palmfolio_runtime import errors, names
from palmfolio_runtime.digest import digest
from palmfolio_runtime.identity import Neutral, identity
from palmfolio_runtime.limits import TrainerLimits
from palmfolio_runtime.prompts import Prompt, check_prompts, without_reference
from palmfolio_runtime.settings.training import SEEDS
from palmfolio_runtime.weights import canonical_weights
from palmfolio_trainer.models.base_models import BaseModel, base_address
from palmfolio_trainer.training.methods.contract import MethodSettings, ParseContext, Violation
from palmfolio_trainer.training.methods.registry import METHODS, AnySettings

_ID_DIGITS = 24
# Of the canonical form; 1 was a digest of the whole model, which every new setting changed.
_VERSION = 2


class TrainingSpec(pydantic.BaseModel):
    """Everything that determines a trained policy; equal specs give the same policy.

    Traits of weight 0 do not take part in a training, so they are not part of its identity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str
    """A name of the trainer's configuration."""
    base_revision: str
    weights: dict[str, float]
    """Positive weights that sum to 1, by trait."""
    trait_versions: dict[str, str]
    """The versions of exactly the traits in `weights`."""
    prompts_digest: str
    seed: int
    initial_policy: Annotated[str | None, Neutral(None)]
    """The id of the policy whose adapter training starts from."""
    settings: AnySettings
    """How to train, with the method's name in `settings.method`."""

    @property
    def address(self) -> str:
        """The policy's content address: the id of a policy that is new.

        A policy that an older trainer stored keeps its id and is found by this address.
        """
        return identity("policy", _VERSION, self, _ID_DIGITS)

    @property
    def base_address(self) -> str:
        """The content address of the base model's own policy."""
        return base_address(self.base_model, self.base_revision)

    def to_proto(self) -> trainer_pb2.PolicySpec:
        """The spec as the protocol shows it, defaults filled in, without its prompts."""
        spec = trainer_pb2.PolicySpec(
            base_model=self.base_model,
            weights=types_pb2.Weights(values=self.weights),
            trait_versions=self.trait_versions,
            seed=self.seed,
            initial_policy=names.POLICIES.name(self.initial_policy) if self.initial_policy else "",
        )
        METHODS[self.settings.method].show(self.settings, spec)
        return spec


@dataclass(frozen=True)
class TrainingRequest:
    """A spec with the prompts that its digest stands for."""

    spec: TrainingSpec
    prompts: tuple[Prompt, ...]

    @property
    def address(self) -> str:
        """The content address of the policy that the training makes."""
        return self.spec.address


def parse(
    message: trainer_pb2.PolicySpec,
    bases: Mapping[str, BaseModel],
    traits: Mapping[str, scorer_pb2.Trait],
    limits: TrainerLimits,
) -> TrainingRequest:
    """Checks a spec and puts it into canonical form.

    Whether `initial_policy` exists and training can start from it is checked in the database,
    by `store.policies.check_initial`.

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
    prompts = _prompts(message, weights, traits, limits, violations)
    settings = _settings(message, limits, violations)
    if message.seed not in SEEDS:
        violations.append(("spec.seed", f"{message.seed} is not {SEEDS}"))
    initial = _initial_policy(message, base, violations)
    if violations or base is None or settings is None:
        raise errors.invalid_argument(*violations)
    spec = TrainingSpec(
        base_model=base.name,
        base_revision=base.revision,
        weights=weights,
        trait_versions=versions,
        prompts_digest=digest([prompt.canonical() for prompt in prompts]),
        seed=message.seed,
        initial_policy=initial,
        settings=settings,
    )
    return TrainingRequest(spec, prompts)


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


def _prompts(
    message: trainer_pb2.PolicySpec,
    weights: Mapping[str, float],
    traits: Mapping[str, scorer_pb2.Trait],
    limits: TrainerLimits,
    violations: list[Violation],
) -> tuple[Prompt, ...]:
    """The prompts, each with a reference where a trait of the training reads it."""
    problems = check_prompts(
        message.prompts,
        "spec.prompts",
        max_prompts=limits.max_prompts,
        max_characters=limits.max_characters,
    )
    violations += problems
    if problems:
        return ()
    prompts = tuple(Prompt.from_message(prompt) for prompt in message.prompts)
    # Now, not in the first step: by then the training has waited in the queue and loaded its model.
    if missing := without_reference(prompts, "spec.prompts"):
        violations += [
            (f"spec.weights.values[{trait}]", f"reads each prompt's reference; without: {missing}")
            for trait in weights
            if "reference" in traits[trait].fields
        ]
    return prompts


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


def _settings(
    message: trainer_pb2.PolicySpec, limits: TrainerLimits, violations: list[Violation]
) -> MethodSettings | None:
    """The settings of the method that the message's oneof has."""
    name = message.WhichOneof("method")
    if name is None or name not in METHODS:
        first, *others = (f"spec.{method}" for method in METHODS)
        text = " or ".join(["is required: how to train", *others])
        violations.append((first, text))
        return None
    field = f"spec.{name}"
    context = ParseContext(prompts=len(message.prompts), limits=limits, field=field)
    parsed = METHODS[name].parse(getattr(message, name), context)
    if isinstance(parsed, list):
        violations += parsed
        return None
    settings: MethodSettings = parsed
    return settings


def _initial_policy(
    message: trainer_pb2.PolicySpec, base: BaseModel | None, violations: list[Violation]
) -> str | None:
    if not message.initial_policy:
        return None
    try:
        identifier = names.POLICIES.parse(message.initial_policy, "spec.initial_policy")
    except errors.ServiceError as error:
        violations += _violations(error)
        return None
    # Starting from the unchanged base model means starting without an adapter.
    is_base = base is not None and identifier in (base.policy_id, base.address)
    return None if is_base else identifier
