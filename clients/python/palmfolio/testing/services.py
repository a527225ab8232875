"""Services for tests: started with a tiny model, or running elsewhere."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from palmfolio import types
from palmfolio._async_client import AsyncClient
from palmfolio._client import Client
from palmfolio._connection import connection
from palmfolio.cli.local.processes import Stack, check_installed, supervised
from palmfolio.cli.local.readiness import wait_until_ready
from palmfolio.errors import ConfigurationError
from palmfolio.testing.tiny_model import write_tiny_model

Result = TypeVar("Result")

TRAITS: tuple[Mapping[str, Any], ...] = (
    {
        "name": "brevity",
        "kind": "verifier",
        "check": "length",
        "unit": "characters",
        "normalisation": {"kind": "minmax", "low": 100, "high": 0},
    },
    {
        "name": "warmth",
        "kind": "verifier",
        "check": "sentiment",
        "normalisation": {"kind": "minmax", "low": -1.0, "high": 1.0},
    },
)
"""Two traits without a model: quick, and exact functions of the text."""

_TINY = "tiny"
_PROMPTS = ("Say hello.", "Name a colour.", "What is rain?", "Greet a friend.")


@dataclass(frozen=True)
class Services:
    """Three services that take work.

    Attributes:
        endpoints: `host:port` by service.
        base_model: a base model that the trainer has.
        traits: the names of the scorer's traits.
        folder: logs and state of services that `local_services` started; None for others.

    Example:
        services = palmfolio.testing.services_at("endpoints.json")
        print(services.base_model, services.traits)
    """

    endpoints: Mapping[str, str]
    base_model: str
    traits: tuple[str, ...]
    folder: Path | None = None

    def client(self) -> Client:
        """A new client; close it, or use it as a context.

        Example:
            with services.client() as client:
                info = client.scorer.server_info()
        """
        return Client(self.endpoints)

    def async_client(self) -> AsyncClient:
        """A new client for asyncio.

        Example:
            async def scorer_version(services: palmfolio.testing.Services) -> str:
                async with services.async_client() as client:
                    return (await client.scorer.server_info()).version
        """
        return AsyncClient(self.endpoints)

    def small_spec(
        self,
        client: Client,
        *weights: types.Weights,
        training_prompts: Sequence[str | types.Prompt] = _PROMPTS,
        evaluation_prompts: Sequence[str | types.Prompt] = _PROMPTS,
        seed: int = 0,
    ) -> types.PortfolioSpec:
        """The spec of a portfolio that is built in seconds: one step of training for each weights.

        Args:
            client: stores the prompts.
            weights: weights by trait, one for each policy to train.
            training_prompts: prompts to train on.
            evaluation_prompts: prompts to measure on.
            seed: seeds training and sampling.

        Example:
            spec = services.small_spec(client, {"brevity": 1.0}, {"warmth": 1.0})
            portfolio = client.selector.build_portfolio("small", spec).result(timeout=300)
        """
        trainings = tuple(types.ExplicitTraining(row) for row in weights)
        return types.PortfolioSpec(
            base_model=self.base_model,
            traits=self.traits,
            training_prompt_set=client.selector.create_prompt_set(training_prompts).name,
            evaluation_prompt_set=client.selector.create_prompt_set(evaluation_prompts).name,
            strategy=types.ExplicitStrategy(trainings),
            grpo=types.GrpoConfig(
                steps=1, prompts_per_step=2, completions_per_prompt=2, max_completion_tokens=8
            ),
            sampling=types.SamplingConfig(samples_per_prompt=1, max_tokens=12, seed=seed),
            delta=0.05,
            seed=seed,
        )


@contextmanager
def local_services(
    folder: Path,
    *,
    traits: Sequence[Mapping[str, Any]] = TRAITS,
    configs: Mapping[str, Mapping[str, Any]] | None = None,
    start_seconds: float = 300.0,
) -> Iterator[Services]:
    """Starts the three services on loopback, each a process group, and stops them at the end.

    Needs an installation with `palmfolio[scorer,trainer,selector]`; no model is downloaded.

    Args:
        folder: for the tiny model, logs and state; `logs/SERVICE.log` in it.
        traits: the scorer's traits.
        configs: more keys of the services' configurations, by service.
        start_seconds: how long the services may take until they are ready.

    Raises:
        ServiceDied: a service ended before it was ready; the message ends with its log.
        ConfigurationError: a service is not installed, or was not ready in time.

    Example:
        with palmfolio.testing.local_services(Path("scratch")) as services:
            with services.client() as client:
                samples = [palmfolio.Sample("Say hello.", "Hello, dear friend!")]
                print(client.scorer.score(samples).normalised)
    """
    check_installed(("scorer", "trainer", "selector"))
    model = write_tiny_model(folder / "tiny-model")
    own: dict[str, dict[str, Any]] = {
        # One thread each: on the few cores of a test machine more threads only wait for one
        # another.
        "scorer": {"traits": [dict(trait) for trait in traits], "threads": 1},
        "trainer": {
            "state_dir": str(folder / "state" / "trainer"),
            "base_models": {_TINY: str(model)},
            "threads": 1,
            "sampling_threads": 1,
        },
        "selector": {"state_dir": str(folder / "state" / "selector")},
    }
    for name, config in (configs or {}).items():
        own[name] |= config
    with _loop_on_a_thread() as loop:
        stack = Stack(folder, own)
        try:
            loop.run(_start(stack, start_seconds))
            names = tuple(str(trait["name"]) for trait in traits)
            yield Services(dict(stack.addresses), _TINY, names, folder)
        finally:
            loop.run(stack.stop())


def services_at(endpoints: Mapping[str, str] | str | Path) -> Services:
    """Services that are already running.

    Args:
        endpoints: `host:port` by service, or the path of a connection file.

    Raises:
        ConfigurationError: an address is missing, or the trainer has no base model.
        Unavailable: a service does not answer.

    Example:
        addresses = {"scorer": "127.0.0.1:1", "trainer": "127.0.0.1:2", "selector": "127.0.0.1:3"}
        services = palmfolio.testing.services_at(addresses)
    """
    addresses = connection(endpoints, {}, None, None, False).addresses
    with Client(addresses) as client:
        base_models = [model.name for model in client.trainer.server_info().base_models]
        traits = tuple(trait.name for trait in client.scorer.list_traits())
        client.selector.server_info()
    if not base_models:
        raise ConfigurationError(f"the trainer at {addresses['trainer']} has no base model")
    return Services(dict(addresses), base_models[0], traits)


async def _start(stack: Stack, seconds: float) -> None:
    news: dict[str, str] = {}
    try:
        async with asyncio.timeout(seconds):
            await stack.start()
            await supervised(stack, wait_until_ready(stack.addresses, news.__setitem__))
    except TimeoutError:
        reason = news or "a service does not listen"
        raise ConfigurationError(
            f"the services were not ready after {seconds:.0f} s: {reason}"
        ) from None


class _Loop:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


@contextmanager
def _loop_on_a_thread() -> Iterator[_Loop]:
    """An event loop that runs while synchronous tests do; the services are its children."""
    own = _Loop()
    thread = threading.Thread(target=own.loop.run_forever, name="palmfolio services", daemon=True)
    thread.start()
    try:
        yield own
    finally:
        own.loop.call_soon_threadsafe(own.loop.stop)
        thread.join()
        own.loop.close()
