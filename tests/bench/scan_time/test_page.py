"""The offline page against the library, in headless Chromium: the same numbers, the same refusals, nothing from elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halfscan.bench.cli import main
from halfscan.bench.errors import HalfscanError
from halfscan.bench.scan_time.console import parse_console
from halfscan.bench.scan_time.page import write_page
from halfscan.bench.scan_time.seconds import ScanComparison, compare_scan_times

from .test_check import PROTOCOLS
from .test_console import KNEE

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
RANDOM = 1500


@pytest.fixture
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser to open the page in: install one of {', '.join(BROWSERS)}")
    return found


def _dom(browser: str, url: str, profile: Path) -> str:
    """The page as the browser leaves it."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    command = [browser, *options, f"--user-data-dir={profile}", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def _random_protocols() -> list[dict[str, Any]]:
    """Possible and impossible ones."""
    rng = np.random.default_rng(7)

    def pick(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    return [
        {
            **KNEE,
            "tr_ms": pick(0.2, 4.5, 30, 517.3, 3000, 9000),
            "averages": pick(1, 2, 3),
            "concatenations": pick(1, 1, 2, 3),
            "slices": pick(None, 1, 15, 36, 82),
            "base_resolution": int(rng.integers(1, 700)),
            "phase_resolution_percent": round(float(rng.uniform(40, 100)), 1),
            "fov_phase_percent": round(float(rng.uniform(50, 200)), 1),
            "phase_oversampling_percent": pick(0, 10, 27, 100),
            "turbo_factor": pick(1, 2, 3, 8, 15, 21),
            "acceleration_factor": pick(None, 1, 1.5, 2, 3, 4, 6, 900),
            "reference_lines": pick(None, 0, 24, 32, 47),
            "reference_scan_mode": pick("Integrated", "TSE/Separate", "Self-calibration", "separate", "Not integrated", None),
            "parallel_imaging": pick("GRAPPA", "GRAPPA", "None", "SMS", None),
            "sms_factor": pick(1, 1, 2, 3),
            "partitions": pick(None, None, None, 40),
            "elliptical_scanning": pick(False, False, True, "On", "maybe"),
            "measurements": pick(1, 1, 4),
            "phase_partial_fourier": pick("Off", "Off", None, "7/8", "6/8", "5/8", "3/8", ""),
        }
        for _ in range(RANDOM)
    ]


def _library(entry: dict[str, Any]) -> ScanComparison | None:
    try:
        console = parse_console(entry)
        return compare_scan_times(console.lines, console.full_lines, console.protocol())
    except HalfscanError:
        return None


def test_the_page_and_the_library_agree(browser: str, tmp_path: Path) -> None:
    entries = _random_protocols()
    if PROTOCOLS.exists():
        entries += json.loads(PROTOCOLS.read_text("utf-8"))["protocols"]
    write_page(tmp_path / "page.html")
    ask = (
        "<pre id=found></pre><script>"
        f"var entries = {json.dumps(entries)};"
        "document.getElementById('found').textContent = JSON.stringify(entries.map(function (entry) {"
        " try { return timeProtocol(entry); } catch (error) { if (!(error instanceof Refusal)) { throw error; } return null; }"
        "}));</script></body>"
    )
    page = (tmp_path / "page.html").read_text("utf-8").replace("</body>", ask)
    (tmp_path / "asked.html").write_text(page, "utf-8")
    found = re.search(
        r'<pre id="found">(.*?)</pre>', _dom(browser, (tmp_path / "asked.html").as_uri(), tmp_path / "p"), re.DOTALL
    )
    assert found is not None
    answers = json.loads(unescape(found.group(1)))
    timed = 0
    for entry, answer in zip(entries, answers, strict=True):
        expected = _library(entry)
        assert (answer is None) == (expected is None), entry
        if expected is None:
            continue
        timed += 1
        for name in ("candidate", "full", "clinical"):
            scan = getattr(expected, name)
            seconds = scan.seconds
            assert answer[name]["shots"] == scan.shots, entry
            assert answer[name]["seconds"] == pytest.approx([seconds.value, seconds.low, seconds.high], rel=1e-12), entry
        for name in ("against_full", "against_clinical"):
            change = getattr(expected, name)
            assert answer[name] == pytest.approx([change.value, change.low, change.high], abs=1e-12), entry
    assert timed > RANDOM / 20  # most random protocols contradict themselves; 116 of these are timed


def test_a_protocol_in_the_link_is_shown(browser: str, tmp_path: Path) -> None:
    assert main(["time", "--page", str(tmp_path / "page.html")]) == 0
    fields = "tr_ms=3000&turbo_factor=8&base_resolution=320&acceleration_factor=4&reference_lines=32&console_scan_time_s=43"
    shown = _dom(browser, f"{(tmp_path / 'page.html').as_uri()}#{fields}", tmp_path / "p")
    assert '<strong id="seconds">0:44 min</strong>' in shown
    assert "R = 4 promises −75 %. It reads 104 of 320 lines, R = 3.08" in shown
    assert "The console printed 43.0 s: this model is off by 1.2 %." in shown
    console = (
        "reference_scan_mode=TSE/Separate&phase_partial_fourier=7/8&elliptical_scanning=On&acceleration=2&a=%&length=3&tr_ms=x"
    )
    shown = _dom(browser, f"{(tmp_path / 'page.html').as_uri()}#{console}", tmp_path / "p")
    assert "Not understood in the link: acceleration=2, a=%, length=3, tr_ms=x." in shown
    refused = _dom(browser, f"{(tmp_path / 'page.html').as_uri()}#tr_ms=3000&acceleration_factor=999", tmp_path / "p")
    assert "An acceleration of 999 is larger than the 320 phase-encode lines." in refused
    assert '<div id="result" hidden="">' in refused


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?:|fetch\(|XMLHttpRequest", page)
    assert "/*constants*/" not in page
