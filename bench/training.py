"""Training of a network on MONAI's engines: seeded, resumable at every epoch, its weights named by what made them."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from filelock import FileLock
from torch import nn

from .acquisition import Acquisition
from .energy import Meter
from .errors import HalfscanError
from .files import whole_file, write_json
from .maps import Espirit
from .progress import progress
from .reconstruction import Reconstructor
from .sampling.pattern import Sampling

log = logging.getLogger(__name__)

WEIGHTS, RECORD, CHECKPOINT = "weights.safetensors", "training.json", "checkpoint.pt"


@runtime_checkable
class Trainable(Reconstructor, Protocol):
    """A reconstruction whose network is to be trained first."""

    @property
    def weights(self) -> str | None:
        """File of finished weights; None: train."""
        ...

    def build(self, seed: int) -> nn.Module:
        """The untrained network: (batch, 2, ky, kx) → the same; equal seeds give equal weights."""
        ...

    def with_network(self, network: nn.Module) -> Reconstructor:
        """The same reconstruction with a trained network."""
        ...


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """How a network is trained.

    Raises:
        HalfscanError: a setting out of range.
    """

    epochs: int = 40
    batch_size: int = 4
    learning_rate: float = 0.002
    accelerations: tuple[float, ...] = (2.0, 3.0, 4.0)
    """Drawn at random for every slice and epoch; everything else of the masks is the cell's sampling."""
    validate_every: int = 5
    """Epochs between validations; the weights that do best on the validation patients are kept."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "accelerations", tuple(self.accelerations))
        for name in ("epochs", "batch_size", "validate_every"):
            if getattr(self, name) < 1:
                raise HalfscanError(f"trainer.{name}={getattr(self, name)} must be at least 1")
        if not 0 < self.learning_rate < 1 or not self.accelerations:
            raise HalfscanError(f"trainer: learning_rate={self.learning_rate} must lie in (0, 1), accelerations not be empty")


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

    def check(self) -> None:
        """Refuses, before any work, accelerations that the sampling can't have on the training volumes.

        Raises:
            HalfscanError: naming the setting.
        """
        for acquisition in {one.kspace.shape[1:]: one for one in (*self.train, *self.validation)}.values():
            shape = (acquisition.kspace.size("coil"), acquisition.kspace.size("ky"), acquisition.kspace.size("kx"))
            for acceleration in self.trainer.accelerations:
                try:
                    sampling = replace(self.sampling, acceleration=acceleration, seed="content")
                    mask = sampling.draw(acquisition.acquired, "check", readout=shape[2])
                except HalfscanError as error:
                    raise HalfscanError(f"trainer.accelerations={list(self.trainer.accelerations)}: {error}") from error
                self.maps.check(mask.calibration, shape)

    def samplings(self) -> list[Sampling]:
        """The cell's sampling at each acceleration of the trainer."""
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
        # Cells that share a network wait for the first of them to train it.
        with FileLock(str(folder / "lock")):
            record = read_record(folder)
            if record is None:
                _Run(self, network, folder).train()
                record = read_record(folder)
            assert record is not None
            load_weights(network, folder / WEIGHTS)
        return self.model.with_network(network.eval()), record


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


