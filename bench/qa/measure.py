"""QA of a cell's volumes: measured once, kept beside the images, since it takes many reconstructions."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ..acquisition import Acquisition
from ..files import write_json
from ..images import Recipe, check_result, read_input, trained, with_maps
from ..operators import combine, to_image
from ..quantity import Quantity
from ..sources import source_hash
from .quality import Quality, Skipped, Volume


def measure_quality(recipe: Recipe, images: Path, measures: Quality | Skipped) -> list[dict[str, Quantity]]:
    """`metric@qa` → value for each of the recipe's volumes, from disk where they were measured already.

    Args:
        images: folder of all saved images.
    """
    if isinstance(measures, Skipped):
        return [{} for _ in recipe.acquisitions]
    path = images / recipe.digest / _name(recipe, measures)
    if (kept := _kept(path, len(recipe.acquisitions))) is not None:
        return kept
    parts = _parts(recipe, images)
    found: dict[int, dict[str, Quantity]] = {}
    for index in range(len(recipe.acquisitions)):
        if (shared := _kept(parts / f"{index:05d}-{path.name}", 1)) is not None:
            found[index] = shared[0]
    found |= _measured(recipe, images, measures, [index for index in range(len(recipe.acquisitions)) if index not in found])
    ordered = [found[index] for index in range(len(recipe.acquisitions))]
    _write(path, ordered)
    shutil.rmtree(parts, ignore_errors=True)
    return ordered


def measure_share(recipe: Recipe, images: Path, measures: Quality | Skipped, share: int, shares: int) -> None:
    """Measures every `shares`-th volume from number `share` on, for `measure_quality` to find."""
    if isinstance(measures, Skipped):
        return
    name, parts = _name(recipe, measures), _parts(recipe, images)
    if _kept(images / recipe.digest / name, len(recipe.acquisitions)) is not None:
        return
    for index in range(share, len(recipe.acquisitions), shares):
        path = parts / f"{index:05d}-{name}"
        if _kept(path, 1) is None:
            _write(path, [_measured(recipe, images, measures, [index])[index]])


def _parts(recipe: Recipe, images: Path) -> Path:
    return images / f"{recipe.digest}.qa-parts"


def _name(recipe: Recipe, measures: Quality) -> str:
    stated = json.dumps(_stated(recipe, measures), sort_keys=True)
    return f"qa-{hashlib.sha256(stated.encode()).hexdigest()[:16]}.json"


def _write(path: Path, found: list[dict[str, Quantity]]) -> None:
    write_json(path, [{name: value.as_dict() for name, value in one.items()} for one in found])


def _measured(recipe: Recipe, images: Path, measures: Quality, volumes: list[int]) -> dict[int, dict[str, Quantity]]:
    if not volumes:
        return {}
    ready, _ = trained(recipe, images)
    with torch.inference_mode():
        return {index: measures.measure(_volume(ready, recipe.acquisitions[index])) for index in volumes}


def _stated(recipe: Recipe, measures: Quality) -> dict[str, Any]:
    """All that the numbers hang on and the recipe's digest does not hold."""
    kind = type(measures)
    noise = [one.noise_cov for one in recipe.acquisitions]
    return {
        "measures": [kind.__module__, kind.__qualname__, asdict(measures)],
        "sources": source_hash(__name__, kind.__module__),
        "noise": [None if one is None else hashlib.sha256(one.tobytes()).hexdigest() for one in noise],
        "truth": [one.truth is not None for one in recipe.acquisitions],
    }


def _kept(path: Path, volumes: int) -> list[dict[str, Quantity]] | None:
    try:
        content = json.loads(path.read_text("utf-8"))
        found = [{name: Quantity(**value) for name, value in one.items()} for one in content]
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return found if len(found) == volumes else None


def _volume(recipe: Recipe, acquisition: Acquisition) -> Volume:
    mask, truth = recipe.mask(acquisition), acquisition.truth
    data = with_maps(recipe, read_input(recipe, acquisition, mask))
    clean = truth if acquisition.truth_kind == "noise_free" else None
    noise_free = None if clean is None else read_input(recipe, replace(acquisition, kspace=clean), mask).kspace
    # Uncropped, so that sites lie where they lie in k-space's own grid.
    data = replace(data, field_of_view=(acquisition.kspace.size("ky"), acquisition.kspace.size("kx")))
    full = torch.from_numpy((truth or acquisition.kspace).read_stack())
    lines = acquisition.acquired.nonzero()[0]
    maps = recipe.maps(full, (int(lines[0]), int(lines[-1]) + 1))

    def reconstruct(kspace: torch.Tensor) -> torch.Tensor:
        copies = kspace.shape[0] // data.kspace.shape[0]
        repeated = None if data.maps is None else data.maps.repeat(copies, *[1] * (data.maps.ndim - 1))
        given = replace(data, kspace=kspace, maps=repeated)
        result = recipe.model(given)
        check_result(recipe, given, result)
        return result.image * result.scale

    return Volume(
        data=data,
        reconstruct=reconstruct,
        object_image=combine(to_image(full), maps).to(recipe.device),
        object_maps=maps.to(recipe.device),
        noise_free=noise_free,
        digest=acquisition.digest,
    )
