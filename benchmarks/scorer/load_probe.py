"""Watches a scorer until standard input closes: health every 100 ms, memory twice a second."""

import json
import select
import sys
import time
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_EVERY = 0.1
_MEMORY_EVERY = 5  # probes
_TIMEOUT = 30.0


def resident(pid: int) -> int:
    """Bytes of main memory that a process takes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Prints what was seen as JSON."""
    address, pid = sys.argv[1], int(sys.argv[2])
    latencies, memory, failed = [], [resident(pid)], 0
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        stub.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT)  # connects
        while not select.select([sys.stdin], [], [], _EVERY)[0]:
            begun = time.perf_counter()
            try:
                stub.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT)
            except grpc.RpcError:
                failed += 1
            latencies.append(time.perf_counter() - begun)
            if not len(latencies) % _MEMORY_EVERY:
                memory.append(resident(pid))
    worst_at = latencies.index(max(latencies)) * _EVERY
    latencies.sort()
    print(
        json.dumps(
            {
                "health_answers": len(latencies) - failed,
                "health_failed": failed,
                "health_worst": latencies[-1],
                "health_worst_at": worst_at,
                "health_99": latencies[int(0.99 * len(latencies))],
                "rss_start": memory[0],
                "rss_most": max(memory),
                "rss_end": memory[-1],
            }
        )
    )


if __name__ == "__main__":
    main()
