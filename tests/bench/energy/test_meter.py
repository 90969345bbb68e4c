"""Windows, repetitions, the idle part and intervals, on a machine whose power is known; nothing where nothing counts."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest

from halfscan.bench.energy.meter import Counters, Unmetered
from halfscan.bench.energy.rapl import Rapl
from halfscan.bench.energy.record import EnergyRecord, added, unmeasured_energy
from halfscan.bench.energy.wall import WallMeter
from halfscan.bench.errors import HalfscanError
from halfscan.bench.quantity import Quantity

from .machine import RANGE_UJ, Machine


def test_packages_and_memory_of_repeated_work(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    runs = []

    def work() -> None:
        runs.append(machine.now)
        machine.advance(0.7, 60.0, 5.0)

    record = machine.meter().measure(work, "cpu")
    assert set(record.parts) == {"cpu", "dram"}
    assert record.parts["cpu"].value == pytest.approx(2 * 60 * 0.7, rel=1e-6)
    assert record.parts["dram"].value == pytest.approx(5 * 0.7, rel=1e-6)
    assert record.idle["cpu"].value == pytest.approx(2 * 20 * 0.7, rel=1e-6)
    assert record.total.value == pytest.approx((120 + 5) * 0.7, rel=1e-6)
    assert record.net.value == pytest.approx((2 * 40 + 2) * 0.7, rel=1e-6)
    assert record.total.method == "measured_counter"
    # Ten to warm up, and five windows of as many as fill ten seconds.
    assert len(runs) == 10 + 5 * math.ceil(10 / 0.7)


def test_the_interval_covers_work_that_varies(tmp_path: Path) -> None:
    machine, powers = Machine(tmp_path), iter([50.0] * 10 + [40.0 + 10 * (index // 10) for index in range(50)])
    record = machine.meter().measure(lambda: machine.advance(1.0, next(powers), 0.0), "cpu")
    cpu = record.parts["cpu"]
    assert cpu.value == pytest.approx(2 * 60)
    # Student's interval of 80, 100, 120, 140, 160.
    assert cpu.high == pytest.approx(120 + 2.776 * 31.62 / math.sqrt(5), rel=1e-3)


def test_a_counter_that_starts_anew(tmp_path: Path) -> None:
    machine = Machine(tmp_path, begin_uj=RANGE_UJ - 5_000_000)
    with machine.meter().window("cpu") as window:
        machine.advance(20.0, 10.0, 1.0)
    assert window.record.parts["cpu"].value == pytest.approx(400, abs=1e-3)


def test_memory_that_is_not_counted_is_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path, memory=False)
    with machine.meter().window("cpu") as window:
        machine.advance(20.0, 10.0, 1.0)
    assert set(window.record.parts) == {"cpu"}
    assert window.record.flags == ("memory is not counted by this processor",)


def test_a_short_window_gives_no_figure(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with machine.meter().window("cpu") as window:
        machine.advance(9.9, 10.0, 1.0)
    assert window.record.total.value is None
    assert "9.9 s is shorter than 10 s" in (window.record.total.reason or "")


def test_a_counter_that_goes_away_inside_a_window(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with machine.meter().window("cpu") as window:
        machine.advance(20.0, 10.0, 1.0)
        (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert window.record.total.value is None
    assert "RAPL: " in (window.record.total.reason or "")


def test_a_crash_inside_leaves_nothing_running(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with pytest.raises(RuntimeError), machine.meter().window("cpu"):
        raise RuntimeError
    with pytest.raises(RuntimeError):
        machine.meter().measure(_fail, "cpu")
    assert not [thread for thread in threading.enumerate() if thread.name == "halfscan energy"]


def _fail() -> None:
    raise RuntimeError


def test_a_gpu_that_nobody_counts_makes_the_sum_null(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    record = machine.meter().measure(lambda: machine.advance(1.0, 10.0, 1.0), "cuda:0")
    assert record.parts["cpu"].value is not None
    assert record.total.value is None
    assert record.total.reason == "gpu: no NVIDIA driver on this machine"


def test_without_counters_no_joule_is_reported_and_no_time_is_spent(tmp_path: Path) -> None:
    runs: list[int] = []
    record = Counters(rapl=Rapl(tmp_path)).measure(lambda: runs.append(1), "cpu")
    assert record.total.value is None
    assert record.net.value is None
    assert record.total.reason == "cpu: no RAPL counter on this machine"
    assert not runs
    for null in (Unmetered().measure(lambda: None, "cpu"), unmeasured_energy("elsewhere")):
        assert null.total.value is None
        assert null.total.reason


def test_counters_for_root_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "readable by root only" in (machine.meter().measure(lambda: None, "cpu").total.reason or "")


@pytest.mark.parametrize(
    "settings",
    [
        {"window_s": 5},
        {"windows": 2},
        {"idle_s": 1},
        {"warm_up": -1},
        {"window_s": math.nan},
        {"windows": 5.5},
        {"idle_s": math.inf},
        {"windows": "abc"},
    ],
)
def test_protocols_that_would_not_count_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(HalfscanError, match=rf"energy.{next(iter(settings))}="):
        Counters(**settings)  # type: ignore[arg-type]


def test_a_sum_is_worth_its_worst_part() -> None:
    counted = Quantity(value=3.0, unit="J", method="measured_counter", low=2.0, high=4.0)
    total = added({"a": counted, "b": Quantity(value=1.0, unit="J", method="integrated_power", low=0.5, high=1.5)})
    assert (total.value, total.low, total.high, total.method) == (4.0, 2.5, 5.5, "integrated_power")
    assert added({"a": counted, "b": Quantity.unmeasured("J", "lost")}).reason == "b: lost"


def test_a_record_comes_back_from_json(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    record = machine.meter().measure(lambda: machine.advance(1.0, 10.0, 1.0), "cpu")
    assert EnergyRecord.from_dict(record.as_dict()) == record
    assert record.scaled(3).total.value == pytest.approx(3 * (record.total.value or 0))


def test_a_wall_meter() -> None:
    meter = WallMeter(kwh=0.1, resolution_kwh=0.001, seconds=1200, volumes=600, idle_w=100)
    record = meter.measure(lambda: None, "cuda")
    assert record.total.value == pytest.approx(600)
    assert record.total.high == pytest.approx(606)
    assert record.net.value == pytest.approx(600 - 200)
    assert record.total.method == "measured_wall"
    with meter.window("cpu") as window:
        pass
    assert window.record.total.value is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seconds": 60.0}, "600 s at least"),
        ({"kwh": 360_000.0}, "kwh is in kWh, not J"),
        ({"volumes": 0}, "must be a positive whole number"),
        ({"volumes": 1.5}, "must be a positive whole number"),
        ({"kwh": "abc"}, "must be a positive number"),
        ({"resolution_kwh": 0.2}, "can't tell"),
        ({"idle_w": "abc"}, "idle_w=abc must"),
        ({"idle_w": 1e4}, "idle_w"),
    ],
)
def test_wall_readings_that_can_not_be(settings: dict[str, float], message: str) -> None:
    with pytest.raises(HalfscanError, match=message):
        WallMeter(**{"kwh": 0.1, "resolution_kwh": 0.001, "seconds": 1200, "volumes": 600, **settings})  # type: ignore[arg-type]
