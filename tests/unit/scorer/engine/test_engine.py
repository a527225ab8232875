"""The engine: right values in every batch, failures that fail nothing else, bounded queues."""

import asyncio
import time
from collections.abc import Sequence

import numpy as np
import pytest

from palmfolio_scorer.engine.admission import QueueFullError
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.kind import TextTrait
from tests.support.counting_model import (
    CountingModel,
    CountingTrait,
    NoOptions,
    engine_on,
    responses,
    served,
    until,
    value_of,
)


async def test_values_come_back_in_order_and_equal_inputs_run_once() -> None:
    model = CountingModel()
    engine = engine_on(model, token_budget=40)
    texts = ["a" * (1 + i % 7) + chr(97 + i % 5) for i in range(200)]
    table = await engine.score(responses(*texts), [served(CountingTrait(model))])
    await engine.stop()
    assert table.raw[:, 0].tolist() == [value_of(text) for text in texts]
    computed = [text for batch in model.batches for text in batch]
    assert sorted(computed) == sorted(set(texts))
    assert all(len(b) * max(map(len, b)) <= 40 for b in model.batches)


async def test_concurrent_requests_share_work_and_keep_their_own_answers() -> None:
    model = CountingModel()
    engine = engine_on(model)
    requests = [[f"{i}-{j}" for j in range(5)] + ["shared"] for i in range(20)]
    tables = await asyncio.gather(
        *(engine.score(responses(*r), [served(CountingTrait(model))]) for r in requests)
    )
    await engine.stop()
    for request, table in zip(requests, tables, strict=True):
        assert table.raw[:, 0].tolist() == [value_of(text) for text in request]
    assert sum(text == "shared" for batch in model.batches for text in batch) == 1


async def test_a_repeated_request_is_served_from_the_cache_unless_it_is_off() -> None:
    for cached, batches in ((10, 1), (0, 2)):
        model = CountingModel()
        engine = engine_on(model, cached_outputs=cached)
        for _ in range(2):
            await engine.score(responses("a", "b"), [served(CountingTrait(model))])
        await engine.stop()
        assert len(model.batches) == batches


async def test_a_poisoned_sample_fails_no_other() -> None:
    def fault(texts: Sequence[str]) -> None:
        if any("crash" in text for text in texts):
            raise ValueError("a kernel failed")
        if any("exit" in text for text in texts):
            raise SystemExit("a library gave up")

    model = CountingModel(fault)
    engine = engine_on(model, max_characters=50)
    texts = ["fine", "crash", "nan here", "\ud800", "x" * 51, "untokenisable", "", "a\0\x07b"]
    texts.append("exit")
    table = await engine.score(responses(*texts), [served(CountingTrait(model))])
    await engine.stop()
    good = [0, 6, 7]
    assert sorted(table.failures) == [(i, 0) for i in range(len(texts)) if i not in good]
    assert table.raw[good, 0].tolist() == [value_of(texts[i]) for i in good]
    assert np.isnan(np.delete(table.raw, good, axis=0)).all()
    assert np.isnan(np.delete(table.normalised, good, axis=0)).all()
    messages = ["a kernel failed", "not finite", "UTF-8", "51 characters; at most 50", "tokenised"]
    for i, part in [*enumerate(messages, 1), (8, "a library gave up")]:
        assert part in table.failures[i, 0].message


async def test_out_of_memory_halves_the_budget_and_loses_nothing() -> None:
    def fault(texts: Sequence[str]) -> None:
        if sum(map(len, texts)) > 30:
            raise MemoryError

    model = CountingModel(fault)
    engine = engine_on(model, token_budget=100)
    texts = [f"{i:05d}" for i in range(60)]
    table = await engine.score(responses(*texts), [served(CountingTrait(model))])
    budget = engine.worker(model).token_budget
    await engine.stop()
    assert table.raw[:, 0].tolist() == [value_of(text) for text in texts]
    assert budget <= 30


class _Raising(TextTrait[NoOptions]):
    kind = "raising"
    options_type = NoOptions

    def reward(self, sample: Sample) -> float:
        if sample.response == "sample error":
            raise SampleError("cannot be read")
        if sample.response == "bug":
            raise KeyError("oops")
        return float("inf") if sample.response == "infinite" else 0.25


