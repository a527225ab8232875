"""The scorer's metrics, for `palmfolio_runtime.serving.metrics`."""

from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from prometheus_client import Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from palmfolio_runtime.serving.metrics import REGISTRY
from palmfolio_scorer.engine import Engine, RewardTable
from palmfolio_scorer.lifecycle.trait_lease import TraitLease
from palmfolio_scorer.traits.catalogue.served_trait import ServedTrait

_SAMPLES = Counter(
    "palmfolio_scorer_samples",
    "Samples by trait and outcome: OK, or why there is no reward.",
    ["trait", "code"],
    registry=REGISTRY,
)
_CUT = Counter(
    "palmfolio_scorer_cut_samples",
    "Samples that were too long for a trait's model, and were cut.",
    ["trait"],
    registry=REGISTRY,
)
RELOADS = Counter(
    "palmfolio_scorer_reloads",
    "Reloads of the configuration.",
    ["outcome"],
    registry=REGISTRY,
)
_MODEL_LABELS = ["model", "device", "dtype"]
_GAUGES = (
    ("bytes", "model_bytes", "Bytes of a model's weights."),
    ("waiting", "waiting_inputs", "Inputs that wait for a model."),
)
# Fields of `WorkerStats`.
_COUNTERS = (
    ("batches", "Batches that a model has computed."),
    ("inputs", "Inputs in these batches."),
    ("tokens", "Tokens of these inputs."),
    ("padding", "Padding tokens computed in addition, to make batches rectangular."),
    ("failed", "Inputs that a model could not compute."),
    ("reused", "Inputs served from the cache or by an equal one."),
)


def count_samples(table: RewardTable, traits: Sequence[ServedTrait]) -> None:
    """Counts the rewards of a request, by trait and outcome."""
    failed = Tally((j, failure.code) for (_, j), failure in table.failures.items())
    missing = Tally(j for _, j in table.failures)
    for (j, code), count in failed.items():
        _SAMPLES.labels(traits[j].name, code).inc(count)
    for j, count in Tally(j for _, j in table.cut).items():
        _CUT.labels(traits[j].name).inc(count)
    for j, served in enumerate(traits):
        _SAMPLES.labels(served.name, "OK").inc(len(table.raw) - missing[j])


class ScorerCollector(Collector):
    """Reads the engine's queues and counters whenever the metrics are asked for."""

    def __init__(self, engine: Engine, leases: Callable[[], Sequence[TraitLease]]) -> None:
        """`leases` gives the traits in use, older ones included."""
        self._engine = engine
        self._leases = leases

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now. Called from the thread that serves them."""
        admission = self._engine.admission
        yield GaugeMetricFamily(
            "palmfolio_scorer_queued_samples",
            "Samples of requests that wait or run.",
            value=admission.samples,
        )
        yield GaugeMetricFamily(
            "palmfolio_scorer_queued_characters",
            "Characters of requests that wait or run.",
            value=admission.characters,
        )
        if self._engine.texts is not None:
            yield CounterMetricFamily(
                "palmfolio_scorer_text_workers_replaced",
                "Processes of traits without a model that were killed or died.",
                value=self._engine.texts.replaced,
            )
        yield from self._models()

    def _models(self) -> Iterator[Metric]:
        """By model: how many inputs wait, and what has been computed."""
        # Copies: the event loop may reload while this thread reads.
        loaded = [each for lease in list(self._leases()) for each in list(lease.models)]
        totals: dict[tuple[str, str, str], Tally[str]] = {}
        for each in {id(each.model): each for each in loaded}.values():
            worker = self._engine.find_worker(each.model)
            if worker is not None:
                labels = (each.options.model, each.model.device, each.model.dtype)
                # A model may be loaded twice, with options that are not labels.
                tally = totals.setdefault(labels, Tally())
                tally.update(asdict(worker.stats))
                tally.update(waiting=worker.waiting(), bytes=each.model.memory_bytes())
        for name, metric, text in _GAUGES:
            gauge = GaugeMetricFamily(f"palmfolio_scorer_{metric}", text, labels=_MODEL_LABELS)
            for labels, tally in totals.items():
                gauge.add_metric(labels, tally[name])
            yield gauge
        for name, text in _COUNTERS:
            counter = CounterMetricFamily(f"palmfolio_scorer_{name}", text, labels=_MODEL_LABELS)
            for labels, tally in totals.items():
                counter.add_metric(labels, tally[name])
            yield counter
