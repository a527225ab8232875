"""The selector's gRPC surface: every call, from the modules of `calls`."""

from palmfolio.v1 import selector_pb2_grpc, types_pb2
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_selector.calls.builds import BuildCalls
from palmfolio_selector.calls.evaluations import EvaluationCalls
from palmfolio_selector.calls.portfolios import PortfolioCalls
from palmfolio_selector.calls.prompt_sets import PromptSetCalls
from palmfolio_selector.calls.selections import SelectionCalls


class SelectorServicer(
    PromptSetCalls,
    EvaluationCalls,
    BuildCalls,
    PortfolioCalls,
    SelectionCalls,
    selector_pb2_grpc.SelectorServicer,
):
    """All calls of the selector."""

    async def GetServerInfo(
        self, request: types_pb2.GetServerInfoRequest, context: Context
    ) -> types_pb2.ServerInfo:
        """Limits and readiness."""
        return self._state.info()
