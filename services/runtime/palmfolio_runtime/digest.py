"""Digests of values and files."""

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    Raises:
        ValueError: the value holds NaN or an infinity.
        TypeError: the value is not a JSON value.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: Any, length: int = 64) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of `canonical_json(value)`."""
    # Texts of users may hold lone surrogates, which have no UTF-8: they must not fail a digest.
    text = canonical_json(value).encode("utf-8", errors="surrogatepass")
    return hashlib.sha256(text).hexdigest()[:length]


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
