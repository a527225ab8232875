"""A selector inside the test's process, whose scorer and trainer are away."""

from concurrent.futures import ThreadPoolExecutor

from palmfolio_runtime.clients.scorer import ScorerClient
from palmfolio_runtime.clients.trainer import TrainerClient
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.database import Database
from palmfolio_runtime.operations import Changes
from palmfolio_selector.builds.context import ServerParts
from palmfolio_selector.config import SelectorConfig

NOWHERE = Endpoint(address="127.0.0.1:9")


def make_config(url: str) -> SelectorConfig:
    """The configuration of a selector with a database at `url`."""
    return SelectorConfig(database_url=url, trainer=NOWHERE, scorer=NOWHERE)


def make_parts(database: Database, url: str) -> ServerParts:
    """The parts that calls and builds share; `close_parts` closes them."""
    config = make_config(url)
    return ServerParts(
        config=config,
        database=database,
        changes=Changes(),
        trainer=TrainerClient(
            NOWHERE, config.limits, call_timeout_seconds=1, sampling_timeout_seconds=1
        ),
        scorer=ScorerClient(
            NOWHERE, config.limits, call_timeout_seconds=1, scoring_timeout_seconds=1
        ),
        mathematics=ThreadPoolExecutor(1),
    )


async def close_parts(parts: ServerParts) -> None:
    """Closes the parts but the database."""
    await parts.trainer.close()
    await parts.scorer.close()
    parts.mathematics.shutdown(wait=False)
