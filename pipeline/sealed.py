"""A plain object as a file that tells by a digest of its own whether it is as it was written."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

DIGEST = "digest"  # the first key of the file; in memory there is none
_HEAD = re.compile(rb'\{\n "digest": "([0-9a-f]{32})",')


def sealed(value: dict[str, Any]) -> bytes:
    """Return a plain object as JSON that begins with a digest of the rest."""
    plain = {key: item for key, item in value.items() if key != DIGEST}
    body = json.dumps(plain, indent=1, ensure_ascii=False).encode(errors="surrogatepass")[1:]
    return b'{\n "digest": "' + _digest(body).encode() + b'",' + body


def unsealed(data: bytes) -> dict[str, Any] | None:
    """Return the object that `sealed` made these bytes of; None when they are not as written."""
    head = _HEAD.match(data)
    if head is None or _digest(data[head.end() :]) != head[1].decode():
        return None
    try:
        value = dict(json.loads(data))
    except (ValueError, RecursionError):  # sealed by someone else: a number or a depth of no sense
        return None
    del value[DIGEST]
    return value


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
