"""A cell: one (dataset, sampling, model, seed), built from its configuration, checked, and named by what it computes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from .acquisition import Acquisition, Dataset, Splittable, manifest_digest, record_digest
from .configuration import build, open_dataset, to_plain
from .energy import Meter
from .errors import HalfscanError, NotApplicable
from .images import Recipe
from .maps import Espirit
from .metrics import Profile
from .qa.quality import Quality, Skipped
from .reconstruction import Reconstructor
from .sampling.pattern import Sampling
from .scan_time.breakdown import break_down
from .scan_time.protocol import Protocol
from .sources import module_of, source_hash
from .training import WEIGHTS, Trainable, Trainer, Training, load_weights, read_record

DTYPE = "complex64"
_RECONSTRUCT = "halfscan.bench.images"
_TRAIN = "halfscan.bench.training"
_SCORE = "halfscan.bench.benchmark"


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """Everything one cell needs, built and checked."""

    dataset: str
    recipe: Recipe
    protocol: Protocol
    profiles: tuple[Profile, ...]
    quality: Quality | Skipped
    key: str
    """Names the rows: the recipe's digest, and all that scores its images."""

    def check(self) -> None:
        """Refuses, before any work, what would fail during it.

        Raises:
            HalfscanError: naming the volume where one is at fault.
        """
        recipe = self.recipe
        for acquisition in recipe.acquisitions:
            mask = recipe.mask(acquisition)
            kspace = acquisition.kspace
            break_down(mask, self.protocol, acquisition.timing)
            recipe.model.check(mask, kspace.size("coil"))
            shape = (kspace.size("coil"), kspace.size("ky"), kspace.size("kx"))
            if recipe.model.needs_maps:
                recipe.maps.check(mask.calibration, shape)
            if any(profile.truth == "mvue" for profile in self.profiles):
                recipe.maps.check((0, mask.lines_acquired), shape)
            if not isinstance(self.quality, Skipped):
                try:
                    recipe.maps.check((0, mask.lines_acquired), shape)
                except NotApplicable as error:
                    raise NotApplicable(f"qa puts signals in through maps of the full data: {error}; or use qa=none") from error


def build_cell(config: DictConfig) -> Cell:
    """Builds, checks and names a cell.

    Args:
        config: the composed run configuration.

    Raises:
        HalfscanError: bad input, in one line.
    """
    plain: dict[str, Any] = to_plain(config)
    for name, low in (("threads", 1), ("mask_replicate", 0), ("train_seed", 0)):
        if plain[name] < low:
            raise HalfscanError(f"{name}={plain[name]} must be at least {low}")
    dataset, acquisitions = open_dataset(json.dumps(plain["dataset"], sort_keys=True))
    check_device(plain["device"])
    model: Reconstructor = build(_without_name(plain["model"]), "model")
    sampling: Sampling = build(plain["sampling"], "sampling")
    maps: Espirit = build(plain["maps"], "maps")
    meter: Meter = build(plain["energy"], "energy")
    training, caveat = None, None
    if isinstance(model, Trainable):
        if model.weights is None:
            training = _training(plain, dataset, model, sampling, maps, meter)
        else:
            caveat = _check_weights(model, Path(model.weights), acquisitions)
    digest = _sha256(_identity(plain, model, manifest_digest(acquisitions), training))
    scoring = {
        "digest": digest,
        "dataset": plain["dataset"],
        "record": record_digest(acquisitions),
        "caveat": caveat,
        **{name: plain[name] for name in ("protocol", "metrics", "energy", "qa")},
        "sources": source_hash(_SCORE, *_targets(plain["protocol"], plain["metrics"], plain["qa"])),
    }
    recipe = Recipe(
        acquisitions=acquisitions,
        sampling=sampling,
        mask_replicate=plain["mask_replicate"],
        model=model,
        model_name=plain["model"].get("name") or plain["model"]["_target_"].rpartition(".")[2],
        maps=maps,
        meter=meter,
        device=plain["device"],
        threads=plain["threads"],
        digest=digest,
        training=training,
        caveat=caveat,
    )
    cell = Cell(
        dataset=dataset.name,
        recipe=recipe,
        protocol=build(plain["protocol"], "protocol"),
        profiles=_profiles(plain["metrics"]),
        quality=build(plain["qa"], "qa"),
        key=_sha256(scoring),
    )
    cell.check()
    return cell


