"""Converts between protocol messages and the values of `palmfolio.types`.

A value's fields carry the names of its message's fields, so the value's type hints are enough to
convert most of it. Three rules cover the rest:

- A field whose hint allows None is None when the message leaves it unset. A number or a text
  without presence counts as unset when it is 0 or empty: the protocol gives those values the
  meaning "not given" wherever the hint allows None.
- A field with `KINDS` in its metadata holds one of several classes: the member of a oneof.
- Messages that become another shape are listed in `_SPECIAL`. A prompt may be given as a `str`.
"""

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.message import Message
from google.rpc import status_pb2

from palmfolio import errors
from palmfolio import types as values
from palmfolio._names import resource_id
from palmfolio.types.kinds import KINDS
from palmfolio.v1 import prompts_pb2, scorer_pb2, types_pb2

Value = TypeVar("Value")

_ROLES = {number: name.removeprefix("ROLE_").lower() for name, number in prompts_pb2.Role.items()}


def decode(cls: type[Value], message: Message) -> Value:
    """The value of class `cls` that `message` holds."""
    special = _SPECIAL.get(cls)
    if special is not None:
        return typing.cast(Value, special(message))
    described = message.DESCRIPTOR.fields_by_name
    fields = {
        name: _decode_kind(kinds, message, name)
        if kinds
        else _decode_field(hint, message, described[name])
        for name, hint, kinds in _fields(typing.cast(Hashable, cls))
    }
    return cls(**fields)


def encode(value: Any, message: Message) -> None:
    """Writes a value into an empty message; a field that is None stays unset.

    The value of a prompt may be a text.

    Raises:
        errors.ConfigurationError: a field has a type that the protocol does not take.
    """
    if isinstance(message, prompts_pb2.Prompt):
        _encode_prompt(value, message)
        return
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if item is None:
            continue
        try:
            if kinds := field.metadata.get(KINDS):
                _encode_kind(kinds, item, message, field.name)
            elif isinstance(value, values.Sample) and field.name == "reference":
                # In the protocol, the reference is a part of the prompt.
                _encode_field(item, message.prompt, field.name)  # type: ignore[attr-defined]
            else:
                _encode_field(item, message, field.name)
        except errors.ConfigurationError:
            raise  # of a field within this one, which it names
        except (TypeError, ValueError, AttributeError) as error:
            where = f"{type(value).__name__}.{field.name}"
            raise errors.ConfigurationError(f"{where} cannot be {item!r}: {error}") from error


def encode_prompts(
    prompts: Iterable[str | values.Prompt], messages: RepeatedCompositeFieldContainer[Any]
) -> None:
    """Writes prompts into an empty repeated field.

    Raises:
        errors.ConfigurationError: a prompt has a type or a role that the protocol does not take.
    """
    for index, prompt in enumerate(prompts):
        try:
            _encode_prompt(prompt, messages.add())
        except (TypeError, ValueError, AttributeError) as error:
            where = f"prompts[{index}]"
            raise errors.ConfigurationError(f"{where} cannot be {prompt!r}: {error}") from error


def failure(status: status_pb2.Status) -> values.Failure | None:
    """The failure that a status describes; None for OK."""
    if status.code == 0:
        return None
    error = errors.from_status(status)
    return values.Failure(code=error.code, message=error.message, reason=error.reason)


@functools.cache
def _fields(cls: Any) -> tuple[tuple[str, Any, Mapping[str, type] | None], ...]:
    """Name, type hint and kinds of every field; looking them up is slow, and listings are long."""
    hints = typing.get_type_hints(cls)
    return tuple(
        (field.name, hints[field.name], field.metadata.get(KINDS))
        for field in dataclasses.fields(cls)
    )


def _oneof(message: Message, name: str) -> tuple[Message, str]:
    """The message that holds a oneof, and the oneof's name.

    A value's field stands either for the oneof itself (`PolicySpec.method`) or for a message that
    has nothing else (`PortfolioSpec.strategy`).
    """
    if name in message.DESCRIPTOR.oneofs_by_name:
        return message, name
    holder: Message = getattr(message, name)
    (oneof,) = holder.DESCRIPTOR.oneofs_by_name
    return holder, oneof


def _decode_kind(kinds: Mapping[str, type], message: Message, name: str) -> Any:
    holder, oneof = _oneof(message, name)
    kind = holder.WhichOneof(oneof)
    return None if kind is None else decode(kinds[kind], getattr(holder, kind))


def _encode_kind(kinds: Mapping[str, type], item: Any, message: Message, name: str) -> None:
    holder, _ = _oneof(message, name)
    for kind, cls in kinds.items():
        if isinstance(item, cls):
            target: Message = getattr(holder, kind)
            # A strategy may have no fields: without this, nothing would be sent for it.
            target.SetInParent()
            encode(item, target)
            return
    known = ", ".join(cls.__name__ for cls in kinds.values())
    raise TypeError(f"it must be one of {known}")


