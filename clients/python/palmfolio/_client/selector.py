"""The selector's client."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from palmfolio import types
from palmfolio._calls import selector as calls
from palmfolio._calls import services
from palmfolio._client.service import Service
from palmfolio._operations import Operation

Build = Operation[types.Portfolio, types.BuildEvent]
"""A build: `events` yields `BuildEvent`s, `result` returns the `Portfolio`."""


class Selector(Service):
    """Builds portfolios, certifies them, and routes users to policies."""

    def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """Limits and readiness.

        Example:
            info = client.selector.server_info()
            print(info.version, info.limits)
        """
        return self._transport.unary(services.server_info("selector"), timeout)

    def create_prompt_set(
        self,
        prompts: Sequence[str | types.Prompt],
        *,
        display_name: str = "",
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.PromptSet:
        """Stores prompts; the same prompts are the same set.

        Example:
            prompts = ["How do I brew good coffee?", "Say hello."]
            prompt_set = client.selector.create_prompt_set(prompts, display_name="greetings")
        """
        call = calls.create_prompt_set(prompts, display_name, request_id)
        return self._transport.unary(call, timeout)

    def get_prompt_set(self, name: str, *, timeout: float | None = None) -> types.PromptSet:
        """One prompt set without its prompts, by name or id.

        Raises:
            NotFound: no set has this name.

        Example:
            stored = client.selector.get_prompt_set("promptSets/1f0c")
            print(stored.display_name, stored.prompt_count, "prompts")
        """
        return self._transport.unary(calls.get_prompt_set(name), timeout)

    def list_prompt_sets(self) -> Iterator[types.PromptSet]:
        """Prompt sets, newest first, without their prompts.

        Example:
            names = [stored.name for stored in client.selector.list_prompt_sets()]
        """
        return self._pages(calls.list_prompt_sets)

    def list_prompts(self, prompt_set: str) -> Iterator[types.Prompt]:
        """The prompts of a set, by its name or id, in order.

        Raises:
            NotFound: no set has this name.

        Example:
            for prompt in client.selector.list_prompts("promptSets/1f0c"):
                print(prompt, prompt.reference)
        """
        return self._pages(lambda token: calls.list_prompts(prompt_set, token))

    def build_portfolio(
        self,
        portfolio_id: str,
        spec: types.PortfolioSpec,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Build:
        """Starts building a portfolio, or resumes a build that failed; reuses what exists.

        Raises:
            AlreadyExists: the portfolio exists with another spec.

        Example:
            training = client.selector.create_prompt_set(["Say hello.", "Name a colour."])
            evaluation = client.selector.create_prompt_set(["Greet a friend.", "What is rain?"])
            spec = palmfolio.PortfolioSpec(
                base_model="smollm2-135m-instruct",
                traits=("brevity", "warmth"),
                training_prompt_set=training.name,
                evaluation_prompt_set=evaluation.name,
                strategy=palmfolio.UniformStrategy(resolution=2),
                delta=0.05,
            )
            build = client.selector.build_portfolio("greetings", spec)
            for event in build.events():
                print(event.stage, event.message)
            portfolio = build.result()
        """
        call = calls.build_portfolio(portfolio_id, spec, request_id)
        return Operation(self._transport, calls.BUILD, self._transport.unary(call, timeout))

    def get_portfolio(self, name: str, *, timeout: float | None = None) -> types.Portfolio:
        """One portfolio, by name or id.

        Raises:
            NotFound: no portfolio has this name.

        Example:
            portfolio = client.selector.get_portfolio("quickstart")
            for member in portfolio.members:
                print(member.policy, member.value)
        """
        return self._transport.unary(calls.get_portfolio(name), timeout)

    def list_portfolios(self) -> Iterator[types.Portfolio]:
        """Portfolios, newest first, without their sample answers.

        Example:
            names = [portfolio.name for portfolio in client.selector.list_portfolios()]
        """
        return self._pages(calls.list_portfolios)

    def delete_portfolio(self, name: str, *, timeout: float | None = None) -> None:
        """Deletes a portfolio; its policies and evaluations stay.

        Raises:
            FailedPrecondition: it is being built.

        Example:
            client.selector.delete_portfolio("quickstart")
        """
        self._transport.unary(calls.delete_portfolio(name), timeout)

    def route(
        self, portfolio: str, weights: types.Weights, *, timeout: float | None = None
    ) -> types.Route:
        """Finds the member of a portfolio that serves some weights best.

        Args:
            portfolio: name or id.
            weights: weight >= 0 by trait, in any scale; traits left out weigh 0.
            timeout: seconds.

        Raises:
            InvalidArgument: an unknown trait, or weights that are negative, NaN or all zero.
            FailedPrecondition: the portfolio is not ready.

        Example:
            route = client.selector.route("quickstart", {"brevity": 2, "warmth": 1})
            print(route.policy, route.value, f"within {route.gap:.3f} of the best")
        """
        return self._transport.unary(calls.route(portfolio, weights), timeout)

    def plan_portfolio(
        self, spec: types.PortfolioSpec, *, timeout: float | None = None
    ) -> types.Plan:
        """Tells what a build of this spec would train and could guarantee; nothing is spent.

        Example:
            spec = client.selector.get_portfolio("quickstart").spec
            plan = client.selector.plan_portfolio(spec)
            print(plan.trainings, "trainings,", plan.responses, "responses")
        """
        return self._transport.unary(calls.plan_portfolio(spec), timeout)

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
        error the rows before it are kept, and sending all rows again is harmless.

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

        Example:
            rows = [
                palmfolio.ImportedEvaluation("policies/kind", (0.9, 0.2), prompt="Say hello."),
                palmfolio.ImportedEvaluation("policies/brief", (0.3, 0.8), prompt="Say hello."),
            ]
            stored = client.selector.import_evaluations("study", ["warmth", "brevity"], rows)
            print(stored.rows, "rows about", stored.prompt_set)
        """
        call = calls.import_evaluations(source, traits, evaluations, trait_versions)
        return self._transport.client_stream(call, timeout)

    def list_evaluations(
        self, *, policy: str | None = None, trait: str | None = None, source: str | None = None
    ) -> Iterator[types.Evaluation]:
        """Stored rewards in a fixed order.

        Args:
            policy: only this policy, by name or id; None means every policy.
            trait: only this trait; None means every trait.
            source: only this source; None means every source.

        Example:
            for row in client.selector.list_evaluations(trait="brevity", source="study"):
                print(row.policy, row.prompt, row.normalised)
        """
        return self._pages(lambda token: calls.list_evaluations(policy, trait, source, token))

    def select_portfolio(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        epsilon: float = 0.0,
        delta: float = 0.0,
        max_size: int | None = None,
        method: types.SelectionMethod = types.SelectionMethod.MINIMUM,
        time_limit: float | None = None,
        confidence_level: float | None = None,
        portfolio_id: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.Selection:
        """Selects a portfolio from what was measured before; nothing is trained.

        Args:
            candidates: the policies to choose from: those of a ready portfolio, by its name or id,
                or those with stored evaluations.
            epsilon: multiplicative gap that is allowed, in [0, 1).
            delta: additive gap that is allowed, in [0, 1].
            max_size: members at most; None allows as many as needed. A size with epsilon and delta
                0 asks for the portfolio of that size with the smallest gap.
            method: how members are chosen.
            time_limit: seconds for proving that no smaller portfolio exists; None means the
                server's default.
            confidence_level: level of the confidence bound, in (0.5, 1); None means 0.95.
            portfolio_id: stores the portfolio under this id, to route with; None stores nothing.
            request_id: repeats a call that stores safely from another process.
            timeout: seconds.

        Raises:
            FailedPrecondition: no allowed portfolio meets the target (TARGET_INFEASIBLE), or a
                named policy lacks evaluations.
            AlreadyExists: there is another portfolio of that id.
            NotFound: there is no such portfolio or prompt set.

        Example:
            traits = ("warmth", "brevity")
            stored = palmfolio.StoredEvaluations("promptSets/1f0c", traits, source="study")
            selection = client.selector.select_portfolio(stored, delta=0.05, portfolio_id="study")
            print([member.policy for member in selection.portfolio.members])
        """
        call = calls.select_portfolio(
            candidates,
            epsilon=epsilon,
            delta=delta,
            max_size=max_size,
            method=method,
            time_limit=time_limit,
            confidence_level=confidence_level,
            portfolio_id=portfolio_id,
            request_id=request_id,
        )
        return self._transport.unary(call, timeout)

    def certify_portfolio(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        policies: Sequence[str] = (),
        epsilon: float = 0.0,
        delta: float = 0.0,
        confidence_level: float | None = None,
        timeout: float | None = None,
    ) -> types.Certification:
        """Certifies members against candidates.

        Args:
            candidates: as in `select_portfolio`.
            policies: members, each a candidate; empty means the portfolio's own.
            epsilon: the epsilon of the additive gap, in [0, 1).
            delta: the delta of the multiplicative gap, in [0, 1].
            confidence_level: level of the confidence bound, in (0.5, 1); None means 0.95.
            timeout: seconds.

        Example:
            certificate = client.selector.certify_portfolio("quickstart", epsilon=0.1).certificate
            print(certificate.additive, "for", certificate.worst_weights)
        """
        call = calls.certify_portfolio(candidates, policies, epsilon, delta, confidence_level)
        return self._transport.unary(call, timeout)

    def tradeoff_curve(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        max_size: int | None = None,
        time_limit: float | None = None,
        timeout: float | None = None,
    ) -> tuple[types.TradeoffPoint, ...]:
        """The smallest gap of every size among candidates, by size from 1.

        Args:
            candidates: as in `select_portfolio`, which also names policies that lack evaluations.
            max_size: the largest size, up to 64; None means 8.
            time_limit: seconds for all sizes together; None means the server's default.
            timeout: seconds.

        Example:
            for point in client.selector.tradeoff_curve("quickstart", max_size=4):
                print(point.size, point.gap)
        """
        call = calls.tradeoff_curve(candidates, max_size, time_limit)
        return self._transport.unary(call, timeout)

    def operation(self, name: str, *, timeout: float | None = None) -> Build:
        """The build operation of that name.

        Example:
            portfolio = client.selector.operation("operations/81d2").result(timeout=3600)
        """
        message = self._transport.unary(services.get_operation("selector", name), timeout)
        return Operation(self._transport, calls.BUILD, message)

    def list_operations(self) -> Iterator[Build]:
        """Build operations.

        Example:
            running = [item for item in client.selector.list_operations() if not item.done]
        """
        for message in self._pages(lambda token: services.list_operations("selector", token)):
            yield Operation(self._transport, calls.BUILD, message)
