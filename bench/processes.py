"""Several processes that train one network: each takes its share of every batch, and the first of them writes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from torch import distributed, nn

from .errors import HalfscanError


@dataclass(frozen=True)
class Processes:
    """This process among those that `torchrun` started; alone where nobody did."""

    rank: int = 0
    world: int = 1

    @classmethod
    @contextmanager
    def joined(cls, device: str) -> Iterator[Processes]:
        """Joins the others for as long as the window is open.

        Args:
            device: decides how gradients travel: NCCL between GPUs, gloo between CPUs.
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1 or distributed.is_initialized():
            yield cls()
            return
        # The others wait while the first validates, or waits for weights that another training makes.
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=timedelta(days=7))
        try:
            yield cls(distributed.get_rank(), world)
        finally:
            distributed.destroy_process_group()

    def check(self, batch_size: int) -> None:
        """Refuses a batch that can't be shared evenly: the mean of the processes' gradients would not be the batch's."""
        if batch_size % self.world:
            raise HalfscanError(f"trainer.batch_size={batch_size} must be a multiple of the {self.world} processes")

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, whose gradients are the mean over all processes."""
        # Some networks have biases that a normalisation takes out again, and that get no gradient.
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=True) if self.world > 1 else network

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            distributed.barrier()

    def any(self, one: bool) -> bool:
        """Whether it is so of any of them."""
        return self.mean(float(one)) > 0

    def mean(self, value: float) -> float:
        """Of the processes' own values."""
        return self.means([value])[0]

    def means(self, values: Sequence[float]) -> list[float]:
        """Of the processes' own values, of which each has as many."""
        if self.world == 1:
            return list(values)
        import torch

        total = torch.tensor(values, dtype=torch.float64)
        if distributed.get_backend() == "nccl":
            total = total.cuda()
        distributed.all_reduce(total)
        return [float(one) / self.world for one in total.cpu()]
