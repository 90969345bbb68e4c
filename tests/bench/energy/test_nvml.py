"""NVIDIA's own Python module on a library that plays the driver: figures are those that were planted, ailments are said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to make the fake library with")
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    options = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run([compiler, *options, "-o", str(library), str(HERE / "fake_nvml.c"), "-lm"], check=True)
    command = [sys.executable, str(HERE / "nvml_cases.py"), str(library)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    cases: dict[str, Any] = json.loads(done.stdout)
    return cases


def test_the_counter_gives_what_was_planted(found: dict[str, Any]) -> None:
    trace = found["trace"]
    assert trace["joules"] == pytest.approx(trace["planted"], rel=0.01)
    assert trace["method"] == "measured_counter"
    assert dict(trace["state"])["GPU"] == "Fake H100"
    assert dict(trace["state"])["power limit [W]"] == "700"
    assert trace["flags"] == []


def test_repeated_work_and_the_idle_part(found: dict[str, Any]) -> None:
    record = found["measure"]
    gross, idle = record["parts"]["gpu"], record["idle"]["gpu"]
    assert gross["value"] == pytest.approx(0.3 * 400, rel=0.01)
    assert gross["low"] <= gross["value"] <= gross["high"]
    assert gross["high"] - gross["low"] < 0.03 * gross["value"]
    assert idle["value"] == pytest.approx(0.3 * 70, rel=0.02)
    # Nobody counted the processor: the sum is null, and says why.
    assert record["total"]["value"] is None
    assert record["total"]["reason"] == "cpu: no RAPL counter on this machine"
    assert record["net"]["value"] is None


@pytest.mark.parametrize("case", ["frozen", "reset"])
def test_a_counter_that_stands_still_or_starts_anew(found: dict[str, Any], case: str) -> None:
    assert found[case]["method"] == "integrated_power"
    assert found[case]["joules"] == pytest.approx(found[case]["planted"], rel=0.1)
    assert "stood still or started anew" in found[case]["flags"][0]


def test_older_gpus(found: dict[str, Any]) -> None:
    assert found["no_counter"]["method"] == "integrated_power"
    assert found["no_counter"]["joules"] == pytest.approx(found["no_counter"]["planted"], rel=0.1)
    assert found["nothing"]["joules"] is None
    assert "neither an energy counter nor power" in found["nothing"]["reason"]


def test_a_counter_without_power_beside_it(found: dict[str, Any]) -> None:
    assert found["no_power"]["method"] == "measured_counter"
    assert found["no_power"]["joules"] == pytest.approx(found["no_power"]["planted"], rel=0.02)
    assert found["no_power"]["flags"] == ["power can't be read on this GPU: nothing stands beside the counter"]


def test_a_counter_that_stands_still_on_a_gpu_that_sleeps(found: dict[str, Any]) -> None:
    assert found["frozen_asleep"]["method"] == "integrated_power"
    assert found["frozen_asleep"]["joules"] == pytest.approx(5, rel=0.1)


def test_counter_and_power_that_disagree(found: dict[str, Any]) -> None:
    assert found["lying"]["joules"] == pytest.approx(found["lying"]["planted"], rel=0.02)
    assert "are 1" in found["lying"]["flags"][0] or "are 9" in found["lying"]["flags"][0]
    assert "% apart" in found["lying"]["flags"][0]


def test_what_gives_no_number_gives_a_reason(found: dict[str, Any]) -> None:
    assert found["lost"]["joules"] is None
    assert "GPU is lost" in found["lost"]["reason"]
    assert "Insufficient Permissions" in found["forbidden"]
    assert "divided (MIG)" in found["mig"]
    assert found["unknown"] == ["NVML: Not Found", 0] or found["unknown"][1] == 0


def test_a_shared_gpu_is_flagged(found: dict[str, Any]) -> None:
    assert "shared with 2 other processes" in found["shared"]["flags"][0]


def test_short_windows_are_refused(found: dict[str, Any]) -> None:
    part = found["short_window"]["parts"]["gpu"]
    assert part["value"] is None
    assert "9 s is shorter than 10 s" in part["reason"]
    assert found["long_window"]["parts"]["gpu"]["value"] == pytest.approx(20 * 400, rel=0.01)


def test_no_state_is_left_behind(found: dict[str, Any]) -> None:
    assert found["two_at_once"] == pytest.approx([3000, 5000], rel=0.01)
    assert found["crash"] == {"opened": 0, "threads": ["MainThread"]}
    assert found["fork"]["joules"] == pytest.approx(1000, rel=0.01)
    assert "forked off" in found["fork"]["child"]
    assert found["left_open"] == 0
