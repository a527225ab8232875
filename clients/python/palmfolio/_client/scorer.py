"""The scorer's client."""

from collections.abc import Generator, Iterable, Iterator, Sequence

from palmfolio import types
from palmfolio._calls import scorer as calls
from palmfolio._calls import services
from palmfolio._client.service import Service
from palmfolio._retry import Deadline
from palmfolio._scoring import threads
from palmfolio._scoring.session import DEFAULT_WINDOW, Session


class Scorer(Service):
    """Turns responses into one reward per trait."""

    def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """Limits, versions, devices and readiness.

        Example:
            info = client.scorer.server_info()
            print(info.version, info.limits)
            print(info.readiness.ready or info.readiness.reasons)
        """
        return self._transport.unary(services.server_info("scorer"), timeout)

    def list_traits(self) -> Iterator[types.Trait]:
        """The traits that the server scores.

        Example:
            names = [trait.name for trait in client.scorer.list_traits()]
        """
        return self._pages(calls.list_traits)

    def score(
        self,
        samples: Iterable[types.Sample],
        *,
        traits: Sequence[str] = (),
        timeout: float | None = None,
    ) -> types.Rewards:
        """Scores samples; a sample that cannot be scored has its own status and harms no other.

        Args:
            samples: at least one.
            traits: names of traits; empty means all.
            timeout: seconds.

        Raises:
            InvalidArgument: an unknown trait, no samples, or more than the server takes.
            ResourceExhausted: the queue stayed full until the timeout.

        Example:
            samples = [palmfolio.Sample("How are you?", "Fine, thank you!")]
            rewards = client.scorer.score(samples, traits=["brevity", "warmth"])
            for status, row in zip(rewards.statuses, rewards.normalised, strict=True):
                print(row if status.ok else status.failure)
        """
        return self._transport.unary(calls.score(samples, traits), timeout)

    def score_stream(
        self,
        samples: Iterable[types.Sample],
        *,
        traits: Sequence[str] = (),
        window: int = DEFAULT_WINDOW,
        timeout: float | None = None,
    ) -> Generator[types.ScoredSample, None, None]:
        """Scores any number of samples, in order, as fast as the server can and no faster.

        Samples are sent in messages within the server's limits, and the server works on many at
        once. The client waits while the server is overloaded, opens a broken stream again and
        resends the samples without an answer: no sample is lost, and none comes twice. Closing or
        dropping the iterator cancels the samples under way.

        Args:
            samples: any iterable, read once, on another thread, `window` ahead at most.
            traits: names of traits; empty means all.
            window: samples in memory at most.
            timeout: seconds for everything; None sets no end, as long as the server answers
                anything within `Timeouts.score`.

        Raises:
            InvalidArgument: an unknown trait.
            Unavailable: the server was away for longer than `Timeouts.score`.
            DeadlineExceeded: not everything was scored in time.
            Exception: the error that reading the samples raised, after the rewards of those before.

        Example:
            samples = (palmfolio.Sample("Say hello.", text) for text in open("responses.txt"))
            for scored in client.scorer.score_stream(samples, traits=["brevity"]):
                print(scored.sample.response, scored.normalised)
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
            validate_only: returns the normalisation that would be stored, and stores nothing.
            request_id: repeats a call safely from another process.
            timeout: seconds.

        Raises:
            InvalidArgument: an unknown trait, or samples whose rewards do not differ.
            FailedPrecondition: the server keeps no calibrations, or too few samples can be scored.

        Example:
            typical = [palmfolio.Sample("Say hello.", text) for text in open("responses.txt")]
            method = palmfolio.CalibrationMethod.QUANTILE
            fitted = client.scorer.calibrate("brevity", typical, method=method, validate_only=True)
            print(fitted.previous_version, "becomes", fitted.trait.version)
        """
        call = calls.calibrate(trait, samples, method, tail, validate_only, request_id)
        return self._transport.unary(call, timeout)
