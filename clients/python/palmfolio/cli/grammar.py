"""The grammar of the command line: `palmfolio NOUN VERB`, and verbs without a noun.

Nouns are plural in the help and in the docs. The singular is understood everywhere, because
`palmfolio portfolio build` reads as naturally as `palmfolio portfolios list`; it is not listed, so
that there is one name to learn. A noun without a verb lists.
"""

from typing import Any

from typer.core import TyperGroup

_LIST = "list"
_HELP = "--help"


class Root(TyperGroup):
    """The commands of `palmfolio`: understands the singular of every noun."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or of its plural; None when there is none."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, plural(cmd_name))


class Noun(TyperGroup):
    """The verbs of one noun: without a verb, it lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `list` in front of arguments that start with no verb."""
        no_verb = not args or (args[0].startswith("-") and _HELP not in args)
        if no_verb and _LIST in self.commands:
            args = [_LIST, *args]
        return super().parse_args(ctx, args)


def plural(noun: str) -> str:
    """The plural of a regular English noun: `policy` becomes `policies`."""
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
