"""Training of a network: what it learns from and how, its weights named by all that made them, its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import nn

from .acquisition import Acquisition
from .energy import Meter
from .errors import HalfscanError
from .maps import Espirit
from .network import Trainable
from .processes import Processes
from .reconstruction import Reconstructor
from .sampling.pattern import Sampling

WEIGHTS, RECORD, CHECKPOINT = "weights.safetensors", "training.json", "checkpoint.pt"


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """How a network is trained.

    Raises:
        HalfscanError: a setting out of range.
    """

    steps: int = 400
    """Updates of the weights."""
    batch_size: int = 4
    """Slices an update, over all processes."""
    learning_rate: float = 0.002
    """Of Adam at its highest."""
    warm_up: int = 0
    """Steps over which the learning rate rises to it."""
    decay: bool = False
    """Whether it then falls to nothing along half a cosine."""
    clip: float | None = None
    """The gradient is shortened to this norm; None leaves it."""
    average: float | None = None
    """Share of the old in a running mean of the weights, which then are validated and kept; None keeps the last ones."""
    loss: str = "l1"
    """`l1`: mean absolute difference; `log_nmse`: logarithm of each slice's own NMSE, so that a tenth less error counts the same
    in a quiet slice as in a noisy one."""
    accelerations: tuple[float, ...] = (2.0, 3.0, 4.0)
    """Drawn at random for every slice and epoch; everything else of the masks is the cell's sampling."""
    samplings: tuple[Sampling, ...] | None = None
    """Drawn from instead of the cell's sampling at `accelerations`."""
    augment: bool = False
    """Whether heads and coils are mirrored together and receivers turned."""
    start: str | None = None
    """File of weights to begin from (safetensors); None: from those that the seed draws."""
    validate_every: int = 50
    """Steps between validations; the weights that do best on the validation patients are kept."""
    patience: int | None = None
    """Training stops after so many validations without a better one; None: never early."""
    checkpoint_every: int = 50
    """Steps between checkpoints, beside those at validations and at SIGTERM."""
    workers: int = 0
    """Processes that prepare slices; the numbers do not depend on them."""
    cache: str | None = None
    """Folder for prepared slices, which trainings and processes share; None keeps them in memory."""
    mixed_precision: bool = False
    """On a GPU, convolutions in bfloat16."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "accelerations", tuple(self.accelerations))
        if self.samplings is not None:
            object.__setattr__(self, "samplings", tuple(self.samplings))
        lowest = {"steps": 1, "batch_size": 1, "validate_every": 1, "checkpoint_every": 1, "warm_up": 0, "workers": 0}
        for name, low in lowest.items():
            if getattr(self, name) < low:
                raise HalfscanError(f"trainer.{name}={getattr(self, name)} must be at least {low}")
        if not 0 < self.learning_rate < 1 or not (self.accelerations or self.samplings):
            raise HalfscanError(f"trainer: learning_rate={self.learning_rate} must lie in (0, 1), accelerations not be empty")
        if self.loss not in ("l1", "log_nmse"):
            raise HalfscanError(f"trainer.loss={self.loss} is unknown: use l1 or log_nmse")
        if self.average is not None and not 0 < self.average < 1:
            raise HalfscanError(f"trainer.average={self.average} must lie between 0 and 1, or be null")
        if self.start is not None and not Path(self.start).is_file():
            raise HalfscanError(f"trainer.start={self.start}: no such file")
        if self.clip is not None and not self.clip > 0:
            raise HalfscanError(f"trainer.clip={self.clip} must be positive, or null")
        if self.patience is not None and self.patience < 1:
            raise HalfscanError(f"trainer.patience={self.patience} must be at least 1, or null")


LEAVES_WEIGHTS_ALONE = ("checkpoint_every", "workers", "cache", "start")
"""Settings of a trainer that no weight depends on; of weights to begin from the content counts, not where they lie."""


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
        from .training_run import Run

        folder = root / self.digest
        folder.mkdir(parents=True, exist_ok=True)
        network = self.model.build(self.train_seed).to(self.device)
        with Processes.joined(self.device) as processes, _alone(folder, processes):
            record = read_record(folder)
            if record is None:
                Run(self, network, folder, processes).train()
                processes.wait()
                record = read_record(folder)
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


def read_record(folder: Path) -> dict[str, Any] | None:
    """How the weights in a folder were trained; None where there are none, or not those that the record speaks of."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text("utf-8"))
        found = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        return record if found == record["weights_sha256"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_weights(network: nn.Module, path: Path) -> None:
    """Loads safetensors into a network.

    Raises:
        HalfscanError: no such file, damaged, or weights of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise HalfscanError(f"weights {path}: can't be read ({error})") from error
    except RuntimeError as error:
        raise HalfscanError(f"weights {path}: are those of another network ({str(error).splitlines()[0]})") from error
