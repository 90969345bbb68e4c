"""QA kept on disk: taken again only where everything that it hangs on is the same, and never from a broken image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from halfscan.bench.acquisition import record_digest
from halfscan.bench.cell import Cell, build_cell
from halfscan.bench.configuration import compose_run
from halfscan.bench.errors import HalfscanError, NotApplicable
from halfscan.bench.qa.measure import measure_quality
from halfscan.bench.qa.quality import NO_NOISE, Quality
from halfscan.bench.quantity import Quantity
from halfscan.bench.reconstruction import ReconInput, ReconResult

GROUPS = ["dataset", "sampling", "protocol", "model", "trainer", "maps", "metrics", "qa", "energy", "claims"]
SINGLE = ["mask_replicate", "train_seed", "device", "threads"]


def _cell(*overrides: str) -> Cell:
    return build_cell(compose_run([*overrides, "qa=standard", "metrics=fastmri"], [*GROUPS, *SINGLE]))


@pytest.fixture(scope="module")
def cell() -> Cell:
    return _cell("dataset=sample", "dataset.slices=1", "dataset.coils=2", "sampling.acceleration=2", "qa.replicas=4")


def _measured(cell: Cell, folder: Path, measures: Any = None, **changes: Any) -> dict[str, Quantity]:
    """Of the sample with some of it changed."""
    changed = tuple(replace(one, **changes) for one in cell.recipe.acquisitions)
    return measure_quality(replace(cell.recipe, acquisitions=changed), folder, measures or cell.quality)[0]


def test_a_covariance_that_is_supplied_or_changed_later_is_seen(cell: Cell, tmp_path: Path) -> None:
    (sample,) = cell.recipe.acquisitions
    covariance = sample.noise_cov
    assert covariance is not None
    assert _measured(cell, tmp_path, read_noise_cov=None)["snr@qa"].reason == NO_NOISE
    plain = _measured(cell, tmp_path)["snr@qa"].value
    louder = _measured(cell, tmp_path, read_noise_cov=lambda: covariance * 4)["snr@qa"].value
    assert plain is not None
    assert louder == pytest.approx(plain / 2, rel=0.05)
    assert _measured(cell, tmp_path)["snr@qa"].value == plain
    assert len({record_digest([one]) for one in (sample, replace(sample, read_noise_cov=None), replace(sample, truth=None))}) == 3


def test_a_truth_that_is_lost_is_seen(cell: Cell, tmp_path: Path) -> None:
    assert _measured(cell, tmp_path) != _measured(cell, tmp_path, truth=None)


@dataclass(frozen=True, kw_only=True)
class Own(Quality):
    """Measures of a user's class."""


@dataclass(frozen=True, kw_only=True)
class Silent(Quality):
    """Another one with the same settings, in the same file."""

    def measure(self, one: Any) -> dict[str, Quantity]:
        return {}


def test_another_class_of_measures_is_not_answered_with_the_first_one_s(cell: Cell, tmp_path: Path) -> None:
    assert _measured(cell, tmp_path, Own(replicas=4))
    assert _measured(cell, tmp_path, Silent(replicas=4)) == {}


@dataclass(frozen=True)
class Fragile:
    """Breaks where a signal was put in."""

    needs_maps: bool = False

    def __call__(self, data: ReconInput) -> ReconResult:
        image = torch.full((data.kspace.shape[0], *data.field_of_view), torch.nan)
        return ReconResult(image=image, kind="magnitude", combination="rss")


def test_a_reconstruction_that_breaks_is_refused(cell: Cell, tmp_path: Path) -> None:
    broken = replace(cell, recipe=replace(cell.recipe, model=Fragile()))  # type: ignore[arg-type]
    with pytest.raises(HalfscanError, match="returned NaN or infinity"):
        _measured(broken, tmp_path)
    assert not list(tmp_path.rglob("qa-*.json"))


def test_data_without_maps_are_refused_before_any_work(write_kspace: Callable[..., Path]) -> None:
    path = write_kspace(kspace=np.ones((1, 4, 10, 10), dtype=np.complex64))
    small = ["dataset=array", f"dataset.path={path}", "model=zero_filled_rss", "sampling.acceleration=2", "sampling.acs_lines=4"]
    with pytest.raises(NotApplicable, match=r"qa puts signals in through maps .* or use qa=none"):
        _cell(*small, "protocol.echo_train_length=2")
