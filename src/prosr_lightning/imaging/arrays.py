"""Arrays of numpy or of PyTorch, whichever a caller has, for what is written once for both.

Pictures are enlarged where PyTorch is not installed too, by an engine that takes numpy's arrays; so the way of a
picture is written in the operations that both have under one name (PyTorch keeps numpy's names beside its own), and no
library stands in between. Nothing here imports PyTorch: where it has not been imported, there are no tensors.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Planes = npt.NDArray[np.float32]  # `(N, 1, H, W)`, what exported graphs take and give
Array = TypeVar("Array", bound=Any)  # of numpy or of PyTorch; a choice of two is more than mypy follows into classes


def is_tensor(value: object) -> TypeGuard[Tensor]:
    """Tell a tensor from everything else."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def namespace(array: object) -> Any:  # noqa: ANN401  # a module, of which callers use what both have
    """Return the module that an array is of: numpy or torch."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def like(values: npt.NDArray[Any], array: Array) -> Array:
    """Return values as an array of the kind, the dtype and the device of another."""
    if namespace(array) is np:
        return np.asarray(values, dtype=array.dtype)  # type: ignore[return-value]  # of the same kind
    return sys.modules["torch"].from_numpy(values).to(array)


def contiguous(array: Array) -> Array:
    """Return an array whose values lie in order, itself if they do."""
    xp = namespace(array)
    return xp.ascontiguousarray(array) if xp is np else array.contiguous()


def on_cpu(array: Array) -> Array:
    """Return an array in the memory of the processor."""
    return array if namespace(array) is np else array.cpu()


def without_gradients(arrays: Any) -> AbstractContextManager[object]:  # noqa: ANN401  # as `namespace`
    """Return a context in which a module's arrays keep nothing for gradients."""
    return nullcontext() if arrays is np else arrays.inference_mode()
