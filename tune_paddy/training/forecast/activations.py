"""Count the bytes that operators save for the backward pass, and the peak of bytes alive at once."""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class SavedBytes:
    """Storages that autograd saves for the backward pass, each counted once.

    Addresses identify storages. The references held here prevent the reuse of an address.

    Args:
        known: Tensors whose storages are counted elsewhere: parameters, buffers, the input.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        self._known = {_address(tensor): tensor.untyped_storage() for tensor in known}
        self._saved: dict[int, torch.UntypedStorage] = {}

    @property
    def total(self) -> int:
        """Number of bytes saved so far."""
        return sum(storage.nbytes() for storage in self._saved.values())

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Collect the storages that operators in the block save."""
        with saved_tensors_hooks(self._pack, lambda tensor: tensor):
            yield

    def _pack(self, tensor: Tensor) -> Tensor:
        address = _address(tensor)
        if address not in self._known:
            self._saved[address] = tensor.untyped_storage()
        return tensor


class LiveBytes(TorchFunctionMode):
    """While active, tracks the live results of torch functions and their peak.

    Parameters cast to another type are not counted here: autocast keeps them all, so they count separately.

    Attributes:
        peak: Largest number of bytes alive at once so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._live: dict[int, int] = {}
        self._total = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one torch function and track its results (torch calls this)."""
        result = func(*args, **(kwargs or {}))
        if not (args and isinstance(args[0], nn.Parameter)):
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._born(leaf)
            self.peak = max(self.peak, self._total)
        return result

    def _born(self, tensor: Tensor) -> None:
        address = _address(tensor)
        if address in self._live:
            return
        storage = tensor.untyped_storage()
        self._live[address] = storage.nbytes()
        self._total += storage.nbytes()
        weakref.finalize(storage, self._died, address)

    def _died(self, address: int) -> None:
        self._total -= self._live.pop(address)


def _address(tensor: Tensor) -> int:
    """Return an identifier of a tensor's storage; on the meta device storages have no data pointer."""
    return int(tensor.untyped_storage()._cdata)
