"""The client for threads. `_async_client` holds the same for asyncio, method by method."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from palmfolio import _calls, types
from palmfolio._calls import BUILD, TRAINING, Call, Page
from palmfolio._connection import TLS, Timeouts, connection
from palmfolio._operations import Operation
from palmfolio._retry import Deadline
from palmfolio._scoring import threads
from palmfolio._scoring.session import DEFAULT_WINDOW, Session
from palmfolio._transport import SyncTransport

Item = TypeVar("Item")

Training = Operation[types.Policy, types.TrainingEvent]
Build = Operation[types.Portfolio, types.BuildEvent]


class Client:
    """Speaks to the scorer, the trainer and the selector; safe to share between threads.

    Every call takes `timeout` in seconds, retries included; None takes the client's. Calls that
    change something carry a request id, so that a retry never does the work twice; give your own
    `request_id` to repeat a call safely from another process.

    Args:
        endpoints: addresses by service (`{"scorer": "host:port", …}`) or the path of a connection
            file, such as the quickstart's `endpoints.json`. None takes the file that the
            environment variable `PALMFOLIO_ENDPOINTS` names.
        scorer: address of the scorer; goes before `endpoints`, as do the other two.
        trainer: address of the trainer.
        selector: address of the selector.
        token: bearer token; None takes the file's, then `PALMFOLIO_TOKEN`.
        tls: TLS of the channels; None takes the file's.
        insecure: lets the token travel without TLS to addresses other than loopback.
        timeouts: what calls may take unless they say otherwise.

    Raises:
        ConfigurationError: no address is known, or the connection file cannot be used.
    """

    def __init__(
        self,
        endpoints: Mapping[str, str] | str | Path | None = None,
        *,
        scorer: str | None = None,
        trainer: str | None = None,
        selector: str | None = None,
        token: str | None = None,
        tls: TLS | None = None,
        insecure: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        explicit = {"scorer": scorer, "trainer": trainer, "selector": selector}
        settled = connection(endpoints, explicit, token, tls, insecure)
        self._transport = SyncTransport(settled, timeouts or Timeouts())
        self.scorer = Scorer(self._transport)
        self.trainer = Trainer(self._transport)
        self.selector = Selector(self._transport)

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Service:
    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    def _pages(self, call: Callable[[str], Call[Page[Item]]]) -> Iterator[Item]:
        token = ""
        while True:
            items, token = self._transport.unary(call(token))
            yield from items
            if not token:
                return


class Scorer(_Service):
    """Turns responses into one reward per trait."""

    def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """Limits, versions, devices and readiness."""
        return self._transport.unary(_calls.server_info("scorer"), timeout)

    def list_traits(self) -> Iterator[types.Trait]:
        """The traits that the server scores."""
        return self._pages(_calls.list_traits)

    def score(
        self,
        samples: Iterable[types.Sample],
        *,
        traits: Sequence[str] = (),
        timeout: float | None = None,
    ) -> types.Rewards:
        """Scores samples; one that cannot be scored has its own status and harms no other.

        Args:
            samples: at least one.
            traits: which traits; none means all.
            timeout: seconds.

        Raises:
            InvalidArgument: an unknown trait, no samples, or more than the server takes.
            ResourceExhausted: the queue stayed full until the timeout.
        """
        return self._transport.unary(_calls.score(samples, traits), timeout)

    def score_stream(
        self,
        samples: Iterable[types.Sample],
        *,
        traits: Sequence[str] = (),
        window: int = DEFAULT_WINDOW,
        timeout: float | None = None,
    ) -> Iterator[types.ScoredSample]:
        """Scores any number of samples, in order, as fast as the server can and no faster.

        Samples are sent in messages within the server's limits, many at work at once. Overload is
        waited out; a stream that breaks is opened again, and what has no answer is sent again: no
        sample is lost, and none comes twice. Dropping the iterator cancels what is under way.

        Args:
            samples: any iterable, read once, on another thread, `window` ahead at most.
            traits: which traits; none means all.
            window: samples in memory at most.
            timeout: seconds for everything; None sets no end, as long as the server answers
                anything within `Timeouts.score`.

        Raises:
            InvalidArgument: an unknown trait.
            Unavailable: the server was away for longer than `Timeouts.score`.
            DeadlineExceeded: not everything was scored in time.
            Exception: what reading the samples raised, after the rewards of those before.
        """
        deadline = Deadline(timeout)
        info = self.server_info(timeout=deadline.remaining())
        served = self.list_traits()
        session = Session(self._transport, info, served, traits, window, deadline)
        yield from threads.scored(self._transport, session, samples)

    def calibrate(
        self,
        trait: str,
        samples: Iterable[types.Sample],
        *,
        method: types.CalibrationMethod,
        tail: float = 0.0,
        validate_only: bool = False,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.Calibration:
        """Fits a trait's normalisation to samples: the trait gets a new version.

        Args:
            trait: its name.
            samples: typical ones, at least 8.
            method: how the normalisation is fitted.
            tail: for MINMAX, the share of samples in [0, 0.5) that may lie beyond each end.
            validate_only: answers what would be stored, and stores nothing.
            request_id: repeats a call safely from another process.
            timeout: seconds.

        Raises:
            InvalidArgument: an unknown trait, or samples whose rewards do not differ.
            FailedPrecondition: the server keeps no calibrations, or too few samples can be scored.
        """
        call = _calls.calibrate(trait, samples, method, tail, validate_only, request_id)
        return self._transport.unary(call, timeout)


class Trainer(_Service):
    """Aligns policies to weights, and samples from them."""

    def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """Limits, base models, devices and readiness."""
        return self._transport.unary(_calls.server_info("trainer"), timeout)

    def train_policy(
        self,
        spec: types.PolicySpec,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Training:
        """Starts training a policy, or finds it: the same spec is trained once."""
        message = self._transport.unary(_calls.train_policy(spec, request_id), timeout)
        return _training(self._transport, message)

    def get_policy(self, name: str, *, timeout: float | None = None) -> types.Policy:
        """One policy, by name or id.

        Raises:
            NotFound: there is none of that name.
        """
        return self._transport.unary(_calls.get_policy(name), timeout)

    def list_policies(self) -> Iterator[types.Policy]:
        """Policies, newest first; the unchanged base models among them."""
        return self._pages(_calls.list_policies)

    def delete_policy(self, name: str, *, timeout: float | None = None) -> None:
        """Deletes a policy and its adapter.

        Raises:
            FailedPrecondition: it is in training, or a base model.
        """
        self._transport.unary(_calls.delete_policy(name), timeout)

    def generate(
        self,
        policies: Sequence[str],
        prompts: Sequence[str],
        *,
        sampling: types.SamplingConfig | None = None,
        timeout: float | None = None,
    ) -> list[types.Completion]:
        """Samples responses, in the order of the policies, the prompts and the samples."""
        stream = self.generate_stream(policies, prompts, sampling=sampling, timeout=timeout)
        return _calls.in_request_order(list(stream), policies)

    def generate_stream(
        self,
        policies: Sequence[str],
        prompts: Sequence[str],
        *,
        sampling: types.SamplingConfig | None = None,
        timeout: float | None = None,
    ) -> Iterator[types.Completion]:
        """Samples responses as they come, in no promised order."""
        call = _calls.generate(policies, prompts, sampling)
        for batch in self._transport.stream(call, timeout):
            yield from batch

    def operation(self, name: str, *, timeout: float | None = None) -> Training:
        """The training operation of that name."""
        message = self._transport.unary(_calls.get_operation("trainer", name), timeout)
        return _training(self._transport, message)

    def list_operations(self) -> Iterator[Training]:
        """Training operations."""
        for message in self._pages(lambda token: _calls.list_operations("trainer", token)):
            yield _training(self._transport, message)


class Selector(_Service):
    """Builds portfolios, certifies them, and routes users to policies."""

    def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """Limits and readiness."""
        return self._transport.unary(_calls.server_info("selector"), timeout)

    def create_prompt_set(
        self,
        prompts: Sequence[str],
        *,
        display_name: str = "",
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.PromptSet:
        """Stores prompts; the same prompts are the same set."""
        call = _calls.create_prompt_set(prompts, display_name, request_id)
        return self._transport.unary(call, timeout)

    def build_portfolio(
        self,
        portfolio_id: str,
        spec: types.PortfolioSpec,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Build:
        """Starts building a portfolio, or takes up a build that failed; reuses what exists.

        Raises:
            AlreadyExists: the portfolio exists with another spec.
        """
        call = _calls.build_portfolio(portfolio_id, spec, request_id)
        return _build(self._transport, self._transport.unary(call, timeout))

    def get_portfolio(self, name: str, *, timeout: float | None = None) -> types.Portfolio:
        """One portfolio, by name or id.

        Raises:
            NotFound: there is none of that name.
        """
        return self._transport.unary(_calls.get_portfolio(name), timeout)

    def list_portfolios(self) -> Iterator[types.Portfolio]:
        """Portfolios, newest first, without their sample answers."""
        return self._pages(_calls.list_portfolios)

    def delete_portfolio(self, name: str, *, timeout: float | None = None) -> None:
        """Deletes a portfolio; its policies and evaluations stay.

        Raises:
            FailedPrecondition: it is being built.
        """
        self._transport.unary(_calls.delete_portfolio(name), timeout)

    def route(
        self, portfolio: str, weights: types.Weights, *, timeout: float | None = None
    ) -> types.Route:
        """The member of a portfolio that serves some weights best.

        Args:
            portfolio: name or id.
            weights: weight >= 0 by trait, in any scale; traits left out weigh 0.
            timeout: seconds.

        Raises:
            InvalidArgument: an unknown trait, or weights that are negative, NaN or all zero.
            FailedPrecondition: the portfolio is not ready.
        """
        return self._transport.unary(_calls.route(portfolio, weights), timeout)

    def plan_portfolio(
        self, spec: types.PortfolioSpec, *, timeout: float | None = None
    ) -> types.Plan:
        """What a build of this spec would train and could guarantee; nothing is spent."""
        return self._transport.unary(_calls.plan_portfolio(spec), timeout)

    def import_evaluations(
        self,
        source: str,
        traits: Sequence[str],
        evaluations: Iterable[types.ImportedEvaluation],
        *,
        trait_versions: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> types.EvaluationImport:
        """Stores rewards that were measured elsewhere, to select portfolios from.

        Rows are read and sent in messages of at most 1,000, each stored as it comes: after an
        error those before are kept, and sending all again is harmless.

        Args:
            source: where they come from, 1 to 63 of a-z, 0-9 and `-`, starting with a letter;
                rewards of different sources never mix.
            traits: names of the columns of the rewards, 1 to 20.
            evaluations: rows; any iterable, read once, on another thread.
            trait_versions: versions by trait; those left out are `imported`.
            timeout: seconds.

        Raises:
            InvalidArgument: bad rows, counted from 0 over all rows.
            AlreadyExists: another reward is stored for the same response and trait.
        """
        call = _calls.import_evaluations(source, traits, evaluations, trait_versions)
        return self._transport.client_stream(call, timeout)

    def list_evaluations(
        self, *, policy: str = "", trait: str = "", source: str = ""
    ) -> Iterator[types.Evaluation]:
        """Stored rewards in a fixed order: of one policy, trait or source where that is given."""
        return self._pages(lambda token: _calls.list_evaluations(policy, trait, source, token))

    def select_portfolio(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        epsilon: float = 0.0,
        delta: float = 0.0,
        max_size: int = 0,
        method: types.SelectionMethod = types.SelectionMethod.MINIMUM,
        time_limit: float | None = None,
        confidence_level: float = 0.0,
        portfolio_id: str = "",
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.Selection:
        """Selects a portfolio from what was measured before; nothing is trained.

        Args:
            candidates: what is chosen from: a ready portfolio, by name or id, or stored
                evaluations.
            epsilon: multiplicative gap that is allowed, in [0, 1).
            delta: additive gap that is allowed, in [0, 1].
            max_size: members at most, 0 means as many as needed; a size with epsilon = delta = 0
                means the portfolio of that size with the smallest gap.
            method: how members are chosen.
            time_limit: seconds for proving that no smaller portfolio exists; None means the
                server's default.
            confidence_level: of the confidence bound, in (0.5, 1); 0 means 0.95.
            portfolio_id: stores the portfolio under this id, to route with; empty does not.
            request_id: repeats a call that stores safely from another process.
            timeout: seconds.

        Raises:
            FailedPrecondition: no allowed portfolio meets the target (TARGET_INFEASIBLE), or a
                named policy lacks evaluations.
            AlreadyExists: there is another portfolio of that id.
            NotFound: there is no such portfolio or prompt set.
        """
        target = (epsilon, delta, max_size)
        call = _calls.select_portfolio(
            candidates, target, method, time_limit, confidence_level, portfolio_id, request_id
        )
        return self._transport.unary(call, timeout)

    def certify_portfolio(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        policies: Sequence[str] = (),
        epsilon: float = 0.0,
        delta: float = 0.0,
        timeout: float | None = None,
    ) -> types.Certification:
        """Certifies members against candidates.

        Args:
            candidates: as in `select_portfolio`.
            policies: members, each a candidate; none means the portfolio's own.
            epsilon: at which the additive gap is taken, in [0, 1).
            delta: at which the multiplicative gap is taken, in [0, 1].
            timeout: seconds.
        """
        call = _calls.certify_portfolio(candidates, policies, epsilon, delta)
        return self._transport.unary(call, timeout)

    def tradeoff_curve(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        max_size: int = 0,
        time_limit: float | None = None,
        timeout: float | None = None,
    ) -> tuple[types.TradeoffPoint, ...]:
        """The smallest gap of every size among candidates, by size from 1.

        Args:
            candidates: as in `select_portfolio`, which also names policies that lack evaluations.
            max_size: the largest size, up to 64; 0 means 8.
            time_limit: seconds for all sizes together; None means the server's default.
            timeout: seconds.
        """
        call = _calls.tradeoff_curve(candidates, max_size, time_limit)
        return self._transport.unary(call, timeout)

    def operation(self, name: str, *, timeout: float | None = None) -> Build:
        """The build operation of that name."""
        message = self._transport.unary(_calls.get_operation("selector", name), timeout)
        return _build(self._transport, message)

    def list_operations(self) -> Iterator[Build]:
        """Build operations."""
        for message in self._pages(lambda token: _calls.list_operations("selector", token)):
            yield _build(self._transport, message)


def _training(transport: SyncTransport, message: Any) -> Training:
    return Operation(transport, TRAINING, message)


def _build(transport: SyncTransport, message: Any) -> Build:
    return Operation(transport, BUILD, message)
