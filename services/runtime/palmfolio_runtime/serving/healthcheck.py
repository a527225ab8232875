"""Asks a service whether it is serving: `python -m palmfolio_runtime.serving.healthcheck ADDRESS`.

The exit status is 0 when it is. For container health checks and scripts. With the authority's
certificate it uses TLS.
"""

import argparse
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def is_serving(address: str, service: str, ca: Path | None, timeout_seconds: float) -> bool:
    """Whether `service` at `address` answers SERVING within the timeout."""
    if ca is None:
        channel = grpc.insecure_channel(address)
    else:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(ca.read_bytes()))
    request = health_pb2.HealthCheckRequest(service=service)
    with channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            print(f"{address} does not answer: {error.details()}", file=sys.stderr)
            return False
    # On standard error: standard output belongs to the program that calls this one.
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(f"{service or 'server'} at {address}: {name}", file=sys.stderr)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main() -> int:
    """Reads the command line and answers 0 (serving) or 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="host:port")
    parser.add_argument("--service", default="", help="full gRPC name; empty asks if it is alive")
    parser.add_argument("--ca", type=Path, help="PEM of the authority, to speak TLS")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds")
    options = parser.parse_args()
    serving = is_serving(options.address, options.service, options.ca, options.timeout)
    return 0 if serving else 1


if __name__ == "__main__":
    sys.exit(main())
