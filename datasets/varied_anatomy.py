"""Pictures that a network learns from: heads of many kinds out of one atlas, and pictures of nothing, so that it learns no head.

Source of the idea to draw contrasts at random: Billot et al., Med Image Anal 86:102789 (2023); of the leaves: Lee, Mumford,
Huang, Int J Comput Vis 41:35 (2001), and Achddou et al., SIAM J Imaging Sci 14:1110 (2021) for learning from them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .atlas import SPACING_MM, Atlas
from .tissue import BY_FIELD, TISSUES, Contrast, TissueName, signal

Picture = npt.NDArray[np.float32]
ComplexPicture = npt.NDArray[np.complex64]

_BRAIN: tuple[TissueName, ...] = ("grey", "white", "csf")
_CONTRASTS: tuple[Contrast, ...] = ("t1", "t2", "flair")
_NORMALS = ((2, 0, 1), (1, 2, 0), (0, 1, 2))
"""Axes (z, y, x) of an axial, a coronal and a sagittal plane: across it, down it, along its rows."""
_LEAVES = 600
_DEPHASED = 0.7
"""Share of pictures whose parts have phases of their own; the others are as spin echoes are."""


def head(n: int, extent_mm: float, atlas: Atlas, rng: np.random.Generator) -> ComplexPicture:
    """(n, n) a plane through the atlas: any orientation, deformed, sharpened, of a contrast drawn at random.

    In most, tissues, vessels and above all fat have phases of their own, as gradient echoes give them; where fat and water of
    other phase meet, they cancel.

    Args:
        n: pixels.
        extent_mm: field of view [mm].
        atlas: tissue maps.
        rng: all that is drawn.
    """
    shares, fat = _tissues(n, extent_mm, atlas, rng)
    turned = rng.random() < _DEPHASED
    signals = {name: value * _turn(rng, 0.1 * turned) for name, value in _signals(rng).items()}
    picture = sum((signals[name] * share for name, share in shares.items()), np.zeros((n, n), np.complex64))
    picture *= 1 + _strength(rng, 0.12) * random_field(n, rng.uniform(0.8, 1.6), rng)
    inside = np.clip(sum(shares[name] for name in _BRAIN), 0, 1)
    picture = _with_vessels(picture.astype(np.complex64), inside, n / extent_mm, rng, float(turned * rng.random()))
    # Fat precesses more slowly: it is behind in phase, and lies displaced along the readout.
    shift = int(rng.integers(0, 1 + n // 64))
    return picture + np.roll(signals["fat"] * _turn(rng, float(turned)) * fat, shift, axis=1)


def leaves(n: int, rng: np.random.Generator) -> ComplexPicture:
    """(n, n) ellipses of all sizes that hide one another, within an oval: edges and textures of no object.

    In most pictures each has a phase of its own."""
    picture = np.full((n, n), rng.random(), np.complex64)
    apart = float((rng.random() < _DEPHASED) * rng.random())
    texture = [random_field(n, slope, rng) for slope in (0.5, 1.2)]
    # Sizes of a density r⁻³, as scale invariance asks: few are large.
    smallest, largest = n / 100, n / 4
    uniform = rng.random(_LEAVES)
    radii = (smallest**-2 - uniform * (smallest**-2 - largest**-2)) ** -0.5
    for radius in radii:
        y, x = rng.uniform(0, n, 2)
        ratio, angle = rng.uniform(0.4, 1.0), rng.uniform(0, np.pi)
        window, inside = _ellipse(n, (y, x), (radius, radius * ratio), angle)
        value = rng.random() * np.maximum(1 + _strength(rng, 0.2) * texture[int(rng.integers(2))][window], 0)
        value = value * _turn(rng, apart)
        picture[window] += inside * (value - picture[window])
    window, inside = _ellipse(n, (n / 2, n / 2), tuple(rng.uniform(0.3, 0.48, 2) * n), rng.uniform(0, np.pi), edge=n / 128)
    oval = np.zeros((n, n), np.float32)
    oval[window] = inside
    return picture * oval


def off_resonance(n: int, rng: np.random.Generator) -> Picture:
    """(n, n) phase [rad] of a field that nothing has shimmed: rough, and steep beside cavities of air.

    The field outside a sphere of air falls off as a dipole's does, with the third power of the distance.
    """
    phase = _strength(rng, 0.6) * random_field(n, rng.uniform(1.5, 2.5), rng)
    y, x = np.mgrid[:n, :n].astype(np.float32)
    for _ in range(int(rng.integers(0, 5))):
        down, along = y - rng.uniform(0.1, 0.9) * n, x - rng.uniform(0.1, 0.9) * n
        squared, radius = down**2 + along**2, n * np.float32(np.exp(rng.uniform(np.log(0.015), np.log(0.12))))
        # 1 + cos 2θ's share: between a plane across the dipole and one along it.
        shape = 1 + rng.uniform(-1.5, 1.5) * (down**2 - along**2) / (squared + radius**2)
        phase += np.float32(rng.uniform(-2, 2) * np.pi) * shape * (1 + squared / radius**2) ** -1.5
    return phase.astype(np.float32)


def random_field(n: int, slope: float, rng: np.random.Generator) -> Picture:
    """(n, n) Gaussian field of zero mean and unit deviation whose amplitudes fall off as frequency to the power −slope."""
    fy, fx = np.fft.fftfreq(n)[:, None] * n, np.fft.rfftfreq(n)[None] * n
    distance = np.hypot(fy, fx)
    distance[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((n, n), dtype=np.float32)) * distance**-slope
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(n, n))
    return (field / field.std()).astype(np.float32)


def smooth_field(n: int, waves: float, rng: np.random.Generator) -> Picture:
    """(n, n) smooth field between about −1 and 1 with so many waves at most across the picture."""
    from scipy import ndimage

    knots = rng.uniform(-1, 1, (max(2, round(2 * waves)) + 2,) * 2)
    return np.asarray(ndimage.zoom(knots, n / len(knots), order=3, mode="nearest", grid_mode=True), dtype=np.float32)


def _tissues(n: int, extent_mm: float, atlas: Atlas, rng: np.random.Generator) -> tuple[dict[TissueName, Picture], Picture]:
    """Shares of the tissues in each pixel, and those of fat."""
    from scipy import ndimage

    grid = ((np.arange(n) - n // 2) * (extent_mm / n)).astype(np.float32)
    scale = 1 + 0.06 * rng.standard_normal(2)
    angle, tilt = np.radians(rng.uniform(-15, 15)), np.radians(rng.uniform(-12, 12, 2))
    warp = [np.float32(rng.uniform(0, 5)) * smooth_field(n, 3, rng) for _ in range(3)]
    down = np.cos(angle) * grid[:, None] * scale[0] - np.sin(angle) * grid[None] * scale[1] + warp[0]
    along = np.sin(angle) * grid[:, None] * scale[0] + np.cos(angle) * grid[None] * scale[1] + warp[1]
    across = np.float32(rng.uniform(-45, 50)) + np.float32(tilt[0]) * down + np.float32(tilt[1]) * along + warp[2]
    order = _NORMALS[int(rng.choice(3, p=(0.5, 0.25, 0.25)))]
    axes = (down, along, across)
    where = np.stack([axes[axis] / np.float32(SPACING_MM) + middle for axis, middle in zip(order, atlas.centre, strict=True)])
    sampled = {
        name: ndimage.map_coordinates(volume, where.astype(np.float32), order=1, mode="nearest", prefilter=False)
        for name, volume in atlas.volumes.items()
    }
    outside = sampled.pop("outside_mm")
    bone_edge = rng.uniform(3, 9)
    fat_edge = bone_edge + rng.uniform(2, 9)
    shares: dict[TissueName, Picture] = {name: _detailed(sampled[name], n / extent_mm, rng) for name in _BRAIN}
    # An average of many heads has soft borders; one head's are sharp and folded.
    sharp = rng.uniform(1, 6)
    total = sum(shares[name] ** sharp for name in _BRAIN) + np.float32(1e-6)
    brain = np.clip(sum(sampled[name] for name in _BRAIN), 0, 1)
    for name in _BRAIN:
        shares[name] = shares[name] ** sharp / total * brain
    ring = 1 - brain
    edge = np.float32(n / extent_mm)
    shares["bone"] = ring * np.clip((bone_edge - outside) * edge + 0.5, 0, 1)
    fat = ring * np.clip((fat_edge - outside) * edge + 0.5, 0, 1) * np.clip((outside - bone_edge) * edge + 0.5, 0, 1)
    fat *= 1 + _strength(rng, 0.3) * random_field(n, 1.0, rng)
    return shares, np.maximum(fat, 0)


def _detailed(share: Picture, pixels_a_mm: float, rng: np.random.Generator) -> Picture:
    """A tissue's share, disturbed at the scale of gyri and below it."""
    n = len(share)
    noise = random_field(n, rng.uniform(1.0, 1.8), rng)
    return np.clip(share * np.exp(_strength(rng, 0.9) * noise), 0, 1).astype(np.float32) + np.float32(1e-4)


