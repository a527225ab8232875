"""The first action of a build waits for a scorer whose traits are not ready, and says so once."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from grpc import aio

from palmfolio.v1 import portfolios_pb2, scorer_pb2, scorer_pb2_grpc
from palmfolio_runtime.clients.failures import DependencyDown
from palmfolio_runtime.clients.scorer import ScorerClient
from palmfolio_runtime.clients.trainer import TrainerClient
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.database import Database
from palmfolio_runtime.limits import Limits
from palmfolio_runtime.operations import Changes
from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.builds.actions import train
from palmfolio_selector.builds.context import BuildContext, BuildFailed, ServerParts
from palmfolio_selector.config import SelectorConfig
from palmfolio_selector.store import prompt_sets


class ScriptedScorer(scorer_pb2_grpc.ScorerServicer):
    """Lists the traits that a test sets."""

    def __init__(self) -> None:
        self.traits: list[scorer_pb2.Trait] = []

    async def ListTraits(
        self,
        request: scorer_pb2.ListTraitsRequest,
        context: "aio.ServicerContext[scorer_pb2.ListTraitsRequest, scorer_pb2.ListTraitsResponse]",
    ) -> scorer_pb2.ListTraitsResponse:
        """All traits on one page."""
        return scorer_pb2.ListTraitsResponse(traits=self.traits)


@pytest.fixture
async def scorer() -> AsyncIterator[tuple[ScriptedScorer, str]]:
    """A scripted scorer on a real socket, and its address."""
    # The base class answers the calls that are not scripted; only its types say abstract.
    scripted = ScriptedScorer()  # type: ignore[abstract]
    server = aio.server()
    scorer_pb2_grpc.add_ScorerServicer_to_server(scripted, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield scripted, address
    await server.stop(None)


def make_parts(folder: Path, address: str, database: Database) -> ServerParts:
    """A server's parts, with a scorer at an address and no trainer."""
    endpoint = Endpoint(address=address)
    return ServerParts(
        config=SelectorConfig(state_dir=folder, trainer=endpoint, scorer=endpoint),
        database=database,
        changes=Changes(),
        trainer=TrainerClient(endpoint, Limits()),
        scorer=ScorerClient(endpoint, Limits()),
        mathematics=ThreadPoolExecutor(1),
    )


@pytest.mark.parametrize(
    ("trait", "reason"),
    [
        (scorer_pb2.Trait(name="traits/warm"), "still loading warm"),
        (scorer_pb2.Trait(name="traits/warm", failure="no model"), "warm: no model"),
    ],
)
async def test_a_trait_that_is_not_ready_is_waited_for(
    tmp_path: Path, scorer: tuple[ScriptedScorer, str], trait: scorer_pb2.Trait, reason: str
) -> None:
    scripted, address = scorer
    # A trait that the build does not need may be away.
    other = scorer_pb2.Trait(name="traits/other")
    scripted.traits = [scorer_pb2.Trait(name="traits/brief", version="b1"), trait, other]
    answered: list[str] = []
    parts = make_parts(tmp_path, address, Database("sqlite://"))
    spec = portfolios_pb2.PortfolioSpec(base_model="tiny", traits=["brief", "warm"])
    context = BuildContext(parts, "p", "o", spec, answered.append)
    with pytest.raises(DependencyDown, match=reason):
        await train.prepare(context)
    assert answered == []
    await parts.scorer.close()
    parts.database.close()


async def test_a_build_ends_where_a_trait_finds_no_references(
    tmp_path: Path, scorer: tuple[ScriptedScorer, str], database: Database
) -> None:
    """The scorer was away when the build was asked for, so the call could not check this."""
    scripted, address = scorer
    scripted.traits = [
        scorer_pb2.Trait(name="traits/brief", version="b1", fields=["response"]),
        scorer_pb2.Trait(name="traits/correct", version="c1", fields=["reference", "response"]),
    ]
    prompts = [Prompt.of_text("2 + 2?", "4"), Prompt.of_text("2 + 3?")]
    stored = await database.run(prompt_sets.add, prompts, "")
    name = f"promptSets/{stored.id}"
    spec = portfolios_pb2.PortfolioSpec(
        base_model="tiny",
        traits=["brief", "correct"],
        training_prompt_set=name,
        evaluation_prompt_set=name,
    )
    parts = make_parts(tmp_path, address, database)
    context = BuildContext(parts, "p", "o", spec, lambda _: None)
    with pytest.raises(BuildFailed, match=r"trait correct compares .* prompts\[1\] '2 \+ 3\?'"):
        await train.prepare(context)
    await parts.scorer.close()
