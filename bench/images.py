"""Reconstructed images: made once a cell under the clock, kept on disk, re-scored at will."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from .acquisition import Acquisition
from .energy.meter import Meter
from .errors import HalfscanError, one_line
from .files import DRAFT, write_json
from .flops import count_flops
from .image_room import RECORD, alone, hold, note_saved
from .maps import Espirit
from .operators import sample
from .quantity import Quantity
from .reconstruction import Combination, ReconInput, ReconResult, Reconstructor
from .sampling.mask import Mask
from .sampling.pattern import Sampling
from .training.weights import WEIGHTS_FOLDER

TRAINING = "training.json"
"""How the network behind the images was trained, kept beside them: re-scoring needs no weights."""
MADE_ELSEWHERE = "the images were made elsewhere, and nobody measured here what they took"
SLICES_PER_BATCH = 8
"""Slices reconstructed side by side; fixed, so that results do not depend on how much memory there is."""


_TRIES = 3
"""To have images whole and held: another process may make room, or make the same ones, between the two."""

_PATIENCE_S = 10.0
"""With processes that look into a folder."""


class Preparation(Protocol):
    """What a model needs before its first volume: trained weights."""

    @property
    def train_seed(self) -> int: ...

    def run(self, root: Path) -> tuple[Reconstructor, dict[str, Any]]:
        """The model made ready, and a record of how."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """All that can change a reconstructed image, and nothing else."""

    acquisitions: tuple[Acquisition, ...]
    sampling: Sampling
    mask_replicate: int
    model: Reconstructor
    model_name: str
    maps: Espirit
    meter: Meter
    device: str
    threads: int
    digest: str
    """Names the images: SHA-256 over data, settings and sources."""
    training: Preparation | None = None
    """For a model whose network is to be trained first."""
    caveat: str | None = None
    """What limits the images, for every table that shows them."""

    def mask(self, acquisition: Acquisition) -> Mask:
        """The mask of one volume, the same for every model at this sampling spec."""
        return self.sampling.draw(
            acquisition.acquired,
            acquisition.digest,
            self.mask_replicate,
            readout=acquisition.kspace.size("kx"),
            file_name=acquisition.file_name,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconstructed:
    """One volume as a model rebuilt it."""

    image: npt.NDArray[Any]
    """(slice, ky, kx) on the scale of the k-space."""
    kind: Literal["complex", "magnitude"]
    combination: Combination
    mask_hash: str
    seconds_per_slice: float | None
    """None where the image was made elsewhere."""
    flops: Quantity | None = None
    """[1] floating-point operations of the volume, counted as the model warmed up on it; None of volumes that did not."""

    @property
    def magnitude(self) -> npt.NDArray[np.float32]:
        return np.abs(self.image).astype(np.float32)


def recipe_images(recipe: Recipe, root: Path, advance: Callable[[], None] = lambda: None) -> Iterator[Reconstructed]:
    """A recipe's reconstructed volumes in the order of its acquisitions, from disk where they are there already.

    Args:
        recipe: what to reconstruct.
        root: folder of all saved images; this recipe's lie in a subfolder named by its digest.
        advance: called after each volume.

    Raises:
        HalfscanError: the folder can't be written, or something else removes what is in it.
    """
    folder = root / recipe.digest
    with ExitStack() as held:
        hold(folder, held)
        tries = 0
        while not _intact(folder, len(recipe.acquisitions)):
            if tries == _TRIES:
                raise HalfscanError(f"images in {folder} were made {_TRIES} times and are gone each time: what removes them?")
            tries += 1
            held.close()
            _make(recipe, folder, advance)
            hold(folder, held)
        for index, record in enumerate(_records(folder)):
            known = {name: value for name, value in record.items() if name != "flops"}
            yield Reconstructed(image=np.load(folder / f"{index:05d}.npy"), **known, flops=_flops(record))


def warm_up_flops(recipe: Recipe, root: Path) -> Quantity | None:
    """Floating-point operations [1] of the first volume; None where it was no warm-up, or is not there."""
    try:
        return _flops(_records(root / recipe.digest)[0])
    except (OSError, ValueError, IndexError):
        return None


def _records(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / RECORD).read_text("utf-8"))
    return found


def _flops(record: dict[str, Any]) -> Quantity | None:
    return None if record.get("flops") is None else Quantity(**record["flops"])


def weights_folder(images: Path) -> Path:
    """Where trained weights lie, beside the folder of all images."""
    return images.parent / WEIGHTS_FOLDER


def trained(recipe: Recipe, images: Path) -> tuple[Recipe, dict[str, Any] | None]:
    """The recipe with a model that is ready, and how it was trained; None where nothing is trained."""
    if recipe.training is None:
        return recipe, None
    model, record = recipe.training.run(weights_folder(images))
    return replace(recipe, model=model, training=None), record


def _intact(folder: Path, volumes: int) -> bool:
    """Whether all images are there and whole; a lost machine may leave files cut short."""
    try:
        if len(json.loads((folder / RECORD).read_text("utf-8"))) != volumes:
            return False
        for index in range(volumes):
            # Mapping reads the header and compares it with the file's size, not the image.
            np.load(folder / f"{index:05d}.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return True


def _place(draft: Path, folder: Path, volumes: int) -> None:
    """Gives a draft its name, unless another process was faster: its images are the same."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        _clear(folder, draft, volumes)
        try:
            draft.rename(folder)
            return
        except OSError:
            if _intact(folder, volumes):
                break
            # Somebody looks at what there is no longer, for an instant.
            if time.monotonic() > end:
                raise
        time.sleep(0.1)
    for path in _measured(draft):
        if not (folder / path.name).exists():
            path.replace(folder / path.name)


