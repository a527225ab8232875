"""`palmfolio serve`."""

import enum
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palmfolio.errors import ConfigurationError

if TYPE_CHECKING:
    from palmfolio.cli.local.processes import Stack

DEFAULT_STACK = Path("palmfolio-quickstart") / "services.yaml"


class Served(enum.StrEnum):
    """A service to run, or all three."""

    SCORER = "scorer"
    TRAINER = "trainer"
    SELECTOR = "selector"
    ALL = "all"


def serve(
    service: Annotated[Served, typer.Argument(help="A service, or all three.")],
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The service's YAML file; for `all` one with a section for each service. "
            f"Default for `all`: {DEFAULT_STACK}, which the quickstart writes.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the addresses as JSON (for `all`).")
    ] = False,
) -> None:
    """Run a service, or all three on loopback, until Ctrl-C or SIGTERM."""
    if service is Served.ALL:
        _serve_all(config or DEFAULT_STACK, as_json=as_json)
        return
    from palmfolio.cli.local.processes import check_installed

    check_installed((service.value,))
    command = [sys.executable, "-m", f"palmfolio_{service}"]
    if config is not None:
        command += ["--config", str(config)]
    # The service replaces this process, so that signals and the exit status are its own.
    os.execv(sys.executable, command)


def _serve_all(path: Path, *, as_json: bool) -> None:
    from palmfolio.cli.local.processes import Stack, run_until_signalled

    stack = Stack(path.parent, _sections(path))
    run_until_signalled(stack, lambda: _serve(stack, as_json=as_json))


async def _serve(stack: "Stack", *, as_json: bool) -> None:
    import asyncio

    from palmfolio.cli.local.processes import supervised
    from palmfolio.cli.local.readiness import wait_until_ready
    from palmfolio.cli.render.plain import print_json

    def tell(text: str) -> None:
        typer.echo(text, err=as_json)

    async def work() -> None:
        await wait_until_ready(stack.addresses, lambda name, reason: tell(f"{name}: {reason}"))
        if as_json:
            print_json(stack.addresses)
        tell(f"ready; clients find the services with --endpoints {stack.endpoints_file}")
        await asyncio.Event().wait()

    async with stack:
        await stack.start(lambda name, address: tell(f"{name} listens on {address}"))
        await supervised(stack, work())


def _sections(path: Path) -> dict[str, Any]:
    from palmfolio._connection import SERVICES
    from palmfolio.files.text import read_yaml

    if not path.exists():
        raise ConfigurationError(
            f"cannot read {path}: there is no such file. Write one with the sections "
            f"{', '.join(SERVICES)}, or run `palmfolio quickstart`, which makes one"
        )
    content = read_yaml(path)
    sections = isinstance(content, dict) and all(isinstance(v, dict) for v in content.values())
    if not sections or set(content) != set(SERVICES):
        raise ConfigurationError(
            f"{path} must hold one section of keys for each of {', '.join(SERVICES)}"
        )
    return dict(content)
