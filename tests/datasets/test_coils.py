"""Loop coils against the field on a loop's axis, which is known in closed form."""

import numpy as np
import pytest

from halfscan.datasets.coils import _receive_field, ring_sensitivities


def test_field_on_the_axis_of_a_loop() -> None:
    radius, ring = 50.0, 150.0
    x = np.array([-40.0, 0.0, 60.0])
    points = np.stack([x, np.zeros(3), np.zeros(3)], axis=-1)
    expected = 2 * np.pi * radius**2 / (radius**2 + (ring - x) ** 2) ** 1.5
    np.testing.assert_allclose(np.abs(_receive_field(points, 0.0, ring, radius)), expected, rtol=1e-3)


def test_a_ring_is_symmetric_and_of_mean_norm_one() -> None:
    maps = ring_sensitivities(8, (65, 65), (200.0, 200.0))
    assert np.linalg.norm(maps, axis=0).mean() == pytest.approx(1, rel=1e-5)
    centre = np.abs(maps[:, 32, 32])
    np.testing.assert_allclose(centre, centre[0], rtol=1e-2)
    quarter = np.rot90(np.abs(maps[0]), k=1)
    assert min(np.abs(quarter - np.abs(maps[index])).max() for index in (2, 6)) < 0.03


def test_nearer_is_stronger() -> None:
    maps = np.abs(ring_sensitivities(8, (64, 64), (200.0, 200.0)))
    assert maps[0, 32, -1] > 3 * maps[0, 32, 0]
