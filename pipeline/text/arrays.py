"""Short names of the array types that annotations in this project use."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Int32: TypeAlias = NDArray[np.int32]
Int64: TypeAlias = NDArray[np.int64]
Uint64: TypeAlias = NDArray[np.uint64]
Uint32: TypeAlias = NDArray[np.uint32]
Uint16: TypeAlias = NDArray[np.uint16]
Uint8: TypeAlias = NDArray[np.uint8]
Float64: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Value: TypeAlias = Any  # a machine number, or LLVM's name for one; Numba infers which
