"""Traits that share a model share its work, and samples that a model's limit cut say so."""

import pytest

from palmfolio_scorer.protocol.replies import reward_matrix
from palmfolio_scorer.traits.composite import Composite, CompositeOptions
from tests.support.counting_model import (
    CountingModel,
    CountingTrait,
    engine_on,
    responses,
    served,
    value_of,
)


@pytest.mark.parametrize("cached", [0, 1, 1000])
@pytest.mark.parametrize("threads", [1, 4])
async def test_traits_of_one_model_compute_each_input_once(cached: int, threads: int) -> None:
    model, other = CountingModel(), CountingModel()
    engine = engine_on(model, other, cached_outputs=cached, text_threads=threads)
    texts = [f"text {i % 150}" for i in range(300)]
    traits = [served(CountingTrait(model, i % 2), f"head-{i}") for i in range(19)]
    traits.insert(3, served(CountingTrait(other), "other"))
    table = await engine.score(responses(*texts), traits)
    await engine.stop()
    for each in (model, other):
        assert sorted(text for batch in each.batches for text in batch) == sorted(set(texts))
    values, lengths = [value_of(text) for text in texts], [len(text) for text in texts]
    assert table.raw[:, 0].tolist() == table.raw[:, 3].tolist() == values
    assert table.raw[:, 1].tolist() == table.raw[:, 18].tolist() == lengths


async def test_a_trait_that_failed_to_load_fails_no_trait_of_its_model() -> None:
    model = CountingModel()
    engine = engine_on(model)
    broken = served(CountingTrait(model), "broken", failure="its label is wrong")
    table = await engine.score(responses("a"), [served(CountingTrait(model)), broken])
    await engine.stop()
    assert table.raw[0, 0] == value_of("a")
    assert table.failures[0, 1].message == "its label is wrong"


async def test_what_was_cut_is_told_by_sample_and_trait() -> None:
    model, other = CountingModel(), CountingModel()
    engine = engine_on(model, other)
    first, second = served(CountingTrait(model), "first"), served(CountingTrait(model, 1), "second")
    sum_ = served(Composite(CompositeOptions(of={"first": 1, "second": 1})), "sum")
    sum_.parts = (first, second)
    texts = ["short", "long…12345", "nan…123", "long…12"]
    for _ in range(2):  # the second time from the cache
        table = await engine.score(responses(*texts), [first, sum_])
        # "long" is the same input for the model, but each text has its own cut.
        assert table.cut == {(1, 0): 5, (1, 1): 10, (3, 0): 2, (3, 1): 4}
        statuses = reward_matrix(table, [first, sum_]).statuses
        assert [dict(status.cut_tokens) for status in statuses] == [
            {},
            {"first": 5, "sum": 10},
            {},
            {"first": 2, "sum": 4},
        ]
        assert statuses[2].status.code != 0
    await engine.stop()
