"""The tree of commands, and how their errors are shown."""

import sys
from collections.abc import Sequence
from typing import Any

import typer

from palmfolio.cli.commands import (
    evaluations,
    operations,
    policies,
    portfolios,
    prompts,
    score,
    select,
    traits,
)
from palmfolio.cli.commands.policies import generate, train
from palmfolio.cli.commands.portfolios import route
from palmfolio.cli.commands.services import quickstart, serve, status
from palmfolio.cli.grammar import Root
from palmfolio.errors import ConfigurationError, InvalidArgument, PalmfolioError

FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130

# The exception that Typer raises for bad usage; its public name differs between versions.
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="palmfolio",
    cls=Root,
    help="A handful of aligned language models in which every user finds a near-optimal one.",
    no_args_is_help=True,
    # No completion options, which would fill the help; no Rich markup, which would swallow texts in
    # square brackets; no Rich tracebacks, because `run` explains errors itself.
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# In the order in which the help lists them: run services, make a portfolio, use it, look at parts.
app.command("quickstart")(quickstart.quickstart)
app.command("serve")(serve.serve)
app.command("status")(status.status)
app.command("select")(select.select)
app.command("route")(route.route)
app.command("score")(score.score)
app.command("train")(train.train)
app.command("generate")(generate.generate)
app.add_typer(portfolios.app, name="portfolios")
app.add_typer(policies.app, name="policies")
app.add_typer(traits.app, name="traits")
app.add_typer(prompts.app, name="prompts")
app.add_typer(evaluations.app, name="evaluations")
app.add_typer(operations.app, name="operations")


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code; errors are one paragraph, without a traceback."""
    try:
        # Outside standalone mode Typer raises errors to us instead of printing them in its own
        # form.
        code = app(list(arguments), prog_name="palmfolio", standalone_mode=False)
    except _UsageError as error:
        _explain_usage(error)
        return BAD_USAGE
    except (ConfigurationError, InvalidArgument) as error:
        _explain(str(error))
        return BAD_USAGE
    except PalmfolioError as error:
        _explain(str(error))
        return FAILED
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        _explain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has stopped reading. That is not an error.
        sys.stderr.close()
        return 0
    except OSError as error:
        _explain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return FAILED
    return code if isinstance(code, int) else 0


def _explain_usage(error: Any) -> None:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return
    path = context.command_path if context is not None else "palmfolio"
    message = error.format_message().rstrip(".")
    # Typer's guesses end with a question mark: "Did you mean 'policies'?"
    stop = "" if message.endswith("?") else "."
    _explain(f"{message}{stop} See `{path} --help`.")


def _explain(message: str) -> None:
    typer.echo(f"error: {message}", err=True)