async def test_a_trait_that_raises_or_is_not_loaded_spares_samples_and_other_traits() -> None:
    model = CountingModel()
    engine = engine_on(model)
    traits = [
        served(_Raising(NoOptions()), "raising"),
        served(CountingTrait(model), "counting"),
        served(CountingTrait(model), "broken", failure="no such folder"),
    ]
    table = await engine.score(responses("ok", "sample error", "bug", "infinite"), traits)
    await engine.stop()
    assert table.raw[0, 0] == 0.25
    assert [table.failures[i, 0].code for i in (1, 2, 3)] == [
        "INVALID_ARGUMENT",
        "INTERNAL",
        "INTERNAL",
    ]
    assert np.isfinite(table.raw[:, 1]).all()
    assert {table.failures[i, 2].message for i in range(4)} == {"no such folder"}


async def test_a_full_queue_refuses_and_a_single_large_request_is_taken() -> None:
    model = CountingModel()
    model.gate.clear()
    engine = engine_on(model, max_queued_samples=4)
    trait = served(CountingTrait(model))
    first = asyncio.create_task(engine.score(responses(*"abcdefgh"), [trait]))
    await asyncio.to_thread(model.entered.wait, 20)
    with pytest.raises(QueueFullError) as refused:
        await engine.score(responses("z"), [trait])
    assert refused.value.retry_after_seconds > 0
    model.gate.set()
    assert (await first).failures == {}
    assert (await engine.score(responses("z"), [trait])).failures == {}
    await engine.stop()


async def test_cancelled_and_expired_work_never_reaches_the_model() -> None:
    model = CountingModel()
    model.gate.clear()
    engine = engine_on(model, token_budget=4)
    trait = served(CountingTrait(model))
    blocking = asyncio.create_task(engine.score(responses("run"), [trait]))
    await asyncio.to_thread(model.entered.wait, 20)
    gone = asyncio.create_task(engine.score(responses("gone", "both"), [trait]))
    late = asyncio.create_task(engine.score(responses("late"), [trait], time.monotonic() + 1.5))
    kept = asyncio.create_task(engine.score(responses("both"), [trait]))
    worker = engine.worker(model)
    await until(lambda: worker.waiting() == 3 and worker.stats.reused == 1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert engine.worker(model).waiting() == 2
    assert engine.admission.samples == 3
    await asyncio.sleep(1.6)
    model.gate.set()
    assert (await kept).raw[0, 0] == value_of("both")
    assert (await late).failures[0, 0].code == "DEADLINE_EXCEEDED"
    await blocking
    await engine.stop()
    assert [text for batch in model.batches for text in batch] == ["run", "both"]


async def test_stopping_fails_what_waits() -> None:
    model = CountingModel()
    model.gate.clear()
    engine = engine_on(model, token_budget=4)
    trait = served(CountingTrait(model))
    running = asyncio.create_task(engine.score(responses("run"), [trait]))
    await asyncio.to_thread(model.entered.wait, 20)
    waiting = asyncio.create_task(engine.score(responses("wait"), [trait]))
    await until(lambda: engine.worker(model).waiting() == 1)
    stopping = asyncio.create_task(engine.stop())
    await asyncio.sleep(0.05)
    model.gate.set()
    assert (await running).failures == {}
    assert (await waiting).failures[0, 0].code == "UNAVAILABLE"
    await stopping


async def test_lanes_compute_at_once_and_every_input_once() -> None:
    model = CountingModel()
    model.gate.clear()
    engine = engine_on(model, lanes=3, token_budget=900)
    texts = [f"{i:03d}" * 30 for i in range(90)]
    scoring = asyncio.create_task(
        engine.score(responses(*texts, *texts), [served(CountingTrait(model))])
    )
    await until(lambda: len(engine.worker(model)._running) == 30)
    assert not model.batches
    model.gate.set()
    table = await scoring
    await engine.stop()
    assert table.raw[:, 0].tolist() == [value_of(text) for text in (*texts, *texts)]
    computed = [text for batch in model.batches for text in batch]
    assert sorted(computed) == sorted(texts)


async def test_models_on_a_cpu_share_its_lanes() -> None:
    models = [CountingModel(), CountingModel()]
    for model in models:
        model.gate.clear()
    engine = engine_on(*models, lanes=1)
    scoring = [
        asyncio.create_task(engine.score(responses("a", "b"), [served(CountingTrait(model))]))
        for model in models
    ]
    await until(lambda: any(model.entered.is_set() for model in models))
    await asyncio.sleep(0.1)
    assert [model.entered.is_set() for model in models].count(True) == 1
    for model in models:
        model.gate.set()
    tables = await asyncio.gather(*scoring)
    await engine.stop()
    assert [table.raw[:, 0].tolist() for table in tables] == [[97.0, 98.0]] * 2
