"""Writing an object over the last one that was written from here, and over no other."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.storage.addresses import Listed, Storage
from pipeline.storage.fetching import asked


def there(storage: Storage, name: str) -> Listed | None:
    """Return an object as it is listed; None where there is none of its name."""
    return next((one for one in asked(storage.objects) if one.name == name), None)


def read_whole(storage: Storage, one: Listed) -> bytes:
    """Return the bytes of an object that is as it was listed."""
    return asked(lambda: storage.read(one.name, 0, one.bytes, one.tag))


def write_over(
    storage: Storage, name: str, data: bytes, tag: str, is_own: Callable[[bytes], bool]
) -> str:
    """Write an object over the last one that was written from here, and return its tag.

    The answer to a write may have been lost: what it wrote is told by its bytes.

    Raises:
        FileExistsError: one that is not ours is there, or none.
    """
    try:
        return storage.write(name, data, tag=tag)
    except FileExistsError:
        one = there(storage, name)
        if one is None or one.tag == tag or not is_own(read_whole(storage, one)):
            raise
        return write_over(storage, name, data, one.tag, is_own)
