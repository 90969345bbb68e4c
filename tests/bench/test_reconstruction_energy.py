"""A cell's energy: from counters to rows, table and MLflow; null everywhere where nothing counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from torch.utils._python_dispatch import _get_current_dispatch_mode

from halfscan.bench.cell import build_cell
from halfscan.bench.cli import main
from halfscan.bench.configuration import compose_run
from halfscan.bench.energy.record import EnergyRecord
from halfscan.bench.images import recipe_images
from halfscan.bench.reconstruction import ReconInput, ReconResult
from halfscan.bench.reconstruction_energy import recipe_energy, recipe_flops, training_energy
from halfscan.models.zero_filled import ZeroFilled

from .energy.machine import Machine
from .running import run, table

pytestmark = pytest.mark.usefixtures("work")
PARTS = ("dataset", "sampling", "protocol", "model", "maps", "metrics", "qa", "energy", "trainer", "claims")
SINGLE = ("mask_replicate", "train_seed", "device", "threads", "out", "tracking")


@dataclass(frozen=True, kw_only=True)
class Working(ZeroFilled):
    """Takes half a second a batch of the machine's time at 50 W a package."""

    spend: Callable[[], None]

    def __call__(self, data: ReconInput) -> ReconResult:
        self.spend()
        return super().__call__(data)


def test_one_volume_of_each_shape_is_measured_and_kept(small: list[str], work: Path, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "powercap")
    recipe = build_cell(compose_run([*small, "model=zero_filled"], [*PARTS, *SINGLE])).recipe
    recipe = replace(recipe, model=Working(spend=lambda: machine.advance(0.5, 50.0, 2.0)), meter=machine.meter())
    images = work / "images"
    volumes = len(list(recipe_images(recipe, images)))
    records = recipe_energy(recipe, images)
    assert len(records) == volumes
    assert records[0].parts["cpu"].value == pytest.approx(2 * 50 * 0.5)
    assert records[0].net.value == pytest.approx(2 * 30 * 0.5 - 1 * 0.5)
    before = machine.now
    again = recipe_energy(recipe, images)
    assert machine.now == before, "what was measured is not measured again"
    assert again == records


class Counted:
    """A meter with a figure of its own."""

    def measure(self, work: Callable[[], None], device: str) -> EnergyRecord:
        raise AssertionError("nobody asked")


def test_images_that_were_made_elsewhere_have_none(small: list[str], work: Path) -> None:
    recipe = build_cell(compose_run([*small, "model=zero_filled"], [*PARTS, *SINGLE])).recipe

    class Elsewhere(ZeroFilled):
        made_elsewhere = True

    assert training_energy(recipe, work).value == 0, "zero-filling learned nothing"
    assert training_energy(replace(recipe, model=Elsewhere()), work).value is None
    outside = training_energy(replace(recipe, model=Working(spend=lambda: None)), work)
    assert outside.value is None, "a vendor's model may hold a network that cost something"
    assert outside.reason
    records = recipe_energy(replace(recipe, model=Elsewhere(), meter=Counted()), work / "images")  # type: ignore[arg-type]
    assert all(record.total.value is None for record in records)
    assert all(one.value is None for one in recipe_flops(replace(recipe, model=Elsewhere()), work / "images"))


def test_operations_grow_with_slices_and_are_counted_once(small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = build_cell(compose_run([*small, "model=zero_filled"], [*PARTS, *SINGLE])).recipe
    first = recipe_flops(recipe, work / "images")
    assert len(first) == len(recipe.acquisitions)
    per_slice = {round(one.value / volume.slices) for one, volume in zip(first, recipe.acquisitions, strict=True)}
    assert len(per_slice) == 1
    monkeypatch.setattr("halfscan.bench.images.count_flops", None)
    assert recipe_flops(recipe, work / "images") == first


def test_a_wall_meter_reaches_rows_table_and_store(small: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wall = ["energy=wall", "energy.kwh=0.1", "energy.seconds=1200", "energy.volumes=600", "energy.idle_w=100"]
    assert run(*small, "model=zero_filled", *wall) == 0
    shown = capsys.readouterr().out
    assert "J/volume" in shown
    assert "measured_wall" in shown
    (cell,) = table(capsys)
    assert (cell["energy"]["value"], cell["energy"]["method"]) == (600.0, "measured_wall")
    rows = pq.read_table(next(work.glob("outputs/sweeps/*/cells/*/rows.parquet"))).to_pylist()
    assert {(row["energy_j"], row["energy_net_j"]) for row in rows} == {(600.0, 400.0)}
    assert all(row["energy_low_j"] < 600 < row["energy_high_j"] for row in rows)
    with sqlite3.connect("mlflow.db") as connection:
        found = connection.execute("select key, value from latest_metrics where key like 'energy/%'").fetchall()
    connection.close()
    (flops,) = {row["flops"] for row in rows}
    assert flops > 0
    each = 600.0 / rows[0]["slices"]
    wanted = {"energy/energy_j": 600.0, "energy/energy_net_j": 400.0, "energy/j_per_slice": each, "energy/flops": flops}
    assert dict(found) == pytest.approx(wanted)


def test_what_was_not_to_be_measured_says_so(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small, "model=zero_filled", "energy=none") == 0
    shown = capsys.readouterr().out
    assert "J/volume" not in shown
    assert "energy=none: it was not to be measured" in shown


def test_a_reading_of_too_short_a_time_is_refused(small: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["run", *small, "model=zero_filled", "energy=wall", "energy.kwh=0.1", "energy.seconds=60", "energy.volumes=3"]) == 2
    )
    assert "read over 600 s at least" in capfd.readouterr().err


class Uncountable(ZeroFilled):
    """Works, but not under a counter."""

    def __call__(self, data: ReconInput) -> ReconResult:
        if _get_current_dispatch_mode() is not None:
            raise RuntimeError("compiled for\nanother world")
        return super().__call__(data)


def test_operations_are_counted_as_the_model_warms_up(small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = build_cell(compose_run([*small, "model=zero_filled"], [*PARTS, *SINGLE])).recipe
    alone = recipe_flops(recipe, work / "elsewhere" / "images")
    list(recipe_images(recipe, work / "images"))
    monkeypatch.setattr("halfscan.bench.images.count_flops", None)
    assert recipe_flops(recipe, work / "images")[0].value == pytest.approx(alone[0].value, rel=0.05)


def test_a_model_that_can_not_be_counted_is_no_failed_cell(small: list[str], work: Path) -> None:
    recipe = build_cell(compose_run([*small, "model=zero_filled"], [*PARTS, *SINGLE])).recipe
    for one in recipe_flops(replace(recipe, model=Uncountable()), work / "images"):
        assert one.value is None
        assert "can't be counted (RuntimeError: compiled for another world)" in (one.reason or "")
