"""The selection from a table on this machine, in a process of its own; needs numpy and scipy.

What is chosen is decided by `palmfolio_palm.select`, as in the selector. Here it is only run so
that it ends soon after its time limit.
"""

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection

import palmfolio_palm as palm
from palmfolio.cli.files.evaluations.table import Table
from palmfolio.errors import PalmfolioError

# Seconds that a step of the search under way at the time limit may still take, on a busy machine
# too: what ends is better than the first answer.
GRACE = 4.0
# Matrices of a selection are small: further threads for their products wait more than they work,
# most of all on a busy machine. These variables are read when numpy is loaded.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Infeasible(PalmfolioError):
    """No portfolio of the allowed size meets the target."""


def search(
    table: Table,
    target: palm.Target,
    seconds: float,
    *,
    greedy: bool,
    progress: Callable[[palm.Progress], None],
) -> palm.Selection:
    """The portfolio that is asked for, with its bounds, soon after `seconds`.

    The work is done in a process of its own, on one thread, which can be ended at any step. The
    answer is in that case the first one: the greedy cover, or for the best of a size a forward
    selection. When there is not even that, it is every policy that is Pareto-optimal, which loses
    nothing.

    Args:
        table: what to choose from.
        target: what is asked.
        seconds: time for the search.
        greedy: leave it at the greedy cover.
        progress: called after every step.

    Raises:
        Infeasible: naming the weights and the best gap that was reached.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    arguments = (theirs, table, target, seconds, greedy)
    worker = context.Process(target=_work, args=arguments, daemon=True)
    with _one_thread():
        worker.start()
    theirs.close()
    interim: palm.Selection | None = None
    lower, lower_gap = 1, 0.0
    try:
        # Loading numpy and scipy does not count as search.
        ours.recv()
        deadline = time.monotonic() + seconds + GRACE
        while ours.poll(max(0.0, deadline - time.monotonic())):
            message = ours.recv()
            if isinstance(message, palm.Progress):
                if message.measure == "size":
                    lower = max(lower, round(message.lower))
                elif target.is_best_of_size:
                    lower_gap = max(lower_gap, message.lower)
                progress(message)
            elif isinstance(message, _Interim):
                interim = message.selection
            elif isinstance(message, Infeasible):
                raise message
            elif isinstance(message, palm.Selection):
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
    if interim is None:
        interim = palm.whole(table.values, target)
    if target.is_best_of_size and len(interim.members) <= target.max_size:
        return replace(interim, gap_lower_bound=lower_gap)
    if target.max_size and len(interim.members) > target.max_size:
        raise Infeasible(
            f"no portfolio of {target.max_size} policies was found within {seconds:g} s; raise "
            "--size, --epsilon, --delta or --time-limit"
        )
    return replace(interim, size_lower_bound=lower, optimal=lower == len(interim.members))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A process that starts here computes on one thread, unless the user asks for more."""
    added = [name for name in _ONE_THREAD if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


class _Interim:
    """A selection to answer with if the search must be ended."""

    def __init__(self, selection: palm.Selection) -> None:
        self.selection = selection


def _work(
    answers: Connection, table: Table, target: palm.Target, seconds: float, greedy: bool
) -> None:
    try:
        answers.send("begun")
        answers.send(
            palm.select(
                table.values,
                target,
                seconds,
                greedy=greedy,
                progress=answers.send,
                interim=lambda selection: answers.send(_Interim(selection)),
            )
        )
    except KeyboardInterrupt:
        # The parent has it too, and reports it.
        return
    except palm.TargetInfeasible as error:
        answers.send(_infeasible(table, target, error))
    except Exception as error:
        answers.send(f"{type(error).__name__}: {error}")


def _infeasible(table: Table, target: palm.Target, error: palm.TargetInfeasible) -> Infeasible:
    subject = "no portfolio" if error.proven else "no portfolio that was found in time"
    weights = ", ".join(
        f"{trait}={weight:.3g}" for trait, weight in zip(table.traits, error.weights, strict=True)
    )
    gap = palm.rounded_up(error.gap)
    more_time = "" if error.proven else ", or give more --time-limit"
    return Infeasible(
        f"{subject} of {target.max_size} policies meets epsilon {target.epsilon:g} and delta "
        f"{target.delta:g}: the best one has an additive gap of {gap}, at the weights "
        f"{weights}; raise --size, or raise --delta to {gap}{more_time}"
    )
