"""The quickstart from start to end."""

import dataclasses
import json
from pathlib import Path

import yaml
from rich.console import Console

from palmfolio import types
from palmfolio._async_client import AsyncClient
from palmfolio._connection import SERVICES
from palmfolio._names import resource_id
from palmfolio.cli.files.portfolio_spec import PortfolioFile, load_portfolio
from palmfolio.cli.local.processes import Stack, check_installed, run_until_signalled, supervised
from palmfolio.cli.local.quickstart.settings import Settings, exclusively
from palmfolio.cli.local.quickstart.timing import Stopwatch
from palmfolio.cli.local.quickstart.users import ask
from palmfolio.cli.local.readiness import wait_until_ready
from palmfolio.cli.render import tables
from palmfolio.cli.render.progress import BuildProgress
from palmfolio.errors import AlreadyExists, PalmfolioError
from palmfolio.report import Report, render, summary, tradeoff


class Quickstart:
    """One run of the quickstart.

    Args:
        settings: where to read and write.
        console: where to print progress and results.
    """

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._stopwatch = Stopwatch(settings.output / "state" / "seconds.json")
        self._report: Report | None = None

    def run(self) -> int | None:
        """Runs until the report is written, or until a signal.

        Returns:
            The signal's number, or None at the end.

        Raises:
            PalmfolioError: something failed; the message names a service that died.
        """
        wanted = load_portfolio(self._settings.spec)
        check_installed(SERVICES)
        with exclusively(self._settings.output):
            services = self._settings.services()
            file = self._settings.output / "services.yaml"
            file.write_text(yaml.safe_dump(services, sort_keys=False), encoding="utf-8")
            stack = Stack(self._settings.output, services)
            return run_until_signalled(stack, lambda: self._work(stack, wanted))

    @property
    def report(self) -> Report | None:
        """The report; None until the portfolio is built."""
        return self._report

    async def _work(self, stack: Stack, wanted: PortfolioFile) -> None:
        async with stack:
            self._title("Starting the services")
            with self._stopwatch.stage("start"):
                await stack.start(lambda name, at: self._say(f"{name:9} {at}  {_log(stack, name)}"))
                await supervised(stack, self._until_ready(stack))
            report = await supervised(stack, self._build_and_ask(stack, wanted))
            self._report = dataclasses.replace(report, seconds=self._stopwatch.seconds())
            self._tell(self._report)
            self._write(self._report)
            self._title("Stopping the services")
        self._close()

    async def _until_ready(self, stack: Stack) -> None:
        await wait_until_ready(stack.addresses, lambda name, news: self._say(f"{name:9} {news}"))

    async def _build_and_ask(self, stack: Stack, wanted: PortfolioFile) -> Report:
        async with AsyncClient(stack.addresses) as client:
            portfolio = await self._build(client, wanted)
            with self._stopwatch.stage("answers"):
                self._title("Asking the portfolio")
                users = await ask(client, portfolio, wanted.evaluation_prompts)
            curve = await client.selector.tradeoff_curve(
                portfolio.name,
                max_size=tradeoff.largest_size(portfolio),
                time_limit=tradeoff.SECONDS,
            )
        return Report(portfolio, users, tradeoff=curve)

    async def _build(self, client: AsyncClient, wanted: PortfolioFile) -> types.Portfolio:
        self._title("Building the portfolio")
        training = await client.selector.create_prompt_set(
            wanted.training_prompts, display_name=f"{wanted.portfolio_id} training"
        )
        evaluation = await client.selector.create_prompt_set(
            wanted.evaluation_prompts, display_name=f"{wanted.portfolio_id} evaluation"
        )
        spec = wanted.with_prompt_sets(training.name, evaluation.name)
        try:
            operation = await client.selector.build_portfolio(wanted.portfolio_id, spec)
        except AlreadyExists as error:
            raise PalmfolioError(
                f"{error}. Give the portfolio another id in {self._settings.spec}, or start again "
                "with another --output"
            ) from error
        if operation.done and operation.error is None:
            self._say("everything exists from an earlier run")
        with BuildProgress(self._console) as progress:
            try:
                async for event in operation.events():
                    progress.show(event)
            finally:
                # Also when interrupted: the next run adds its own seconds to these.
                self._stopwatch.add_build(operation.name, progress.seconds)
        return await operation.result()

    def _tell(self, report: Report) -> None:
        name = resource_id(report.portfolio.name)
        self._title(f"The portfolio {name}")
        self._console.print(tables.portfolio(report))
        self._console.print(tables.certificate(report))
        for failed in report.portfolio.failed_trainings:
            why = failed.error.message if failed.error else "no reason was given"
            self._say(f"a training failed ({tables.weights_text(failed.weights)}): {why}")
        self._title("The same questions from three users")
        self._console.print(tables.answers(report))

    def _write(self, report: Report) -> None:
        output = self._settings.output
        content = json.dumps(summary(report), indent=2, ensure_ascii=False) + "\n"
        (output / "portfolio.json").write_text(content, encoding="utf-8")
        (output / "report.html").write_text(render(report), encoding="utf-8")

    def _close(self) -> None:
        output = self._settings.output
        self._title("Done")
        self._say(f"{output / 'report.html'}     the report: open it in a browser")
        self._say(f"{output / 'portfolio.json'}  the same as data")
        config = output / "services.yaml"
        self._say(f"palmfolio serve all --config {config}  starts the services again")

    def _title(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold", markup=False, highlight=False)

    def _say(self, text: str) -> None:
        self._console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)


def _log(stack: Stack, service: str) -> Path:
    log = stack.log(service)
    try:
        return log.relative_to(Path.cwd())
    except ValueError:
        return log