def _decode_field(hint: Any, message: Message, field: Any) -> Any:
    inner, optional = _strip_none(hint)
    if optional and not _is_set(message, field):
        return None
    item = getattr(message, field.name)
    if isinstance(item, types_pb2.Weights):
        return dict(item.values)
    origin = typing.get_origin(inner)
    if origin is Mapping:
        return dict(item)
    if origin is tuple:
        element = typing.get_args(inner)[0]
        if element is values.Weights:
            return tuple(dict(entry.values) for entry in item)
        return tuple(_decode_item(element, entry) for entry in item)
    return _decode_item(inner, item, field)


def _decode_item(hint: Any, item: Any, field: Any = None) -> Any:
    if isinstance(item, prompts_pb2.Prompt):
        return _decode_prompt(item)
    if hint is datetime:
        return item.ToDatetime(tzinfo=UTC)
    if hint is values.Failure:
        return failure(item)
    if isinstance(hint, type) and issubclass(hint, enum.StrEnum) and field is not None:
        return _decode_enum(hint, item, field)
    if dataclasses.is_dataclass(hint):
        return decode(typing.cast(type[Any], hint), item)
    return item


def _decode_enum(cls: type[enum.StrEnum], number: int, field: Any) -> enum.StrEnum:
    # A newer server may know more values than this client.
    by_number = field.enum_type.values_by_number
    prefix = by_number[0].name.removesuffix("UNSPECIFIED")
    known = by_number.get(number)
    name = known.name.removeprefix(prefix).lower() if known else "unspecified"
    return cls(name) if name in set(cls) else cls("unspecified")


def _is_set(message: Message, field: Any) -> bool:
    return bool(
        message.HasField(field.name) if field.has_presence else getattr(message, field.name)
    )


def _strip_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(hint) if part is not type(None)]
        return inner[0], True
    return hint, False


def _encode_field(item: Any, message: Message, name: str) -> None:
    field = message.DESCRIPTOR.fields_by_name[name]
    target = getattr(message, name)
    if isinstance(target, types_pb2.Weights):
        target.SetInParent()
        target.values.update(item)
    elif dataclasses.is_dataclass(item) or isinstance(target, prompts_pb2.Prompt):
        target.SetInParent()
        encode(item, target)
    elif isinstance(item, Mapping):
        target.update(item)
    elif isinstance(item, list | tuple) and field.message_type is not None:
        for entry in item:
            encode(entry, target.add())
    elif isinstance(item, list | tuple):
        target.extend(item)
    # Times only come out of calls; the servers set them.
    elif not isinstance(item, datetime):
        setattr(message, name, item)


def _encode_prompt(prompt: str | values.Prompt, message: prompts_pb2.Prompt) -> None:
    if isinstance(prompt, str):
        message.text = prompt
        return
    if not isinstance(prompt, values.Prompt):
        raise TypeError("a prompt is a text or a palmfolio.Prompt")
    message.text = prompt.text or ""
    message.reference = prompt.reference or ""
    message.tags.extend(prompt.tags)
    for turn in prompt.messages:
        role = f"ROLE_{turn.role.upper()}"
        message.messages.add(role=prompts_pb2.Role.Value(role), content=turn.content)


def _decode_prompt(message: prompts_pb2.Prompt) -> values.Prompt:
    turns = [
        values.ChatMessage(_ROLES.get(turn.role, "unspecified"), turn.content)
        for turn in message.messages
    ]
    text = None if turns else message.text
    return values.Prompt(text, turns, message.reference or None, message.tags)


def _decode_rewards(message: types_pb2.RewardMatrix) -> values.Rewards:
    width = len(message.traits)
    return values.Rewards(
        traits=tuple(message.traits),
        trait_versions=tuple(message.trait_versions),
        raw=_rows(message.raw, width),
        normalised=_rows(message.normalised, width),
        statuses=tuple(decode(values.SampleStatus, status) for status in message.statuses),
    )


def _rows(flat: Any, width: int) -> tuple[tuple[float, ...], ...]:
    if width == 0:
        return ()
    return tuple(tuple(flat[start : start + width]) for start in range(0, len(flat), width))


def _decode_sample_status(message: types_pb2.SampleStatus) -> values.SampleStatus:
    return values.SampleStatus(
        failure=failure(message.status),
        failed_traits=tuple(message.failed_traits),
        cut_tokens=dict(message.cut_tokens),
    )


def _decode_trait(message: scorer_pb2.Trait) -> values.Trait:
    # A trait is named `traits/{name}` as a resource, and `{name}` in weights and rewards.
    fields = {
        field.name: getattr(message, field.name) for field in dataclasses.fields(values.Trait)
    }
    fields |= {
        "name": resource_id(message.name),
        "provenance": dict(message.provenance),
        "fields": tuple(message.fields),
    }
    return values.Trait(**fields)


_SPECIAL: dict[type, Callable[[Any], Any]] = {
    values.Prompt: _decode_prompt,
    values.Rewards: _decode_rewards,
    values.SampleStatus: _decode_sample_status,
    values.Trait: _decode_trait,
}
