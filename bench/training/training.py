"""A training: what a network learns from, and the way to its weights, made once and shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..acquisition import Acquisition
from ..energy.meter import Meter
from ..errors import HalfscanError
from ..maps import Espirit
from ..network import Trainable
from ..processes import Processes
from ..reconstruction import Reconstructor
from ..sampling.pattern import Sampling
from .run import Run
from .trainer import Trainer
from .weights import WEIGHTS, load_weights, read_record


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """One training: data, settings and seed."""

    trainer: Trainer
    model: Trainable
    train: Sequence[Acquisition]
    validation: Sequence[Acquisition]
    sampling: Sampling
    maps: Espirit
    meter: Meter
    train_seed: int
    device: str
    digest: str
    """Names the weights: SHA-256 over all that made them. Not the cell's own acceleration: cells share weights."""
    data_digest: str = ""
    """SHA-256 of the training and validation volumes' manifests, for the weights' card."""

    def check(self) -> None:
        """Refuses, before any work, masks that the sampling can't have on the training volumes.

        Raises:
            HalfscanError: naming the setting.
        """
        for acquisition in {one.kspace.shape[1:]: one for one in (*self.train, *self.validation)}.values():
            shape = (acquisition.kspace.size("coil"), acquisition.kspace.size("ky"), acquisition.kspace.size("kx"))
            for sampling in self.samplings():
                try:
                    mask = sampling.draw(acquisition.acquired, "check", readout=shape[2])
                except HalfscanError as error:
                    setting = "samplings" if self.trainer.samplings else f"accelerations={list(self.trainer.accelerations)}"
                    raise HalfscanError(f"trainer.{setting}: {error}") from error
                self.maps.check(mask.calibration, shape)

    def samplings(self) -> list[Sampling]:
        """The trainer's own samplings, or the cell's at each of its accelerations."""
        if self.trainer.samplings is not None:
            return [replace(one, seed="content") for one in self.trainer.samplings]
        return [replace(self.sampling, acceleration=acceleration, seed="content") for acceleration in self.trainer.accelerations]

    def run(self, root: Path) -> tuple[Reconstructor, dict[str, Any]]:
        """The model with trained weights, from disk where they are there already; resumed where it was broken off.

        Args:
            root: folder of all trained weights.

        Returns:
            The model, and the record of its training: learning curves, seconds, energy or why there is none.
        """
        folder = root / self.digest
        folder.mkdir(parents=True, exist_ok=True)
        network = self.model.build(self.train_seed).to(self.device)
        with Processes.joined(self.device) as processes, _alone(folder, processes):
            record = read_record(folder / WEIGHTS)
            if record is None:
                Run(self, network, folder, processes).train()
                processes.wait()
                record = read_record(folder / WEIGHTS)
            assert record is not None
            load_weights(network, folder / WEIGHTS)
        return self.model.with_network(network.eval()), record


@contextmanager
def _alone(folder: Path, processes: Processes) -> Iterator[None]:
    """Cells that share a network wait for the first of them to train it; the processes of one training are one."""
    if processes.rank:
        processes.wait()
        yield
        return
    with FileLock(str(folder / "lock")):
        processes.wait()
        yield
