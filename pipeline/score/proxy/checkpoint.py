"""Checkpoints that a killed training or scoring goes on from, one file of tensors each.

A checkpoint belongs to a key, the hash of everything that its numbers follow from (settings, data,
Torch build, threads); one of another key, or with a flipped bit, is passed over. It is no output:
it is in a folder of its own, which is removed when the stage is done.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

SECONDS = 5.0
COST_SHARE = 50  # a checkpoint may take 1/50 of the time between two
MOST_SECONDS = 480.0  # between two all the same: no kill takes more than ten minutes of work
DIGEST = 16


@dataclass
class Checkpoint:
    """The file in which a job keeps what it has done, replaced whole or not at all.

    Attributes:
        path: the file.
        key: hash of all that the stored numbers follow from, as `key_of` makes it.
        seconds: least time between two checkpoints; None for SECONDS.
    """

    path: Path
    key: str
    seconds: float | None = None
    _saved: float = field(default_factory=time.monotonic, init=False)
    _cost: float = field(default=0.0, init=False)

    def load(self) -> tuple[dict[str, Tensor], int] | None:
        """Return the stored tensors and how much was done, or None.

        None stands for no file, a damaged one, and one of another key.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        digest, body = data[:DIGEST], data[DIGEST:]
        if hashlib.blake2b(body, digest_size=DIGEST).digest() != digest:
            return None
        header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
        about = header["__metadata__"]
        return (load(body), int(about["done"])) if about["key"] == self.key else None

    def due(self) -> bool:
        """Tell whether enough time has passed for the next checkpoint to be worth its cost.

        A large one is written after MOST_SECONDS whatever it costs.
        """
        least = SECONDS if self.seconds is None else self.seconds
        wait = max(least, min(COST_SHARE * self._cost, MOST_SECONDS))
        return time.monotonic() - self._saved >= wait

    def save(self, tensors: dict[str, Tensor], done: int) -> None:
        """Write a checkpoint in place of the former one, whole or not at all.

        Args:
            tensors: what to go on from, by name.
            done: how much of the work they hold, in units of the caller.
        """
        begun = time.monotonic()
        held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        body = save(held, {"key": self.key, "done": str(done)})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        with temporary.open("wb") as stream:
            stream.write(hashlib.blake2b(body, digest_size=DIGEST).digest() + body)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self.path)
        self._saved = time.monotonic()
        self._cost = self._saved - begun


def key_of(parts: Iterable[object], *arrays: memoryview) -> str:
    """Return a hash of settings, arrays, this Torch build and its number of threads.

    Args:
        parts: the settings; their `repr` is hashed.
        *arrays: the data, hashed byte by byte.
    """
    settings = [*map(repr, parts), torch.__version__, torch.get_num_threads()]
    digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=DIGEST)
    for array in arrays:
        digest.update(array)
    return digest.hexdigest()
