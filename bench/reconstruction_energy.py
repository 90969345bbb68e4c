"""What the reconstructions of a cell cost: measured on one volume of each shape, kept beside the images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch

from .acquisition import Acquisition
from .energy.record import EnergyRecord, unmeasured_energy
from .files import write_json
from .images import MADE_ELSEWHERE, SLICES_PER_BATCH, TRAINING, Recipe, now, read_input, solve, trained
from .network import Trainable
from .quantity import Quantity
from .reconstruction import ReconInput

_OURS = f"{__package__.partition('.')[0]}.models."
_OF_ANOTHER = "measured on another volume of the same shape"


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
    first: set[str] = set()
    records = []
    for acquisition in recipe.acquisitions:
        shape = _shape(acquisition)
        records.append(found[shape].noted(_OF_ANOTHER) if shape in first else found[shape])
        first.add(shape)
    return records


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
    first: dict[str, Acquisition] = {}
    for acquisition in recipe.acquisitions:
        first.setdefault(_shape(acquisition), acquisition)
    ready: list[Recipe] = []

    def work_of(acquisition: Acquisition) -> Callable[[], None]:
        """Its reconstruction, made ready by the first call: where nothing counts, nothing is called."""
        batches: list[ReconInput] = []

        def work() -> None:
            if not ready:
                ready.append(trained(recipe, root)[0])
            if not batches:
                mask = recipe.mask(acquisition)
                starts = range(0, acquisition.slices, SLICES_PER_BATCH)
                batches.extend(read_input(recipe, acquisition, mask, start, start + SLICES_PER_BATCH) for start in starts)
            with torch.inference_mode():
                for batch in batches:
                    solve(ready[0], batch)
            now(recipe.device)  # a GPU has only been told so far

        return work

    return {shape: recipe.meter.measure(work_of(acquisition), recipe.device) for shape, acquisition in first.items()}


def _shape(acquisition: Acquisition) -> str:
    return "x".join(map(str, acquisition.kspace.shape))
