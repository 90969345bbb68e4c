"""Against consoles: the bars on the shared protocols, the fit on a known truth, and body regions that a fit has not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from halfscan.bench.cli import main
from halfscan.bench.errors import HalfscanError
from halfscan.bench.scan_time.check import by_kind, compare, fit, leave_one_group_out
from halfscan.bench.scan_time.console import ConsoleProtocol, parse_console, read_console_file
from halfscan.bench.scan_time.fitted import SHIPPED, Fitted

from ...conftest import REAL_DATA
from .test_console import KNEE

PROTOCOLS = REAL_DATA / "protocols" / "siemens_tse.json"
SEPARATE = {"reference_scan_mode": "TSE/Separate"}


@pytest.fixture
def printed() -> tuple[ConsoleProtocol, ...]:
    if not PROTOCOLS.exists():
        pytest.skip("the consoles' protocols are not beside the project (HALFSCAN_TEST_DATA)")
    return read_console_file(PROTOCOLS).protocols


def test_the_console_is_met(printed: tuple[ConsoleProtocol, ...]) -> None:
    errors = by_kind(compare(printed))
    assert errors["all"].count == 55
    assert errors["integrated"].mean_absolute <= 0.012
    assert errors["all"].mean_absolute <= 0.017
    assert abs(errors["all"].worst) <= 0.08


def test_unseen_body_regions_are_met(printed: tuple[ConsoleProtocol, ...]) -> None:
    left_out = {one.group: one for one in leave_one_group_out(printed)}
    assert len(left_out) == 6
    for group, one in left_out.items():
        if group == "AeraSMS":
            assert not one.compared
            assert len(one.unpredicted) > 0
        else:
            assert by_kind(one.compared)["all"].mean_absolute <= 0.02, group


def test_the_printed_time_lies_in_the_range(printed: tuple[ConsoleProtocol, ...]) -> None:
    """What consoles print is whole seconds."""
    inside = [(one.modelled.low or 0) - 0.5 <= one.printed_s <= (one.modelled.high or 0) + 0.5 for one in compare(printed)]
    assert sum(inside) >= len(inside) - 2


def test_shipped_times_are_what_a_fit_finds(printed: tuple[ConsoleProtocol, ...]) -> None:
    fitted, silent = fit(printed)
    assert not silent
    assert fitted is not None
    assert fitted.preparation_s == pytest.approx(SHIPPED.preparation_s, abs=0.05)
    assert fitted.reference_line_s == pytest.approx(SHIPPED.reference_line_s, rel=0.02)
    assert fitted.sms_reference_s == pytest.approx(SHIPPED.sms_reference_s, abs=0.1)


def _simulated(truth: Fitted) -> list[ConsoleProtocol]:
    """Protocols that a console with these very times would have printed."""
    entries = [
        {**KNEE, **change, "slices": slices, "scanner": group}
        for group in ("Knee", "Brain")
        for slices in (12, 30, 47)
        for change in ({}, SEPARATE, {**SEPARATE, "sms_factor": 2.0}, {"acceleration_factor": 1.0})
    ]
    protocols = [parse_console(entry) for entry in entries]
    return [replace(one, printed_s=one.scan(truth).seconds.value) for one in protocols]


def test_a_fit_recovers_a_known_truth() -> None:
    truth = Fitted(preparation_s=2.5, reference_line_s=0.006, sms_reference_s=7.0)
    protocols = _simulated(truth)
    fitted, silent = fit(protocols)
    assert fitted is not None
    assert not silent
    for name in truth.__dataclass_fields__:
        assert getattr(fitted, name) == pytest.approx(getattr(truth, name), rel=1e-6)
    for one in leave_one_group_out(protocols):
        assert by_kind(one.compared)["all"].mean_absolute < 1e-9


def test_what_a_fit_can_not_know_is_said() -> None:
    knees = [parse_console({**KNEE, "console_scan_time_s": 82.0})]
    fitted, silent = fit(knees)
    assert fitted is not None
    assert set(silent) == {"separate", "SMS"}
    nothing, reasons = fit([parse_console({**KNEE, **SEPARATE, "console_scan_time_s": 82.0})])
    assert nothing is None
    assert reasons
    with pytest.raises(HalfscanError, match="nothing to check against"):
        compare([parse_console(KNEE)])


def _file(tmp_path: Path, *entries: dict[str, Any]) -> str:
    path = tmp_path / "protocols.json"
    path.write_text(json.dumps({"protocols": list(entries)}), "utf-8")
    return str(path)


def test_the_command_prints_both_times_and_the_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {**KNEE, "console_scan_time_s": 80.0}
    other = {**entry, "scanner": "Brain", "protocol": "head"}
    assert main(["time", "--check", _file(tmp_path, entry, other)]) == 0
    said = capsys.readouterr().out
    assert "80 s    82.5 s" in said
    assert "+3.1%" in said
    assert "Leaving one body region (or scanner) out" in said
    assert "Fitted, not physics" in said


def test_the_command_s_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = {**KNEE, "protocol": "bad", "turbo_factor": 999}
    assert main(["time", "--check", _file(tmp_path, {**KNEE, "console_scan_time_s": 80.0}, bad, KNEE), "--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert content["protocols"][0]["modelled"]["value"] == pytest.approx(82.5)
    assert content["errors"]["integrated"]["mean_absolute"] == pytest.approx(2.5 / 80)
    assert content["without_printed_time"] == ["knee"]
    assert list(content["refused"]) == ["protocol 2 bad"]
    assert content["leaving_one_group_out"]["all"] is None
    assert content["leaving_one_group_out"]["reason"]
