"""A scorer takes new traits on SIGHUP: nothing under way is lost, memory goes back."""

import math
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from palmfolio.v1 import scorer_pb2, types_pb2
from tests.support.services.scorer_process import ScorerProcess, running_scorer
from tests.support.tiny_models import classifier

IDENTITY = {"kind": "identity"}
LENGTH = {"name": "length", "kind": "verifier", "check": "length", "normalisation": IDENTITY}
WORDS = ["bread", "flour, water and yeast", "an oven", "the moon is far away", "no", "yes"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small classifiers and one of 128 MB, not to be changed."""
    folder = tmp_path_factory.mktemp("models")
    classifier("bert", folder / "one", seed=1)
    classifier("roberta", folder / "two", seed=2)
    classifier("bert", folder / "large", unused_tokens=1_000_000)
    return folder


def _rating(model: Path, name: str = "rating", **options: Any) -> dict[str, Any]:
    values = {"name": name, "kind": "sequence_classifier", "model": str(model)}
    return values | {"template": "{response}", "normalisation": IDENTITY} | options


class Reloading:
    """A scorer whose trait file a test changes."""

    def __init__(self, scorer: ScorerProcess, traits_file: Path) -> None:
        self.scorer = scorer
        self._traits_file = traits_file
        self._seen = 0

    def reload(self, *traits: dict[str, Any]) -> None:
        """Writes the traits and tells the scorer."""
        self.reload_text(yaml.safe_dump({"traits": list(traits)}))

    def reload_text(self, text: str) -> None:
        """Writes the trait file and tells the scorer."""
        self._traits_file.write_text(text)
        self.scorer.process.send_signal(signal.SIGHUP)

    def log(self) -> str:
        """What the scorer has logged since `forget_log`."""
        return self.scorer.log.read_text()[self._seen :]

    def forget_log(self) -> None:
        """Leaves what has been logged until now out of `log`."""
        self._seen = len(self.scorer.log.read_text())

    def listed(self) -> dict[str, scorer_pb2.Trait]:
        """The traits by name."""
        answer = self.scorer.stub.ListTraits(scorer_pb2.ListTraitsRequest())
        return {trait.name.removeprefix("traits/"): trait for trait in answer.traits}

    def loaded(self) -> dict[str, list[str]]:
        """The users of each model by its folder's name."""
        return {
            Path(model.source).name: list(model.traits)
            for model in self.scorer.info().loaded_models
        }

    def score(self, *traits: str) -> types_pb2.RewardMatrix:
        """The rewards of `WORDS`."""
        samples = [scorer_pb2.Sample(response=text) for text in WORDS]
        request = scorer_pb2.ScoreRequest(samples=samples, traits=traits)
        return self.scorer.stub.Score(request, timeout=60).rewards


def _until(condition: Callable[[], bool], scorer: ScorerProcess) -> None:
    give_up = time.monotonic() + 120
    while not condition():
        assert scorer.process.poll() is None and time.monotonic() < give_up, scorer.log.read_text()
        time.sleep(0.05)


@contextmanager
def _running(folder: Path, *traits: dict[str, Any], **config: Any) -> Iterator[Reloading]:
    traits_file = folder / "traits.yaml"
    traits_file.write_text(yaml.safe_dump({"traits": list(traits)}))
    with running_scorer(folder, traits_file=str(traits_file), **config) as scorer:
        yield Reloading(scorer, traits_file)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Reloading]:
    """A scorer for all tests here."""
    folder = tmp_path_factory.mktemp("reloading")
    state = str(folder / "state")
    with _running(folder, LENGTH, _rating(models / "one"), state_dir=state) as running:
        yield running


@pytest.fixture
def served(process: Reloading, models: Path) -> Reloading:
    """A scorer of `length`, and of `rating` by the first model."""
    process.reload(LENGTH, _rating(models / "one"))
    _until(
        lambda: (
            list(process.listed()) == ["length", "rating"]
            and process.loaded() == {"one": ["rating"]}
            and not process.scorer.info().reload_failure
        ),
        process.scorer,
    )
    process.forget_log()
    return process


