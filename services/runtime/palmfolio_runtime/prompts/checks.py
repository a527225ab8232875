"""What is wrong with prompts that a client sent."""

from collections.abc import Iterator, Sequence

from palmfolio.v1 import prompts_pb2
from palmfolio_runtime.prompts.prompt import ROLES, Prompt

Problem = tuple[str, str]
"""A field's path and what is wrong with it."""

_SHOWN_POSITIONS = 5


def prompt_problems(message: prompts_pb2.Prompt, max_characters: int) -> list[Problem]:
    """Everything that is wrong with a prompt; paths are relative to it, and start with a dot.

    The path of what concerns the whole prompt, and of a text's problems, is empty.
    """
    if message.text and message.messages:
        return [("", "has both text and messages; exactly one of them is allowed")]
    problems: list[Problem] = []
    if message.messages:
        problems += _conversation_problems(message.messages, max_characters)
    elif not message.text.strip():
        problems.append(("", "is empty"))
    else:
        problems += _text_problems("", message.text, max_characters)
    return problems + _text_problems(".reference", message.reference, max_characters)


def _conversation_problems(
    turns: Sequence[prompts_pb2.ChatMessage], max_characters: int
) -> Iterator[Problem]:
    for index, turn in enumerate(turns):
        path = f".messages[{index}]"
        if turn.role not in ROLES:
            yield f"{path}.role", f"is required: {', '.join(ROLES.values())}"
        elif turn.role == prompts_pb2.ROLE_SYSTEM and index:
            yield f"{path}.role", "is system; only the first message may be"
        if not turn.content.strip():
            yield f"{path}.content", "is empty"
        if "\0" in turn.content:
            yield f"{path}.content", "contains a NUL character"
    if turns[-1].role in (prompts_pb2.ROLE_SYSTEM, prompts_pb2.ROLE_ASSISTANT):
        role = ROLES[turns[-1].role]
        yield ".messages", f"end with a message of the {role}; the last must be the user's"
    characters = sum(len(turn.content) for turn in turns)
    if characters > max_characters:
        yield ".messages", _too_long(characters, max_characters)


def _text_problems(path: str, text: str, max_characters: int) -> list[Problem]:
    if len(text) > max_characters:
        return [(path, _too_long(len(text), max_characters))]
    return [(path, "contains a NUL character")] if "\0" in text else []


def _too_long(characters: int, allowed: int) -> str:
    return f"has {characters} characters; the limit max_characters is {allowed}"


def check_prompts(
    prompts: Sequence[prompts_pb2.Prompt], field: str, *, max_prompts: int, max_characters: int
) -> list[Problem]:
    """Everything that is wrong with a request's prompts.

    Prompts are wrong when there are none or too many, and each one that has `prompt_problems`.

    Args:
        prompts: what the client sent.
        field: the field's path.
        max_prompts: prompts at most.
        max_characters: characters of one prompt at most.
    """
    if not prompts:
        return [(field, "is required: at least one prompt")]
    if len(prompts) > max_prompts:
        allowed = f"the limit max_prompts is {max_prompts}"
        return [(field, f"{len(prompts)} prompts are too many; {allowed}")]
    return [
        (f"{field}[{index}]{path}", problem)
        for index, prompt in enumerate(prompts)
        for path, problem in prompt_problems(prompt, max_characters)
    ]


def without_reference(prompts: Sequence[Prompt], field: str = "prompts") -> str:
    """Which prompts have no reference, for people; empty when all have one.

    Example:
        >>> without_reference([Prompt.of_text("2 + 2?", "4"), Prompt.of_text("2 + 3?")])
        'prompts[1]'
    """
    missing = [index for index, prompt in enumerate(prompts) if not prompt.reference.strip()]
    shown = ", ".join(f"{field}[{index}]" for index in missing[:_SHOWN_POSITIONS])
    more = len(missing) - _SHOWN_POSITIONS
    return f"{shown} and {more} more" if more > 0 else shown
