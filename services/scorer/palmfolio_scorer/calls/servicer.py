"""The scorer's gRPC servicer: checks requests, calls the engine, answers with messages."""

import time
from collections.abc import AsyncIterator, Sequence

import grpc
from grpc import aio

from palmfolio.v1 import errors_pb2, scorer_pb2, scorer_pb2_grpc, types_pb2
from palmfolio_runtime.errors import ServiceError, invalid_argument, resource_exhausted
from palmfolio_runtime.names import TRAITS
from palmfolio_runtime.pages import Listing
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_scorer.calibration.fitting import MIN_SAMPLES
from palmfolio_scorer.calls.calibration import calibrate
from palmfolio_scorer.calls.score_stream import pipelined
from palmfolio_scorer.calls.server_info import server_info
from palmfolio_scorer.engine.admission import QueueFullError
from palmfolio_scorer.lifecycle.metrics import count_samples
from palmfolio_scorer.lifecycle.scorer_runtime import ScorerRuntime
from palmfolio_scorer.protocol.lenient_decoding import (
    ScoreCall,
    read_score_request,
    read_stream_request,
)
from palmfolio_scorer.protocol.replies import reward_matrix, trait_message
from palmfolio_scorer.traits.catalogue.served_trait import ServedTrait
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet

_LISTING = Listing("traits", int)


class ScorerServicer(scorer_pb2_grpc.ScorerServicer):
    """The calls of `palmfolio.v1.Scorer`."""

    def __init__(self, runtime: ScorerRuntime) -> None:
        self._runtime = runtime

    async def ListTraits(
        self, request: scorer_pb2.ListTraitsRequest, context: Context
    ) -> scorer_pb2.ListTraitsResponse:
        """The traits, a page at a time."""
        page = _LISTING.page(request.page_size, request.page_token)
        served = list(enumerate(self._runtime.traits))
        if page.after is not None:
            served = [(position, trait) for position, trait in served if (position,) > page.after]
        shown, token = page.cut(
            served,
            lambda row: (row[0],),
            lambda row: trait_message(row[1]),
            self._runtime.config.limits.max_message_bytes,
        )
        return scorer_pb2.ListTraitsResponse(traits=shown, next_page_token=token)

    async def GetServerInfo(
        self, request: types_pb2.GetServerInfoRequest, context: Context
    ) -> types_pb2.ServerInfo:
        """Limits, versions, devices and readiness."""
        return server_info(self._runtime)

    # `Score` and `ScoreStream` get a `ScoreCall`: `register` sets the function that reads it.
    async def Score(  # type: ignore[override]
        self, request: ScoreCall, context: Context
    ) -> scorer_pb2.ScoreResponse:
        """Scores a batch; a bad sample has its own status and does not fail the others."""
        self._check_size("samples", len(request.samples))
        with self._runtime.hold() as known:
            traits = _requested(known, request.traits)
            self._check_ready()
            try:
                rewards = await self._score(request, traits, context)
            except QueueFullError as error:
                raise resource_exhausted(str(error), error.retry_after_seconds) from error
        return scorer_pb2.ScoreResponse(rewards=rewards)

    async def ScoreStream(  # type: ignore[override]
        self, requests: AsyncIterator[ScoreCall], context: Context
    ) -> AsyncIterator[scorer_pb2.ScoreStreamResponse]:
        """Scores a stream; where `Score` would refuse, it waits until there is room."""
        self._check_ready()
        traits: list[ServedTrait] = []
        with self._runtime.hold() as known:

            async def answer(call: ScoreCall) -> scorer_pb2.ScoreStreamResponse:
                self._check_size("items", len(call.samples))
                if not traits:
                    traits.extend(_requested(known, call.traits))
                rewards = await self._score(call, traits, context)
                return scorer_pb2.ScoreStreamResponse(ids=call.ids, rewards=rewards)

            def abandon(call: ScoreCall) -> None:
                self._runtime.engine.admission.leave(call.digest)

            window = self._runtime.config.stream_window
            async for response in pipelined(requests, answer, window, abandon):
                yield response

    async def Calibrate(
        self, request: scorer_pb2.CalibrateRequest, context: Context
    ) -> scorer_pb2.CalibrateResponse:
        """Fits a trait's normalisation to samples."""
        self._check_size("samples", len(request.samples), least=MIN_SAMPLES)
        with self._runtime.hold() as known:
            served = _trait(known, request.trait, "trait")
            self._check_ready()
            try:
                return await calibrate(self._runtime, served, request)
            except QueueFullError as error:
                raise resource_exhausted(str(error), error.retry_after_seconds) from error

    async def _score(
        self, call: ScoreCall, traits: Sequence[ServedTrait], context: Context
    ) -> types_pb2.RewardMatrix:
        remaining = context.time_remaining()
        deadline = None if remaining is None else time.monotonic() + remaining
        engine = self._runtime.engine
        table = await engine.score(call.samples, traits, deadline, call.unreadable, call.digest)
        count_samples(table, traits)
        return reward_matrix(table, traits)

    def _check_size(self, field: str, count: int, least: int = 1) -> None:
        limit = self._runtime.config.limits.max_samples
        if not least <= count <= limit:
            raise invalid_argument((field, f"has {count} samples; {least} to {limit} are allowed"))

    def _check_ready(self) -> None:
        if not self._runtime.started:
            raise ServiceError(
                grpc.StatusCode.UNAVAILABLE,
                errors_pb2.ERROR_REASON_SERVER_NOT_READY,
                "the scorer is starting: its models are being loaded; try again in a moment",
            )


def register(runtime: ScorerRuntime, server: aio.Server) -> None:
    """Adds the servicer to a server.

    `Score` and `ScoreStream` get handlers of their own, because the generated ones refuse a whole
    message for the bad UTF-8 of one sample. They are added first: gRPC takes the first match.
    """
    servicer = ScorerServicer(runtime)
    handlers = {
        "Score": grpc.unary_unary_rpc_method_handler(
            servicer.Score,
            request_deserializer=read_score_request,
            response_serializer=scorer_pb2.ScoreResponse.SerializeToString,
        ),
        "ScoreStream": grpc.stream_stream_rpc_method_handler(
            servicer.ScoreStream,
            request_deserializer=read_stream_request,
            response_serializer=scorer_pb2.ScoreStreamResponse.SerializeToString,
        ),
    }
    name = scorer_pb2.DESCRIPTOR.services_by_name["Scorer"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    scorer_pb2_grpc.add_ScorerServicer_to_server(servicer, server)


def _trait(known: TraitSet, name: str, field: str) -> ServedTrait:
    served = known.get(TRAITS.short(name))
    if served is None:
        raise invalid_argument((field, _unknown(known, name)))
    return served


def _requested(known: TraitSet, names: Sequence[str]) -> list[ServedTrait]:
    """The traits that a request names, or all traits when it names none."""
    if not names:
        return list(known)
    traits: list[ServedTrait] = []
    wrong: list[tuple[str, str]] = []
    for i, name in enumerate(names):
        served = known.get(TRAITS.short(name))
        if served is None:
            wrong.append((f"traits[{i}]", _unknown(known, name)))
        elif served in traits:
            wrong.append((f"traits[{i}]", f"{name!r} is named twice"))
        else:
            traits.append(served)
    if wrong:
        raise invalid_argument(*wrong)
    return traits


def _unknown(known: TraitSet, name: str) -> str:
    return f"unknown trait {name!r}; known: {', '.join(known.names())}"