def test_traits_come_change_and_go(served: Reloading, models: Path) -> None:
    before, rewards = served.listed(), served.score("rating").raw
    served.reload(
        LENGTH | {"strip": False}, _rating(models / "one"), _rating(models / "two", "second")
    )
    _until(lambda: "second" in served.listed(), served.scorer)
    after = served.listed()
    assert list(after) == ["length", "rating", "second"]
    assert after["rating"].version == before["rating"].version
    assert after["length"].version != before["length"].version
    assert served.score("rating").raw == rewards
    assert all(math.isfinite(value) for value in served.score("second").raw)

    served.reload(_rating(models / "two"))
    _until(lambda: list(served.listed()) == ["rating"], served.scorer)
    assert served.listed()["rating"].version not in ("", before["rating"].version)
    assert served.score("rating").raw != rewards
    with pytest.raises(grpc.RpcError, match="length") as refused:
        served.score("length")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    _until(lambda: served.loaded() == {"two": ["rating"]}, served.scorer)
    # The second trait's model was there: it was not loaded again for the first one.
    assert served.log().count("model loaded") == 1


def test_models_are_reported_shared_and_unloaded_with_their_memory(
    served: Reloading, models: Path
) -> None:
    (model,) = served.scorer.info().loaded_models
    assert (model.source, list(model.traits)) == (str(models / "one"), ["rating"])
    assert (model.device, model.dtype) == ("cpu", "float32") and len(model.revision) == 16
    weights = (models / "one" / "model.safetensors").stat().st_size
    assert model.parameter_bytes == pytest.approx(weights, rel=0.1)

    # In bfloat16, because weights as they are in the file are mapped, and read when needed.
    large = [_rating(models / "large", name, dtype="bfloat16") for name in ("big", "again")]
    served.reload(LENGTH, _rating(models / "one"), *large)
    _until(lambda: "large" in served.loaded(), served.scorer)
    assert served.loaded() == {"one": ["rating"], "large": ["big", "again"]}
    assert all(math.isfinite(value) for value in served.score().raw)
    full = served.scorer.info()
    assert full.loaded_models[1].parameter_bytes > 64e6
    assert not full.device_memory  # no device but the CPU

    served.reload(LENGTH, _rating(models / "one"))
    _until(lambda: served.loaded() == {"one": ["rating"]}, served.scorer)
    _until(lambda: full.resident_bytes - served.scorer.info().resident_bytes > 50e6, served.scorer)
    assert served.log().count("model unloaded") == 1


def test_no_reward_is_lost_or_mixed_while_traits_change(served: Reloading, models: Path) -> None:
    """Each answer's rewards are those of the version that it names."""
    kinds = [
        (LENGTH, _rating(models / "one")),
        (_rating(models / "two"), LENGTH),
        (LENGTH, _rating(models / "one", dtype="bfloat16"), _rating(models / "large", "big")),
    ]
    known: dict[str, list[float]] = {}

    def change(traits: tuple[dict[str, Any], ...]) -> None:
        served.reload(*traits)
        names = [trait["name"] for trait in traits]
        _until(lambda: list(served.listed()) == names, served.scorer)

    for traits in kinds[::-1]:
        change(traits)
        rewards = served.score("rating")
        known[rewards.trait_versions[0]] = list(rewards.raw)
    assert len(known) == 3

    done = threading.Event()

    def ask() -> set[str]:
        seen = set()
        while not done.is_set():
            rewards = served.score("rating")
            assert [status.status.code for status in rewards.statuses] == [0] * len(WORDS)
            assert list(rewards.raw) == pytest.approx(known[rewards.trait_versions[0]], abs=1e-5)
            seen.add(rewards.trait_versions[0])
        return seen

    with ThreadPoolExecutor(4) as pool:
        askers = [pool.submit(ask) for _ in range(4)]
        try:
            for traits in [*kinds, *kinds][1:]:
                change(traits)
        finally:
            done.set()
        assert set().union(*(asker.result(60) for asker in askers)) == set(known)


def test_a_stream_ends_on_the_traits_that_it_began_with(served: Reloading, models: Path) -> None:
    requests: queue.Queue[scorer_pb2.ScoreStreamRequest | None] = queue.Queue()
    answers = served.scorer.stub.ScoreStream(iter(requests.get, None), timeout=120)

    def ask(text: str) -> types_pb2.RewardMatrix:
        item = scorer_pb2.ScoreItem(id=text, sample=scorer_pb2.Sample(response=text))
        requests.put(scorer_pb2.ScoreStreamRequest(items=[item], traits=["rating", "length"]))
        return next(answers).rewards

    first = ask("bread")
    served.reload(_rating(models / "two"))
    _until(lambda: list(served.listed()) == ["rating"], served.scorer)
    # The old model has no trait in the new configuration, and is held for the stream.
    assert served.loaded() == {"two": ["rating"], "one": []}
    again = ask("bread")
    assert again == first and list(ask("an oven").raw)[1] == len("an oven")
    assert served.score("rating").trait_versions[0] != first.trait_versions[0]
    requests.put(None)
    assert list(answers) == []
    _until(lambda: served.loaded() == {"two": ["rating"]}, served.scorer)