def _measured(folder: Path) -> list[Path]:
    """Files of what was measured of a folder's images."""
    return [path for path in folder.glob("*.json") if path.name not in (RECORD, TRAINING)]


def _clear(folder: Path, draft: Path, volumes: int) -> None:
    """Makes way for a folder's images where it has lost its own; what was measured of them moves along, for it still holds."""
    with ExitStack() as held:
        if not alone(folder, held) or _intact(folder, volumes):
            return  # another process was faster
        aside = _draft(folder)
        try:
            folder.rename(aside)
        except OSError:
            return
        for path in _measured(aside):
            path.replace(draft / path.name)
        shutil.rmtree(aside, ignore_errors=True)


def _draft(folder: Path) -> Path:
    """A name beside a folder that no other process on any machine takes."""
    return folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:12]}{DRAFT}")


def _make(recipe: Recipe, folder: Path, advance: Callable[[], None]) -> None:
    recipe, training = trained(recipe, folder.parent)
    draft = _draft(folder)
    try:
        draft.mkdir(parents=True)
        records = []
        warm = False
        for index in range(len(recipe.acquisitions)):
            record = _taken(_parts(folder), index, draft)
            if record is None:
                record = _write_volume(recipe, index, draft, warm_up=not warm)
                warm = True
            records.append(record)
            advance()
        if training is not None:
            (draft / TRAINING).write_text(json.dumps(training), encoding="utf-8")
        note_saved(draft)
        (draft / RECORD).write_text(json.dumps(records, indent=1), encoding="utf-8")
        _place(draft, folder, len(records))
    except OSError as error:
        raise _unsaved(folder, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(_parts(folder), ignore_errors=True)


def make_share(recipe: Recipe, root: Path, share: int, shares: int) -> None:
    """Reconstructs every `shares`-th volume from number `share` on, for `recipe_images` to find; what is there stays.

    Args:
        recipe: what to reconstruct.
        root: folder of all saved images.
        share: of this process, from 0 on.
        shares: how many there are.

    Raises:
        HalfscanError: the folder can't be written.
    """
    folder = root / recipe.digest
    parts = _parts(folder)
    missing = [
        index
        for index in range(share, len(recipe.acquisitions), shares)
        if not all((parts / f"{index:05d}{suffix}").exists() for suffix in (".json", ".npy"))
    ]
    if not missing or _intact(folder, len(recipe.acquisitions)):
        return
    ready, _ = trained(recipe, root)
    try:
        parts.mkdir(parents=True, exist_ok=True)
        for count, index in enumerate(missing):
            draft = _draft(parts / f"{index:05d}")
            draft.mkdir()
            record = _write_volume(ready, index, draft, warm_up=count == 0)
            (draft / f"{index:05d}.npy").replace(parts / f"{index:05d}.npy")
            draft.rmdir()
            # Written last: it says that the volume is whole.
            write_json(parts / f"{index:05d}.json", record)
    except OSError as error:
        raise _unsaved(folder, error) from error


def _parts(folder: Path) -> Path:
    """Where volumes wait that processes share out between them."""
    return folder.with_name(f"{folder.name}.parts")


def _write_volume(recipe: Recipe, index: int, folder: Path, *, warm_up: bool) -> dict[str, Any]:
    """Reconstructs one volume into a folder; what is to be recorded of it."""
    acquisition = recipe.acquisitions[index]
    volume = reconstruct(recipe, acquisition, recipe.mask(acquisition), warm_up=warm_up)
    np.save(folder / f"{index:05d}.npy", volume.image)
    return {
        "kind": volume.kind,
        "combination": volume.combination,
        "mask_hash": volume.mask_hash,
        "seconds_per_slice": volume.seconds_per_slice,
        "flops": None if volume.flops is None else volume.flops.as_dict(),
    }


def _taken(parts: Path, index: int, folder: Path) -> dict[str, Any] | None:
    """The record of a volume that another process made, its image in the folder, too; None where none did, or it is damaged.

    What that process made stays where it is until all volumes are there: whoever merges them may be stopped.
    """
    image = parts / f"{index:05d}.npy"
    try:
        record: dict[str, Any] = json.loads((parts / f"{index:05d}.json").read_text("utf-8"))
        np.load(image, mmap_mode="r")
        try:
            os.link(image, folder / image.name)
        except OSError:
            shutil.copyfile(image, folder / image.name)  # not every file system has links
    except (OSError, ValueError, EOFError):
        return None
    return record


def _unsaved(folder: Path, error: OSError) -> HalfscanError:
    return HalfscanError(
        f"can't save images in {folder.parent}: {error.strerror or one_line(error)}; set out= to a folder with space"
    )


def reconstruct(recipe: Recipe, acquisition: Acquisition, mask: Mask, *, warm_up: bool = False) -> Reconstructed:
    """Rebuilds one volume from its sampled lines; the clock closes around maps and model only.

    Raises:
        HalfscanError: the model returned something that is not the volume's image.
    """
    starts = range(0, acquisition.slices, SLICES_PER_BATCH)
    batches = [read_input(recipe, acquisition, mask, start, start + SLICES_PER_BATCH) for start in starts]
    with torch.inference_mode():
        flops = None
        if warm_up:
            flops = flops_of(lambda: solve(recipe, batches[0]), acquisition.slices / len(batches[0].kspace))
            if flops.value is None:
                solve(recipe, batches[0])  # it may not have worked while it was counted
        begin = now(recipe.device)
        results = [solve(recipe, batch) for batch in batches]
        seconds = now(recipe.device) - begin
    elsewhere = getattr(recipe.model, "made_elsewhere", False)
    for batch, result in zip(batches, results, strict=True):
        check_result(recipe, batch, result)
    return Reconstructed(
        image=np.concatenate([(result.image * result.scale).cpu().numpy() for result in results]),
        kind=results[0].kind,
        combination=results[0].combination,
        mask_hash=mask.hash,
        seconds_per_slice=None if elsewhere else seconds / acquisition.slices,
        flops=None if elsewhere else flops,
    )


def flops_of(work: Callable[[], object], times: float) -> Quantity:
    """Floating-point operations [1] of so many times some work; null where it does not work while they are counted."""
    try:
        counted = count_flops(work)
    except Exception as error:
        # Compiled networks and operations of one's own may refuse PyTorch's counter: that is no failed cell.
        return Quantity.unmeasured("1", f"can't be counted ({type(error).__name__}: {one_line(error)})")
    return counted if counted.value is None else replace(counted, value=counted.value * times)


def read_input(recipe: Recipe, acquisition: Acquisition, mask: Mask, start: int = 0, stop: int | None = None) -> ReconInput:
    """The sampled lines of slices start to stop (default: all), on the recipe's device."""
    sampled = torch.from_numpy(mask.sampled.copy())
    sampled = sampled[:, None] if mask.axes == ("ky",) else sampled
    data = torch.from_numpy(acquisition.kspace.read_stack(start, stop))
    noise_cov = acquisition.noise_cov
    return ReconInput(
        kspace=sample(data, sampled).to(recipe.device),
        mask=sampled.to(recipe.device),
        acs=mask.calibration,
        acs_readout=mask.acs_readout,
        maps=None,
        noise_cov=None if noise_cov is None else torch.from_numpy(noise_cov).to(recipe.device),
        field_of_view=acquisition.field_of_view,
    )


def solve(recipe: Recipe, data: ReconInput) -> ReconResult:
    return recipe.model(with_maps(recipe, data))


def with_maps(recipe: Recipe, data: ReconInput) -> ReconInput:
    """The input as the model asks for it."""
    if not recipe.model.needs_maps:
        return data
    sets = getattr(recipe.model, "map_sets", 1)
    maps = recipe.maps.sets(data.kspace, data.acs, data.acs_readout, sets)
    return replace(data, maps=maps if sets > 1 else maps[:, 0])


def now(device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def check_result(recipe: Recipe, data: ReconInput, result: object) -> None:
    """Refuses what is not the image of these data.

    Raises:
        HalfscanError: another type or shape, NaN or infinity.
    """
    if not isinstance(result, ReconResult):
        raise HalfscanError(f"model {recipe.model_name} returned {type(result).__name__} and must return a ReconResult")
    expected = (data.kspace.shape[0], *data.field_of_view)
    if tuple(result.image.shape) != expected:
        raise HalfscanError(
            f"model {recipe.model_name} returned an image of shape {tuple(result.image.shape)} and must return {expected}"
        )
    if not torch.isfinite(torch.view_as_real(result.image) if result.image.is_complex() else result.image).all():
        raise HalfscanError(f"model {recipe.model_name} returned NaN or infinity: nothing is scored or saved")
