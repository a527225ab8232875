"""The samples that were read and whose rewards the caller has not taken yet."""

import math
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from palmfolio import _codec, errors, types
from palmfolio.v1 import scorer_pb2

# The server answers a message as a whole. So a message holds about as many samples as the server
# scores in this time: more would delay the first answer, fewer would cost more per sample.
_MESSAGE_SECONDS = 0.1
_FEWEST_SAMPLES, _MOST_SAMPLES = 16, 512
_BYTES_PER_MESSAGE = 2**20
_LARGEST_MESSAGE = 16 * 2**20
# Bytes of a message in addition to its samples: the traits, ids and lengths.
_ENVELOPE_BYTES = 16 * 1024
_SAMPLES_READ_AT_ONCE = 512
_MOST_BYTES_HELD = 16 * 2**20

# The server names a field with the sample's position in its message, which the caller cannot know.
_POSITION = re.compile(r"samples\[\d+\]\.")


@dataclass(slots=True)
class _Slot:
    position: int
    sample: types.Sample
    item: scorer_pb2.ScoreItem
    """As it is sent."""
    size: int = 0
    """Bytes of the item."""
    result: types.ScoredSample | None = None


class _Pace:
    """The number of samples that a message should hold, from the rate of the answers."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._answered = 0
        self.samples = _FEWEST_SAMPLES

    def count(self, answered: int) -> None:
        self._answered += answered
        seconds = self._clock() - self._since
        if seconds >= _MESSAGE_SECONDS:
            wanted = round(self._answered / seconds * _MESSAGE_SECONDS)
            self.samples = min(max(wanted, _FEWEST_SAMPLES), _MOST_SAMPLES)
            self._since, self._answered = self._clock(), 0


class ScoreWindow:
    """A bounded number of samples in order, each unsent, sent or answered.

    Args:
        traits: the traits to score every sample on, in order.
        limits: the server's, from `GetServerInfo`.
        size: samples held at most.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        traits: Sequence[types.Trait],
        limits: Mapping[str, int],
        size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names = tuple(trait.name for trait in traits)
        self._versions = tuple(trait.version for trait in traits)
        self._size = size
        self._max_characters = limits.get("max_characters", 2**31)
        largest = min(limits.get("max_message_bytes", _LARGEST_MESSAGE), _LARGEST_MESSAGE)
        self._max_bytes = max(1, largest - _ENVELOPE_BYTES)
        self._bytes_per_message = min(_BYTES_PER_MESSAGE, self._max_bytes)
        # With messages of at most an eighth of the server's queue, several fit into it. With at
        # most a quarter of the window, some are answered while others are still being scored.
        queue = limits.get("max_queued_samples", _LARGEST_MESSAGE)
        bounds = (_MOST_SAMPLES, limits.get("max_samples", 1), queue // 8, size // 4)
        self._most_samples = max(1, min(bounds))
        self._pace = _Pace(clock)
        self._held: deque[_Slot] = deque()
        self._held_bytes = 0
        self._unsent: deque[_Slot] = deque()
        self._sent: dict[str, _Slot] = {}
        self._read = 0
        self._allowed = 0
        self._stream_is_new = True
        self._ended = False
        self._input_error: Exception | None = None
        self.answered = 0
        """Samples whose result is there, of all so far."""

    @property
    def waiting(self) -> int:
        """Samples that are with the server."""
        return len(self._sent)

    @property
    def unsent(self) -> bool:
        """Whether a sample waits to be sent."""
        return bool(self._unsent)

    @property
    def all_sent(self) -> bool:
        """Whether nothing more will be sent, unless the stream breaks."""
        return self._ended and not self._unsent

    def allow(self) -> int:
        """The number of samples that may be read in addition to those allowed before."""
        if self._held_bytes >= _MOST_BYTES_HELD:
            return 0
        free = min(_SAMPLES_READ_AT_ONCE, self._size - len(self._held)) - self._allowed
        self._allowed += max(0, free)
        return max(0, free)

    def add(self, sample: types.Sample) -> None:
        """Adds the next sample. An object of another class ends the input with an error."""
        self._allowed -= 1
        if self._ended:
            return
        position, self._read = self._read, self._read + 1
        slot = _Slot(position, sample, scorer_pb2.ScoreItem(id=str(position)))
        try:
            problem = self._unsendable(sample) or self._encode(slot)
        except errors.ConfigurationError as error:
            self.end(error)
            return
        self._held.append(slot)
        self._held_bytes += slot.size
        if problem:
            self._fail(slot, problem)
        else:
            self._unsent.append(slot)

    def end(self, error: Exception | None) -> None:
        """No sample follows; `error` comes from reading them. Only the first call counts."""
        if not self._ended:
            self._ended, self._input_error = True, error

    def messages(self) -> Iterator[scorer_pb2.ScoreStreamRequest]:
        """The messages to send now.

        A message that is not full waits for more samples as long as the server has others to score.
        On a new stream the first message is sent by itself and the rest after its answer: a server
        that refuses the stream gives its reason in the status, which gRPC can lose while further
        messages are being written.
        """
        while self._unsent and not (self._stream_is_new and self._sent):
            most = min(self._most_samples, self._pace.samples)
            slots = self._next_message(most)
            full = len(slots) == most or len(slots) < len(self._unsent)
            if not full and self._sent and not self._ended:
                return
            message = scorer_pb2.ScoreStreamRequest(items=[slot.item for slot in slots])
            if self._stream_is_new:
                message.traits.extend(self._names)
            for slot in slots:
                self._unsent.popleft()
                self._sent[str(slot.position)] = slot
            yield message

    def take_in(self, answer: scorer_pb2.ScoreStreamResponse) -> None:
        """Records an answer; samples that were answered before keep their first answer."""
        rewards = _codec.decode(types.Rewards, answer.rewards)
        rows = zip(answer.ids, rewards.raw, rewards.normalised, rewards.statuses, strict=True)
        if rewards.trait_versions != self._versions:  # otherwise all results share one tuple
            self._versions = rewards.trait_versions
        for name, raw, normalised, status in rows:
            slot = self._sent.pop(name, None)
            if slot is None:
                continue
            self._settle(slot, raw, normalised, _without_position(status))
        self._stream_is_new = False
        self._pace.count(len(answer.ids))

    def send_again(self) -> None:
        """After a broken stream: samples without an answer go to the front of the queue again."""
        self._stream_is_new = True
        again = sorted(self._sent.values(), key=lambda slot: slot.position)
        self._unsent.extendleft(reversed(again))
        self._sent.clear()

    def pop(self) -> types.ScoredSample | None:
        """The next sample in order; None while it has no result.

        Raises:
            Exception: the error of reading the samples, after the results of those before it.
        """
        if self._held and self._held[0].result is not None:
            slot = self._held.popleft()
            self._held_bytes -= slot.size
            return slot.result
        if self.finished and self._input_error is not None:
            raise self._input_error
        return None

    @property
    def finished(self) -> bool:
        """Whether the caller has taken every result, and no sample follows."""
        return self._ended and not self._held

    def _next_message(self, most: int) -> list[_Slot]:
        slots: list[_Slot] = []
        size = 0
        for slot in self._unsent:
            size += slot.size
            if len(slots) == most or (slots and size > self._bytes_per_message):
                break
            slots.append(slot)
        return slots

    def _encode(self, slot: _Slot) -> str:
        """Writes the item; returns the reason why it cannot be sent, or an empty text."""
        _codec.encode(slot.sample, slot.item.sample)
        slot.size = slot.item.ByteSize()
        if slot.size > self._max_bytes:
            return f"takes {slot.size} bytes; at most {self._max_bytes} fit in a message"
        return ""

    def _unsendable(self, sample: types.Sample) -> str:
        """Why the server would refuse a sample, in the server's words; or an empty text."""
        if not isinstance(sample, types.Sample):
            raise errors.ConfigurationError(
                f"samples[{self._read - 1}] is a {type(sample).__name__}; "
                "make it a palmfolio.Sample(prompt, response)"
            )
        for field, text in _texts(sample).items():
            if not isinstance(text, str):
                continue  # `_encode` fails on it, with a message that names the field
            if len(text) > self._max_characters:
                allowed = f"at most {self._max_characters} are allowed"
                return f"{field}: has {len(text)} characters; {allowed}"
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                return f"{field}: is not valid UTF-8 at character {error.start}"
        return ""

    def _fail(self, slot: _Slot, problem: str) -> None:
        failure = types.Failure("INVALID_ARGUMENT", problem, "INVALID_FIELD")
        nothing = (math.nan,) * len(self._names)
        self._settle(slot, nothing, nothing, types.SampleStatus(failure, self._names))

    def _settle(self, slot: _Slot, raw: Any, normalised: Any, status: types.SampleStatus) -> None:
        slot.result = types.ScoredSample(
            slot.sample, self._names, self._versions, raw, normalised, status
        )
        self.answered += 1


def _texts(sample: types.Sample) -> dict[str, object]:
    """The texts of a sample by field, as the server counts their characters."""
    prompt, reference = sample.prompt, sample.reference
    if isinstance(prompt, types.Prompt):
        reference = prompt.reference if reference is None else reference
        asked = "".join(str(turn.content) for turn in prompt.messages)
        return {"prompt": prompt.text or asked, "response": sample.response, "reference": reference}
    return {"prompt": prompt, "response": sample.response, "reference": reference}


def _without_position(status: types.SampleStatus) -> types.SampleStatus:
    """The status without the sample's position in its message."""
    failure = status.failure
    if failure is None:
        return status
    message = _POSITION.sub("", failure.message)
    return replace(status, failure=types.Failure(failure.code, message, failure.reason))
