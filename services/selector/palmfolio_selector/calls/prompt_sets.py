"""Calls about prompt sets."""

from sqlalchemy.orm import Session

from palmfolio.v1 import prompts_pb2, selector_pb2
from palmfolio_runtime import names, operations
from palmfolio_runtime.errors import invalid_argument
from palmfolio_runtime.prompts import Prompt, check_prompts
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_selector.calls.call_group import CallGroup
from palmfolio_selector.messages import portfolios
from palmfolio_selector.store import prompt_sets

_METHOD = "CreatePromptSet"


class PromptSetCalls(CallGroup):
    """`CreatePromptSet`."""

    async def CreatePromptSet(
        self, request: selector_pb2.CreatePromptSetRequest, context: Context
    ) -> prompts_pb2.PromptSet:
        """Stores prompts under a digest of their content."""
        self._state.check_ready()
        limits = self._server.config.limits
        violations = check_prompts(
            request.prompt_set.prompts,
            "prompt_set.prompts",
            max_prompts=limits.max_prompts,
            max_characters=limits.max_characters,
        )
        if violations:
            raise invalid_argument(*violations)
        return await self._change(_create, request)


def _create(
    session: Session, request: selector_pb2.CreatePromptSetRequest
) -> prompts_pb2.PromptSet:
    known = operations.find_request(session, _METHOD, request.request_id, request)
    if known is not None:
        row = prompt_sets.get(session, names.PROMPT_SETS.id(known))
        return portfolios.prompt_set(session, row)
    wanted = request.prompt_set
    prompts = [Prompt.from_message(prompt) for prompt in wanted.prompts]
    row = prompt_sets.add(session, prompts, wanted.display_name)
    operations.remember_request(
        session, _METHOD, request.request_id, request, names.PROMPT_SETS.name(row.id)
    )
    return portfolios.prompt_set(session, row)
