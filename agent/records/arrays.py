"""Names for the arrays that records hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""A picture: uint8, (height, width, 3), BGR."""

Tensor = npt.NDArray[Any]
"""A model's tensor, in the model's own dtype and shape."""

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]
