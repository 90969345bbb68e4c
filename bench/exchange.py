"""Inputs out, finished images in: how a vendor whose reconstruction can't be run here is judged by the same rules.

A folder of inputs holds the sampled lines alone, a file a volume, and says nothing of patients. Images are found again by
the samples that they were made from: an image of other data, or of another mask, is never scored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .acquisition import Acquisition
from .errors import HalfscanError, one_line
from .files import whole_file, write_json
from .operators import sample
from .sampling.mask import Mask

INDEX = "inputs.json"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One volume of a folder of inputs."""

    name: str
    """Of its files: NAME.h5 with the inputs, NAME.npy with the image that comes back."""
    shape: tuple[int, int, int]
    """(slice, ky, kx) of the image."""
    keys: tuple[str, ...]
    """What each slice's samples are, as a digest."""


def slice_key(kspace: Tensor, mask: Tensor) -> str:
    """SHA-256 of what was sampled of one slice, and where.

    Args:
        kspace: (coil, ky, kx) complex64, zero where not sampled.
        mask: (ky, 1) or (ky, kx) bool.
    """
    digest = hashlib.sha256(repr((tuple(kspace.shape), tuple(mask.shape))).encode())
    digest.update(mask.cpu().numpy().tobytes())
    digest.update(np.ascontiguousarray(kspace.cpu().numpy()).data)
    return digest.hexdigest()


def export_inputs(
    acquisitions: Sequence[Acquisition],
    draw: Callable[[Acquisition], Mask],
    folder: Path,
    advance: Callable[[], None] = lambda: None,
) -> list[Volume]:
    """Writes the inputs of all volumes, a slice at a time.

    Args:
        acquisitions: the volumes.
        draw: the mask of one of them.
        folder: new or empty; `inputs.json` is written last, so that half a folder is none.
        advance: called after each volume.

    Raises:
        HalfscanError: the folder holds something, or can't be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HalfscanError(f"--out {folder}: is not empty: name a new folder")
    volumes = []
    try:
        for index, acquisition in enumerate(acquisitions):
            volumes.append(_export(acquisition, draw(acquisition), folder, f"{index:05d}"))
            advance()
        write_json(folder / INDEX, {"version": VERSION, "volumes": [asdict(one) for one in volumes]})
    except OSError as error:
        raise HalfscanError(f"--out {folder}: can't be written ({error.strerror})") from error
    return volumes


def _export(acquisition: Acquisition, mask: Mask, folder: Path, name: str) -> Volume:
    import h5py

    sampled = torch.from_numpy(mask.sampled.copy())
    sampled = sampled[:, None] if mask.axes == ("ky",) else sampled
    kspace = acquisition.kspace
    shape = (acquisition.slices, kspace.size("coil"), kspace.size("ky"), kspace.size("kx"))
    keys = []
    with whole_file(folder / f"{name}.h5") as draft, h5py.File(draft, "w") as file:
        data = file.create_dataset("kspace", shape, np.complex64)
        for index in range(acquisition.slices):
            one = sample(torch.from_numpy(kspace.read_stack(index, index + 1)), sampled)[0]
            data[index] = one.numpy()
            keys.append(slice_key(one, sampled))
        file["mask"] = sampled.numpy()
        if (noise := acquisition.noise_cov) is not None:
            file["noise_cov"] = noise
        file.attrs["axes"] = ["slice", "coil", "ky", "kx"]
        file.attrs["fft"] = "image = fftshift(ifft2(ifftshift(k), norm=ortho))"
        file.attrs["field_of_view"] = acquisition.field_of_view
        file.attrs["acs"] = mask.calibration or (0, 0)
    return Volume(name=name, shape=(acquisition.slices, *acquisition.field_of_view), keys=tuple(keys))


def read_index(folder: Path) -> list[Volume]:
    """The volumes that a folder's `inputs.json` lists.

    Raises:
        HalfscanError: no such file, or one of another version.
    """
    path = folder / INDEX
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["version"] != VERSION:
            raise HalfscanError(f"{path}: version {content['version']}, not {VERSION}: export the inputs again")
        return [_volume(one) for one in content["volumes"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"copy the {INDEX} of the exported inputs beside the images"
        raise HalfscanError(f"{path}: does not say which inputs the images are of ({one_line(error)}): {why}") from error


def _volume(content: dict[str, Any]) -> Volume:
    slices, height, width = (int(size) for size in content["shape"])
    keys = tuple(str(key) for key in content["keys"])
    if len(keys) != slices:
        raise ValueError(f"{len(keys)} keys of {slices} slices")
    return Volume(name=Path(str(content["name"])).name, shape=(slices, height, width), keys=keys)


def open_images(folder: Path) -> Iterator[tuple[Volume, npt.NDArray[Any]]]:
    """All images of a folder, mapped, not read.

    Raises:
        HalfscanError: naming every image that is missing, damaged, or of another shape than its inputs'.
    """
    found, refused = [], []
    for volume in read_index(folder):
        path = folder / f"{volume.name}.npy"
        try:
            image = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            refused.append(f"{path.name} can't be read ({one_line(error)[:80]})")
            continue
        if image.shape != volume.shape or image.dtype.kind not in "fc":
            refused.append(f"{path.name} is {image.dtype} of {image.shape} and must be real or complex of {volume.shape}")
        found.append((volume, image))
    if refused:
        raise HalfscanError(f"{folder}: {'; '.join(refused)}")
    yield from found
