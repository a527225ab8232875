"""Identities that stored data depend on, fixed: an upgrade must not change them.

When a test here fails, rows that exist are no longer found. Do not change the expected value:
leave the new field out while it has its neutral value (`palmfolio_runtime.identity`).
"""

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2, selector_pb2, trainer_pb2, types_pb2
from palmfolio_runtime.database import Database
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_runtime.prompts import Prompt
from palmfolio_runtime.settings.sampling import full_sampling
from palmfolio_selector.domain.spec import (
    canonical_spec,
    is_same_spec,
    sampling_settings,
    source_settings,
)
from palmfolio_selector.store import builds, evaluations, portfolios, prompt_sets
from palmfolio_selector.store.measurement import spec_of
from palmfolio_selector.store.tables import PromptRow, SamplingRow, TraitRow

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart"
LIMITS = SelectorLimits()


def prompts_of(name: str) -> list[Prompt]:
    """The prompts of a file of the quickstart."""
    texts = (QUICKSTART / name).read_text(encoding="utf-8").splitlines()
    return [Prompt.of_text(text) for text in texts]


@pytest.mark.parametrize(
    ("file", "identifier"),
    [
        ("train_prompts.txt", "73baac534f301a8c6c6b3804dfff1450"),
        ("eval_prompts.txt", "76987964616972d3f5ce18c819255f03"),
    ],
)
async def test_prompt_sets_of_the_quickstart(
    database: Database, file: str, identifier: str
) -> None:
    prompts = prompts_of(file)
    row = await database.run(prompt_sets.add, prompts, "quickstart")
    assert row.id == identifier == prompt_sets.set_id(prompts)


async def test_evaluations_of_the_quickstart(database: Database) -> None:
    """An evaluation is identified by its policy's name and by these digests and names."""
    sampling = trainer_pb2.SamplingConfig(samples_per_prompt=3, max_tokens=32, seed=1)

    def store(session: Session) -> tuple[list[str], list[str], list[tuple[str, str]]]:
        evaluations.ensure_sampling(session, sampling_settings(full_sampling(sampling)))
        evaluations.ensure_sampling(session, source_settings("study"))
        evaluations.ensure_traits(session, {"brevity": "1"})
        prompt_sets.ensure_prompts(session, prompts_of("eval_prompts.txt")[:1])
        traits = session.execute(select(TraitRow.name, TraitRow.version))
        return (
            list(session.scalars(select(SamplingRow.digest).order_by(SamplingRow.key))),
            list(session.scalars(select(PromptRow.digest))),
            [(name, version) for name, version in traits],
        )

    samplings, prompts, traits = await database.run(store)
    assert samplings == [
        "4c17a6bd6e987e61732bd293dfceefecfa288ed9dcd5972281f3c046e0b201d2",
        "b35525527469b2774ed1064ff347591978af6ac5c82e1d6f8b08e6c6502a0d18",
    ]
    assert prompts == ["60f1178ce5464dd2c4574becec775506c031a40a68b3bd210228f4392ba96904"]
    assert traits == [("brevity", "1")]


def quickstart_spec() -> portfolios_pb2.PortfolioSpec:
    """A spec as a client sends it: with the fields that it wants to set only."""
    evaluation, training = (
        f"promptSets/{prompt_sets.set_id(prompts_of(f'{name}_prompts.txt'))}"
        for name in ("eval", "train")
    )
    spec = portfolios_pb2.PortfolioSpec(
        base_model="smollm2-135m-instruct",
        traits=["relevance", "brevity", "warmth"],
        training_prompt_set=training,
        evaluation_prompt_set=evaluation,
        delta=0.05,
    )
    weights = {"relevance": 2.0, "brevity": 1.0, "warmth": 1.0}
    spec.strategy.explicit.trainings.add(weights=types_pb2.Weights(values=weights))
    return spec


def test_a_spec_that_an_earlier_version_stored_is_the_same_spec() -> None:
    canonical = canonical_spec(quickstart_spec(), LIMITS)
    earlier = portfolios_pb2.PortfolioSpec()
    earlier.CopyFrom(canonical)
    # As if `top_p` and a seed for sampling had been added after the spec was stored.
    earlier.sampling.ClearField("top_p")
    earlier.sampling.ClearField("seed")
    assert earlier.SerializeToString() != canonical.SerializeToString()
    assert is_same_spec(earlier, canonical)


def test_a_field_that_nobody_knows_any_more_does_not_matter() -> None:
    canonical = canonical_spec(quickstart_spec(), LIMITS)
    # Field 1000, a number.
    later = portfolios_pb2.PortfolioSpec.FromString(canonical.SerializeToString() + b"\xc0\x3e\x01")
    assert is_same_spec(later, canonical)


@pytest.mark.parametrize("field", ["delta", "seed", "max_size", "alpha"])
def test_another_value_makes_another_spec(field: str) -> None:
    canonical = canonical_spec(quickstart_spec(), LIMITS)
    other = quickstart_spec()
    setattr(other, field, 1 if field in ("seed", "max_size") else 0.25)
    assert not is_same_spec(canonical, canonical_spec(other, LIMITS))


async def test_a_portfolio_of_an_earlier_version_is_built_again_under_its_id(
    database: Database,
) -> None:
    """Building again after an upgrade returns the same operation, not ALREADY_EXISTS."""
    canonical = canonical_spec(quickstart_spec(), LIMITS)

    def build(session: Session, request_id: str, spec: portfolios_pb2.PortfolioSpec) -> str:
        request = selector_pb2.BuildPortfolioRequest(
            request_id=request_id, portfolio_id="p", spec=spec
        )
        operation, _ = builds.begin(session, request, spec, 8)
        return operation.id

    def age(session: Session) -> None:
        row = portfolios.get(session, "p")
        stored = portfolios_pb2.PortfolioSpec.FromString(row.spec)
        stored.sampling.ClearField("top_p")
        row.spec = stored.SerializeToString(deterministic=True)

    def add_prompts(session: Session) -> None:
        for name in ("train_prompts.txt", "eval_prompts.txt"):
            prompt_sets.add(session, prompts_of(name), name)

    await database.run(add_prompts)
    first = await database.run(build, "1", canonical)
    await database.run(age)
    assert await database.run(build, "2", canonical) == first
    # The build goes on with the setting's default, not with 0.
    row = await database.run(portfolios.get, "p")
    assert spec_of(row) == canonical
    other = quickstart_spec()
    other.seed = 7
    with pytest.raises(ServiceError, match="another spec"):
        await database.run(build, "3", canonical_spec(other, LIMITS))