@pytest.mark.parametrize("breakage", ["yaml", "kind", "model", "part", "empty"])
def test_a_file_that_cannot_be_served_leaves_the_old_traits(
    served: Reloading, models: Path, tmp_path: Path, breakage: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(models / "two", broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    new = _rating(models / "two", "new")
    text, reason = {
        "yaml": ("traits: [", "traits.yaml"),
        "kind": (yaml.safe_dump({"traits": [new, new | {"name": "x", "kind": "y"}]}), "'y'"),
        "model": (yaml.safe_dump({"traits": [new, _rating(broken, "bad")]}), "trait bad: cannot"),
        "part": (
            yaml.safe_dump(
                {
                    "traits": [
                        new,
                        {
                            "name": "sum",
                            "kind": "composite",
                            "of": {"gone": 1},
                            "normalisation": IDENTITY,
                        },
                    ]
                }
            ),
            "gone is not declared",
        ),
        "empty": ("traits: []", "at least one trait"),
    }[breakage]
    before, rewards = served.listed(), served.score()
    served.reload_text(text)
    _until(lambda: bool(served.scorer.info().reload_failure), served.scorer)
    info = served.scorer.info()
    assert reason in info.reload_failure
    assert info.readiness.ready
    assert "reload refused" in served.log()
    assert served.listed() == before and served.score() == rewards
    assert served.loaded() == {"one": ["rating"]}

    served.reload(LENGTH, new)
    _until(lambda: "new" in served.listed(), served.scorer)
    assert not served.scorer.info().reload_failure


def test_a_trait_that_failed_before_does_not_stop_a_reload(tmp_path: Path, models: Path) -> None:
    missing = [_rating(tmp_path / name, name) for name in ("here", "there")]
    with _running(tmp_path, LENGTH, *missing) as served:
        assert len(served.scorer.info().readiness.reasons) == 2
        shutil.copytree(models / "two", tmp_path / "here")
        served.reload(LENGTH, *missing)
        _until(lambda: not served.listed()["here"].failure, served.scorer)
        (reason,) = served.scorer.info().readiness.reasons
        assert "trait there" in reason and not served.scorer.info().reload_failure
        served.reload(LENGTH, missing[0])
        _until(lambda: served.scorer.info().readiness.ready, served.scorer)


def test_a_model_whose_files_change_is_another_model(tmp_path: Path, models: Path) -> None:
    folder = tmp_path / "rater"
    shutil.copytree(models / "one", folder)
    with _running(tmp_path, _rating(folder)) as served:
        before, version = served.score("rating"), served.listed()["rating"].version
        shutil.copytree(models / "two", folder, dirs_exist_ok=True)
        assert served.score("rating") == before
        served.reload(_rating(folder))
        _until(lambda: served.listed()["rating"].version != version, served.scorer)
        assert served.score("rating").raw != before.raw
        _until(lambda: len(served.scorer.info().loaded_models) == 1, served.scorer)


def test_calibrations_outlive_a_reload(served: Reloading, models: Path) -> None:
    request = scorer_pb2.CalibrateRequest(
        trait="rating",
        samples=[scorer_pb2.Sample(response="x" * i) for i in range(20)],
        method=scorer_pb2.CALIBRATION_METHOD_MINMAX,
        request_id="once",
    )
    # While a reload is under way: the new traits know of it, whichever comes first.
    served.reload(_rating(models / "one"), LENGTH, _rating(models / "two", "second"))
    calibrated = served.scorer.stub.Calibrate(request).trait
    _until(lambda: "second" in served.listed(), served.scorer)
    assert served.listed()["rating"] == calibrated
    assert calibrated.normalisation.startswith("minmax")


def test_keys_that_need_a_restart_are_named(served: Reloading) -> None:
    config_file = served.scorer.log.with_name("scorer.yaml")
    config = yaml.safe_load(config_file.read_text())
    config_file.write_text(yaml.safe_dump(config | {"limits": {"max_samples": 3}}))
    served.reload(LENGTH)
    _until(lambda: list(served.listed()) == ["length"], served.scorer)
    assert served.scorer.info().limits["max_samples"] == 4096
    assert "need a restart" in served.log()
    config_file.write_text(yaml.safe_dump(config | {"colour": "red"}))
    served.reload(LENGTH)
    _until(lambda: "colour" in served.scorer.info().reload_failure, served.scorer)
    config_file.write_text(yaml.safe_dump(config))
