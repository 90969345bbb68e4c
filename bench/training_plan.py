"""From a configuration to a training: its patients, its checks, and the digest that names its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .acquisition import Acquisition, Dataset, Splittable, manifest_digest
from .configuration import build, sha256, targets, without_name
from .energy.meter import Meter
from .errors import HalfscanError
from .maps import Espirit
from .network import Trainable
from .sampling.pattern import Sampling
from .sources import source_hash
from .training.trainer import LEAVES_WEIGHTS_ALONE, Trainer
from .training.training import Training

_TRAIN = "halfscan.bench.training.training"


def plan_training(
    plain: dict[str, Any], dataset: Dataset, model: Trainable, sampling: Sampling, maps: Espirit, meter: Meter
) -> Training:
    """The training that a configuration asks for, checked.

    Raises:
        HalfscanError: no patients to learn from, or masks that they can't have.
    """
    if not isinstance(dataset, Splittable):
        raise HalfscanError(f"dataset {dataset.name} has no patients to train on: give model.weights, or data with splits")
    trainer: Trainer = build(plain["trainer"], "trainer")
    train, validation = (tuple(dataset.of_split(split).acquisitions()) for split in ("train", "validation"))
    for split, found in (("train", train), ("validation", validation)):
        if not found:
            raise HalfscanError(f"dataset.{split}=0: model={plain['model'].get('name')} needs {split} patients, or model.weights")
    manifests = {"train": manifest_digest(train), "validation": manifest_digest(validation)}
    # The trainer's own samplings stand instead of the cell's, its accelerations instead of the cell's one.
    ignored = tuple(plain["sampling"]) if trainer.samplings else ("acceleration", "seed")
    content = {
        **manifests,
        "sampling": {key: value for key, value in plain["sampling"].items() if key not in ignored},
        "model": {key: value for key, value in without_name(plain["model"]).items() if key not in getattr(model, "at_work", ())},
        **{name: plain[name] for name in ("maps", "train_seed", "threads")},
        "trainer": {key: value for key, value in plain["trainer"].items() if key not in LEAVES_WEIGHTS_ALONE},
        "start": trainer.start and hashlib.sha256(Path(trainer.start).read_bytes()).hexdigest(),
        "device": plain["device"].split(":")[0],
        "sources": source_hash(_TRAIN, *targets(*(plain[name] for name in ("dataset", "sampling", "model", "maps", "trainer")))),
    }
    training = Training(
        trainer=trainer,
        model=model,
        train=train,
        validation=validation,
        sampling=sampling,
        maps=maps,
        meter=meter,
        train_seed=plain["train_seed"],
        device=plain["device"],
        digest=sha256(content),
        data_digest=hashlib.sha256("".join(manifests.values()).encode()).hexdigest(),
    )
    training.check()
    return training


def refuse_seen(learned_from: set[str], scored: Sequence[Acquisition]) -> None:
    """Refuses to score patients that a network learned from or was chosen on."""
    if seen := learned_from & {one.patient for one in scored}:
        raise HalfscanError(
            f"{len(seen)} patients that would be scored are among those that the network learns from or is chosen on: "
            "use dataset.split=test, or weights trained on others"
        )
