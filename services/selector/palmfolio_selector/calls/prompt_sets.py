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
    """`CreatePromptSet`, `GetPromptSet`, `ListPromptSets`, `ListPrompts`."""

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

    async def GetPromptSet(
        self, request: prompts_pb2.GetPromptSetRequest, context: Context
    ) -> prompts_pb2.PromptSet:
        """One set without its prompts."""
        self._state.check_ready()
        identifier = names.PROMPT_SETS.parse(request.name, "name")
        return await self._database.run(_summary, identifier)

    async def ListPromptSets(
        self, request: prompts_pb2.ListPromptSetsRequest, context: Context
    ) -> prompts_pb2.ListPromptSetsResponse:
        """Sets, newest first, without their prompts."""
        self._state.check_ready()
        max_bytes = self._server.config.limits.max_message_bytes
        return await self._database.run(_sets, request, max_bytes)

    async def ListPrompts(
        self, request: prompts_pb2.ListPromptsRequest, context: Context
    ) -> prompts_pb2.ListPromptsResponse:
        """The prompts of a set, page by page."""
        self._state.check_ready()
        names.PROMPT_SETS.parse(request.prompt_set, "prompt_set")
        max_bytes = self._server.config.limits.max_message_bytes
        return await self._database.run(_prompts, request, max_bytes)


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


def _summary(session: Session, identifier: str) -> prompts_pb2.PromptSet:
    row = prompt_sets.get(session, identifier)
    return portfolios.prompt_set_summary(row, prompt_sets.sizes(session, [row.id]).get(row.id, 0))


def _sets(
    session: Session, request: prompts_pb2.ListPromptSetsRequest, max_bytes: int
) -> prompts_pb2.ListPromptSetsResponse:
    shown, token = prompt_sets.list_page(
        session,
        request.page_size,
        request.page_token,
        lambda row: portfolios.prompt_set_summary(row, 0),
        max_bytes,
    )
    # All at once: a query for each set would take long.
    identifiers = [names.PROMPT_SETS.id(summary.name) for summary in shown]
    sizes = prompt_sets.sizes(session, identifiers)
    for identifier, summary in zip(identifiers, shown, strict=True):
        summary.prompt_count = sizes.get(identifier, 0)
    return prompts_pb2.ListPromptSetsResponse(prompt_sets=shown, next_page_token=token)


def _prompts(
    session: Session, request: prompts_pb2.ListPromptsRequest, max_bytes: int
) -> prompts_pb2.ListPromptsResponse:
    identifier = names.PROMPT_SETS.id(request.prompt_set)
    prompts, token = prompt_sets.prompts_page(
        session, identifier, request.page_size, request.page_token, max_bytes
    )
    return prompts_pb2.ListPromptsResponse(prompts=prompts, next_page_token=token)
