"""The precision of a device, and how work goes on when its memory is too small for a batch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

import torch

from pipeline.errors import PipelineError

Precision = Literal["fp32", "bf16"]
MadeT = TypeVar("MadeT")
CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


class DeviceMemoryError(PipelineError):
    """A device has too little memory for the smallest batch there is, of one row."""


def precision_of(device: str) -> Precision:
    """Return the precision of products on a device.

    It is bf16 on a GPU that has it and fp32 otherwise: float32 on a CPU is the reference.
    """
    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def in_precision(device: str, precision: Precision) -> contextlib.AbstractContextManager[object]:
    """Return the context in which matrix products run in a precision."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device, torch.bfloat16)


def halving(rows: int, at_once: int, work: Callable[[int], MadeT], where: str) -> tuple[MadeT, int]:
    """Return the result of `work` and the number of rows at a time with which it succeeded.

    Each time that the device is out of memory, the number is halved.

    Args:
        rows: how many there are.
        at_once: how many at a time to begin with.
        work: makes the result with so many rows at a time.
        where: what an error names as the place.

    Raises:
        DeviceMemoryError: when one row at a time is too much.
    """
    while True:
        try:
            return work(at_once), at_once
        except torch.OutOfMemoryError as error:
            if min(at_once, rows) <= 1:
                raise DeviceMemoryError(
                    "The device is out of memory even with one sequence at a time.",
                    where=where,
                    fix="free memory on it, choose smaller proxy.shapes or proxy.models, or "
                    "--set proxy.device=cpu",
                ) from error
        # outside of the handler, whose traceback keeps the failed attempt's tensors alive
        at_once = -(-min(at_once, rows) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@contextlib.contextmanager
def deterministic(*, wanted: bool) -> Iterator[None]:
    """Have Torch use deterministic kernels only, where `wanted`.

    cuBLAS reads an environment variable for that, which is set when it is not there.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault(CUBLAS, ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
