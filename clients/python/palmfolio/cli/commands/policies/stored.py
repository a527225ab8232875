"""`palmfolio policies list`, `show` and `delete`: the policies that the trainer has."""

from typing import Annotated

import typer

from palmfolio.cli import options

Name = Annotated[str, typer.Argument(metavar="NAME", help="`policies/ID`, or the id.")]


def list_policies(endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """List the policies that the trainer has, newest first."""
    with options.client(endpoints) as client:
        policies = list(client.trainer.list_policies())
    from palmfolio.cli.render import tables

    options.show(as_json, policies, tables.policies)


def show(name: Name, endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """Show a policy: what determines it, and where its adapter is."""
    with options.client(endpoints) as client:
        policy = client.trainer.get_policy(name)
    from palmfolio.cli.render import trainings

    options.show(as_json, policy, trainings.policy)


def delete(name: Name, endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """Delete a policy and its adapter. Its evaluations stay."""
    with options.client(endpoints) as client:
        client.trainer.delete_policy(name)
    options.show_deleted(as_json, "policies", name)
