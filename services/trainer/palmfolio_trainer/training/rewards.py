"""The reward of a training: the scorer's, over gRPC, in one call per batch."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from palmfolio.v1 import types_pb2
from palmfolio_runtime.clients.failures import CallError, DependencyDown
from palmfolio_runtime.clients.scorer import BlockingScorerClient, Patience
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.limits import Limits
from palmfolio_runtime.prompts import Prompt
from palmfolio_trainer.training.task import RewardError, TrainingCancelled


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
    ) -> None:
        self._versions = dict(trait_versions)
        self._patience_seconds = patience_seconds
        self._should_stop = should_stop
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

        Raises:
            RewardError: the scorer stayed away, refused, failed on a sample, or serves other
                versions of the traits than the training is for.
            TrainingCancelled: the training is to stop.
        """
        samples = list(zip(prompts, responses, strict=True))
        try:
            matrix = self._scorer.score(samples, list(self._versions))
        except DependencyDown as error:
            raise RewardError(
                f"the scorer {self._where} could not be reached for "
                f"{self._patience_seconds:.0f} s; the last answer was {error.reason}"
            ) from error
        except CallError as error:
            raise RewardError(f"the scorer {self._where} refused: {error.reason}") from error
        self._check(matrix, len(samples))
        return np.asarray(matrix.normalised, dtype=np.float64).reshape(len(samples), -1)

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
        # One sample without rewards fails the step: a missing reward must never count as 0.
        for index, status in enumerate(matrix.statuses):
            if status.status.code:
                raise RewardError(
                    f"the scorer {self._where} could not score sample {index} of {samples} on "
                    f"{', '.join(status.failed_traits)}: {status.status.message}"
                )
        if not all(math.isfinite(value) for value in matrix.normalised):
            raise RewardError(f"the scorer {self._where} sent a reward that is not a number")
