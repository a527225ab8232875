"""How soon the queue capacity that a client held is free again once the client is gone.

Run as a program, this is the client that is killed: it fills the queue and waits.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Literal

import grpc

from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc

_MANY = 2000  # samples: more than the queue holds, and seconds of work
_GIVE_UP = 120.0


def seconds_until_admitted(address: str, texts: list[str], way: Literal["cancel", "kill"]) -> float:
    """Fills the queue with a client, ends it, and waits until another client's call goes through.

    The other client asks for a trait that takes no time, so that only the queue's capacity counts.
    """
    small = scorer_pb2.ScoreRequest(samples=[scorer_pb2.Sample(response="x")], traits=["length"])
    with grpc.insecure_channel(address) as channel:
        stub = scorer_pb2_grpc.ScorerStub(channel)
        with contextlib.closing(_filling(way, address, texts)) as client:

            def filled() -> bool:
                client.keep_filling()
                return not _admitted(stub, small)

            _wait(filled, every=0.2)
            client.go_away()
            begun = time.perf_counter()
            _wait(lambda: _admitted(stub, small), every=0.01)
            return time.perf_counter() - begun


def _filling(way: str, address: str, texts: list[str]) -> "_Cancelling | _Dying":
    return _Cancelling(address, texts) if way == "cancel" else _Dying(address, texts)


def _admitted(stub: scorer_pb2_grpc.ScorerStub, request: scorer_pb2.ScoreRequest) -> bool:
    try:
        stub.Score(request, timeout=_GIVE_UP)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False
    return True


def _wait(condition: Callable[[], bool], every: float) -> None:
    give_up = time.monotonic() + _GIVE_UP
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError("the queue was not filled, or not emptied")
        time.sleep(every)


def _large(texts: list[str]) -> scorer_pb2.ScoreRequest:
    mark = time.monotonic()
    responses = (f"{mark} {i} {texts[i % len(texts)]}" for i in range(_MANY))
    return scorer_pb2.ScoreRequest(samples=[scorer_pb2.Sample(response=r) for r in responses])


class _Cancelling:
    """Fills the queue from this process, and cancels."""

    def __init__(self, address: str, texts: list[str]) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = scorer_pb2_grpc.ScorerStub(self._channel)
        self._request = _large(texts)
        self._call = self._stub.Score.future(self._request)

    def keep_filling(self) -> None:
        if self._call.done():  # a small call was in its way
            self._call = self._stub.Score.future(self._request)

    def go_away(self) -> None:
        self._call.cancel()

    def close(self) -> None:
        self._channel.close()


class _Dying:
    """Fills the queue from another process, and kills it."""

    def __init__(self, address: str, texts: list[str]) -> None:
        command = [sys.executable, __file__, address]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(_large(texts).SerializeToString())
        self._process.stdin.close()

    def keep_filling(self) -> None:
        pass  # the other process does

    def go_away(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def _fill(address: str) -> None:
    request = scorer_pb2.ScoreRequest.FromString(sys.stdin.buffer.read())
    with grpc.insecure_channel(address) as channel:
        stub = scorer_pb2_grpc.ScorerStub(channel)
        while not _admitted(stub, request):
            pass


if __name__ == "__main__":
    _fill(sys.argv[1])
