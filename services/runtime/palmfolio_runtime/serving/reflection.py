"""Reflection: tells tools such as grpcurl which services and messages a server speaks.

grpcio-reflection serves `grpc.reflection.v1alpha` only. `grpc.reflection.v1` has the same messages
under another package, so that its bytes are the same: one servicer answers both.
"""

from collections.abc import Sequence

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

_ALPHA = reflection_pb2.DESCRIPTOR
_PACKAGE = "grpc.reflection.v1"
V1_SERVICE = f"{_PACKAGE}.ServerReflection"


def enable(names: Sequence[str], server: aio.Server) -> None:
    """Serves reflection, version 1 and version 1 alpha.

    Args:
        names: the full names of the services that reflection tells about, in addition to itself.
        server: not started yet.
    """
    _describe_v1()
    servicer = reflection.aio.ReflectionServicer([*names, V1_SERVICE, reflection.SERVICE_NAME])
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(V1_SERVICE, {"ServerReflectionInfo": handler}),)
    )


def _describe_v1() -> None:
    """Adds the descriptors of version 1 to the pool, where reflection looks for them."""
    described = descriptor_pb2.FileDescriptorProto()
    _ALPHA.CopyToProto(described)
    # Messages refer to one another by their full names, so the package is renamed everywhere.
    renamed = text_format.MessageToString(described).replace(_ALPHA.package, _PACKAGE)
    described = text_format.Parse(renamed, descriptor_pb2.FileDescriptorProto())
    described.name = "grpc/reflection/v1/reflection.proto"
    # Adding the same file again does nothing.
    descriptor_pool.Default().AddSerializedFile(described.SerializeToString())
