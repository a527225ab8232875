"""Prompts: what is the same prompt, what is another one, and what is refused."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palmfolio.v1 import prompts_pb2
from palmfolio_runtime.digest import digest
from palmfolio_runtime.prompts import (
    ChatMessage,
    Prompt,
    Role,
    check_prompts,
    prompt_problems,
    without_reference,
)

SYSTEM, USER, ASSISTANT = (
    prompts_pb2.ROLE_SYSTEM,
    prompts_pb2.ROLE_USER,
    prompts_pb2.ROLE_ASSISTANT,
)
LIMIT = 1000

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
).filter(str.strip)
references = st.just("") | texts


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """A valid prompt: a text or a conversation, with or without a reference and tags."""
    roles: list[Role] = draw(st.lists(st.sampled_from(["user", "assistant"]), max_size=3))
    if draw(st.booleans()):
        roles.insert(0, "system")
    turns = tuple(ChatMessage(role, draw(texts)) for role in [*roles, "user"])
    return Prompt(turns, draw(references), tuple(draw(st.lists(texts, max_size=2))))


@given(texts)
def test_a_text_without_a_reference_keeps_the_identity_of_its_string(text: str) -> None:
    """Stored prompt sets, policies and evaluations were addressed by the bare string."""
    prompt = Prompt.of_text(text)
    assert prompt.canonical() == text
    assert prompt.digest == digest(text)
    assert digest([prompt.canonical()]) == digest([text])


@given(texts, references)
def test_a_single_user_turn_is_the_text(text: str, reference: str) -> None:
    turn = prompts_pb2.ChatMessage(role=USER, content=text)
    conversation = prompts_pb2.Prompt(messages=[turn], reference=reference)
    plain = prompts_pb2.Prompt(text=text, reference=reference)
    assert Prompt.from_message(conversation) == Prompt.from_message(plain)
    assert Prompt.from_message(conversation).to_message() == plain
    assert Prompt.from_message(conversation).digest == Prompt.from_message(plain).digest


@given(prompts())
def test_a_prompt_survives_the_protocol(prompt: Prompt) -> None:
    message = prompt.to_message()
    assert not prompt_problems(message, LIMIT)
    again = Prompt.from_message(prompts_pb2.Prompt.FromString(message.SerializeToString()))
    assert again == prompt
    assert again.tags == prompt.tags


@given(prompts())
def test_a_prompt_survives_the_database_without_its_tags(prompt: Prompt) -> None:
    again = Prompt.from_canonical(prompt.canonical())
    assert again == prompt
    assert again.canonical() == prompt.canonical()
    assert not again.tags


@given(prompts(), prompts())
def test_the_digest_is_equal_exactly_for_equal_prompts(left: Prompt, right: Prompt) -> None:
    assert (left.digest == right.digest) == (left == right)


@given(prompts(), st.lists(texts, max_size=2))
def test_tags_are_no_part_of_the_identity(prompt: Prompt, tags: list[str]) -> None:
    tagged = dataclasses.replace(prompt, tags=tuple(tags))
    assert tagged == prompt
    assert hash(tagged) == hash(prompt)
    assert tagged.digest == prompt.digest


@given(prompts(), texts)
def test_another_reference_is_another_prompt(prompt: Prompt, reference: str) -> None:
    other = dataclasses.replace(prompt, reference=prompt.reference + reference)
    assert other != prompt
    assert other.digest != prompt.digest


@given(texts, texts)
def test_a_mapping_has_no_neutral_values(text: str, reference: str) -> None:
    assert Prompt.of_text(text, reference).canonical() == {"text": text, "reference": reference}
    turns = (ChatMessage("system", "Be brief."), ChatMessage("user", text))
    assert Prompt(turns).canonical() == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": text},
        ]
    }


def conversation(*turns: tuple[int, str]) -> prompts_pb2.Prompt:
    """A message of these turns."""
    message = prompts_pb2.Prompt()
    for role, text in turns:
        message.messages.add(role=role, content=text)
    return message


@pytest.mark.parametrize(
    ("message", "path", "problem"),
    [
        (prompts_pb2.Prompt(), "", "is empty"),
        (prompts_pb2.Prompt(text=" \n"), "", "is empty"),
        (prompts_pb2.Prompt(reference="4"), "", "is empty"),
        (prompts_pb2.Prompt(text="a\0b"), "", "NUL"),
        (prompts_pb2.Prompt(text="x" * 1001), "", "1001 characters"),
        (prompts_pb2.Prompt(text="x", reference="x" * 1001), ".reference", "1001 characters"),
        (prompts_pb2.Prompt(text="x", reference="\0"), ".reference", "NUL"),
        (conversation((SYSTEM, "Be brief.")), ".messages", "must be the user's"),
        (conversation((USER, "a"), (ASSISTANT, "b")), ".messages", "must be the user's"),
        (conversation((USER, "a"), (SYSTEM, "b"), (USER, "c")), ".messages[1].role", "first"),
        (conversation((prompts_pb2.ROLE_UNSPECIFIED, "a")), ".messages[0].role", "required"),
        (conversation((7, "a"), (USER, "b")), ".messages[0].role", "required"),
        (conversation((ASSISTANT, " "), (USER, "b")), ".messages[0].content", "is empty"),
        (conversation((USER, "a\0")), ".messages[0].content", "NUL"),
        (conversation((USER, "x" * 600), (USER, "y" * 401)), ".messages", "1001 characters"),
    ],
)
def test_a_bad_prompt_names_its_field(message: prompts_pb2.Prompt, path: str, problem: str) -> None:
    ((found, text),) = prompt_problems(message, LIMIT)
    assert found == path
    assert problem in text


def test_text_and_messages_exclude_each_other() -> None:
    message = conversation((USER, "a"))
    message.text = "a"
    assert prompt_problems(message, LIMIT) == [
        ("", "has both text and messages; exactly one of them is allowed")
    ]


def test_every_bad_prompt_of_a_request_is_named() -> None:
    sent = [prompts_pb2.Prompt(text="fine"), prompts_pb2.Prompt(), conversation((SYSTEM, "x"))]
    found = check_prompts(sent, "spec.prompts", max_prompts=3, max_characters=LIMIT)
    assert [path for path, _ in found] == ["spec.prompts[1]", "spec.prompts[2].messages"]
    ((path, text),) = check_prompts(sent, "prompts", max_prompts=2, max_characters=LIMIT)
    assert (path, text) == ("prompts", "3 prompts are too many; the limit max_prompts is 2")
    ((path, _),) = check_prompts([], "prompts", max_prompts=2, max_characters=LIMIT)
    assert path == "prompts"


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([("user", "Why?")], "Why?"),
        ([("system", "Be brief."), ("user", "Why?")], "Why?"),
        (
            [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c")],
            "system: Be brief.\nuser: a\nassistant: b\nuser: c",
        ),
    ],
)
def test_a_reader_of_one_text_gets_the_turns(turns: list[tuple[Role, str]], text: str) -> None:
    assert Prompt(tuple(ChatMessage(*turn) for turn in turns)).plain_text == text


def test_prompts_without_a_reference_are_named_by_position() -> None:
    asked = [Prompt.of_text("a", "4"), *[Prompt.of_text("b")] * 8]
    assert not without_reference(asked[:1])
    assert without_reference(asked[:3]) == "prompts[1], prompts[2]"
    assert without_reference(asked, "p") == "p[1], p[2], p[3], p[4], p[5] and 3 more"
