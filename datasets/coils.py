"""Receive sensitivities of a ring of loop coils by the law of Biot and Savart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SEGMENTS = 48
_KNOTS = 25


def ring_sensitivities(
    coils: int,
    shape: tuple[int, int],
    field_of_view_mm: tuple[float, float],
    *,
    z_mm: float = 0.0,
    ring_radius_mm: float = 150.0,
    loop_radius_mm: float = 55.0,
    first_angle: float = 0.0,
) -> npt.NDArray[np.complex64]:
    """Sensitivities in a transverse plane of loops that stand evenly on a cylinder and face its axis.

    The receive field of a loop is B1⁻ ∝ Bx − i·By of the field that a unit current in it makes (principle of
    reciprocity). It is computed on a coarse grid and interpolated by bicubic splines: it has no fine structure inside.

    Args:
        coils: number of loops.
        shape: (ky, kx) pixels.
        field_of_view_mm: (ky, kx) [mm].
        z_mm: position of the plane along the axis [mm].
        ring_radius_mm: distance of the loops from the axis [mm].
        loop_radius_mm: radius of each loop [mm].
        first_angle: of the first loop on the cylinder [rad].

    Returns:
        (coil, ky, kx), scaled to a root sum of squares of 1 at its mean over the plane.
    """
    from scipy.interpolate import RectBivariateSpline

    knots = [np.linspace(-extent / 2, extent / 2, _KNOTS) for extent in field_of_view_mm]
    y, x = np.meshgrid(*knots, indexing="ij")
    points = np.stack([x, y, np.full_like(x, z_mm)], axis=-1)
    pixels = [(np.arange(n) - n // 2) * extent / n for n, extent in zip(shape, field_of_view_mm, strict=True)]
    maps = np.empty((coils, *shape), dtype=np.complex64)
    for index in range(coils):
        coarse = _receive_field(points, first_angle + 2 * np.pi * index / coils, ring_radius_mm, loop_radius_mm)
        maps[index].real, maps[index].imag = (RectBivariateSpline(*knots, part)(*pixels) for part in (coarse.real, coarse.imag))
    return (maps / np.linalg.norm(maps, axis=0).mean()).astype(np.complex64)


def _receive_field(points: npt.NDArray[np.float64], angle: float, ring_mm: float, loop_mm: float) -> npt.NDArray[np.complex128]:
    outward = np.array([np.cos(angle), np.sin(angle), 0.0])
    tangent = np.array([-np.sin(angle), np.cos(angle), 0.0])
    axial = np.array([0.0, 0.0, 1.0])
    turn = 2 * np.pi * np.arange(_SEGMENTS)[:, None] / _SEGMENTS
    wire = ring_mm * outward + loop_mm * (np.cos(turn) * tangent + np.sin(turn) * axial)
    element = (2 * np.pi * loop_mm / _SEGMENTS) * (-np.sin(turn) * tangent + np.cos(turn) * axial)
    distance = points[..., None, :] - wire
    cubed = np.linalg.norm(distance, axis=-1, keepdims=True) ** 3
    field = (np.cross(element, distance) / cubed).sum(-2)
    return np.asarray(field[..., 0] - 1j * field[..., 1])
