"""The page's ledger of energy: bars as high as their kWh, frames where nothing was measured, and the site's own books."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from halfscan.bench.books import Books
from halfscan.bench.ledger.ledger import Entry, ledger
from halfscan.bench.report.energy_charts import draw_levers, draw_waterfall
from halfscan.bench.report.page import report_page

from ..ledger.test_ledger import GERMANY, NORWAY, WOOLEN, Service, exam
from .reading import Page
from .sweeps import Sweep


def books(**changes: object) -> list[Entry]:
    return ledger(exam(**changes), WOOLEN, GERMANY, NORWAY, Service())  # type: ignore[arg-type]


def bars(svg: str) -> list[tuple[str, float]]:
    """(kind, height) of every bar and frame, in order."""
    root = ElementTree.fromstring(svg)
    return [
        (group.attrib["class"], float(rect.attrib["height"]))
        for group in root.iter("g")
        for rect in group.findall("rect")
        if group.attrib["class"] in ("saved", "spent", "net", "unknown")
    ]


def test_bars_are_as_high_as_their_energy() -> None:
    found = bars(draw_waterfall(books()))
    # Refilled saves nothing, and a bar of nothing is a line.
    kinds = [kind for kind, _ in found]
    assert kinds == ["saved", "spent", "spent", "net", "saved", "spent", "spent", "net", "spent", "spent", "spent", "net"]
    prepared, idle, _ = books()
    heights = [height for _, height in found]
    for offset, entry in ((0, prepared), (4, idle)):
        ratio = heights[offset] / heights[offset + 3]
        assert ratio == pytest.approx(entry.terms["scanner"].value / entry.net.value, rel=0.01)


def test_every_bar_begins_where_the_one_before_it_ended() -> None:
    for entry, group in zip(books(), _groups(draw_waterfall(books())), strict=True):
        (top, bottom), *spent, (net_top, net_bottom) = group
        level, zero = (top, bottom) if entry.terms["scanner"].value else (bottom - 1, bottom - 1)
        for start, end in spent:
            assert start == pytest.approx(level, abs=1.0)
            # A bar is one pixel high at least.
            level = end if end - start > 1 else start
        assert min(abs(net_top - zero), abs(net_bottom - zero)) < 1.5
        assert (net_top if entry.net.value > 0 else net_bottom) == pytest.approx(level, abs=2.5)


def _groups(svg: str) -> list[list[tuple[float, float]]]:
    """(top, bottom) of the four bars of every scenario."""
    rects = [
        group.find("rect").attrib
        for group in ElementTree.fromstring(svg).iter("g")
        if group.attrib["class"] in ("saved", "spent", "net")
    ]
    ends = [(float(one["y"]), float(one["y"]) + float(one["height"])) for one in rects]
    return [ends[first : first + 4] for first in range(0, len(ends), 4)]


def test_what_nobody_measured_is_a_frame_and_so_is_the_net() -> None:
    svg = draw_waterfall(books(reconstruction=None))
    assert [kind for kind, _ in bars(svg)] == [
        *("saved", "unknown", "spent", "unknown") * 2,
        "spent",
        "unknown",
        "spent",
        "unknown",
    ]
    assert "reconstruction: no counter" in svg
    assert "net: reconstruction: no counter" in svg


def test_levers_are_drawn_widest_first_with_their_ends() -> None:
    svg = draw_levers(books()[1])
    widths = [float(one) for one in re.findall(r'class="lever"[^>]* width="([\d.]+)"', svg)]
    assert len(widths) == 2
    assert widths[0] > widths[1]
    assert widths[0] / widths[1] == pytest.approx((48.3 - 28.6) / (14.5 - 9.5), rel=0.01)
    assert "28.6 kW" in svg
    assert "the net</text>" in svg
    assert "the sum of what is known</text>" in draw_levers(books(training=None)[1])
    ElementTree.fromstring(svg)


def test_the_page_says_why_there_is_no_net(rich: Sweep) -> None:
    section = rich.page.section("energy")
    assert section.all("svg")
    assert "No net: reconstruction:" in section.text
    assert "Woolen" in section.text


def test_the_page_follows_the_sites_own_books(rich: Sweep) -> None:
    text = Page(report_page(rich.closed.record, Books.composed(["grid=de"]))).section("energy").text
    assert "DE 381 g/kWh (Ember / Our World in Data, lifecycle, 2023) for the scanner" in text
    assert "DE" not in rich.page.section("energy").text


def test_a_sweep_without_seconds_says_so(rich: Sweep) -> None:
    text = report_page(replace(rich.closed.record, cells=[]), Books.composed())
    assert "No cell of this sweep has finished." in text


def test_the_table_holds_every_cell_and_every_scenario(rich: Sweep) -> None:
    rows = rich.page.section("energy").one("table", id="ledger").table()
    assert len(rows) == 3 * len(rich.closed.record.cells)
    assert all(row[0] for row in rows)
    # A scanner that is as busy when it waits saves only when it is idle, and is drawn all the same.
    books = Books.composed(["scanner.power_kw.scan=[20,20]", "scanner.power_kw.prepared=[20,20]"])
    assert Page(report_page(rich.closed.record, books)).section("energy").all("svg")
    # One that takes more when it waits costs energy with every second that is saved, and the page says so.
    costly = Books.composed(
        [f"scanner.power_kw.{state}=[{kw},{kw}]" for state, kw in (("scan", 20), ("prepared", 30), ("idle", 25))]
    )
    section = Page(report_page(rich.closed.record, costly)).section("energy")
    assert len(section.one("table", id="ledger").table()) == 3 * len(rich.closed.record.cells)
    assert "No cell saves scanner energy: no scan saves any in any scenario." in section.text
    assert not section.all("svg")
