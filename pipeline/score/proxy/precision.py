"""With what a model computes: device, precision, and how a device short of memory goes on."""

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
    """A device has too little memory for the least that can be asked of it."""


def precision_of(device: str) -> Precision:
    """Return bf16 on a GPU that has it, fp32 otherwise: a CPU's float32 is the reference."""
    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def in_precision(device: str, precision: Precision) -> contextlib.AbstractContextManager[object]:
    """Return the context in which matrix products run in that precision."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device, torch.bfloat16)


def halving(rows: int, at_once: int, work: Callable[[int], MadeT], where: str) -> tuple[MadeT, int]:
    """Return what `work` makes and the rows at a time with which it could.

    Starts with `at_once` of `rows`; each time that the device is out of memory it is half as many.
    """
    while True:
        try:
            return work(at_once), at_once
        except torch.OutOfMemoryError as error:
            if min(at_once, rows) <= 1:
                raise _too_small(where) from error
        # outside of the handler, whose traceback keeps the failed attempt's tensors alive
        at_once = -(-min(at_once, rows) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _too_small(where: str) -> DeviceMemoryError:
    return DeviceMemoryError(
        "The device is out of memory even with one sequence at a time.",
        where=where,
        fix="free memory on it, choose smaller proxy.shapes or proxy.models, or "
        "--set proxy.device=cpu",
    )


@contextlib.contextmanager
def deterministic(*, wanted: bool) -> Iterator[None]:
    """Have Torch use deterministic kernels only, where wanted; cuBLAS hears of it from outside."""
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
