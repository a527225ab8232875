"""Volumes that have no room left."""

_FULL = ("no space left", "disk is full", "disk full", "disk quota")


def is_full(message: str) -> bool:
    """Whether an error's message says that a volume is full or its quota used up."""
    return any(words in message.lower() for words in _FULL)


def is_no_room(error: BaseException) -> bool:
    """Whether an error, or one that caused it, is that of a full volume or a used-up quota."""
    cause: BaseException | None = error
    while cause is not None:
        if is_full(str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
