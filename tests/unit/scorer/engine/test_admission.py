"""Admission keeps within its bounds and spreads those it refuses."""

from contextlib import AbstractContextManager

import pytest

from palmfolio_scorer.engine.admission import Admission, QueueFullError


def test_requests_hold_their_places_until_they_end() -> None:
    admission = Admission(max_samples=10, max_characters=100)
    with admission.admit(6, 50):
        with pytest.raises(QueueFullError), admission.admit(5, 1):
            pass
        with pytest.raises(QueueFullError), admission.admit(1, 51):
            pass
        with admission.admit(4, 50):
            assert (admission.samples, admission.characters) == (10, 100)
        assert not admission.idle.is_set()
    assert (admission.samples, admission.characters) == (0, 0)
    assert admission.idle.is_set()


def test_places_are_free_again_after_an_error() -> None:
    admission = Admission(10, 100)
    with pytest.raises(RuntimeError), admission.admit(10, 1):
        raise RuntimeError
    with admission.admit(10, 1):
        pass


def test_a_request_of_any_size_is_taken_while_nothing_runs() -> None:
    with Admission(10, 100).admit(1000, 10_000):
        pass


def test_refused_requests_are_sent_away_for_ever_longer_up_to_a_limit() -> None:
    admission = Admission(10, 100)
    waits = []
    with admission.admit(10, 1):
        for _ in range(200):
            with pytest.raises(QueueFullError) as refused, admission.admit(1, 1):
                pass
            waits.append(refused.value.retry_after_seconds)
    assert waits[0] < waits[1] < waits[2]
    assert all(0 < wait <= 30.01 for wait in waits)
    assert waits[-1] > 20


def _admitted(admission: Admission, samples: int, key: object = None) -> bool:
    try:
        with admission.admit(samples, 1, key):
            return True
    except QueueFullError:
        return False


def test_a_refused_request_goes_before_those_that_come_later() -> None:
    admission = Admission(10, 100)
    with admission.admit(6, 1):
        assert not _admitted(admission, 5, "first")
        # There is room for a newcomer, but it would keep the first one out.
        assert not _admitted(admission, 4, "newcomer")
    with admission.admit(5, 1):
        assert not _admitted(admission, 2, "newcomer")
        assert _admitted(admission, 5, "first")
        assert _admitted(admission, 2, "newcomer")


def test_half_of_the_places_are_for_whoever_comes() -> None:
    admission = Admission(10, 100)
    with admission.admit(9, 1):
        assert not any(_admitted(admission, 9, name) for name in "abc")
    with admission.admit(3, 1):
        assert _admitted(admission, 2, "newcomer")
        assert not _admitted(admission, 3, "newcomer")


def test_who_does_not_come_back_holds_no_places() -> None:
    now = [0.0]
    admission = Admission(10, 100, clock=lambda: now[0])
    with admission.admit(6, 1):
        assert not _admitted(admission, 5, "gone")
        assert not _admitted(admission, 4, "newcomer")
        now[0] += 100.0
        assert _admitted(admission, 4, "newcomer")


def test_who_leaves_the_line_is_waited_for_no_more() -> None:
    admission = Admission(10, 100)
    with admission.admit(6, 1):
        assert not _admitted(admission, 5, "first")
        assert not _admitted(admission, 4, "newcomer")
        admission.leave("first")
        assert _admitted(admission, 4, "newcomer")


def test_nobody_is_kept_from_a_place_by_clients_that_are_served_again_and_again() -> None:
    now = [0.0]
    admission = Admission(8, 1000, clock=lambda: now[0])
    come_back = dict.fromkeys(range(20), 0.0)
    served = dict.fromkeys(come_back, 0)
    at_work: list[tuple[int, AbstractContextManager[None]]] = []
    for _ in range(400):
        now[0] += 0.1
        if at_work:
            client, held = at_work.pop(0)
            held.__exit__(None, None, None)
            served[client] += 1
            come_back[client] = now[0]
        # Who was just served is the first to ask again.
        for client in sorted(come_back, key=lambda c: -come_back[c]):
            if come_back[client] > now[0]:
                continue
            held = admission.admit(1, 1, (client, served[client]))
            try:
                held.__enter__()
            except QueueFullError as error:
                come_back[client] = now[0] + error.retry_after_seconds
            else:
                at_work.append((client, held))
                come_back[client] = float("inf")
    assert sum(served.values()) > 350
    assert min(served.values()) > 10
