"""`palmfolio policies`: what the trainer has."""

from palmfolio.cli import options


def policies(endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """List the policies that the trainer has, newest first."""
    with options.client(endpoints) as client:
        found = list(client.trainer.list_policies())
    from palmfolio.cli.render import tables

    options.show(as_json, found, tables.policies)
