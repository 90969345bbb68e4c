"""MONAI's dictionary transforms and cache for training: from an acquisition's slice to a network's input and target.

Ours where MONAI's own are wrong for complex data: its k-space masks take real arrays with a trailing 2 and mask a complex
tensor on the wrong axis, one mask serves a whole batch, and a mask without a centre gives NaN maps without a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import CacheDataset
from monai.transforms import Compose, RandomizableTransform, Transform
from torch.utils.data import Sampler

from .acquisition import Acquisition
from .errors import HalfscanError
from .maps import Espirit
from .operators import adjoint, combine, sample, to_image
from .sampling.mask import Mask
from .sampling.pattern import Sampling


class ReadSliced(Transform):  # type: ignore[misc]
    """{acquisition, slice} → {kspace (coil, ky, kx), maps, target (ky, kx), acquisition}; cached, as nothing in it is random.

    Maps are estimated from the ACS lines alone, which all masks of a sampling share; the target combines the noise-free
    k-space, or the full scan where there is none, by those same maps.
    """

    def __init__(self, maps: Espirit, acs_lines: Mapping[int, Mask]) -> None:
        self._maps = maps
        self._masks = acs_lines

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        acquisition: Acquisition = data["acquisition"]
        index = int(data["slice"])
        kspace = torch.from_numpy(acquisition.kspace.read_stack(index, index + 1))
        truth = torch.from_numpy((acquisition.truth or acquisition.kspace).read_stack(index, index + 1))
        mask = self._masks[acquisition.kspace.size("ky")]
        maps = self._maps(kspace, mask.calibration, mask.acs_readout)
        return {**data, "kspace": kspace[0], "maps": maps[0], "target": combine(to_image(truth), maps)[0]}


class RandMaskd(RandomizableTransform):  # type: ignore[misc]
    """Draws a mask of one of several samplings and makes the normalised zero-filled image and target from it."""

    def __init__(self, samplings: Sequence[Sampling]) -> None:
        super().__init__(prob=1.0)
        self._samplings = samplings

    def __call__(self, data: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        acquisition: Acquisition = data["acquisition"]
        sampling = self._samplings[self.R.randint(len(self._samplings))]
        mask = sampling.draw(
            acquisition.acquired, acquisition.digest, int(self.R.randint(2**31)), readout=data["kspace"].shape[-1]
        )
        lines = torch.from_numpy(mask.sampled.copy())
        lines = lines[:, None] if lines.ndim == 1 else lines
        image = adjoint(sample(data["kspace"], lines), data["maps"], lines)
        scale = peak(image[None])[0]
        return {"image": as_channels(image / scale), "label": as_channels(data["target"] / scale)}


def as_channels(image: torch.Tensor) -> torch.Tensor:
    """Complex (..., ky, kx) → real (..., 2, ky, kx)."""
    return torch.stack([image.real, image.imag], dim=-3)


def as_complex(channels: torch.Tensor) -> torch.Tensor:
    """The inverse of `as_channels`."""
    return torch.complex(channels[..., 0, :, :], channels[..., 1, :, :])


def peak(image: torch.Tensor) -> torch.Tensor:
    """(slice, 1, 1) largest magnitude of each slice, 1 for an empty one: what networks normalise by."""
    largest = image.abs().amax((-2, -1), keepdim=True)
    return torch.where(largest > 0, largest, torch.ones_like(largest))


class SeededSlices(CacheDataset):  # type: ignore[misc]
    """Cached slices whose random part depends on (seed, epoch, slice) alone, whatever ran before or beside it.

    An index is epoch · length + slice, as `EpochSampler` gives it.
    """

    def __init__(self, acquisitions: Sequence[Acquisition], samplings: Sequence[Sampling], maps: Espirit, seed: int) -> None:
        # Any of the samplings will do: their ACS lines are the same.
        masks = {
            one.kspace.size("ky"): samplings[0].draw(one.acquired, "acs", readout=one.kspace.size("kx")) for one in acquisitions
        }
        for one in acquisitions:
            shape = (one.kspace.size("coil"), one.kspace.size("ky"), one.kspace.size("kx"))
            maps.check(masks[shape[1]].calibration, shape)
        shapes = {one.kspace.shape[1:] for one in acquisitions}
        if len(shapes) != 1:
            raise HalfscanError(
                f"training volumes have {len(shapes)} different shapes, and a batch holds one: train on one shape"
            )
        self._random = RandMaskd(samplings)
        self._seed = seed
        slices = [{"acquisition": one, "slice": index} for one in acquisitions for index in range(one.slices)]
        transform = Compose([ReadSliced(maps, masks), self._random])
        super().__init__(slices, transform, cache_rate=1.0, num_workers=1, progress=False, copy_cache=False)

    def __getitem__(self, index: int) -> Any:
        epoch, chosen = divmod(index, len(self))
        key = hashlib.sha256(f"{self._seed} {epoch} {chosen}".encode()).digest()
        self._random.set_random_state(seed=int.from_bytes(key[:4], "little"))
        return self._transform(chosen)


class EpochSampler(Sampler[int]):
    """A new order every epoch, from (seed, epoch) alone, so that a resumed training sees what the unbroken one saw."""

    def __init__(self, length: int, seed: int, first_epoch: int = 0) -> None:
        self._length, self._seed, self._epoch = length, seed, first_epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self._seed, self._epoch]).permutation(self._length)
        offset = self._epoch * self._length
        self._epoch += 1
        return iter([offset + int(index) for index in order])