def _training(
    plain: dict[str, Any], dataset: Dataset, model: Trainable, sampling: Sampling, maps: Espirit, meter: Meter
) -> Training:
    """The training that a network needs before this cell; cells that differ in their acceleration alone share it."""
    if not isinstance(dataset, Splittable):
        raise HalfscanError(f"dataset {dataset.name} has no patients to train on: give model.weights, or data with splits")
    trainer: Trainer = build(plain["trainer"], "trainer")
    train, validation = (tuple(dataset.of_split(split).acquisitions()) for split in ("train", "validation"))
    for split, found in (("train", train), ("validation", validation)):
        if not found:
            raise HalfscanError(f"dataset.{split}=0: model={plain['model'].get('name')} needs {split} patients, or model.weights")
    learned_from = {one.patient for one in (*train, *validation)}
    _refuse_seen(learned_from, dataset.acquisitions())
    content = {
        "train": manifest_digest(train),
        "validation": manifest_digest(validation),
        "sampling": {key: value for key, value in plain["sampling"].items() if key not in ("acceleration", "seed")},
        **{name: plain[name] for name in ("trainer", "model", "maps", "train_seed", "threads")},
        "device": plain["device"].split(":")[0],
        "sources": source_hash(_TRAIN, *_targets(plain["dataset"], plain["sampling"], plain["model"], plain["maps"])),
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
        digest=_sha256(content),
    )
    training.check()
    return training


def _check_weights(model: Trainable, path: Path, acquisitions: Sequence[Acquisition]) -> str | None:
    """Refuses weights that do not fit the network, or that a record beside them says were trained on scored patients.

    Returns:
        What limits their scores: without a record nobody knows whom they learned from.
    """
    load_weights(model.build(0), path)
    record = read_record(path.parent)
    if record is None or path.name != WEIGHTS or "learned_from" not in record:
        return "the network's weights came without a record of whom they learned from: the scored patients may be among them"
    _refuse_seen(set(record["learned_from"]), acquisitions)
    return None


def _refuse_seen(learned_from: set[str], scored: Sequence[Acquisition]) -> None:
    if seen := learned_from & {one.patient for one in scored}:
        raise HalfscanError(
            f"{len(seen)} patients that would be scored are among those that the network learns from or is chosen on: "
            "use dataset.split=test, or weights trained on others"
        )


def _identity(plain: dict[str, Any], model: Reconstructor, manifest: str, training: Training | None) -> dict[str, Any]:
    """The allow-list of the digest: what can change a reconstructed image."""
    weights = plain["model"].get("weights")
    file = Path(weights) if isinstance(weights, str) and Path(weights).is_file() else None
    return {
        "manifest": manifest,
        "training": training.digest if training else None,
        "weights": hashlib.sha256(file.read_bytes()).hexdigest() if file else None,
        "images": getattr(model, "content_digest", None),
        **{name: plain[name] for name in ("sampling", "model", "maps", "mask_replicate", "threads")},
        "dtype": DTYPE,
        "device": plain["device"].split(":")[0],
        "sources": source_hash(_RECONSTRUCT, *_targets(plain["dataset"], plain["sampling"], plain["model"], plain["maps"])),
    }


def _targets(*nodes: Any) -> list[str]:
    """Modules of all `_target_` entries, nested ones too."""
    found = []
    for node in nodes:
        if isinstance(node, dict):
            if isinstance(node.get("_target_"), str):
                found.append(module_of(node["_target_"]))
            found += _targets(*node.values())
        elif isinstance(node, list):
            found += _targets(*node)
    return found


def _without_name(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "name"}


def _profiles(node: dict[str, Any]) -> tuple[Profile, ...]:
    profiles = tuple(Profile(name=name, **settings) for name, settings in node.items() if settings is not None)
    if not profiles:
        raise HalfscanError("metrics: no profile is left; choose metrics=default")
    return profiles


def check_device(device: str) -> None:
    """Refuses a device that is not there.

    Raises:
        HalfscanError: an unknown name, or no such GPU.
    """
    import torch

    try:
        kind = torch.device(device)
    except RuntimeError as error:
        raise HalfscanError(f"device={device} is unknown: use cpu, cuda or cuda:0") from error
    if kind.type not in ("cpu", "cuda"):
        raise HalfscanError(f"device={device} is not supported: use cpu or cuda")
    if kind.type == "cuda" and (not torch.cuda.is_available() or (kind.index or 0) >= torch.cuda.device_count()):
        raise HalfscanError(f"device={device}: torch sees no such GPU; use device=cpu, or see `halfscan doctor`")


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
