"""A `score_stream` for threads.

The caller's thread decides the next step; two more threads read samples and answers.
"""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import grpc

from palmfolio import types
from palmfolio._scoring.session import Answered, Event, InputEnded, Read, Session, StreamEnded
from palmfolio._transport import SyncTransport

_Events = queue.SimpleQueue[Event]


def scored(
    transport: SyncTransport, session: Session, samples: Iterable[types.Sample]
) -> Iterator[types.ScoredSample]:
    """Samples with their rewards, in order."""
    events: _Events = queue.SimpleQueue()
    reader = _Reader(samples, events)
    stream: _Stream | None = None
    window = session.window
    try:
        reader.start()
        while True:
            while not events.empty():
                _pause(session.handle(events.get()))
            reader.allow(window.allow())
            if window.unsent and not session.stream:
                stream = _Stream(transport, session, events)
            if stream is not None and session.stream:
                stream.send(window.messages(), last=window.all_sent)
            if (result := window.pop()) is not None:
                yield result
            elif window.finished:
                return
            else:
                _pause(session.handle(_next(events, session)))
    finally:
        reader.stop()
        if stream is not None:
            stream.close()


def _next(events: _Events, session: Session) -> Event:
    try:
        return events.get(timeout=session.seconds_to_wait())
    except queue.Empty:
        raise session.too_late() from None


def _pause(seconds: float) -> None:
    if seconds:  # even `sleep(0)` would hand the interpreter to another thread, once per sample
        time.sleep(seconds)


class _Reader:
    """Reads samples on a thread of its own, as many as are allowed."""

    def __init__(self, samples: Iterable[types.Sample], events: _Events) -> None:
        self._samples = samples
        self._events = events
        self._allowed = threading.Semaphore(0)
        self._stopped = False
        # A daemon: the caller's iterable may block for ever, which must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="score_stream input", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def allow(self, count: int) -> None:
        if count:
            self._allowed.release(count)

    def stop(self) -> None:
        self._stopped = True
        self._allowed.release()

    def _run(self) -> None:
        try:
            samples = iter(self._samples)
            while self._allowed.acquire() and not self._stopped:
                self._events.put(Read(next(samples)))
        except StopIteration:
            self._events.put(InputEnded(None))
        except Exception as error:
            self._events.put(InputEnded(error))


class _Stream:
    """One `ScoreStream`, and the thread that reads its answers."""

    def __init__(self, transport: SyncTransport, session: Session, events: _Events) -> None:
        self._number = session.opened()
        self._events = events
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._half_closed = False
        # gRPC reads the requests on its own thread; None ends the client's half of the stream.
        requests = iter(self._requests.get, None)
        self._call = transport.open(session.call, session.deadline, requests)
        threading.Thread(target=self._receive, name="score_stream answers", daemon=True).start()

    def send(self, messages: Iterator[Any], last: bool) -> None:
        """Sends messages; `last` ends the client's half of the stream."""
        for message in messages:
            self._requests.put(message)
        if last:
            self._half_close()

    def close(self) -> None:
        """Ends the stream, whatever is under way."""
        self._half_close()
        self._call.cancel()

    def _half_close(self) -> None:
        if not self._half_closed:
            self._half_closed = True
            self._requests.put(None)

    def _receive(self) -> None:
        try:
            for message in self._call:
                self._events.put(Answered(self._number, message))
            self._events.put(StreamEnded(self._number, None))
        except grpc.RpcError as error:
            self._events.put(StreamEnded(self._number, error))
