"""Calls about prompt sets."""

from sqlalchemy.orm import Session

from palmfolio.v1 import selector_pb2, types_pb2
from palmfolio_runtime import names, operations
from palmfolio_runtime.errors import invalid_argument
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_selector.calls.call_group import CallGroup
from palmfolio_selector.messages import portfolios
from palmfolio_selector.store import prompt_sets

_METHOD = "CreatePromptSet"


class PromptSetCalls(CallGroup):
    """`CreatePromptSet`."""

    async def CreatePromptSet(
        self, request: selector_pb2.CreatePromptSetRequest, context: Context
    ) -> types_pb2.PromptSet:
        """Stores prompts under a digest of their content."""
        self._state.check_ready()
        limits = self._server.config.limits
        count = len(request.prompt_set.prompts)
        if not 1 <= count <= limits.max_prompts:
            allowed = f"1 to {limits.max_prompts} (max_prompts) are allowed"
            raise invalid_argument(("prompt_set.prompts", f"{count} prompts; {allowed}"))
        violations = [
            (f"prompt_set.prompts[{index}]", problem)
            for index, prompt in enumerate(request.prompt_set.prompts)
            if (problem := prompt_problem(prompt, limits))
        ]
        if violations:
            raise invalid_argument(*violations)
        return await self._change(_create, request)


def prompt_problem(prompt: str, limits: SelectorLimits) -> str:
    """Why a prompt is refused; empty when it is not."""
    if not prompt.strip():
        return "is empty"
    return text_problem(prompt, limits)


def text_problem(text: str, limits: SelectorLimits) -> str:
    """Why a text, which may be empty, is refused; empty when it is not."""
    if len(text) > limits.max_characters:
        return f"has {len(text)} characters; {limits.max_characters} (max_characters) are allowed"
    return "contains a NUL character" if "\0" in text else ""


def _create(session: Session, request: selector_pb2.CreatePromptSetRequest) -> types_pb2.PromptSet:
    known = operations.find_request(session, _METHOD, request.request_id, request)
    if known is not None:
        row = prompt_sets.get(session, names.PROMPT_SETS.id(known))
        return portfolios.prompt_set(session, row)
    wanted = request.prompt_set
    row = prompt_sets.add(session, list(wanted.prompts), wanted.display_name)
    operations.remember_request(
        session, _METHOD, request.request_id, request, names.PROMPT_SETS.name(row.id)
    )
    return portfolios.prompt_set(session, row)
