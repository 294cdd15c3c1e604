"""The sealed key: what each canary is, whether the coin put it in, and what was forecast of it.

It is written before the training and holds a digest of itself and one of the file to mix in, so
that neither can be another by the time that a model is asked. Only its owner may read it: whoever
trains with the twins in hand has no twins any more.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.absent import KEY, no_key
from pipeline.engine.files import TEMPORARY, digest_file, sync
from pipeline.engine.run_folder import digest_of
from pipeline.errors import IntegrityError

FORM = 1  # of the file
OWNER_ONLY = 0o600


@dataclass(frozen=True)
class Canary:
    """One text: a canary that is mixed in, its twin that stays out, or a reference.

    Attributes:
        id: a name that tells nothing of the rest.
        text_hash: BLAKE2b-128 of the text, in hexadecimal.
        kind: random or natural.
        pair: number of the pair; -1 of a reference.
        dose: times that it is in the file, or would be if it were inside; 0 of a reference.
        inside: whether the coin put it in.
        text: the whole of it.
        split: characters of its prefix.
        end: characters up to the end of its suffix.
        risk: forecast that it is recited if it is in so many times; None without a forecast.
        risk_low: low end of the 95% interval.
        risk_high: high end.
    """

    id: str
    text_hash: str
    kind: str
    pair: int
    dose: int
    inside: bool
    text: str
    split: int
    end: int
    risk: float | None = None
    risk_low: float | None = None
    risk_high: float | None = None

    @property
    def prefix(self) -> str:
        """What a model is given."""
        return self.text[: self.split]

    @property
    def suffix(self) -> str:
        """What it is to go on with."""
        return self.text[self.split : self.end]


@dataclass(frozen=True)
class Key:
    """A sealed key.

    Attributes:
        canaries: in order of their ids.
        about: how they were made: seed, doses, reference space, the run.
        file: name, rows and digest of the file to mix in.
        forecast: whether there is one, for which target, or why not.
    """

    canaries: tuple[Canary, ...]
    about: dict[str, Any]
    file: dict[str, Any]
    forecast: dict[str, Any]

    @property
    def digest(self) -> str:
        """A digest of all of it."""
        return digest_of(self._parts())

    def _parts(self) -> dict[str, Any]:
        return {"form": FORM, **asdict(self)}

    def as_bytes(self) -> bytes:
        """Return the bytes of `key.json`."""
        told = {"digest": self.digest, **self._parts()}
        return (json.dumps(told, indent=1) + "\n").encode()


def hash_of(text: str) -> str:
    """Return the BLAKE2b-128 of a text, in hexadecimal."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f"{path.name}{TEMPORARY}")
    temporary.unlink(missing_ok=True)
    place = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(place, "wb") as stream:
        stream.write(data)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def read_key(folder: Path) -> Key:
    """Return the key of a folder of canaries, and check that its file to mix in is still its own.

    A file that was moved away is not missed.

    Raises:
        ConfigError: There is no key.
        IntegrityError: The key was changed, or the file is another.
    """
    path = folder / KEY
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise no_key(folder) from error
    except ValueError as error:
        raise _changed(path, "no JSON") from error
    key = _key_of(path, told)
    _require_own_file(folder, key)
    return key


def _key_of(path: Path, told: Any) -> Key:  # noqa: ANN401 - what JSON can hold
    """Return the key that a file tells of.

    Raises:
        IntegrityError: When it is not as it was written.
    """
    parts = [one.name for one in fields(Key)]
    if not isinstance(told, dict) or told.get("form") != FORM or any(p not in told for p in parts):
        raise _changed(path, f"not of form {FORM}")
    if told.pop("digest", None) != digest_of(told):
        raise _changed(path, "other bytes than its digest is of")
    try:
        canaries = tuple(Canary(**one) for one in told["canaries"])
    except TypeError as error:
        raise _changed(path, "canaries of another form") from error
    return Key(canaries, told["about"], told["file"], told["forecast"])


def _require_own_file(folder: Path, key: Key) -> None:
    """Refuse a file to mix in that is not the one which the key was sealed with.

    Raises:
        IntegrityError: When it is another.
    """
    path = folder / str(key.file["name"])
    if path.is_file() and digest_file(path) != key.file["digest"]:
        raise IntegrityError(
            "The key and the file of canaries do not belong together.",
            where=str(path),
            found=f"digest {digest_file(path)[:12]}",
            expected=f"digest {str(key.file['digest'])[:12]}, which {KEY} was sealed with",
            fix="bring back the file that was mixed in, or use the key of this one",
        )


def _changed(path: Path, found: str) -> IntegrityError:
    return IntegrityError(
        "The key of the canaries is not as it was written.",
        where=str(path),
        found=found,
        fix="bring back the file that `rote canaries` wrote",
    )