def _signals(rng: np.random.Generator) -> dict[TissueName, float]:
    """Of each tissue: by a signal equation with tissues of their own, or nobody's contrast."""
    if rng.random() < 0.5:
        tissues = BY_FIELD[float(rng.choice(sorted(BY_FIELD)))]
        contrast = _CONTRASTS[int(rng.integers(len(_CONTRASTS)))]
        own = {
            name: replace(
                tissues[name], **{key: value * np.exp(0.2 * rng.standard_normal()) for key, value in vars(tissues[name]).items()}
            )
            for name in TISSUES
        }
        signals = {name: signal(tissue, contrast) for name, tissue in own.items()}
    else:
        signals = {name: float(rng.uniform(0.05, 1)) for name in TISSUES}
        signals["bone"] = float(rng.uniform(0, 0.15))
    brightest = max(signals[name] for name in _BRAIN)
    signals["fat"] = brightest * float(rng.uniform(0, 1.8))
    return signals


def _with_vessels(
    picture: ComplexPicture, inside: Picture, pixels_a_mm: float, rng: np.random.Generator, apart: float
) -> ComplexPicture:
    """Small bright or dark ellipses within the brain: vessels across the plane, lesions, calcifications; flow turns the phase."""
    n = len(picture)
    peak = float(np.abs(picture).max()) or 1.0
    for _ in range(int(rng.integers(0, 60))):
        y, x = rng.uniform(0.15, 0.85, 2) * n
        radius = pixels_a_mm * float(np.exp(rng.uniform(np.log(0.4), np.log(5))))
        window, share = _ellipse(n, (y, x), (radius, radius * rng.uniform(0.3, 1)), rng.uniform(0, np.pi))
        value = peak * rng.uniform(0, 1.3) * _turn(rng, apart)
        picture[window] += share * inside[window] * (value - picture[window])
    return picture


def _ellipse(
    n: int, centre: tuple[float, float], radii: tuple[float, ...], angle: float, edge: float = 1.0
) -> tuple[tuple[slice, slice], Picture]:
    """The window that an ellipse lies in, and its share of each pixel there, soft over `edge` pixels."""
    reach = max(radii) + 2 * edge
    window = tuple(slice(max(0, int(middle - reach)), min(n, int(middle + reach) + 2)) for middle in centre)
    y = np.arange(window[0].start, window[0].stop)[:, None] - centre[0]
    x = np.arange(window[1].start, window[1].stop)[None] - centre[1]
    down, along = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
    distance = np.hypot(down / radii[0], along / radii[1])
    share = np.clip((1 - distance) * min(radii) / edge + 0.5, 0, 1).astype(np.float32)
    return (window[0], window[1]), share


def _turn(rng: np.random.Generator, share: float) -> np.complex64:
    """A unit phasor within a share of the half circle to both sides."""
    return np.complex64(np.exp(1j * np.pi * rng.uniform(-share, share)))


def _strength(rng: np.random.Generator, most: float) -> np.float32:
    return np.float32(rng.uniform(0, most))
