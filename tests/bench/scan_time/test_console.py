"""What a console prints: its lines, its kinds, and refusals that name the protocol and the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from halfscan.bench.errors import HalfscanError
from halfscan.bench.scan_time.console import parse_console, read_console_file

KNEE: dict[str, Any] = {
    "protocol": "knee",
    "scanner": "Lower Limb",
    "sequence": "tse",
    "tr_ms": 3000.0,
    "averages": 1.0,
    "concatenations": 1.0,
    "slices": 30.0,
    "base_resolution": 320.0,
    "phase_resolution_percent": 80.0,
    "fov_phase_percent": 100.0,
    "phase_oversampling_percent": 50.0,
    "turbo_factor": 8.0,
    "parallel_imaging": "GRAPPA",
    "acceleration_factor": 2.0,
    "reference_lines": 32.0,
    "reference_scan_mode": "Integrated",
    "phase_partial_fourier": "Off",
}


def test_lines_of_a_console_protocol() -> None:
    protocol = parse_console(KNEE)
    assert protocol.full_lines == 384
    assert protocol.lines == 192 + 16
    assert parse_console({**KNEE, "phase_partial_fourier": "6/8"}).full_lines == 288
    assert (
        parse_console({**KNEE, "parallel_imaging": None, "acceleration_factor": None, "reference_scan_mode": None}).lines == 384
    )
    assert protocol.scan().seconds.value == pytest.approx(3 * 26 + 3 + 1.5)


@pytest.mark.parametrize(
    ("change", "kind", "lines"),
    [
        ({}, "integrated", 208),
        ({"reference_scan_mode": "TSE/Separate"}, "separate", 192),
        ({"reference_scan_mode": "Self-calibration"}, "self-calibrated", 192),
        ({"reference_scan_mode": "TSE/Separate", "sms_factor": 2.0}, "SMS", 192),
        ({"acceleration_factor": 1.0}, "unaccelerated", 384),
        ({"parallel_imaging": "None", "acceleration_factor": None}, "unaccelerated", 384),
        ({"parallel_imaging": None}, "integrated", 208),
    ],
)
def test_kinds(change: dict[str, Any], kind: str, lines: int) -> None:
    protocol = parse_console({**KNEE, **change})
    assert (protocol.kind, protocol.lines) == (kind, lines)


def test_3d() -> None:
    protocol = parse_console({**KNEE, "sequence": "spc", "partitions": 40, "turbo_factor": 60, "concatenations": 1})
    assert protocol.scan().steps == 208 * 40
    assert parse_console({**KNEE, "partitions": 40, "elliptical_scanning": True}).scan().steps < 208 * 40


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tr_ms": None}, "tr_ms is missing"),
        ({"tr_ms": "3000"}, "tr_ms='3000' must be a number"),
        ({"tr_ms": 0}, "tr_ms / 1000=0.0 must be above 0"),
        ({"tr_ms": 3.0, "slices": 30}, "tr_ms / 1000=0.003 is shorter than 30 echo trains of 8"),
        ({"turbo_factor": 300}, "turbo_factor=300 is longer than the 208 sampled lines"),
        ({"turbo_factor": 1.5}, "turbo_factor=1.5 must be a whole number"),
        ({"averages": 0.5}, "averages=0.5 must be a whole number"),
        ({"acceleration_factor": 0.5}, "acceleration_factor=0.5 must be at least 1"),
        ({"acceleration_factor": 400}, "acceleration_factor=400.0 is larger than the 384 phase-encode lines"),
        ({"reference_lines": None}, "integrated reference lines must be stated"),
        ({"reference_lines": 500}, "are more than the 384 phase-encode lines"),
        ({"reference_scan_mode": None}, "reference_scan_mode=None"),
        ({"phase_partial_fourier": "most"}, "phase_partial_fourier='most' must be Off or a fraction"),
        ({"phase_partial_fourier": "1/8"}, "phase_partial_fourier=0.125 must lie between"),
        ({"phase_oversampling_percent": -10}, "phase_oversampling_percent / 100=-0.1 must not be negative"),
        ({"base_resolution": 0}, "base_resolution=0 must be a whole number, at least 1"),
        ({"console_scan_time_s": 0}, "console_scan_time_s=0.0 must be above 0"),
        ({"sequence": "ep2d_diff"}, "sequence=ep2d_diff is EPI"),
        ({"sequence": "spcR"}, "sequence=spcR is 3D: state its partitions"),
        ({"sequence": "fl3d_vibe"}, "is 3D: state its partitions"),
        ({"sequence": "haste"}, "no Cartesian turbo spin echo"),
        ({"acceleration_factor": None}, "acceleration_factor is missing, and parallel_imaging is GRAPPA"),
        ({"parallel_imaging": "None"}, "parallel_imaging=None contradicts acceleration_factor=2"),
        ({"elliptical_scanning": 1, "partitions": 40}, "elliptical_scanning=1 must be true or false"),
        ({"reference_scan_mode": "Not integrated"}, "reference_scan_mode=Not integrated must be"),
        ({"sms_factor": 0}, "sms_factor=0 must be a whole number, at least 1"),
        ({"concatenations": 31}, "concatenations=31 are more than the 30 excitations"),
        ({"averages": 10**400}, "averages=1000"),
        ({"tr_ms": 1e308}, "tr_ms=1e+308 is beyond every scan"),
        ({"averages": True}, "averages=True must be a number"),
        ({"sms_factor": 31, "reference_scan_mode": "Separate"}, "sms_factor=31 is larger than slices=30"),
    ],
)
def test_impossible_protocols_are_refused_by_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(HalfscanError) as refusal:
        parse_console({**KNEE, **change})
    assert words in str(refusal.value)


def test_one_bad_protocol_does_not_lose_the_others(tmp_path: Path) -> None:
    path = tmp_path / "protocols.json"
    path.write_text(
        json.dumps({"protocols": [{**KNEE, "acceleration": 3}, {**KNEE, "protocol": "bad", "tr_ms": None}, 3]}), "utf-8"
    )
    file = read_console_file(path)
    assert [one.name for one in file.protocols] == ["knee"]
    assert file.unused == ("acceleration",)
    assert file.refused == {
        "protocol 2 bad": "tr_ms is missing, and the time depends on it",
        "protocol 3": "a protocol must be a JSON object",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ("{}", "holds no protocols"),
        ('[{"protocol": "x"}]', "no protocol can"),
    ],
    ids=["cut", "deep", "repeated", "empty", "bare"],
)
def test_unusable_files_are_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "protocols.json"
    path.write_text(text, "utf-8")
    with pytest.raises(HalfscanError, match=words):
        read_console_file(path)
    with pytest.raises(HalfscanError, match="can't be read"):
        read_console_file(tmp_path / "absent.json")