class _Run:
    """The state of one training while it runs."""

    def __init__(self, training: Training, network: nn.Module, folder: Path) -> None:
        from .pipeline import SeededSlices

        self._training, self._network, self._folder = training, network, folder
        settings = training.trainer
        self._optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        self._loss = nn.L1Loss()
        samplings = training.samplings()
        self._slices = SeededSlices(training.train, samplings, training.maps, training.train_seed)
        self._held_out = SeededSlices(training.validation, samplings, training.maps, training.train_seed)
        self._history: list[dict[str, float]] = []
        self._best: dict[str, Any] = {"epoch": 0, "loss": float("inf"), "weights": None}
        self._epoch = self._restore()

    def train(self) -> None:
        """Trains from the last finished epoch on, then writes weights and record."""
        from ignite.engine import Events
        from monai.data import DataLoader
        from monai.engines import SupervisedTrainer
        from safetensors.torch import save_file

        from .pipeline import EpochSampler

        settings, training = self._training.trainer, self._training
        sampler = EpochSampler(len(self._slices), training.train_seed, self._epoch)
        loader = DataLoader(self._slices, batch_size=settings.batch_size, sampler=sampler, num_workers=0)
        engine = SupervisedTrainer(
            device=torch.device(training.device),
            max_epochs=settings.epochs,
            train_data_loader=loader,
            network=self._network,
            optimizer=self._optimizer,
            loss_function=self._loss,
            decollate=False,
        )
        engine.logger.setLevel(logging.WARNING)
        engine.state.epoch, engine.state.iteration = self._epoch, self._epoch * len(loader)
        losses: list[float] = []
        with progress("training", settings.epochs - self._epoch) as advance, training.meter.window():
            engine.add_event_handler(
                Events.ITERATION_COMPLETED, lambda: losses.append(float(engine.state.output["loss"].detach()))
            )
            engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: self._end_epoch(losses))
            engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: advance())
            if self._epoch < settings.epochs:
                engine.run()
        energy = training.meter.record()
        with whole_file(self._folder / WEIGHTS) as draft:
            save_file(self._best["weights"], draft)
        record = {
            "history": self._history,
            "best_epoch": self._best["epoch"],
            "train_slices": len(self._slices),
            "validation_slices": len(self._held_out),
            "parameters": sum(parameter.numel() for parameter in self._network.parameters()),
            "trainer": asdict(settings),
            "train_seed": training.train_seed,
            "learned_from": sorted({one.patient for one in (*training.train, *training.validation)}),
            "energy": energy.total.as_dict(),
            "weights_sha256": hashlib.sha256((self._folder / WEIGHTS).read_bytes()).hexdigest(),
        }
        write_json(self._folder / RECORD, record)
        (self._folder / CHECKPOINT).unlink(missing_ok=True)

    def _end_epoch(self, losses: list[float]) -> None:
        self._epoch += 1
        entry: dict[str, float] = {"epoch": self._epoch, "train_loss": sum(losses) / len(losses)}
        losses.clear()
        settings = self._training.trainer
        if self._epoch % settings.validate_every == 0 or self._epoch == settings.epochs:
            entry["validation_loss"] = self._validate()
        if not all(math.isfinite(value) for value in entry.values()):
            raise HalfscanError(f"training diverged in epoch {self._epoch}: lower trainer.learning_rate")
        if "validation_loss" in entry and entry["validation_loss"] < self._best["loss"]:
            weights = {name: value.detach().cpu().clone() for name, value in self._network.state_dict().items()}
            self._best = {"epoch": self._epoch, "loss": entry["validation_loss"], "weights": weights}
        self._history.append(entry)
        self._save()

    def _validate(self) -> float:
        """Mean loss over the validation slices."""
        from monai.data import DataLoader
        from monai.engines import SupervisedEvaluator

        losses: list[float] = []
        evaluator = SupervisedEvaluator(
            device=torch.device(self._training.device),
            val_data_loader=DataLoader(self._held_out, batch_size=self._training.trainer.batch_size, num_workers=0),
            network=self._network,
            decollate=False,
        )
        evaluator.logger.setLevel(logging.WARNING)
        from ignite.engine import Events

        def note() -> None:
            output = evaluator.state.output
            losses.append(float(self._loss(output["pred"], output["label"])) * len(output["label"]))

        evaluator.add_event_handler(Events.ITERATION_COMPLETED, note)
        evaluator.run()
        return sum(losses) / len(self._held_out)

    def _save(self) -> None:
        state = {
            "epoch": self._epoch,
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "history": self._history,
            "best": self._best,
        }
        with whole_file(self._folder / CHECKPOINT) as draft:
            torch.save(state, draft)

    def _restore(self) -> int:
        path = self._folder / CHECKPOINT
        if not path.exists():
            return 0
        try:
            state = torch.load(path, map_location=self._training.device, weights_only=True)
        except Exception as error:
            # A checkpoint cut short by a lost machine: torch raises whatever its unpickler does.
            log.warning("checkpoint %s can't be read (%s): training starts anew", path, type(error).__name__)
            return 0
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._history, self._best = state["history"], state["best"]
        return int(state["epoch"])
