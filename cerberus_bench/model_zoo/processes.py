"""Several processes that train one model together, started by torchrun or `accelerate launch`.

A process that was started alone needs none of it: `start_processes` then gives `ALONE`, which
changes nothing.
"""

import os
from typing import Protocol, cast

import torch
from torch import Tensor

from cerberus_bench.schema.errors import CerberusBenchError


class Processes(Protocol):
    """What a step needs of the processes that share it."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        ...

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def device(self) -> torch.device | None:
        """Where this process computes; None where it may choose."""
        ...

    def total(self, tensor: Tensor) -> Tensor:
        """Sum of the tensors of all processes, the same in each."""
        ...

    def of_first(self, value: float) -> float:
        """The value that the first process has."""
        ...

    def wait(self) -> None:
        """Return when all have come here."""
        ...


class _Alone:
    """One process."""

    rank, count, device = 0, 1, None

    def total(self, tensor: Tensor) -> Tensor:
        return tensor

    def of_first(self, value: float) -> float:
        return value

    def wait(self) -> None:
        return


class _Launched:
    """One of the processes that a launcher started, by way of accelerate."""

    def __init__(self, *, cpu: bool) -> None:
        from accelerate import PartialState

        self._state = PartialState(cpu=cpu)
        self.rank: int = self._state.process_index
        self.count: int = self._state.num_processes
        self.device: torch.device | None = self._state.device

    def total(self, tensor: Tensor) -> Tensor:
        from accelerate.utils import reduce

        return cast(Tensor, reduce(tensor.detach().clone(), reduction="sum"))

    def of_first(self, value: float) -> float:
        from accelerate.utils import broadcast

        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        return float(broadcast(shared, from_process=0).item())

    def wait(self) -> None:
        self._state.wait_for_everyone()


ALONE: Processes = _Alone()


def start_processes(device: str) -> Processes:
    """The processes of this run, as the environment of a launcher (WORLD_SIZE) says.

    Args:
        device: `cpu` keeps them off the GPUs.

    Raises:
        CerberusBenchError: the launcher started several, and they do not find each other.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return ALONE
    launched = _Launched(cpu=device == "cpu" or not torch.cuda.is_available())
    if launched.count < 2:
        raise CerberusBenchError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but this process found no other. Start them"
            " with torchrun --nproc_per_node N -m cerberus_bench train ..."
        )
    return launched
