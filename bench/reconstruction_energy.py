"""What the reconstructions of a cell cost in joules and operations: of one volume of each shape, kept beside the images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from .acquisition import Acquisition
from .energy.record import EnergyRecord, unmeasured_energy
from .energy.wall import WallMeter
from .files import write_json
from .images import MADE_ELSEWHERE, SLICES_PER_BATCH, TRAINING, Recipe, flops_of, now, read_input, solve, trained, warm_up_flops
from .network import Trainable
from .quantity import Quantity
from .reconstruction import ReconInput

_OURS = f"{__package__.partition('.')[0]}.models."
_OF_ANOTHER = "measured on another volume of the same shape"
_OF_ALL = "a mean over all volumes that the wall meter was read over"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one volume's reconstruction costs."""

    energy: EnergyRecord
    flops: Quantity
    """[1] floating-point operations."""
    training: Quantity
    """[J] of the network's whole training."""


def recipe_costs(recipe: Recipe, root: Path) -> list[Cost]:
    """Of each volume, in the order of the acquisitions.

    Args:
        recipe: whose images are there.
        root: folder of all saved images.

    Raises:
        HalfscanError: the folder can't be written.
    """
    training = training_energy(recipe, root)
    both = zip(recipe_energy(recipe, root), recipe_flops(recipe, root), strict=True)
    return [Cost(energy=energy, flops=flops, training=training) for energy, flops in both]


def recipe_energy(recipe: Recipe, root: Path) -> list[EnergyRecord]:
    """What each volume's reconstruction took, in the order of the acquisitions; from disk where it was measured already.

    A volume is rebuilt again and again until counters can tell what it took, which lasts a minute: one of each shape stands for
    all of them.

    Args:
        recipe: whose images are there.
        root: folder of all saved images.

    Raises:
        HalfscanError: the folder can't be written.
    """
    if getattr(recipe.model, "made_elsewhere", False):
        return [unmeasured_energy(MADE_ELSEWHERE)] * len(recipe.acquisitions)
    # Another protocol of measuring is another measurement of the same images.
    name = hashlib.sha256(repr(recipe.meter).encode()).hexdigest()[:16]
    path = root / recipe.digest / f"energy-{name}.json"
    if not path.exists():
        write_json(path, {shape: record.as_dict() for shape, record in _measured(recipe, root).items()})
    found = {shape: EnergyRecord.from_dict(content) for shape, content in json.loads(path.read_text("utf-8")).items()}
    if isinstance(recipe.meter, WallMeter):
        return [found[_shape(acquisition)].noted(_OF_ALL) for acquisition in recipe.acquisitions]
    first: set[str] = set()
    records = []
    for acquisition in recipe.acquisitions:
        shape = _shape(acquisition)
        records.append(found[shape].noted(_OF_ANOTHER) if shape in first else found[shape])
        first.add(shape)
    return records


def recipe_flops(recipe: Recipe, root: Path) -> list[Quantity]:
    """How many floating-point operations each volume's reconstruction takes [1]; from disk where they were counted already.

    Those of the cell's warm-up were counted as it ran; of another shape a slice is rebuilt once more for it. All other volumes of
    a shape are taken to be alike.

    Args:
        recipe: whose images are there.
        root: folder of all saved images.

    Raises:
        HalfscanError: the folder can't be written.
    """
    if getattr(recipe.model, "made_elsewhere", False):
        return [Quantity.unmeasured("1", MADE_ELSEWHERE)] * len(recipe.acquisitions)
    path = root / recipe.digest / "flops.json"
    if not path.exists():
        reconstructed, warm = _Reconstructed(recipe, root), warm_up_flops(recipe, root)
        counted = {}
        for shape, one in _first_of_shape(recipe).items():
            known = warm if one is recipe.acquisitions[0] else None
            counted[shape] = (known or reconstructed.flops(one)).as_dict()
        write_json(path, counted)
    found = {shape: Quantity(**content) for shape, content in json.loads(path.read_text("utf-8")).items()}
    return [found[_shape(acquisition)] for acquisition in recipe.acquisitions]


def training_energy(recipe: Recipe, root: Path) -> Quantity:
    """What the training of a recipe's network took [J]; 0 for our own models that have nothing to train.

    Of images from elsewhere, and of an outside model that may have brought a network along, nobody knows: null.

    Args:
        recipe: whose images are there.
        root: folder of all saved images.
    """
    if getattr(recipe.model, "made_elsewhere", False):
        return Quantity.unmeasured("J", MADE_ELSEWHERE)
    if not isinstance(recipe.model, Trainable):
        if not type(recipe.model).__module__.startswith(_OURS):
            return Quantity.unmeasured("J", "an outside model: whether a network in it was trained is not known here")
        return Quantity(value=0.0, unit="J", method="measured_counter", low=0.0, high=0.0, reason="nothing is trained")
    if recipe.training is None:
        return Quantity.unmeasured("J", "the network came with finished weights: what they took is its maker's to say")
    record = json.loads((root / recipe.digest / TRAINING).read_text("utf-8"))
    return Quantity(**record["energy"])


def _measured(recipe: Recipe, root: Path) -> dict[str, EnergyRecord]:
    reconstructed = _Reconstructed(recipe, root)
    return {
        shape: recipe.meter.measure(reconstructed.work(acquisition), recipe.device)
        for shape, acquisition in _first_of_shape(recipe).items()
    }


class _Reconstructed:
    """Reconstructions of a recipe, to be done again; its network is loaded by the first of them."""

    def __init__(self, recipe: Recipe, root: Path) -> None:
        self._recipe, self._root = recipe, root

    @cached_property
    def _ready(self) -> Recipe:
        return trained(self._recipe, self._root)[0]

    def _batch(self, acquisition: Acquisition, start: int, slices: int = SLICES_PER_BATCH) -> ReconInput:
        return read_input(self._recipe, acquisition, self._recipe.mask(acquisition), start, start + slices)

    def work(self, acquisition: Acquisition) -> Callable[[], None]:
        """The whole volume, made ready by the first call: where nothing counts, nothing is called."""
        batches: list[ReconInput] = []

        def work() -> None:
            if not batches:
                batches.extend(self._batch(acquisition, start) for start in range(0, acquisition.slices, SLICES_PER_BATCH))
            with torch.inference_mode():
                for batch in batches:
                    solve(self._ready, batch)
            now(self._recipe.device)  # a GPU has only been told so far

        return work

    def flops(self, acquisition: Acquisition) -> Quantity:
        """Of the volume, by its first slice; null where the model does not work while it is counted, which is no failed cell."""
        batch = self._batch(acquisition, 0, 1)
        return flops_of(lambda: solve(self._ready, batch), acquisition.slices)


def _first_of_shape(recipe: Recipe) -> dict[str, Acquisition]:
    first: dict[str, Acquisition] = {}
    for acquisition in recipe.acquisitions:
        first.setdefault(_shape(acquisition), acquisition)
    return first


def _shape(acquisition: Acquisition) -> str:
    return "x".join(map(str, acquisition.kspace.shape))
