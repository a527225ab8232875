"""The scorer, as other services call it: with an event loop, or blocking in a worker process."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import grpc

from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc, types_pb2
from palmfolio_runtime import names
from palmfolio_runtime.clients.backoff import pauses
from palmfolio_runtime.clients.channels import call_metadata, connect_sync
from palmfolio_runtime.clients.connection import Connection
from palmfolio_runtime.clients.failures import DependencyDown, failure_of
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.limits import Limits
from palmfolio_runtime.prompts import Prompt

_DEPENDENCY = "scorer"
_LONGEST_PAUSE_SECONDS = 5.0


def _score_request(
    samples: Sequence[tuple[Prompt, str]], traits: Sequence[str]
) -> scorer_pb2.ScoreRequest:
    return scorer_pb2.ScoreRequest(
        samples=[
            scorer_pb2.Sample(prompt=prompt.to_message(), response=response)
            for prompt, response in samples
        ],
        traits=traits,
    )


class ScorerClient(Connection):
    """Calls to the scorer; every method raises `CallError` when its call fails.

    Args:
        endpoint: where the scorer listens.
        limits: the limits of a message.
        call_timeout_seconds: deadline of a call that should answer at once.
        scoring_timeout_seconds: deadline of scoring one batch.
    """

    dependency = _DEPENDENCY

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        *,
        call_timeout_seconds: float = 60.0,
        scoring_timeout_seconds: float = 600.0,
    ) -> None:
        super().__init__(endpoint, limits)
        self._call_timeout = call_timeout_seconds
        self._scoring_timeout = scoring_timeout_seconds

    @property
    def _stub(self) -> "scorer_pb2_grpc.ScorerAsyncStub":
        return scorer_pb2_grpc.ScorerStub(self.channel)

    async def traits(self) -> dict[str, scorer_pb2.Trait]:
        """Every trait, by name without `traits/`.

        Ask each time: the scorer's configuration may change at any reload. A trait whose model is
        still being loaded has no version.
        """
        traits: dict[str, scorer_pb2.Trait] = {}
        token = ""
        while True:
            request = scorer_pb2.ListTraitsRequest(page_token=token)
            call = self._stub.ListTraits(
                request, timeout=self._call_timeout, metadata=self._metadata
            )
            page = await self.answer(call)
            traits |= {names.TRAITS.id(trait.name): trait for trait in page.traits}
            token = page.next_page_token
            if not token:
                return traits

    async def loaded_traits(self) -> dict[str, scorer_pb2.Trait]:
        """Every trait, by name without `traits/`, each with its version or its failure.

        Raises:
            DependencyDown: also while a trait is still being loaded: its version is not known yet.
        """
        traits = await self.traits()
        require_loaded(traits)
        return traits

    async def max_samples(self) -> int:
        """How many samples one call may score."""
        request = types_pb2.GetServerInfoRequest()
        call = self._stub.GetServerInfo(
            request, timeout=self._call_timeout, metadata=self._metadata
        )
        info = await self.answer(call)
        # A scorer that does not report it must take one sample.
        return int(info.limits.get("max_samples", 1))

    async def score(
        self, samples: Sequence[tuple[Prompt, str]], traits: Sequence[str]
    ) -> types_pb2.RewardMatrix:
        """The rewards of (prompt, response) samples, a row per sample, a column per trait."""
        request = _score_request(samples, traits)
        call = self._stub.Score(request, timeout=self._scoring_timeout, metadata=self._metadata)
        return (await self.answer(call)).rewards


def require_loaded(traits: Mapping[str, scorer_pb2.Trait]) -> None:
    """Checks that each trait has its version or its failure.

    Raises:
        DependencyDown: a trait is still being loaded.
    """
    loading = [name for name, trait in traits.items() if not (trait.version or trait.failure)]
    if loading:
        message = f"it is still loading {', '.join(loading)}"
        raise DependencyDown.because(_DEPENDENCY, message)


@dataclass(frozen=True)
class Patience:
    """How a blocking client waits for a service that is away.

    Attributes:
        seconds: how long it is waited for before the call fails.
        on_wait: called with a message for people, once per call that has to wait.
        sleep: sleeps the given seconds; what it raises ends the call.
    """

    seconds: float
    on_wait: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep


class BlockingScorerClient:
    """Calls to the scorer from a process without an event loop; waits while the scorer is away.

    Args:
        endpoint: where the scorer listens.
        limits: the limits of a message.
        scoring_timeout_seconds: deadline of scoring one batch.
        patience: how to wait.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        *,
        scoring_timeout_seconds: float,
        patience: Patience,
    ) -> None:
        self.address = endpoint.address
        self._metadata = call_metadata(endpoint)
        self._scoring_timeout = scoring_timeout_seconds
        self._patience = patience
        self._stub = scorer_pb2_grpc.ScorerStub(connect_sync(endpoint, limits))

    def score(
        self, samples: Sequence[tuple[Prompt, str]], traits: Sequence[str]
    ) -> types_pb2.RewardMatrix:
        """The rewards of (prompt, response) samples, a row per sample, a column per trait.

        Raises:
            DependencyDown: the scorer stayed away for longer than the patience.
            CallFaulted: the scorer failed while it answered.
            CallRejected: the scorer refuses the samples.
        """
        request = _score_request(samples, traits)
        began = time.monotonic()
        growing = pauses(_LONGEST_PAUSE_SECONDS)
        announced = False
        while True:
            try:
                return self._stub.Score(
                    request, timeout=self._scoring_timeout, metadata=self._metadata
                ).rewards
            except grpc.RpcError as error:
                # Scoring changes nothing, so a call whose answer was lost is made again.
                failure = failure_of(_DEPENDENCY, error)
                out_of_patience = time.monotonic() - began > self._patience.seconds
                if not isinstance(failure, DependencyDown) or out_of_patience:
                    raise failure from error
            if not announced:
                message = f"waiting for the scorer at {self.address}: {failure.reason}"
                self._patience.on_wait(message)
                announced = True
            self._patience.sleep(next(growing))
