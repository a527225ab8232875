"""`palmfolio status`: versions, models and readiness of the services."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from palmfolio.cli import options
from palmfolio.errors import PalmfolioError

if TYPE_CHECKING:
    from palmfolio.types import ServerInfo

_SECONDS = 5.0


def status(endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """Show whether each service is ready and what it has loaded; fail when one is not ready."""
    with options.client(endpoints) as client:
        infos = [
            _info("scorer", client.scorer.server_info),
            _info("trainer", client.trainer.server_info),
            _info("selector", client.selector.server_info),
        ]
    if as_json:
        from palmfolio.cli.render.plain import print_json

        print_json(infos)
    else:
        from palmfolio.cli.render import services

        console = options.console()
        console.print(services.services(infos))
        if any(info.loaded_models for info in infos):
            console.print(services.models(infos))
    if not all(info.readiness.ready for info in infos):
        raise typer.Exit(1)


def _info(name: str, ask: "Callable[..., ServerInfo]") -> "ServerInfo":
    """A service's own information; a service that does not answer counts as not ready."""
    from palmfolio.types import Readiness, ServerInfo

    try:
        return ask(timeout=_SECONDS)
    except PalmfolioError as error:
        return ServerInfo(service=name, readiness=Readiness(ready=False, reasons=(str(error),)))
