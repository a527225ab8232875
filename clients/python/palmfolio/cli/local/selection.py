"""The search for a portfolio in a table of values; needs numpy, scipy and palm."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import palmfolio_palm as palm
from palmfolio.cli.files.evaluation_table import Table
from palmfolio.errors import PalmfolioError

#: A step of the search that is under way at the time limit may take this much longer, in seconds.
GRACE = 4.0
#: Share of the time for the greedy cover, which is the answer should the search be ended.
_GREEDY_SHARE = 0.4
#: With a size, the share of the time for the smallest portfolio; the rest is for the best of it.
_MINIMUM_SHARE = 0.6
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    Attributes:
        epsilon: multiplicative gap that is allowed, in [0, 1).
        delta: additive gap that is allowed, >= 0.
        size: members at most; 0 for as many as needed. With epsilon = delta = 0 and a size there
            is no target: the best portfolio of that size is wanted.
        greedy: leave it at the greedy cover.
        seconds: time for the search.
    """

    epsilon: float
    delta: float
    size: int
    greedy: bool
    seconds: float

    @property
    def is_best_of_size(self) -> bool:
        """Whether only the size is given."""
        return self.size > 0 and self.epsilon == 0 and self.delta == 0


@dataclass(frozen=True, slots=True)
class Found:
    """A portfolio and what is proven of it.

    Attributes:
        members: rows of the table, increasing.
        lower_bound: no portfolio with fewer members meets the target; 1 without a target.
        gap_lower_bound: no portfolio of the size asked for has a smaller gap; None when the
            smallest portfolio was asked for.
        optimal: proven smallest for the target, or best of its size.
        additive: the additive gap at epsilon, exact over every weighting.
        multiplicative: the multiplicative gap at delta; None where it has no meaning.
        worst_weights: d weights at which `additive` is reached.
    """

    members: tuple[int, ...]
    lower_bound: int
    gap_lower_bound: float | None
    optimal: bool
    additive: float
    multiplicative: float | None
    worst_weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Interim:
    """What there is while the search goes on."""

    found: Found


class Infeasible(PalmfolioError):
    """No portfolio of the allowed size meets the target."""


def search(table: Table, wish: Wish, progress: Callable[[palm.Progress], None]) -> Found:
    """The portfolio that is asked for, with its bounds, soon after `wish.seconds`.

    The work is done in a process of its own: one step of it can take minutes when a target needs
    hundreds of members, and can then be ended. The answer is in that case the greedy cover, or when
    there is not even that, every policy that is Pareto-optimal, which loses nothing.

    Raises:
        Infeasible: naming the weights and the best gap that was reached.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(theirs, table, wish), daemon=True)
    worker.start()
    theirs.close()
    interim, lower = _everything(table), 1
    try:
        # Loading numpy and scipy is no part of the search.
        ours.recv()
        deadline = time.monotonic() + wish.seconds + GRACE
        while ours.poll(max(0.0, deadline - time.monotonic())):
            message = ours.recv()
            if isinstance(message, palm.Progress):
                lower = max(lower, round(message.lower))
                progress(message)
            elif isinstance(message, _Interim):
                interim = message.found
            elif isinstance(message, Infeasible):
                raise message
            elif isinstance(message, Found):
                return message
            else:
                raise PalmfolioError(f"the search failed: {message}")
    except EOFError:
        raise PalmfolioError(
            "the search was ended from outside, perhaps for want of memory; try a larger epsilon "
            "or delta, or --method greedy"
        ) from None
    finally:
        worker.kill()
        worker.join()
    if wish.size and len(interim.members) > wish.size:
        raise Infeasible(
            f"no portfolio of {wish.size} policies was found within {wish.seconds:g} s; raise "
            "--size, --epsilon, --delta or --time-limit"
        )
    return replace(interim, lower_bound=lower, optimal=lower == len(interim.members))


def _work(answers: Connection, table: Table, wish: Wish) -> None:
    try:
        answers.send("begun")
        answers.send(_search(table, wish, answers.send))
    except KeyboardInterrupt:
        # The parent has it too, and says so.
        return
    except Exception as error:
        answers.send(error if isinstance(error, Infeasible) else f"{type(error).__name__}: {error}")


def _everything(table: Table) -> Found:
    members = tuple(int(index) for index in palm.pareto(table.values))
    d = len(table.traits)
    loses_nothing = all(max(column) > 0 for column in zip(*table.values, strict=True))
    return Found(
        members, 1, None, len(members) == 1, 0.0, 0.0 if loses_nothing else None, (1 / d,) * d
    )


def _search(table: Table, wish: Wish, send: Callable[[Any], None]) -> Found:
    started = time.monotonic()
    V, size = table.values, min(wish.size, len(table.policies))
    if wish.is_best_of_size:
        best = palm.best_portfolio(V, size, time_limit=wish.seconds, progress=send)
        return _found(best.indices, best.certificate, 1, best.lower_bound, best.optimal)
    share = 1.0 if wish.greedy else _GREEDY_SHARE
    cover = palm.greedy_cover(V, wish.epsilon, wish.delta, time_limit=share * wish.seconds)
    members, exact, lower = cover.indices, cover.certificate, 1
    if not wish.greedy:
        send(_Interim(_found(members, exact, lower, None, len(members) == lower)))
        left = (_MINIMUM_SHARE if size else 1.0) * wish.seconds - (time.monotonic() - started)
        smallest = palm.min_portfolio(
            V, wish.epsilon, wish.delta, time_limit=max(0.1, left), start=cover, progress=send
        )
        members, exact, lower = smallest.indices, smallest.certificate, smallest.lower_bound
    if not size or len(members) <= size:
        return _found(members, exact, lower, None, len(members) == lower)
    left = max(0.1, wish.seconds - (time.monotonic() - started))
    best = palm.best_portfolio(V, size, eps=wish.epsilon, time_limit=left, progress=send)
    if best.gap > wish.delta + _TOLERANCE:
        raise _infeasible(table, wish, best, proven=max(lower - size, 0) > 0)
    exact = palm.certificate(V, best.indices, wish.epsilon, wish.delta)
    return _found(best.indices, exact, lower, None, len(best.indices) == lower)


def _infeasible(table: Table, wish: Wish, best: palm.BestPortfolio, *, proven: bool) -> Infeasible:
    proven = proven or best.lower_bound > wish.delta + _TOLERANCE
    how = "no portfolio" if proven else "no portfolio that was found in time"
    worst = best.certificate.worst_weights_additive
    weights = ", ".join(
        f"{trait}={weight:.3g}" for trait, weight in zip(table.traits, worst, strict=True)
    )
    return Infeasible(
        f"{how} of {wish.size} policies meets epsilon {wish.epsilon:g} and delta {wish.delta:g}: "
        f"the best one has an additive gap of {best.gap:.6g}, at the weights {weights}; raise "
        f"--size, or raise --delta to that gap{'' if proven else ', or give more --time-limit'}"
    )


def _found(
    members: Any, exact: palm.Certificate, lower: int, gap_lower: float | None, optimal: bool
) -> Found:
    return Found(
        members=tuple(int(index) for index in members),
        lower_bound=lower,
        gap_lower_bound=gap_lower,
        optimal=optimal,
        additive=exact.additive,
        multiplicative=exact.multiplicative,
        worst_weights=tuple(float(weight) for weight in exact.worst_weights_additive),
    )
