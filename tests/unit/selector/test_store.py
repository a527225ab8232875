"""The selector's tables: rows are stored once, found again, counted and deleted."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from google.rpc import status_pb2
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2, trainer_pb2, types_pb2
from palmfolio_runtime.database import Database
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.operations import Base as OperationsBase
from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.domain.spec import Settings
from palmfolio_selector.store import evaluations, policies, portfolios, prompt_sets, values
from palmfolio_selector.store.evaluations import Progress, Reward
from palmfolio_selector.store.tables import (
    Base,
    MeanRow,
    PortfolioRow,
    PortfolioState,
    TrainingState,
)

PROMPTS = [Prompt.of_text(text) for text in ("why?", "how?", "when?")]
SETTINGS: Settings = {"temperature": 1.0, "max_tokens": 16, "top_p": 1.0, "seed": 0}
NAME = "policies/p"


async def test_the_migrations_make_the_tables_that_the_code_declares(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        # Several collections of tables are allowed, but are not in the annotation.
        tables: Any = [Base.metadata, OperationsBase.metadata]
        assert compare_metadata(context, tables) == []


def make_measurement(
    session: Session, versions: Mapping[str, str] | None = None, samples: int = 2
) -> Measurement:
    """How policies are measured, on a set of three prompts."""
    row = prompt_sets.add(session, PROMPTS, "questions")
    return Measurement(
        prompt_set=row.id,
        prompts=prompt_sets.distinct_size(session, row.id),
        sampling=evaluations.ensure_sampling(session, SETTINGS),
        samples=samples,
        traits=evaluations.ensure_traits(session, versions or {"brevity": "1", "warmth": "1"}),
    )


def make_policy(session: Session, name: str = NAME) -> int:
    policy = trainer_pb2.Policy(name=name, adapter="file:///a", is_base_model=False)
    policy.spec.weights.values["brevity"] = 1.0
    return policies.remember(session, policy).key


def keys_of(session: Session, measurement: Measurement) -> list[int]:
    prompts = prompt_sets.prompts_of(session, measurement.prompt_set)
    keys = prompt_sets.ensure_prompts(session, prompts)
    return [keys[prompt.digest] for prompt in prompts]


def everything(session: Session, measurement: Measurement, key: int, value: float = 0.5) -> None:
    """All responses and rewards of a policy."""
    pairs = list(itertools.product(keys_of(session, measurement), range(measurement.samples)))
    evaluations.add_responses(
        session, key, measurement.sampling, [(p, s, f"answer {p} {s}") for p, s in pairs]
    )
    rewards = [Reward(p, s, t, value, value) for p, s in pairs for t in measurement.traits.values()]
    evaluations.add_rewards(session, key, measurement.sampling, rewards)


async def test_the_same_prompts_are_the_same_set(database: Database) -> None:
    first = await database.run(prompt_sets.add, PROMPTS, "one")
    again = await database.run(prompt_sets.add, PROMPTS, "two")
    turned = await database.run(prompt_sets.add, PROMPTS[::-1], "three")
    assert first.id == again.id != turned.id
    assert await database.run(lambda s: prompt_sets.prompts_of(s, turned.id)) == PROMPTS[::-1]


RECORDS = [
    Prompt.of_text("2 + 2?"),
    Prompt.of_text("2 + 2?", "#### 4", ["easy"]),
    Prompt((ChatMessage("system", "Be brief."), ChatMessage("user", "2 + 2?")), "4"),
    Prompt((ChatMessage("system", "Be brief."), ChatMessage("user", "2 + 2?"))),
]


async def test_prompts_come_back_with_messages_references_and_tags(database: Database) -> None:
    def store(session: Session) -> Any:
        row = prompt_sets.add(session, [*RECORDS, RECORDS[1]], "records")
        return (
            prompt_sets.prompts_of(session, row.id),
            prompt_sets.distinct_size(session, row.id),
            prompt_sets.without_reference(session, row.id, 1),
        )

    found, different, (lacking, count) = await database.run(store)
    assert found == [*RECORDS, RECORDS[1]]
    assert [prompt.tags for prompt in found] == [(), ("easy",), (), (), ("easy",)]
    assert different == 4
    assert (lacking, count) == ([(0, RECORDS[0])], 2)


async def test_tags_are_no_part_of_a_set(database: Database) -> None:
    tagged = [Prompt.of_text(prompt.text or "", tags=["new"]) for prompt in PROMPTS]
    assert prompt_sets.set_id(tagged) == prompt_sets.set_id(PROMPTS)
    assert prompt_sets.set_id(RECORDS[:1]) != prompt_sets.set_id(RECORDS[1:2])


async def test_records_are_sampled_scored_and_shown_whole(database: Database) -> None:
    def measure(session: Session) -> Any:
        row, key = prompt_sets.add(session, RECORDS, "records"), make_policy(session)
        measurement = replace(make_measurement(session, samples=1), prompt_set=row.id, prompts=4)
        (asked,) = evaluations.unsampled(session, measurement, key, 10)
        evaluations.add_responses(
            session, key, measurement.sampling, [(prompt, 0, "4") for prompt, _ in asked]
        )
        scored = evaluations.unscored(session, measurement, key, 10)
        return asked, scored, evaluations.answers(session, measurement, NAME, 10)

    asked, scored, answers = await database.run(measure)
    assert [prompt for _, prompt in asked] == RECORDS
    assert {prompt for _, _, prompt, _ in scored} == set(RECORDS)
    assert [prompt for prompt, _, _ in answers] == RECORDS


async def test_the_first_of_two_equal_keys_stays(database: Database) -> None:
    def twice(session: Session) -> Any:
        measurement, key = make_measurement(session), make_policy(session)
        everything(session, measurement, key, 0.25)
        everything(session, measurement, key, 0.75)
        return (
            measurement,
            evaluations.progress(session, measurement, [NAME]),
            values.means(session, measurement, [NAME]),
        )

    measurement, progress, means = await database.run(twice)
    done = Progress(measurement.responses, measurement.rewards, {"brevity": 0, "warmth": 0})
    assert progress == {NAME: done}
    assert {trait: mean.value for trait, mean in means[NAME].items()} == {
        "brevity": 0.25,
        "warmth": 0.25,
    }


async def test_versions_of_a_trait_never_mix(database: Database) -> None:
    def both(session: Session) -> Any:
        key = make_policy(session)
        old = make_measurement(session, {"brevity": "1"})
        everything(session, old, key, 0.25)
        new = make_measurement(session, {"brevity": "2"})
        before = evaluations.progress(session, new, [NAME])
        everything(session, new, key, 0.75)
        means = [values.means(session, measurement, [NAME])[NAME] for measurement in (old, new)]
        return old, before, means

    old, before, means = await database.run(both)
    # The responses are reused, the rewards are not.
    assert before == {NAME: Progress(old.responses, 0, {"brevity": 0})}
    assert [mean["brevity"].value for mean in means] == [0.25, 0.75]


async def test_responses_that_are_missing_are_found_by_whole_pieces_of_the_set(
    database: Database,
) -> None:
    def partly(session: Session) -> Any:
        measurement, key = make_measurement(session), make_policy(session)
        first, second, third = keys_of(session, measurement)
        rows = [(first, 0, "a"), (first, 1, "b"), (third, 0, "c")]
        evaluations.add_responses(session, key, measurement.sampling, rows)
        pieces = [evaluations.unsampled(session, measurement, key, size) for size in (1, 2, 3)]
        keys = [[[key for key, _ in piece] for piece in some] for some in pieces]
        evaluations.add_responses(
            session, key, measurement.sampling, [(second, 0, "d"), (second, 1, "e")]
        )
        later = evaluations.unsampled(session, measurement, key, 2)
        return (first, second, third), keys, later

    (first, second, third), keys, later = await database.run(partly)
    assert keys == [
        [[second], [third]],
        [[first, second], [third]],
        [[first, second, third]],
    ]
    assert later == [[(third, PROMPTS[2])]]


async def test_rewards_that_are_missing_are_found_in_the_order_of_the_set(
    database: Database,
) -> None:
    def partly(session: Session) -> Any:
        measurement, key = make_measurement(session), make_policy(session)
        first, _, third = keys_of(session, measurement)
        rows = [(first, 0, "a"), (first, 1, "b"), (third, 0, "c")]
        evaluations.add_responses(session, key, measurement.sampling, rows)
        trait = measurement.traits["brevity"]
        evaluations.add_rewards(
            session, key, measurement.sampling, [Reward(first, 0, trait, 9.0, 0.9)]
        )
        return evaluations.unscored(session, measurement, key, 10)

    unscored = await database.run(partly)
    # The first response has one of its two rewards.
    assert [(prompt.text, response) for _, _, prompt, response in unscored] == [
        ("why?", "a"),
        ("why?", "b"),
        ("when?", "c"),
    ]


async def test_failed_rewards_count_but_do_not_enter_the_mean(database: Database) -> None:
    def scored(session: Session) -> Any:
        measurement, key = (
            make_measurement(session, {"brevity": "1"}, samples=1),
            make_policy(session),
        )
        first, second, third = keys_of(session, measurement)
        trait = measurement.traits["brevity"]
        rewards = [
            Reward(first, 0, trait, 1.0, 1.0),
            Reward(second, 0, trait, 2.0, 0.5),
            Reward(third, 0, trait, None, None, "too long"),
        ]
        evaluations.add_rewards(session, key, measurement.sampling, rewards)
        return evaluations.progress(session, measurement, [NAME]), values.means(
            session, measurement, [NAME]
        )

    progress, means = await database.run(scored)
    assert progress[NAME] == Progress(0, 3, {"brevity": 1})
    mean = means[NAME]["brevity"]
    assert (mean.value, mean.count, mean.failed) == (0.75, 2, 1)


async def test_a_mean_that_is_computed_equals_the_one_that_is_stored(database: Database) -> None:
    def twice(session: Session) -> Any:
        # Some prompts stand in the set twice, and the rewards add up differently in any order.
        row = prompt_sets.add(session, [*PROMPTS, *PROMPTS[:2]], "repeated")
        measurement = Measurement(
            prompt_set=row.id,
            prompts=prompt_sets.distinct_size(session, row.id),
            sampling=evaluations.ensure_sampling(session, SETTINGS),
            samples=3,
            traits=evaluations.ensure_traits(session, {"brevity": "1", "warmth": "1"}),
        )
        names = [f"policies/{index}" for index in range(4)]
        for index, name in enumerate(names):
            key = make_policy(session, name)
            everything(session, measurement, key, 1 / (3 + index))
        computed = values.means(session, measurement)
        values.materialise(session, measurement, names[1:3])
        mixed = values.means(session, measurement)
        values.materialise(session, measurement)
        stored = session.scalar(select(func.count()).select_from(MeanRow))
        return names, computed, mixed, values.means(session, measurement), stored

    names, computed, mixed, materialised, stored = await database.run(twice)
    assert computed == mixed == materialised
    assert list(computed) == list(mixed) == list(materialised) == names
    mean = computed["policies/0"]["brevity"]
    assert (mean.value, mean.count, mean.failed) == (pytest.approx(1 / 3, abs=2**-52), 15, 0)
    assert stored == len(names) * 2


async def test_answers_come_with_their_rewards(database: Database) -> None:
    def read(session: Session) -> Any:
        measurement, key = make_measurement(session), make_policy(session)
        everything(session, measurement, key, 0.5)
        return evaluations.answers(session, measurement, NAME, 2)

    answers = await database.run(read)
    assert [prompt for prompt, _, _ in answers] == PROMPTS[:2]
    assert all(rewards == {"brevity": 0.5, "warmth": 0.5} for _, _, rewards in answers)


async def test_a_response_with_a_nul_can_be_stored(database: Database) -> None:
    def store(session: Session) -> Any:
        measurement, key = make_measurement(session), make_policy(session)
        prompt = keys_of(session, measurement)[0]
        evaluations.add_responses(session, key, measurement.sampling, [(prompt, 0, "a\0b")])
        return evaluations.unscored(session, measurement, key, 1)

    ((_, _, _, response),) = await database.run(store)
    assert response == "a\N{REPLACEMENT CHARACTER}b"


def a_spec() -> portfolios_pb2.PortfolioSpec:
    return portfolios_pb2.PortfolioSpec(base_model="tiny", traits=["brevity", "warmth"])


def wanted(*weights: float) -> list[portfolios_pb2.ExplicitTraining]:
    return [
        portfolios_pb2.ExplicitTraining(weights=types_pb2.Weights(values={"brevity": weight}))
        for weight in weights
    ]


async def test_restarting_a_portfolio_asks_for_every_training_again(database: Database) -> None:
    def build(session: Session) -> Any:
        row = portfolios.add(session, "p", a_spec())
        portfolios.want_trainings(session, "p", wanted(1.0, 0.5))
        portfolios.restart(session, row, "first")
        first, second = portfolios.trainings(session, "p")
        first.state, first.policy, first.operation = (
            TrainingState.READY,
            "policies/1",
            "operations/1",
        )
        portfolios.fail_training(second, status_pb2.Status(message="diverged"))
        row.state = PortfolioState.FAILED
        session.flush()
        portfolios.restart(session, row, "second")
        session.expire_all()
        return [
            (t.state, t.policy, t.operation, t.error) for t in portfolios.trainings(session, "p")
        ]

    assert await database.run(build) == [(TrainingState.WANTED, "", "", None)] * 2


async def test_a_portfolio_under_construction_is_not_deleted(database: Database) -> None:
    def delete(session: Session) -> Any:
        portfolios.add(session, "p", a_spec())
        portfolios.delete(session, "p")

    with pytest.raises(ServiceError, match="is being built"):
        await database.run(delete)


async def test_a_deleted_portfolio_takes_its_trainings_with_it(database: Database) -> None:
    def delete(session: Session) -> Any:
        row = portfolios.add(session, "p", a_spec())
        portfolios.want_trainings(session, "p", wanted(1.0))
        row.state = PortfolioState.READY
        session.flush()
        portfolios.delete(session, "p")
        session.flush()
        session.expire_all()
        return portfolios.find(session, "p"), portfolios.trainings(session, "p")

    stored, trainings = await database.run(delete)
    assert stored is None
    assert list(trainings) == []


async def test_pages_show_every_portfolio_once_newest_first(database: Database) -> None:
    names = [f"p{index}" for index in range(5)]

    def add(session: Session) -> Any:
        for index, name in enumerate(names):
            portfolios.add(session, name, a_spec()).created = float(index // 2)

    await database.run(add)
    seen: list[str] = []
    token = ""
    while True:
        shown, token = await database.run(portfolios.list_page, 2, token, shown_as, 2**20)
        seen += [portfolio.name for portfolio in shown]
        if not token:
            break
    assert seen == names[::-1]


def shown_as(row: PortfolioRow) -> portfolios_pb2.Portfolio:
    """The message that shows a portfolio in a listing."""
    return portfolios_pb2.Portfolio(name=row.id)


@pytest.mark.parametrize("token", ["?", "bm90IGEgdG9rZW4="])
async def test_a_foreign_page_token_is_refused(database: Database, token: str) -> None:
    with pytest.raises(ServiceError, match="page_token"):
        await database.run(portfolios.list_page, 2, token, shown_as, 2**20)


async def test_trainings_of_other_builds_are_known(database: Database) -> None:
    def build(session: Session) -> Any:
        for name, operation in (
            ("p", "operations/1"),
            ("q", "operations/1"),
            ("r", "operations/2"),
        ):
            portfolios.add(session, name, a_spec())
            portfolios.want_trainings(session, name, wanted(1.0))
            training = portfolios.training(session, name, 1)
            training.state, training.operation = TrainingState.RUNNING, operation
        portfolios.get(session, "r").state = PortfolioState.FAILED
        session.flush()
        return portfolios.trainings_wanted_elsewhere(session, "p")

    assert await database.run(build) == {"operations/1"}
