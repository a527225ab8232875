"""Whether every prompt has the reference that a portfolio's traits compare with."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2, scorer_pb2
from palmfolio_runtime import names
from palmfolio_runtime.errors import ServiceError, invalid_argument
from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.store import prompt_sets

# Prompts that an error names.
_NAMED = 3
_CHARACTERS = 60


def problem(
    session: Session, spec: portfolios_pb2.PortfolioSpec, traits: Mapping[str, scorer_pb2.Trait]
) -> ServiceError | None:
    """INVALID_ARGUMENT when a trait would find prompts without a reference; None otherwise.

    To be asked before anything is trained: such a trait scores no response to such a prompt.

    Args:
        spec: canonical.
        traits: as the scorer describes them, by name, with all of the spec's.
    """
    readers = [name for name in spec.traits if "reference" in traits[name].fields]
    violations: list[tuple[str, str]] = []
    for field, concerned in (
        ("training_prompt_set", [name for name in readers if _is_trained(spec, name)]),
        ("evaluation_prompt_set", readers),
    ):
        identifier = names.PROMPT_SETS.id(getattr(spec, field))
        if not concerned:
            continue
        lacking, count = prompt_sets.without_reference(session, identifier, _NAMED)
        if lacking:
            violations.append((f"spec.{field}", _message(concerned, lacking, count)))
    return invalid_argument(*violations) if violations else None


def _is_trained(spec: portfolios_pb2.PortfolioSpec, trait: str) -> bool:
    """Whether a training may reward the trait."""
    if spec.strategy.WhichOneof("kind") != "explicit":
        return True
    return any(entry.weights.values[trait] > 0 for entry in spec.strategy.explicit.trainings)


def _message(traits: list[str], lacking: list[tuple[int, Prompt]], count: int) -> str:
    named = ", ".join(f"prompts[{position}] {_short(prompt)}" for position, prompt in lacking)
    more = f", and {count - len(lacking)} more" if count > len(lacking) else ""
    compare = "traits {} compare" if len(traits) > 1 else "trait {} compares"
    return (
        f"{compare.format(', '.join(traits))} with a reference, which these prompts lack: "
        f"{named}{more}; give each prompt a reference, or leave the trait out"
    )


def _short(prompt: Prompt) -> str:
    text = " ".join(prompt.plain_text.split())
    return repr(text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…")
