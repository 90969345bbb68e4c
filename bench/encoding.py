"""The encoding of parallel imaging as iterative solvers use it: normal equations of independent systems.

A mask of whole lines leaves the readout alone: after one inverse FFT along it every column of a slice is a system of its own,
with short FFTs along ky and nothing to do where there is no object. A mask over the plane makes each slice one system.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from types import EllipsisType

import torch
from torch import Tensor

from .coils import compression, fewer, mix, whitening
from .convolution import Convolution
from .noise import noise_level
from .operators import combine, sample, to_image
from .reconstruction import ReconInput

_CHUNK = {"cpu": 2**17, "cuda": 2**24}
"""Coil samples that are worked on at a time: few enough for the cache of a CPU, enough to keep a GPU busy."""
_PARTS = 4
"""So many times as much is solved side by side where systems are columns: fewer calls of short functions."""

Window = tuple[EllipsisType | slice, ...]
"""An ellipsis and a slice of each axis of a space."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Systems:
    """Systems AᴴA x = Aᴴy, solved side by side: `space` is that part of (ky,) or (ky, kx) where there is an object."""

    maps: Tensor
    """(system, set, coil, *space), whitened where the noise is known."""
    right: Tensor
    """(system, set, *space) Aᴴy."""
    convolution: Convolution
    """FᴴMF."""
    rows: Tensor
    """(system, 2) first row of the space with an object, and the one after the last."""
    window: Window
    """Where in a column or slice the space lies."""
    noise: Tensor
    """(system,) standard deviation of the noise in a real or imaginary part of a sample y."""
    scale: Tensor
    """(system,) mean ‖Aᴴy‖² of the systems of its slice."""
    slices: Tensor
    """(system,) slice of each system."""
    place: Tensor
    """(system,) the slice again, counted from 0 among those worked on together."""
    columns: Tensor | None
    """(system,) column of each system, None where a system is a slice."""
    matrix: tuple[int, int]
    """(ky, kx) of a slice."""

    def normal(self, image: Tensor) -> Tensor:
        """(system, set, *space) AᴴA image; a few systems at a time, so that coil images stay in the cache."""
        result = torch.zeros_like(image)
        dims = tuple(range(3 - self.maps.ndim, 0))
        filled = max((rows.stop - rows.start for _, rows, _ in self._parts), default=0)
        for some, rows, lengths in self._parts:
            maps, conjugate = self.maps[some, :, :, rows], self._conjugate[some, :, :, rows]
            coil_images = self._coil_images[: len(maps)]
            # Zero around the object: what those before have left there goes.
            extent, *others = maps.shape[3:]
            coil_images[:, :, extent:filled].zero_()
            filled, padded = extent, coil_images[:, :, : lengths[0]]
            corner: Window = (..., slice(extent), *(slice(other) for other in others))
            if maps.shape[1] == 1:
                torch.mul(maps[:, 0], image[some, :, rows], out=padded[corner])
            else:
                torch.sum(maps * image[some, :, rows].unsqueeze(2), 1, out=padded[corner])
            spectrum = torch.fft.fftn(padded, dim=dims)
            torch.view_as_real(spectrum).mul_(self.convolution.transfer(lengths))
            folded = torch.fft.ifftn(spectrum, dim=dims)[corner]
            torch.sum(conjugate * folded.unsqueeze(1), 2, out=result[some, :, rows])
        return result

    @cached_property
    def _parts(self) -> list[tuple[slice, slice, tuple[int, ...]]]:
        """Systems that are worked on together, rows with an object in any of them, and the lengths of their FFTs."""
        coils, *space = self.maps.shape[2:]
        step = max(1, _CHUNK[self.maps.device.type] // (coils * math.prod(self.convolution.lengths(space))))
        parts = []
        for start in range(0, len(self.rows), step):
            some = self.rows[start : start + step]
            rows = slice(int(some[:, 0].min()), int(some[:, 1].max()))
            parts.append((slice(start, start + step), rows, self.convolution.lengths([rows.stop - rows.start, *space[1:]])))
        return parts

    @cached_property
    def _coil_images(self) -> Tensor:
        """(system, coil, *lengths) zeros, for the largest of the parts."""
        lengths = [max(one) for one in zip(*(lengths for _, _, lengths in self._parts), strict=True)]
        systems = min(self._parts[0][0].stop, len(self.maps))
        return self.maps.new_zeros(systems, self.maps.shape[2], *lengths)

    @cached_property
    def _conjugate(self) -> Tensor:
        """Of the maps, in memory: each step needs both."""
        return self.maps.conj().resolve_conj()

    def select(self, kept: Tensor) -> Systems:
        """Those of the systems that a (system,) mask keeps."""
        return replace(
            self,
            maps=self.maps[kept],
            right=self.right[kept],
            rows=self.rows[kept],
            noise=self.noise[kept],
            scale=self.scale[kept],
            slices=self.slices[kept],
            place=self.place[kept],
            columns=None if self.columns is None else self.columns[kept],
        )

    def put(self, image: Tensor, into: Tensor) -> None:
        """Writes solutions (system, set, *space) to their places in a volume (slice, set, ky, kx)."""
        if self.columns is None:
            into[self.window][self.slices] = image
        else:
            into.permute(0, 3, 1, 2)[self.window][self.slices, self.columns] = image

    def each_slice(self, number: Tensor) -> Tensor:
        """(slice, 1, 1, 1) a number (system,) that is the same for all systems of a slice."""
        each = number.new_empty(int(self.place.max()) + 1)
        each[self.place] = number
        return each[:, None, None, None]

    def pictures(self, image: Tensor) -> Tensor:
        """(system, set, *space) → (slice, set, a, b): whole slices, transposed where systems are columns, else as they are."""
        height, readout = self.matrix
        if self.columns is None:
            pictures = image.new_zeros(*image.shape[:2], height, readout)
            pictures[self.window] = image
            return pictures
        pictures = image.new_zeros(int(self.place.max()) + 1, readout, image.shape[1], height)
        pictures[self.window][self.place, self.columns] = image
        return pictures.transpose(1, 2)

    def systems(self, pictures: Tensor) -> Tensor:
        """The inverse of `pictures` where there is an object."""
        seen = pictures[self.window]
        return seen if self.columns is None else seen.transpose(1, 2)[self.place, self.columns]


def encode(
    data: ReconInput,
    *,
    whole_slices: bool = False,
    prewhiten: bool = True,
    virtual_coils: int | None = None,
    negligible: float = 0.0,
) -> Iterator[Systems]:
    """The systems of a volume, some at a time; what no map reaches is left out.

    Args:
        data: with maps (slice, coil, ky, kx) or (slice, set, coil, ky, kx).
        whole_slices: keeps the columns of a slice together, for methods that look at pictures.
        prewhiten: weights the coils by the inverse of their noise covariance where that is known.
        virtual_coils: compresses the coils of each slice to so many at most.
        negligible: share of the power of the maps that AᴴA may leave out, so that it takes fewer coils.
    """
    assert data.maps is not None
    maps = data.maps if data.maps.ndim == 5 else data.maps.unsqueeze(1)
    # The largest byte: many times faster than `any`.
    inside = (maps != 0).view(torch.uint8).flatten(1, 2).amax(1).bool()
    if not inside.any():
        return
    mixing = whitening(data.noise_cov) if prewhiten and data.noise_cov is not None else None
    if virtual_coils is not None and virtual_coils < data.kspace.shape[1]:
        kept = compression(data.kspace if mixing is None else mix(mixing, data.kspace), virtual_coils)
        mixing = kept if mixing is None else kept @ mixing
    noise = noise_level(data.kspace, data.noise_cov)
    if mixing is not None:
        mixing = mixing * _keeping_scale(mixing, maps[:, 0])
        noise = noise * _gain(mixing, data.noise_cov)
    if data.mask.shape[-1] == 1:
        every = _columns(data, maps, inside, mixing, noise, whole_slices)
    else:
        every = _slices(data, maps, inside, mixing, noise)
    for systems in every:
        yield replace(systems, maps=fewer(systems.maps, negligible)) if negligible > 0 else systems


def _keeping_scale(mixing: Tensor, maps: Tensor) -> Tensor:
    """(slice, 1, 1) factor that gives mixed maps unit norm on average, so that a weight means the same as without mixing."""
    samples = maps.flatten(2)
    seen = (samples != 0).any(1).sum(1).clamp(min=1)[:, None, None]
    gram = (samples @ samples.mH) / seen
    power = (mixing @ gram @ mixing.mH).diagonal(dim1=-2, dim2=-1).real.sum(-1)[:, None, None]
    return torch.where(power > 0, power, 1).rsqrt()


def _gain(mixing: Tensor, noise_cov: Tensor | None) -> Tensor:
    """(slice or 1,) factor by which mixing changes the noise of a coil, root mean square over the coils."""
    covariance = torch.eye(mixing.shape[-1], device=mixing.device) if noise_cov is None else noise_cov
    after = (mixing @ covariance.to(mixing.dtype) @ mixing.mH).diagonal(dim1=-2, dim2=-1).real.mean(-1)
    return (after / covariance.diagonal().real.mean()).sqrt()


def _columns(
    data: ReconInput, maps: Tensor, inside: Tensor, mixing: Tensor | None, noise: Tensor, whole_slices: bool
) -> Iterator[Systems]:
    number, sets, coils, height, readout = maps.shape
    seen, rows = inside.any(1), _extent(inside.any(0).any(1))
    bounds, convolution = _bounds(inside[:, rows]), Convolution(data.mask[:, 0])
    maps, mixed = maps[..., rows, :], None if mixing is None else mixing.expand(number, -1, -1)

    # Aᴴy of all columns first: what is left to do is measured against a whole slice, however slices are cut up.
    lines = data.mask[:, 0].nonzero()[:, 0]
    hybrid, waves = to_image(data.kspace[:, :, lines], dims=(-1,)), _waves(lines, height)[rows]
    right = data.kspace.new_empty(number, sets, len(waves), readout)
    step = max(1, _CHUNK[maps.device.type] // (coils * len(waves)))
    for index, first in itertools.product(range(number), range(0, readout, step)):
        part = (index, ..., slice(first, first + step))
        own, samples = maps[part], hybrid[part]
        if mixed is not None:
            own, samples = mix(mixed[index], own), mix(mixed[index], samples)
        right[part] = combine(waves @ samples, own)
    power = (right.real.square() + right.imag.square()).sum((1, 2))
    scale = power.where(seen, 0).sum(1) / seen.sum(1).clamp(min=1)

    # Systems that reach equally far are neighbours: each group then pads its coil images no more than it must.
    extents = bounds[..., 1] - bounds[..., 0]
    places = seen.nonzero()
    places = places[extents[places[:, 0], places[:, 1]].argsort(descending=True, stable=True)]
    size, group = coils * math.prod(convolution.lengths([rows.stop - rows.start])), _PARTS * _CHUNK[maps.device.type]
    if whole_slices:
        used = seen.any(1).nonzero()[:, 0]
        groups = [places[torch.isin(places[:, 0], one)] for one in torch.split(used, max(1, group // (size * readout)))]
    else:
        groups = list(torch.split(places, max(1, group // size)))
    for slices, columns in (places.unbind(1) for places in groups):
        own = maps.movedim(-1, 1)[slices, columns]
        yield Systems(
            maps=own if mixed is None else mixed[slices].unsqueeze(1) @ own,
            right=right.movedim(-1, 1)[slices, columns],
            convolution=convolution,
            rows=bounds[slices, columns],
            window=(..., rows),
            noise=noise[slices],
            scale=scale[slices],
            slices=slices,
            place=torch.unique(slices, return_inverse=True)[1],
            columns=columns,
            matrix=(height, readout),
        )


def _slices(data: ReconInput, maps: Tensor, inside: Tensor, mixing: Tensor | None, noise: Tensor) -> Iterator[Systems]:
    height, readout = data.kspace.shape[-2:]
    seen = inside.any((1, 2)).nonzero()[:, 0]
    rows, columns = _extent(inside.any(0).any(1)), _extent(inside.any(0).any(0))
    window: Window = (..., rows, columns)
    bounds, convolution = _bounds(inside[:, rows].any(2, keepdim=True))[:, 0], Convolution(data.mask)
    size = data.kspace.shape[1] * math.prod(convolution.lengths([one.stop - one.start for one in (rows, columns)]))
    for slices in torch.split(seen, max(1, _CHUNK[maps.device.type] // size)):
        some, measured = maps[slices], sample(data.kspace[slices], data.mask)
        if mixing is not None:
            mixed = mixing.expand(len(data.kspace), -1, -1)[slices]
            some, measured = mix(mixed.unsqueeze(1), some), mix(mixed, measured)
        some = some[window]
        right = combine(to_image(measured)[window].unsqueeze(1), some)
        scale = torch.view_as_real(right).square().flatten(1).sum(1)
        yield Systems(
            maps=some,
            right=right,
            convolution=convolution,
            rows=bounds[slices],
            window=window,
            noise=noise[slices],
            scale=scale,
            slices=slices,
            place=torch.arange(len(slices), device=slices.device),
            columns=None,
            matrix=(height, readout),
        )


def _waves(lines: Tensor, height: int) -> Tensor:
    """(ky, line) the unitary, centred inverse DFT from the sampled lines alone."""
    roots = torch.arange(height, dtype=torch.float64, device=lines.device) * (2 * math.pi / height)
    roots = torch.polar(torch.full_like(roots, height**-0.5), roots).to(torch.complex64)
    positions = torch.arange(height, device=lines.device) - height // 2
    return roots[torch.outer(positions, lines - height // 2) % height]


def _extent(inside: Tensor) -> slice:
    """From the first to the last True of an axis."""
    places = inside.nonzero()[:, 0]
    return slice(int(places[0]), int(places[-1]) + 1)


def _bounds(inside: Tensor) -> Tensor:
    """(slice, ky, kx) → (slice, kx, 2) the first row with an object, and the one after the last."""
    height = inside.shape[1]
    # The first of several largest is what `argmax` finds.
    first, last = inside.to(torch.uint8).argmax(1), inside.flip(1).to(torch.uint8).argmax(1)
    return torch.stack([first, height - last], -1)
