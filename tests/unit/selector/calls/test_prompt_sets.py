"""Stored prompt sets are listed page by page, by number and by bytes, on both databases."""

import uuid
from typing import cast

import pytest

from palmfolio.v1 import prompts_pb2, selector_pb2
from palmfolio_runtime.database import Database
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_selector.builds.context import ServerParts
from palmfolio_selector.builds.runner import Builds
from palmfolio_selector.calls.readiness import ServerState
from palmfolio_selector.servicer import SelectorServicer
from palmfolio_selector.store import prompt_sets

CONTEXT = cast(Context, None)


@pytest.fixture
def servicer(parts: ServerParts) -> SelectorServicer:
    """The selector's calls."""
    readiness = ServerState(parts.config.limits, parts.database)
    readiness.started = True
    return SelectorServicer(readiness, parts, Builds(parts))


async def _stored(servicer: SelectorServicer, *texts: str, name: str = "") -> str:
    prompts = [prompts_pb2.Prompt(text=text, reference="4", tags=["x"]) for text in texts]
    request = selector_pb2.CreatePromptSetRequest(
        request_id=str(uuid.uuid4()),
        prompt_set=prompts_pb2.PromptSet(prompts=prompts, display_name=name),
    )
    created = await servicer.CreatePromptSet(request, CONTEXT)
    assert created.prompt_count == len(texts)
    return created.name


async def test_a_set_is_got_without_its_prompts(servicer: SelectorServicer) -> None:
    name = await _stored(servicer, "a", "b", "a", name="greetings")
    stored = await servicer.GetPromptSet(prompts_pb2.GetPromptSetRequest(name=name), CONTEXT)
    assert (stored.name, stored.display_name, stored.prompt_count) == (name, "greetings", 3)
    assert not stored.prompts and stored.create_time.seconds > 0


async def test_sets_are_listed_newest_first(servicer: SelectorServicer) -> None:
    names = [await _stored(servicer, *"abc"[: count + 1]) for count in range(3)]
    seen, token = [], ""
    while True:
        request = prompts_pb2.ListPromptSetsRequest(page_size=2, page_token=token)
        page = await servicer.ListPromptSets(request, CONTEXT)
        assert len(page.prompt_sets) <= 2
        seen += [(item.name, item.prompt_count, len(item.prompts)) for item in page.prompt_sets]
        token = page.next_page_token
        if not token:
            break
    assert seen == [
        (name, count, 0) for name, count in zip(reversed(names), (3, 2, 1), strict=True)
    ]


async def _prompts(servicer: SelectorServicer, name: str, size: int) -> list[list[str]]:
    pages, token = [], ""
    while True:
        request = prompts_pb2.ListPromptsRequest(prompt_set=name, page_size=size, page_token=token)
        page = await servicer.ListPrompts(request, CONTEXT)
        assert all((item.reference, list(item.tags)) == ("4", ["x"]) for item in page.prompts)
        pages.append([item.text for item in page.prompts])
        token = page.next_page_token
        if not token:
            return pages


async def test_prompts_come_in_the_order_of_the_set(servicer: SelectorServicer) -> None:
    texts = [f"prompt {number % 7}" for number in range(11)]
    name = await _stored(servicer, *texts)
    pages = await _prompts(servicer, name, 4)
    assert [len(page) for page in pages] == [4, 4, 3]
    assert [text for page in pages for text in page] == texts
    assert await _prompts(servicer, name, 0) == [texts]


@pytest.mark.parametrize(("max_bytes", "sizes"), [(5000, [2, 2, 1]), (1, [1] * 5), (19999, [5])])
async def test_a_page_ends_before_it_outgrows_a_message(
    database: Database, servicer: SelectorServicer, max_bytes: int, sizes: list[int]
) -> None:
    name = await _stored(servicer, *(character * 1000 for character in "abcde"))
    pages: list[list[prompts_pb2.Prompt]] = []
    token = ""
    while not pages or token:
        page, token = await database.run(
            prompt_sets.prompts_page, name.removeprefix("promptSets/"), 0, token, max_bytes
        )
        pages.append(page)
    assert [len(page) for page in pages] == sizes
    assert [prompt.text[0] for page in pages for prompt in page] == list("abcde")


async def test_the_largest_sets_can_be_listed(servicer: SelectorServicer) -> None:
    # 9 MB in one request, more than half of a message.
    texts = [chr(0x1F600 + number % 40) * 7_000 + str(number) for number in range(330)]
    name = await _stored(servicer, *texts)
    pages = await _prompts(servicer, name, 1000)
    assert len(pages) == 2 and [text for page in pages for text in page] == texts


@pytest.mark.parametrize("name", ["promptSets/absent", "promptSets/" + "0" * 32])
async def test_what_is_not_there_is_not_found(servicer: SelectorServicer, name: str) -> None:
    with pytest.raises(ServiceError, match="CreatePromptSet"):
        await servicer.GetPromptSet(prompts_pb2.GetPromptSetRequest(name=name), CONTEXT)
    with pytest.raises(ServiceError, match="CreatePromptSet"):
        await servicer.ListPrompts(prompts_pb2.ListPromptsRequest(prompt_set=name), CONTEXT)


@pytest.mark.parametrize("field", ["name", "collection"])
async def test_wrong_names_and_tokens_are_refused(servicer: SelectorServicer, field: str) -> None:
    name = "" if field == "name" else "portfolios/x"
    with pytest.raises(ServiceError, match="promptSets"):
        await servicer.GetPromptSet(prompts_pb2.GetPromptSetRequest(name=name), CONTEXT)
    with pytest.raises(ServiceError, match="promptSets"):
        await servicer.ListPrompts(prompts_pb2.ListPromptsRequest(prompt_set=name), CONTEXT)


async def test_a_token_belongs_to_its_set(servicer: SelectorServicer) -> None:
    first, second = await _stored(servicer, "a", "b"), await _stored(servicer, "c", "d")
    page = await servicer.ListPrompts(
        prompts_pb2.ListPromptsRequest(prompt_set=first, page_size=1), CONTEXT
    )
    other = prompts_pb2.ListPromptsRequest(prompt_set=second, page_token=page.next_page_token)
    with pytest.raises(ServiceError, match="page_token"):
        await servicer.ListPrompts(other, CONTEXT)
    with pytest.raises(ServiceError, match="negative"):
        await servicer.ListPromptSets(prompts_pb2.ListPromptSetsRequest(page_size=-1), CONTEXT)
