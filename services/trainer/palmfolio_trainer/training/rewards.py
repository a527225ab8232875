"""The reward of a training: the scorer's, over gRPC, in one call per batch."""

import time
from collections.abc import Callable, Mapping, Sequence

import grpc
import numpy as np
import numpy.typing as npt

from palmfolio.v1 import types_pb2
from palmfolio_runtime.clients.backoff import pauses
from palmfolio_runtime.clients.failures import CallError, DependencyDown
from palmfolio_runtime.clients.scorer import BlockingScorerClient, Patience
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.limits import Limits
from palmfolio_runtime.prompts import Prompt
from palmfolio_trainer.training.task import RewardError, TrainingCancelled

_LONGEST_PAUSE_SECONDS = 5.0
# Not a judgement of the sample: the scorer was about to stop, or a trait was not loaded.
_TRANSIENT = {grpc.StatusCode.UNAVAILABLE.value[0], grpc.StatusCode.DEADLINE_EXCEEDED.value[0]}


class ScorerRewards:
    """Scores batches of a training.

    Args:
        endpoint: the scorer.
        limits: message limits.
        trait_versions: the traits to score, in the order of the answer's columns, and the versions
            that are expected of them.
        timeout_seconds: deadline of one call.
        patience_seconds: how long to wait for a scorer that cannot be reached.
        on_wait: called with a message, once per time that the scorer is waited for.
        should_stop: asked while waiting.
        on_missing: called with a message when traits have no reward for a completion, once for
            each set of such traits.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        trait_versions: Mapping[str, str],
        timeout_seconds: float,
        patience_seconds: float,
        on_wait: Callable[[str], None],
        should_stop: Callable[[], bool],
        on_missing: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._versions = dict(trait_versions)
        self._patience_seconds = patience_seconds
        self._should_stop = should_stop
        self._on_wait = on_wait
        self._on_missing = on_missing
        self._reported: set[tuple[str, ...]] = set()
        self._scorer = BlockingScorerClient(
            endpoint,
            limits,
            scoring_timeout_seconds=timeout_seconds,
            patience=Patience(patience_seconds, on_wait, self._sleep),
        )

    def __call__(
        self, prompts: Sequence[Prompt], responses: Sequence[str]
    ) -> npt.NDArray[np.float64]:
        """Normalised rewards in [0, 1], (n, d): a row per response, a column per trait.

        NaN where a trait has no reward for a response.

        Raises:
            RewardError: the scorer stayed away, refused, or serves other versions of the traits
                than the training is for.
            TrainingCancelled: the training is to stop.
        """
        samples = list(zip(prompts, responses, strict=True))
        began = time.monotonic()
        growing = pauses(_LONGEST_PAUSE_SECONDS)
        announced = False
        while True:
            matrix = self._answer(samples)
            self._check(matrix, len(samples))
            away = [status for status in matrix.statuses if status.status.code in _TRANSIENT]
            if not away:
                break
            traits, reason = ", ".join(away[0].failed_traits), away[0].status.message
            if time.monotonic() - began > self._patience_seconds:
                raise RewardError(
                    f"the scorer {self._where} could not score {len(away)} of {len(samples)} "
                    f"samples on {traits} for {self._patience_seconds:.0f} s: {reason}"
                )
            if not announced:
                self._on_wait(f"waiting for the scorer {self._where}: {traits}: {reason}")
                announced = True
            self._sleep(next(growing))
        rewards = np.asarray(matrix.normalised, dtype=np.float64).reshape(len(samples), -1)
        for row, status in enumerate(matrix.statuses):
            if status.status.code:
                rewards[row, [trait in status.failed_traits for trait in matrix.traits]] = np.nan
        self._report_missing(matrix)
        return rewards

    def _answer(self, samples: list[tuple[Prompt, str]]) -> types_pb2.RewardMatrix:
        try:
            return self._scorer.score(samples, list(self._versions))
        except DependencyDown as error:
            raise RewardError(
                f"the scorer {self._where} could not be reached for "
                f"{self._patience_seconds:.0f} s; the last answer was {error.reason}"
            ) from error
        except CallError as error:
            raise RewardError(f"the scorer {self._where} refused: {error.reason}") from error

    def _report_missing(self, matrix: types_pb2.RewardMatrix) -> None:
        for status in matrix.statuses:
            traits = tuple(status.failed_traits)
            if traits and traits not in self._reported:
                self._reported.add(traits)
                alike = sum(tuple(each.failed_traits) == traits for each in matrix.statuses)
                self._on_missing(
                    f"{alike} of {len(matrix.statuses)} completions have no reward on "
                    f"{', '.join(traits)}, and are left out of the update: {status.status.message}"
                )

    @property
    def _where(self) -> str:
        return f"at {self._scorer.address}"

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            # A cancelled training must not wait until the scorer is back.
            if self._should_stop():
                raise TrainingCancelled
            time.sleep(min(0.1, left))

    def _check(self, matrix: types_pb2.RewardMatrix, samples: int) -> None:
        served = dict(zip(matrix.traits, matrix.trait_versions, strict=True))
        # Another version is another reward, while the policy's address names this version.
        if served != self._versions:
            raise RewardError(
                f"the scorer {self._where} answered for {served}, the training is for "
                f"{self._versions}: a trait changed since the training was asked for"
            )
        if len(matrix.normalised) != samples * len(served) or len(matrix.statuses) != samples:
            raise RewardError(
                f"the scorer {self._where} answered {len(matrix.normalised)} rewards and "
                f"{len(matrix.statuses)} statuses for {samples} samples of {len(served)} traits"
            )
        failed = [set(status.failed_traits) for status in matrix.statuses]
        for index, value in enumerate(matrix.normalised):
            row, column = divmod(index, len(served))
            if not (0.0 <= value <= 1.0) and matrix.traits[column] not in failed[row]:
                raise RewardError(
                    f"the scorer {self._where} sent a reward that is not a number in [0, 1]: "
                    f"{value} on {matrix.traits[column]} for sample {row} of {samples}"
                )
