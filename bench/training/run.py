"""A training while it runs, on MONAI's engines: every step has its own batch, so that it can stop and go on at any of them."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..energy.meter import Window
from ..energy.record import EnergyRecord, unmeasured_energy
from ..errors import HalfscanError
from ..files import whole_file
from ..metrics import Profile
from ..network import NetworkInput
from ..processes import Processes
from ..progress import progress
from .trainer import Trainer
from .weights import CHECKPOINT, WEIGHTS, load_weights, read_record, write_weights

if TYPE_CHECKING:
    from .training import Training

log = logging.getLogger(__name__)

_EPSILON = 1e-12
_ENOUGH = 1e-4
"""NMSE below which nothing more is to be won: there the maps decide."""
_AGREE_EVERY = 10
"""Steps on GPUs after which several processes ask each other whether one was told to stop."""


class Run:
    """The state of one training while it runs.

    Args:
        training: data, settings and seed.
        network: untrained, on its device.
        folder: of checkpoint, weights and record.
        processes: those that share the work.
    """

    def __init__(self, training: Training, network: nn.Module, folder: Path, processes: Processes) -> None:
        from ..pipeline import SeededSlices

        self._training, self._network, self._folder, self._processes = training, network, folder, processes
        self._settings = settings = training.trainer
        processes.check(settings.batch_size)
        self._start: str | None = None
        self._before: list[str] | None = []  # whom the weights at the start learned from; None: nobody knows
        if settings.start is not None:
            load_weights(network, Path(settings.start))
            # Of what was loaded: the file may be gone when the record is written.
            self._start = hashlib.sha256(Path(settings.start).read_bytes()).hexdigest()
            self._before = (read_record(Path(settings.start)) or {}).get("learned_from")
        self._optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        self._loss = LOSSES[settings.loss]
        samplings, cache = training.samplings(), Path(settings.cache).expanduser() if settings.cache else None
        self._slices = SeededSlices(
            training.train, samplings, training.maps, training.train_seed, augment=settings.augment, cache=cache
        )
        self._held_out = SeededSlices(training.validation, samplings, training.maps, training.train_seed, cache=cache)
        self._average = _Average(network, settings.average)
        self._history: list[dict[str, float]] = []
        self._losses: list[float] = []
        self._best: dict[str, Any] = {"step": 0, "loss": float("inf"), "weights": None}
        self._seconds, self._resumed = 0.0, False
        self._window: Window | None = None
        self._step = self._restore()

    def train(self) -> None:
        """Trains from the last checkpoint on, then writes weights and record.

        Raises:
            HalfscanError: the loss is no longer a number.
        """
        if not self._done:
            with self._training.meter.window(self._training.device) as self._window:
                self._steps()
        if self._processes.rank == 0:
            self._finish()

    def _steps(self) -> None:
        from ignite.engine import Events
        from monai.data import DataLoader
        from monai.engines import IterationEvents, SupervisedTrainer

        from ..pipeline import Batches, prepare_batch

        settings, training = self._settings, self._training
        self._prepare()
        batches = Batches(
            self._slices.shapes,
            settings.batch_size,
            training.train_seed,
            settings.steps,
            self._step,
            self._processes.rank,
            self._processes.world,
        )
        workers: dict[str, Any] = {"num_workers": settings.workers}
        if settings.workers:
            # A signal to stop reaches all processes: this one still needs what those prepare until its step has ended.
            workers |= {"prefetch_factor": 4, "pin_memory": training.device.startswith("cuda"), "worker_init_fn": _deafen}
        network = _Precision(self._processes.wrap(self._network), settings, training.device)
        engine = SupervisedTrainer(
            device=torch.device(training.device),
            max_epochs=1,
            epoch_length=len(batches),
            train_data_loader=DataLoader(self._slices, batch_sampler=batches, **workers),
            network=network,
            optimizer=self._optimizer,
            loss_function=self._loss,
            prepare_batch=prepare_batch,
            decollate=False,
            non_blocking=bool(settings.workers),
        )
        engine.logger.setLevel(logging.CRITICAL)  # what fails is raised, and said once
        clock = time.monotonic()
        with progress("training", settings.steps - self._step) as advance, _warned() as stop:

            def end_step() -> None:
                nonlocal clock
                self._step += 1
                self._seconds, clock = self._seconds + time.monotonic() - clock, time.monotonic()
                self._end_step(engine.state.output["loss"].detach())
                advance()
                if self._done:
                    engine.terminate()
                elif self._all_stop(stop):
                    self._save()
                    stop.obey()

            engine.add_event_handler(Events.ITERATION_STARTED, self._set_learning_rate)
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._clip)
            engine.add_event_handler(Events.ITERATION_COMPLETED, end_step)
            engine.run()
            if stop.is_set():
                stop.obey()  # the last step was saved: it was a validation's

    def _all_stop(self, stop: threading.Event) -> bool:
        """Whether some process was warned. All end after the same step: one that went on would wait for the others' gradients."""
        if self._processes.world == 1:
            return stop.is_set()
        # Agreeing takes a moment in which a GPU stands still, and steps on GPUs are short.
        every = _AGREE_EVERY if self._training.device.startswith("cuda") else 1
        return self._step % every == 0 and self._processes.any(stop.is_set())

    def _prepare(self) -> None:
        """Every volume once, each process its share, before slices are drawn at random."""
        workers, processes = self._settings.workers, self._processes
        for slices in (self._slices, self._held_out):
            volumes = slices.prepare(workers, processes.rank, processes.world)
            with progress("preparing", len(volumes)) as advance:
                for _ in volumes:
                    advance()
        processes.wait()

    @property
    def _done(self) -> bool:
        """Whether all steps are done, or as many validations as patience lasts brought nothing better."""
        settings = self._settings
        stale = settings.patience is not None and self._step - self._best["step"] >= settings.patience * settings.validate_every
        return self._step >= settings.steps or (stale and self._step % settings.validate_every == 0)

    def _set_learning_rate(self) -> None:
        """By the step's number alone."""
        settings, step = self._settings, self._step
        factor = min(1.0, (step + 1) / (settings.warm_up + 1))
        if settings.decay:
            share = max(0, step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
            factor *= 0.5 * (1 + math.cos(math.pi * share))
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor

    def _clip(self) -> None:
        if self._settings.clip is not None:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._settings.clip)

    def _end_step(self, loss: Tensor) -> None:
        self._average.update(self._network)
        self._losses.append(loss)  # type: ignore[arg-type]  # a number later: asking a GPU for one would wait for it
        settings = self._settings
        validates = self._step % settings.validate_every == 0 or self._step == settings.steps
        if validates or self._step % settings.checkpoint_every == 0:
            self._losses = [float(one) for one in self._losses]
            if not all(map(math.isfinite, self._losses)):
                raise HalfscanError(f"training diverged by step {self._step}: lower trainer.learning_rate")
        if validates:
            self._end_round()
        if validates or self._step % settings.checkpoint_every == 0:
            self._save()

    def _end_round(self) -> None:
        """After a validation: a point of the learning curve, and the best weights so far."""
        entry = {"step": float(self._step), "train_loss": self._processes.mean(sum(self._losses) / len(self._losses))}
        self._losses = []
        if self._processes.rank == 0:
            entry |= self._validate()
            if not math.isfinite(entry["validation_loss"]):
                raise HalfscanError(f"training diverged by step {self._step}: lower trainer.learning_rate")
        # Every process stops when the first would.
        entry["validation_loss"] = self._processes.mean(entry.get("validation_loss", 0.0)) * self._processes.world
        if entry["validation_loss"] < self._best["loss"]:
            state = self._average.network.state_dict()
            weights = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
            self._best = {"step": self._step, "loss": entry["validation_loss"], "weights": weights}
        self._history.append(entry)
        log.info("step %d: train %.4g, validation %.4g", self._step, entry["train_loss"], entry["validation_loss"])

    def _validate(self) -> dict[str, float]:
        """Means over the validation slices, whose masks are always the same: the loss, and Halfscan's own metrics."""
        from ignite.engine import Events
        from monai.data import DataLoader
        from monai.engines import SupervisedEvaluator

        from ..pipeline import Batches, prepare_batch

        batches = list(Batches(self._held_out.shapes, self._settings.batch_size, 0, 10**9)._batches(0))
        seen = {index for batch in batches for index in batch}
        # What filled no batch makes one of its own, slice by slice: its shape is its own.
        batches += [[index] for index in range(len(self._held_out)) if index not in seen]
        workers = {"num_workers": self._settings.workers}
        network = _Precision(self._average.network, self._settings, self._training.device)
        evaluator = SupervisedEvaluator(
            device=torch.device(self._training.device),
            val_data_loader=DataLoader(self._held_out, batch_sampler=batches, **workers),
            network=network,
            prepare_batch=prepare_batch,
            decollate=False,
        )
        evaluator.logger.setLevel(logging.CRITICAL)
        profile = Profile(name="mvue", truth="mvue")
        losses: list[float] = []
        scores: dict[str, list[float]] = {}

        def note() -> None:
            output = evaluator.state.output
            losses.append(float(self._loss(output["pred"], output["label"])) * len(output["label"]))
            for truth, image in zip(output["label"].abs().cpu().numpy(), output["pred"].abs().cpu().numpy(), strict=True):
                for name, score in profile.score(truth[None], image[None]).items():
                    if score.value is not None:
                        scores.setdefault(name, []).append(score.value)

        evaluator.add_event_handler(Events.ITERATION_COMPLETED, note)
        evaluator.run()
        means = {name.partition("@")[0]: sum(values) / len(values) for name, values in scores.items()}
        return {"validation_loss": sum(losses) / len(self._held_out), **means}

    def _finish(self) -> None:
        training = self._training
        energy = self._energy()
        own = {one.patient for one in (*training.train, *training.validation)}
        record = {
            "history": self._history,
            "steps": self._step,
            "best_step": self._best["step"],
            "train_slices": len(self._slices),
            "validation_slices": len(self._held_out),
            "parameters": sum(parameter.numel() for parameter in self._network.parameters()),
            # A folder of this machine is nobody's business.
            "trainer": json.loads(json.dumps({**asdict(self._settings), "cache": None, "start": self._start}, default=str)),
            "train_seed": training.train_seed,
            "data_digest": training.data_digest,
            "learned_from": None if self._before is None else sorted({*self._before, *own}),
            "seconds": self._seconds,
            "energy": energy.total.as_dict(),
            "energy_record": energy.as_dict(),
        }
        write_weights(self._folder / WEIGHTS, self._best["weights"], record)
        (self._folder / CHECKPOINT).unlink(missing_ok=True)

    def _energy(self) -> EnergyRecord:
        """Of all steps; null where no one window holds them."""
        if self._resumed:
            return unmeasured_energy("the training was broken off and resumed: no window of a meter spans it")
        if self._processes.world > 1:
            return unmeasured_energy(f"{self._processes.world} processes trained: one meter does not watch all their devices")
        return unmeasured_energy("no step was done") if self._window is None else self._window.record

    def _save(self) -> None:
        # Of all processes: each of them goes on from what the first saves.
        self._losses = self._processes.means([float(one) for one in self._losses])
        if self._processes.rank:
            return
        state = {
            "step": self._step,
            "network": self._network.state_dict(),
            "average": self._average.state(),
            "optimizer": self._optimizer.state_dict(),
            "history": self._history,
            "losses": self._losses,
            "best": self._best,
            "seconds": self._seconds,
        }
        with whole_file(self._folder / CHECKPOINT) as draft:
            torch.save(state, draft)

    def _restore(self) -> int:
        path = self._folder / CHECKPOINT
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return 0
        except OSError as error:
            # A file server that hiccups must not cost days of training.
            raise HalfscanError(f"can't read {path}: {error.strerror}; try again, or delete it to train anew") from error
        try:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:
            if isinstance(error, MemoryError) or "allocate" in str(error):
                raise
            # Damaged by a lost machine or disk: torch raises whatever its unpickler does.
            aside = path.with_name(f"{CHECKPOINT}.damaged")
            with suppress(FileNotFoundError):  # each of several processes finds it so
                path.replace(aside)
            log.warning("%s is damaged (%s) and lies in %s now: training starts anew", path, type(error).__name__, aside.name)
            return 0
        self._network.load_state_dict(state["network"])
        self._average.restore(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._history, self._losses, self._best = state["history"], state["losses"], state["best"]
        self._seconds, self._resumed = state["seconds"], True
        return int(state["step"])


class _Average:
    """The running mean of a network's weights, or the network itself."""

    def __init__(self, network: nn.Module, decay: float | None) -> None:
        from torch.optim.swa_utils import AveragedModel

        self._mean = None if decay is None else AveragedModel(network, multi_avg_fn=_running_mean(decay))
        self._plain = network

    @property
    def network(self) -> nn.Module:
        """To validate and to keep."""
        return self._plain if self._mean is None else self._mean.module

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {} if self._mean is None else self._mean.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        if self._mean is not None:
            self._mean.load_state_dict(state)

    def update(self, network: nn.Module) -> None:
        """Takes a step's weights in."""
        if self._mean is not None:
            self._mean.update_parameters(network)


def _running_mean(decay: float) -> Callable[[Any, Any, Any], None]:
    """Of weights, short at first: the random weights that a training starts from are soon forgotten."""

    def update(mean: Any, fresh: Any, number: Any) -> None:
        share = 1 - min(decay, (1 + int(number)) / (10 + int(number)))
        with torch.no_grad():
            torch._foreach_lerp_(mean, fresh, share)

    return update


class _Precision(nn.Module):
    """A network under autocast, where that is wanted."""

    def __init__(self, network: nn.Module, settings: Trainer, device: str) -> None:
        super().__init__()
        self.network = network
        self._mixed = device.partition(":")[0] if settings.mixed_precision else None

    def forward(self, data: NetworkInput) -> Tensor:
        with torch.autocast(self._mixed, dtype=torch.bfloat16) if self._mixed else nullcontext():
            image: Tensor = self.network(data)
        return image


def _deafen(_worker: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


class _Warning(threading.Event):
    """Set by a signal that says that the process is about to end."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[int, Any] = {}
        """Signal → what answered it before."""
        self.number: int = signal.SIGTERM

    def note(self, number: int, frame: object) -> None:
        """Of a signal; a second Ctrl-C does not wait.

        Raises:
            KeyboardInterrupt: at that.
        """
        if self.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.is_set() or number != signal.SIGTERM:
            # A queue that warned first starts the job again, which SIGTERM, its last word, does not ask for.
            self.number = number
        self.set()

    def obey(self) -> None:
        """Does what would have been done at once: the handler of a queue that starts the job again, or an interruption.

        Raises:
            KeyboardInterrupt: where nobody answers that signal.
        """
        handler = self.before.get(self.number)
        if self.number != signal.SIGTERM and callable(handler):
            handler(self.number, None)
        raise KeyboardInterrupt


@contextmanager
def _warned() -> Iterator[_Warning]:
    """A warning by SIGTERM or Ctrl-C, or by the signal of a queue whose job is nearly out of time, so that a step ends and is
    saved; only the main thread can ask for that."""
    stop = _Warning()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    for number in map(int, (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)):
        # A user's signal that nobody waits for keeps its meaning, which is to end the process; one that is ignored stays so.
        if number == signal.SIGTERM or callable(signal.getsignal(number)):
            stop.before[number] = signal.signal(number, stop.note)
    try:
        yield stop
    finally:
        for number, handler in stop.before.items():
            signal.signal(number, handler)


def _l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean over real and imaginary parts."""
    return (torch.view_as_real(image) - torch.view_as_real(target)).abs().mean()


def _log_nmse(image: Tensor, target: Tensor) -> Tensor:
    error, power = (torch.view_as_real(one).square().sum((-3, -2, -1)) for one in (image - target, target))
    return (error / (power + _EPSILON) + _ENOUGH).log().mean()


LOSSES = {"l1": _l1, "log_nmse": _log_nmse}
