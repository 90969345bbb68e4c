"""Arrays that cells share: made once, whole or not there at all, and never more than the limit."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from halfscan.bench.maps import Espirit
from halfscan.bench.shelf import Shelf
from halfscan.bench.truth import reference_image
from halfscan.datasets.digital_brains import DigitalBrains

KILO = np.zeros(250, np.float32)


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    shelf, made = Shelf(tmp_path / "s", 10_000), []

    def make() -> np.ndarray:
        made.append(1)
        return np.arange(5, dtype=np.float32)

    for _ in range(3):
        assert np.array_equal(shelf.get("a", make), np.arange(5))
    assert made == [1]
    (tmp_path / "s" / "a.npy").write_bytes(b"\x93NUMPY cut short")
    assert np.array_equal(shelf.get("a", make), np.arange(5))
    assert made == [1, 1]


def test_the_least_lately_used_makes_room(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 5_000)
    for index in range(4):
        shelf.get(str(index), lambda: KILO)
        os.utime(tmp_path / f"{index}.npy", (index, index))
    shelf.get("0", lambda: KILO)  # used now
    shelf.get("4", lambda: KILO)
    shelf.get("5", lambda: KILO)
    left = {path.stem for path in tmp_path.iterdir()}
    assert "0" in left
    assert "1" not in left
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5_000


@pytest.mark.parametrize("limit", [0, 100])
def test_what_does_not_fit_is_not_kept(limit: int, tmp_path: Path) -> None:
    assert np.array_equal(Shelf(tmp_path / "s", limit).get("a", lambda: KILO), KILO)
    assert not (tmp_path / "s").exists()


def test_a_folder_that_can_not_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file")
    assert np.array_equal(Shelf(tmp_path / "s", 10_000).get("a", lambda: KILO), KILO)


def _fill(arguments: tuple[Path, int]) -> bool:
    folder, worker = arguments
    shelf = Shelf(folder, 20_000)
    rng = np.random.default_rng(worker)
    for index in rng.integers(0, 40, 150):
        found = shelf.get(str(index), lambda: np.full(250, index, np.float32))  # noqa: B023
        if not np.array_equal(found, np.full(250, index, np.float32)):
            return False
    return True


def test_many_writers(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        assert all(pool.map(_fill, [(tmp_path, worker) for worker in range(4)]))
    assert not list(tmp_path.glob("*.part"))


def test_references_from_the_shelf_are_those_that_were_made(tmp_path: Path) -> None:
    brains = DigitalBrains(train=0, validation=0, test=1, slices=1, matrix=32, coils=2)
    (one,) = brains.acquisitions()
    maps = Espirit(calibration=12, kernel=4)
    shelf = Shelf(tmp_path, 10**9)
    plain = reference_image(one, "mvue", maps)
    reference_image.cache_clear()
    first = reference_image(one, "mvue", maps, shelf)
    reference_image.cache_clear()
    again = reference_image(one, "mvue", maps, shelf)
    assert torch.equal(plain.image, first.image)
    assert torch.equal(plain.image, again.image)
    assert len(list(tmp_path.iterdir())) == 1
    reference_image(one, "mvue", Espirit(calibration=12, kernel=5), shelf)
    assert len(list(tmp_path.iterdir())) == 2, "other maps are another reference"
