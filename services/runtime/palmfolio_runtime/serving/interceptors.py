"""What happens around every call: request ids, authorisation, errors, metrics, logs."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import grpc
import structlog
from grpc import aio

from palmfolio_runtime import errors
from palmfolio_runtime.config import Token
from palmfolio_runtime.logs import get_logger
from palmfolio_runtime.serving.authorisation import Access, access_of, authorise
from palmfolio_runtime.serving.metrics import CALL_SECONDS, CALLS, CALLS_RUNNING
from palmfolio_runtime.serving.rpc_types import Context, Handler

log = get_logger(__name__)

# Characters of a client's own request id that are kept.
_REQUEST_ID = 128


class CallInterceptor(aio.ServerInterceptor):
    """Gives each call a request id, checks its token, turns errors into statuses, and logs it.

    Args:
        tokens: who may call; empty means everybody.
    """

    def __init__(self, tokens: Sequence[Token] = ()) -> None:
        self._tokens = tuple(tokens)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the method's handler."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        if access_of(method) is Access.OPEN:
            # The libraries' own servicers; health streams by `context.write`, not as a generator.
            return handler
        metadata = dict(handler_call_details.invocation_metadata or ())
        # A client's own id is kept, so that one id leads through the logs of all services.
        # It comes back with errors, for which there is little room.
        request_id = str(metadata.get("x-request-id", ""))[:_REQUEST_ID] or uuid.uuid4().hex
        authorization = str(metadata.get("authorization", ""))
        return self._wrap(handler, method, request_id, authorization)

    def _wrap(self, handler: Handler, method: str, request_id: str, authorization: str) -> Handler:
        async def unary(behaviour: Any, request: Any, context: Context) -> Any:
            call = _Call(method, request_id, context)
            try:
                authorise(method, authorization, self._tokens)
                response = await behaviour(request, context)
            except asyncio.CancelledError:
                call.cancelled()
                raise
            except Exception as error:
                await call.fail(error)
                raise  # `fail` aborts; this is never reached
            finally:
                call.finished()
            return response

        async def streaming(behaviour: Any, request: Any, context: Context) -> AsyncIterator[Any]:
            call = _Call(method, request_id, context)
            try:
                authorise(method, authorization, self._tokens)
                async for response in behaviour(request, context):
                    yield response
            except (asyncio.CancelledError, GeneratorExit):
                call.cancelled()
                raise
            except Exception as error:
                await call.fail(error)
            finally:
                call.finished()

        codecs = (handler.request_deserializer, handler.response_serializer)
        # grpc.aio inspects the function, also inside `partial`, to tell coroutine from generator.
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(partial(unary, handler.unary_unary), *codecs)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                partial(streaming, handler.unary_stream), *codecs
            )
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                partial(unary, handler.stream_unary), *codecs
            )
        return grpc.stream_stream_rpc_method_handler(
            partial(streaming, handler.stream_stream), *codecs
        )


class _Call:
    """The metrics and the log line of one call, and how it fails."""

    def __init__(self, method: str, request_id: str, context: Context) -> None:
        structlog.contextvars.bind_contextvars(request_id=request_id)
        self._method = method.removeprefix("/")
        self._request_id = request_id
        self._context = context
        self._started = time.monotonic()
        self._code = "OK"
        CALLS_RUNNING.labels(self._method).inc()

    def cancelled(self) -> None:
        """Records that the client cancelled, or that its deadline passed."""
        left = self._context.time_remaining()
        self._code = "CANCELLED" if left is None or left > 0 else "DEADLINE_EXCEEDED"

    async def fail(self, error: Exception) -> None:
        """Aborts the call with the error's status and details."""
        if isinstance(error, aio.AbortError):
            raise error
        if not isinstance(error, errors.ServiceError):
            log.exception("call failed", method=self._method)
            error = errors.internal(self._request_id)
        self._code = error.code.name
        details = ("grpc-status-details-bin", error.to_status().SerializeToString())
        trailing = (details, ("x-request-id", self._request_id))
        await self._context.abort(error.code, error.message, trailing)

    def finished(self) -> None:
        """Counts and logs the call once it has ended."""
        seconds = time.monotonic() - self._started
        CALLS_RUNNING.labels(self._method).dec()
        CALLS.labels(self._method, self._code).inc()
        CALL_SECONDS.labels(self._method).observe(seconds)
        # At the usual level only what went wrong is logged; the metrics count everything.
        write = log.debug if self._code == "OK" else log.info
        write("call", method=self._method, code=self._code, ms=round(1000 * seconds, 1))
