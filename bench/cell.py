"""A cell: one (dataset, sampling, model, seed), built from its configuration, checked, and named by what it computes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from .acquisition import Acquisition, manifest_digest, record_digest
from .configuration import build, check_device, open_dataset, sha256, targets, to_plain, without_name
from .energy.meter import Meter
from .errors import HalfscanError, NotApplicable
from .images import Recipe
from .maps import Espirit
from .metrics import Profile
from .network import Trainable
from .qa.quality import Quality, Skipped
from .reconstruction import Reconstructor
from .sampling.pattern import Sampling
from .scan_time.breakdown import break_down
from .scan_time.protocol import Protocol
from .sources import source_hash
from .training.training import Training
from .training.weights import load_weights, read_record
from .training_plan import plan_training, refuse_seen

DTYPE = "complex64"
_RECONSTRUCT = "halfscan.bench.images"
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
    model: Reconstructor = build(without_name(plain["model"]), "model")
    sampling: Sampling = build(plain["sampling"], "sampling")
    maps: Espirit = build(plain["maps"], "maps")
    meter: Meter = build(plain["energy"], "energy")
    training, caveat = None, None
    if isinstance(model, Trainable):
        if model.weights is None:
            training = plan_training(plain, dataset, model, sampling, maps, meter)
            refuse_seen({one.patient for one in (*training.train, *training.validation)}, acquisitions)
        else:
            caveat = _check_weights(model, Path(model.weights), acquisitions)
    digest = sha256(_identity(plain, model, manifest_digest(acquisitions), training))
    scoring = {
        "digest": digest,
        "dataset": plain["dataset"],
        "record": record_digest(acquisitions),
        "caveat": caveat,
        **{name: plain[name] for name in ("protocol", "metrics", "energy", "qa")},
        "sources": source_hash(_SCORE, *targets(plain["protocol"], plain["metrics"], plain["qa"])),
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
        key=sha256(scoring),
    )
    cell.check()
    return cell


def _check_weights(model: Trainable, path: Path, acquisitions: Sequence[Acquisition]) -> str | None:
    """Refuses weights that do not fit the network, or that a record beside them says were trained on scored patients.

    Returns:
        What limits their scores: without a record nobody knows whom they learned from.
    """
    load_weights(model.build(0), path)
    record = read_record(path)
    if record is None or record.get("learned_from") is None:
        return "the network's weights came without a record of whom they learned from: the scored patients may be among them"
    refuse_seen(set(record["learned_from"]), acquisitions)
    return None


def _identity(plain: dict[str, Any], model: Reconstructor, manifest: str, training: Training | None) -> dict[str, Any]:
    """The allow-list of the digest: what can change a reconstructed image."""
    weights = model.weights if isinstance(model, Trainable) else None
    # What is in a file counts, not where it lies.
    named = {key: value for key, value in plain["model"].items() if key != "weights"}
    return {
        "manifest": manifest,
        "training": training.digest if training else None,
        "weights": hashlib.sha256(Path(weights).read_bytes()).hexdigest() if weights else None,
        "images": getattr(model, "content_digest", None),
        "model": named,
        **{name: plain[name] for name in ("sampling", "maps", "mask_replicate", "threads")},
        "dtype": DTYPE,
        "device": plain["device"].split(":")[0],
        "sources": source_hash(_RECONSTRUCT, *targets(plain["dataset"], plain["sampling"], plain["model"], plain["maps"])),
    }


def _profiles(node: dict[str, Any]) -> tuple[Profile, ...]:
    profiles = tuple(Profile(name=name, **settings) for name, settings in node.items() if settings is not None)
    if not profiles:
        raise HalfscanError("metrics: no profile is left; choose metrics=default")
    return profiles
