"""An accelerator simulated on the CPU, to test on machines without one that nothing mixes devices.

Tensors on `DEVICE` hold their values in CPU tensors of their own. With `simulated()` active, as on CUDA, an
operation of tensors there and elsewhere is an error, except for CPU scalars and CPU indices, and NumPy cannot
read what lies there. Speed, streams, memory and the rounding of real kernels are not simulated.

torch must know the device before its first gradient, and knows it for as long as the process lives. Tests on
it are marked `simulated` and run in a process of their own, by `python tests/simulated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

NAME = "simulated"
DEVICE = torch.device("privateuseone", 0)

_aten = torch.ops.aten
_ACROSS = {_aten._to_copy.default, _aten.copy_.default}
_INDEXED = {
    _aten.index.Tensor,
    _aten.index_put_.default,
    _aten.index_put.default,
    _aten._index_put_impl_.default,
}


class Simulated(Tensor):
    """A tensor that says it lies on `DEVICE`; values: the CPU tensor it stands for."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> Simulated:
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=DEVICE,
        )
        made.values = values
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(op, args, kwargs or {})

    def tolist(self) -> Any:
        return self.values.tolist()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Simulated({self.values!r})"


class simulated(TorchDispatchMode):  # noqa: N801
    """Where it is active, tensors can be made on `DEVICE`, or brought there. operations: how many ran."""

    operations = 0

    def __enter__(self) -> simulated:
        if torch._C._get_privateuse1_backend_name() != NAME:
            pytest.skip("the simulated device is in a process of its own: python tests/simulated")
        self._factories = _Factories()
        self._factories.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._factories.__exit__(*error)

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += any(isinstance(leaf, Simulated) for leaf in tree_iter(args))
        return _run(op, args, kwargs or {})


class _Factories(TorchFunctionMode):
    """Makes `torch.tensor` of lists on the CPU first: it brings them to their device unseen by operators."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is Tensor.new_tensor:
            like, *args = args
            function, kwargs = torch.tensor, {"device": like.device, "dtype": like.dtype, **kwargs}
        device = kwargs.get("device")
        if function not in (torch.tensor, torch.as_tensor) or device is None:
            return function(*args, **kwargs)
        return function(*args, **{**kwargs, "device": "cpu"}).to(device)


def register() -> None:
    """Tell torch of the device, for the rest of the process."""
    from torch.utils import backend_registration as backend

    class Module(backend._DummyBackendModule):
        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16, torch.float16]

    backend._setup_privateuseone_for_python_backend(NAME, Module())


def _run(op: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """`op` on the values; what it makes lies where it is told to, or where its tensors lie."""
    tensors = [leaf for leaf in tree_iter((args, kwargs)) if isinstance(leaf, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, Simulated)]
    if there and op not in _ACROSS:
        _check(op, args, tensors)
    device = kwargs.get("device")
    to_device = bool(there) if device is None else torch.device(device).type == DEVICE.type
    told = dict(tree_map(_values, kwargs)) | ({} if device is None else {"device": torch.device("cpu")})
    made = op(*tree_map(_values, args), **told)
    if op is _aten._to_copy.default and made is _values(args[0]):
        made = made.clone()
    # In-place operations give back the tensor they were given.
    known = {id(tensor.values): tensor for tensor in there}

    def placed(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or (not to_device and id(leaf) not in known):
            return leaf
        return known[id(leaf)] if id(leaf) in known else Simulated(leaf)

    return tree_map(placed, made)


def _check(op: Any, args: tuple[Any, ...], tensors: list[Tensor]) -> None:
    """Raises RuntimeError for tensors on two devices."""
    if op in _INDEXED:
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
    elsewhere = [tensor for tensor in tensors if not isinstance(tensor, Simulated) and tensor.ndim]
    if elsewhere:
        raise RuntimeError(f"{op}: tensors on {DEVICE} and on {elsewhere[0].device}")


def _values(leaf: Any) -> Any:
    return leaf.values if isinstance(leaf, Simulated) else leaf
