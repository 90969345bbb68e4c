"""The encoding of parallel imaging as iterative solvers use it: normal equations of independent systems.

A mask of whole lines leaves the readout alone: after one inverse FFT along it every column of a slice is a system of its own,
with short FFTs along ky and nothing to do where there is no object. A mask over the plane makes each slice one system.
Between an FFT and its inverse the samples of a mask are a convolution, which any length can do that keeps the ends of an
object apart: systems reach as far as the object, and matrices of awkward lengths (230, 322, 372) take FFTs of quick ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import EllipsisType

import torch
from torch import Tensor

from .coils import compression, mix, whitening
from .noise import noise_level
from .operators import combine, sample, to_image
from .reconstruction import ReconInput

_CHUNK = {"cpu": 2**17, "cuda": 2**25}
"""Coil samples that are worked on at a time: few enough for the cache of a CPU, enough to keep a GPU busy."""
_LARGEST_PRIME = 13
"""FFTs whose length has no larger prime factor are quick."""
_AWKWARD = 2.2
"""Others take about so many times as long: measured are 1.5 (272) to 8 (222), 2 at 368 and 4 to 5 at 230 and 322."""

Window = tuple[EllipsisType | slice, ...]
"""An ellipsis and a slice of each axis of a space."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Systems:
    """Systems AᴴA x = Aᴴy, solved side by side: `space` is that part of (ky,) or (ky, kx) where there is an object."""

    maps: Tensor
    """(system, set, coil, *space), whitened where the noise is known."""
    right: Tensor
    """(system, set, *space) Aᴴy."""
    transfer: Tensor
    """Of the convolution FᴴMF of images within the space, in the order of FFTs at least as large."""
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
        result = torch.empty_like(image)
        dims = tuple(range(-self.transfer.ndim, 0))
        within: Window = (..., *(slice(extent) for extent in self.maps.shape[3:]))
        for start in range(0, len(image), len(self._coil_images)):
            some = slice(start, start + len(self._coil_images))
            maps, seen = self.maps[some], self._coil_images[: len(image) - start]
            if maps.shape[1] == 1:
                torch.mul(maps[:, 0], image[some], out=seen[within])
            else:
                torch.sum(maps * image[some].unsqueeze(2), 1, out=seen[within])
            spectrum = torch.fft.fftn(seen, dim=dims).mul_(self.transfer)
            folded = torch.fft.ifftn(spectrum, dim=dims)[within]
            torch.sum(self._conjugate[some] * folded.unsqueeze(1), 2, out=result[some])
        return result

    @cached_property
    def _coil_images(self) -> Tensor:
        """(some systems, coil, *padded) zeros: around the object they stay so."""
        coils, padded = self.maps.shape[2], self.transfer.shape
        some = min(_CHUNK[self.maps.device.type] // (coils * padded.numel()), len(self.maps))
        return self.maps.new_zeros(max(1, some), coils, *padded)

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
        first = torch.nn.functional.pad(self.place.diff(), (1, 0), value=1) > 0
        return number[first][:, None, None, None]

    def pictures(self, image: Tensor) -> Tensor:
        """(system, set, *space) → (slice, set, a, b): whole slices, transposed where systems are columns, else as they are."""
        height, readout = self.matrix
        if self.columns is None:
            pictures = image.new_zeros(*image.shape[:2], height, readout)
            pictures[self.window] = image
            return pictures
        pictures = image.new_zeros(int(self.place[-1]) + 1, readout, image.shape[1], height)
        pictures[self.window][self.place, self.columns] = image
        return pictures.transpose(1, 2)

    def systems(self, pictures: Tensor) -> Tensor:
        """The inverse of `pictures` where there is an object."""
        seen = pictures[self.window]
        return seen if self.columns is None else seen.transpose(1, 2)[self.place, self.columns]


def encode(
    data: ReconInput, *, whole_slices: bool = False, prewhiten: bool = True, virtual_coils: int | None = None
) -> Iterator[Systems]:
    """The systems of a volume, some at a time; what no map reaches is left out.

    Args:
        data: with maps (slice, coil, ky, kx) or (slice, set, coil, ky, kx).
        whole_slices: keeps the columns of a slice together, for methods that look at pictures.
        prewhiten: weights the coils by the inverse of their noise covariance where that is known.
        virtual_coils: compresses the coils of each slice to so many at most.
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
        yield from _columns(data, maps, inside, mixing, noise, whole_slices)
    else:
        yield from _slices(data, maps, inside, mixing, noise)


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
    _, _, coils, height, readout = maps.shape
    lines = data.mask[:, 0].nonzero()[:, 0]
    hybrid = to_image(data.kspace[:, :, lines], dims=(-1,))
    seen, rows = inside.any(1), _extent(inside.any(0).any(1))
    waves = _waves(lines, height)[:, rows]
    maps = maps[..., rows, :]
    transfer = _transfer(data.mask[:, 0], [rows.stop - rows.start]).to(data.kspace.real.dtype)
    size, group = coils * len(transfer), _CHUNK[maps.device.type]

    def at(volume: Tensor, slices: Tensor, columns: Tensor) -> Tensor:
        """(column, ..., coil, ky) of a (slice, ..., coil, ky, kx) volume, its coils mixed."""
        some = volume.movedim(-1, 1)[slices, columns]
        if mixing is None:
            return some
        return mixing.expand(len(data.kspace), -1, -1)[slices].reshape(len(some), *[1] * (some.ndim - 3), -1, coils) @ some

    if whole_slices:
        used = seen.any(1).nonzero()[:, 0]
        some = torch.split(used, max(1, group // (size * readout)))
        groups = [(seen & torch.isin(torch.arange(len(seen), device=used.device), one)[:, None]).nonzero() for one in some]
    else:
        groups = list(torch.split(seen.nonzero(), max(1, group // size)))
    # What is left to do is measured against a whole slice, so that nothing depends on how slices are cut up.
    rights, power = [], data.kspace.real.new_zeros(len(seen), readout)
    for slices, columns in (places.unbind(1) for places in groups):
        coil_lines = at(hybrid, slices, columns) @ waves
        rights.append((at(maps, slices, columns).conj() * coil_lines.unsqueeze(1)).sum(2))
        power[slices, columns] = torch.view_as_real(rights[-1]).square().sum((1, 2, 3))
    scale = power.sum(1) / seen.sum(1).clamp(min=1)
    for right, (slices, columns) in zip(rights, (places.unbind(1) for places in groups), strict=True):
        yield Systems(
            maps=at(maps, slices, columns),
            right=right,
            transfer=transfer,
            window=(..., rows),
            noise=noise[slices],
            scale=scale[slices],
            slices=slices,
            place=torch.unique_consecutive(slices, return_inverse=True)[1],
            columns=columns,
            matrix=(height, readout),
        )


def _slices(data: ReconInput, maps: Tensor, inside: Tensor, mixing: Tensor | None, noise: Tensor) -> Iterator[Systems]:
    height, readout = data.kspace.shape[-2:]
    seen = inside.any((1, 2)).nonzero()[:, 0]
    rows, columns = _extent(inside.any(0).any(1)), _extent(inside.any(0).any(0))
    window: Window = (..., rows, columns)
    transfer = _transfer(data.mask, [one.stop - one.start for one in (rows, columns)]).to(data.kspace.real.dtype)
    for slices in torch.split(seen, max(1, _CHUNK[maps.device.type] // (data.kspace.shape[1] * transfer.numel()))):
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
            transfer=transfer,
            window=window,
            noise=noise[slices],
            scale=scale,
            slices=slices,
            place=torch.arange(len(slices), device=slices.device),
            columns=None,
            matrix=(height, readout),
        )


def _waves(lines: Tensor, height: int) -> Tensor:
    """(line, ky) the unitary, centred inverse DFT from the sampled lines alone."""
    positions = torch.arange(height, dtype=torch.float64, device=lines.device) - height // 2
    angles = torch.outer((lines - height // 2).double(), positions) * (2 * math.pi / height)
    return torch.polar(torch.full_like(angles, height**-0.5), angles).to(torch.complex64)


def _extent(inside: Tensor) -> slice:
    """From the first to the last True of an axis."""
    places = inside.nonzero()[:, 0]
    return slice(int(places[0]), int(places[-1]) + 1)


def _transfer(mask: Tensor, extents: Sequence[int]) -> Tensor:
    """Transfer function of FᴴMF for images that extend so far along each axis, zero-padded to its size.

    Source: the embedding of Toeplitz matrices in circulant ones, Fessler et al., IEEE Trans Signal Process 53:3393 (2005).
    """
    kernel = torch.fft.ifftn(torch.fft.ifftshift(mask).to(torch.complex128))
    for axis, extent in enumerate(extents):
        period = kernel.shape[axis]
        length = fft_length(period, extent)
        if length != period:
            lags = torch.arange(1 - extent, extent, device=kernel.device)
            padded = kernel.new_zeros(*kernel.shape[:axis], length, *kernel.shape[axis + 1 :])
            kernel = padded.index_copy_(axis, lags % length, kernel.index_select(axis, lags % period))
    return torch.fft.fftn(kernel).real


def fft_length(period: int, extent: int) -> int:
    """The quickest FFT to convolve `extent` samples with a kernel that repeats after `period`.

    Its period itself, or a product of small primes that is long enough for the first and the last sample to stay apart.
    """
    apart = next(length for length in itertools.count(4 * math.ceil((2 * extent - 1) / 4), 4) if _largest_prime(length) <= 7)
    takes = period if _largest_prime(period) <= _LARGEST_PRIME else _AWKWARD * period
    return period if takes <= apart else apart


def _largest_prime(number: int) -> int:
    largest, factor = 1, 2
    while number > 1:
        if number % factor:
            factor += 1
        else:
            number, largest = number // factor, factor
    return largest
