"""Charts are true to scale: every point, interval, margin and mark lies where its value belongs, and says it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from halfscan.bench.claims.types import Endpoint
from halfscan.bench.report.charts import HUES, shape, ticks

from ..claims.test_judge import CANDIDATE, ENDPOINT, QUALITY, arm, baseline, spread
from .reading import Page, Rows, by_patient, differences, fitted, lines, mean_and_half, natural, numbers, places, titled
from .sweeps import HALF_TIME, LARGEST, NMSE, PATIENTS, PSNR, RATIO, SSIM, SWEPT, Sweep, closed_sweep

METRICS = (SSIM, NMSE, PSNR)
Line = Callable[[float], float]


@pytest.fixture(scope="module")
def page(rich: Sweep) -> Page:
    return rich.page


# Quality against minutes -----------------------------------------------------------------------------------------------


def _trade_off(page: Page, metric: str) -> ElementTree.Element:
    return page.chart(f"Trade-off of {metric.partition('@')[0]} ")


def _points(chart: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """What the tooltip says up to the first colon, the cell → its group."""
    groups = [group for curve in chart if "curve" in curve.attrib.get("class", "") for group in curve.findall("g")]
    return {titled(group).partition(":")[0]: group for group in groups}


def _label(name: str) -> str:
    return f"{SWEPT[name]['model']} acceleration={SWEPT[name]['sampling.acceleration']}"


def _minutes(rows: Rows) -> tuple[float, float, float]:
    """Low, mean, high."""
    low, mean, high = (float(np.mean([row[name] for row in rows])) / 60 for name in ("scan_low_s", "scan_s", "scan_high_s"))
    return low, mean, high


def _quality(rows: Rows, metric: str) -> tuple[float, float, float]:
    mean, half = mean_and_half(list(by_patient(rows, metric).values()))
    return mean - half, mean, mean + half


def _scored(rich: Sweep, metric: str) -> dict[str, Rows]:
    """Label → rows of the cells that have a point."""
    cells = {_label(name): rich.kept.cells[rich.key(name)] for name in SWEPT}
    return {label: rows for label, rows in cells.items() if all(row[metric] is not None for row in rows)}


def _axes(chart: ElementTree.Element, cells: dict[str, Rows], metric: str) -> tuple[Line, Line]:
    """Minutes → x and quality → y, from the bars of all points; every one of them must lie on the same two lines."""
    across: list[tuple[float, float]] = []
    up: list[tuple[float, float]] = []
    for label, group in _points(chart).items():
        left, middle, right, x, bottom, top = numbers(group.find("path[@class='bars']").attrib["d"])
        across += zip(_minutes(cells[label]), (left, x, right), strict=True)
        up += zip(_quality(cells[label], metric), (bottom, middle, top), strict=True)
    return fitted(*zip(*across, strict=True)), fitted(*zip(*up, strict=True))


@pytest.mark.parametrize("metric", METRICS)
def test_every_cell_has_its_point_where_it_belongs(metric: str, page: Page, rich: Sweep) -> None:
    """And no cell that has no value has one."""
    chart, cells = _trade_off(page, metric), _scored(rich, metric)
    assert set(_points(chart)) == set(cells)
    assert len(cells) == (4 if metric == PSNR else 5)
    x, y = _axes(chart, cells, metric)
    assert x(2.0) > x(1.0), "longer scans to the right"
    assert y(2.0) < y(1.0), "more is up, whether that is better or worse"


@pytest.mark.parametrize("metric", METRICS)
def test_a_point_says_what_it_is(metric: str, page: Page, rich: Sweep) -> None:
    digits = places(metric)
    for label, rows in _scored(rich, metric).items():
        low, mean, high = _quality(rows, metric)
        said = f"{label}: {_minutes(rows)[1]:.2f} min, {metric} {mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
        assert titled(_points(_trade_off(page, metric))[label]) == said


@pytest.mark.parametrize("metric", METRICS)
def test_a_point_s_mark_lies_at_its_value(metric: str, page: Page, rich: Sweep) -> None:
    chart, cells = _trade_off(page, metric), _scored(rich, metric)
    x, y = _axes(chart, cells, metric)
    for label, group in _points(chart).items():
        left, right, top, bottom = _box(group.find("path[@class='dot']").attrib["d"])
        assert (left + right) / 2 == pytest.approx(x(_minutes(cells[label])[1]), abs=0.2)
        assert (top + bottom) / 2 == pytest.approx(y(_quality(cells[label], metric)[1]), abs=1.2)


def _box(path: str) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of a path of M, m, h, v, l and a."""
    x = y = 0.0
    xs, ys = [], []
    for command, rest in re.findall(r"([Mhvlaz])([^Mhvlaz]*)", path):
        given = numbers(rest)
        if command == "M":
            x, y = given
        elif command == "h":
            x += given[0]
        elif command == "v":
            y += given[0]
        elif command == "l":
            x, y = x + given[0], y + given[1]
        elif command == "a":
            # Half a circle: as far up and down as it is wide.
            ys += [y - given[0], y + given[0]]
            x, y = x + given[5], y + given[6]
        xs.append(x)
        ys.append(y)
    return min(xs), max(xs), min(ys), max(ys)


@pytest.mark.parametrize("metric", METRICS)
def test_a_curve_runs_from_the_shortest_scan_to_the_longest(metric: str, page: Page, rich: Sweep) -> None:
    chart, cells = _trade_off(page, metric), _scored(rich, metric)
    x, y = _axes(chart, cells, metric)
    curves = [one for one in chart if "curve" in one.attrib.get("class", "")]
    models = list(dict.fromkeys(rows[0]["model"] for rows in cells.values()))
    assert len(curves) == len(models)
    for model, curve in zip(models, curves, strict=True):
        rows = sorted((one for one in cells.values() if one[0]["model"] == model), key=_minutes)
        line = numbers(curve.find("polyline").attrib["points"])
        assert line[::2] == pytest.approx([x(_minutes(one)[1]) for one in rows], abs=0.1)
        assert line[1::2] == pytest.approx([y(_quality(one, metric)[1]) for one in rows], abs=0.1)


@pytest.mark.parametrize("metric", METRICS)
def test_the_axes_are_numbered_truly(metric: str, page: Page, rich: Sweep) -> None:
    chart, cells = _trade_off(page, metric), _scored(rich, metric)
    x, y = _axes(chart, cells, metric)
    seen = [0, 0]
    for text in chart.findall("text"):
        anchor, at = text.attrib.get("text-anchor"), (float(text.attrib["x"]), float(text.attrib["y"]))
        if not re.fullmatch(r"-?[\d.e-]+", text.text or ""):
            continue
        value = float(text.text or 0)
        if anchor == "middle":
            assert at[0] == pytest.approx(x(value), abs=0.15)
            seen[0] += 1
        else:
            assert at[1] - 4 == pytest.approx(y(value), abs=0.15)
            seen[1] += 1
    assert min(seen) > 3
    better = "lower" if metric == NMSE else "higher"
    unit = " [dB]" if metric == PSNR else ""
    name, _, profile = metric.partition("@")
    assert f"{name} ({profile}){unit}, {better} is better" in [text.text for text in chart.findall("text")]


def _expected_limits(rich: Sweep, metric: str) -> dict[float, str]:
    """The mean that a candidate must exceed → the claims that ask for it."""
    mean = _quality(rich.kept.cells[rich.key("sense2")], metric)[1]
    return {
        SSIM: {mean - 0.012: "largest", mean - 0.01: "half_time, other", 1 - (1 - mean) / 1.5: "better"},
        NMSE: {mean * 1.03: "half_time"},
        PSNR: {mean + 0.25: "better", mean - 0.6: "other"},
    }[metric]


@pytest.mark.parametrize("metric", METRICS)
def test_the_margins_lie_where_the_claims_put_them(metric: str, page: Page, rich: Sweep) -> None:
    chart, cells = _trade_off(page, metric), _scored(rich, metric)
    _, y = _axes(chart, cells, metric)
    mean = _quality(rich.kept.cells[rich.key("sense2")], metric)[1]
    expected = _expected_limits(rich, metric)
    limits, areas = lines(chart, "limit"), lines(chart, "beyond")
    assert len(limits) == len(areas) == len(lines(chart, "reference")) == len(expected)
    for line in lines(chart, "reference"):
        assert float(line.attrib["y1"]) == float(line.attrib["y2"]) == pytest.approx(y(mean), abs=0.1)
    for value, names in expected.items():
        line = next(one for one in limits if titled(one).endswith(f" of {names}"))
        assert float(line.attrib["y1"]) == float(line.attrib["y2"]) == pytest.approx(y(value), abs=0.1)
        assert f"{value:.4g}: the reference's mean {mean:.4g} and the " in titled(line)
        # Beyond lies what is worse: above where lower is better.
        area = areas[limits.index(line)]
        top, height = float(area.attrib["y"]), float(area.attrib["height"])
        edge, far = (top + height, top) if metric == NMSE else (top, top + height)
        assert edge == pytest.approx(y(value), abs=0.2)
        assert (far < edge) == (metric == NMSE)
        assert f"{metric}: {titled(line)}." in page.section("trade-off").text


def test_the_largest_reduction_is_marked(page: Page, rich: Sweep) -> None:
    rows = rich.kept.cells[rich.key("unet4")]
    share = 100 * float(np.mean([row["reduction_full"] for row in rows]))
    for metric in METRICS:
        chart = _trade_off(page, metric)
        x, _ = _axes(chart, _scored(rich, metric), metric)
        (mark,) = lines(chart, "mark")
        assert float(mark.attrib["x1"]) == float(mark.attrib["x2"]) == pytest.approx(x(_minutes(rows)[1]), abs=0.1)
        assert titled(mark) == f"largest reduction that holds: {share:.1f} %"


def test_nothing_is_drawn_outside_the_frame(page: Page) -> None:
    for chart in page.charts():
        width, height = numbers(chart.attrib["viewBox"])[2:]
        for element in chart.iter():
            place = {name: float(element.attrib[name]) for name in ("x", "x1", "x2", "y", "y1", "y2") if name in element.attrib}
            if element.attrib.get("class") in ("dot", "bars"):
                place |= {"x": numbers(element.attrib["d"])[0], "y": numbers(element.attrib["d"])[1]}
            assert all(0 <= value <= (width if name[0] == "x" else height) for name, value in place.items())


def test_models_differ_in_colour_and_shape(page: Page) -> None:
    """The legend's key is the mark of the curve."""
    keys = page.section("trade-off").one("fieldset", kind="legend").all("label")
    assert [key.text for key in keys] == ["sense", "unet", "net"]
    curves = [one for one in _trade_off(page, SSIM) if "curve" in one.attrib.get("class", "")]
    for number, (key, curve) in enumerate(zip(keys, curves, strict=True)):
        assert key.attributes["class"] in curve.attrib["class"].split()
        assert curve.attrib["data-hue"] == key.one("input").attributes["data-hue"] == str(number)
        drawn = {_outline(path.attrib["d"]) for path in curve.iter() if path.attrib.get("class") == "dot"}
        assert drawn == {_outline(key.one("path").attributes["d"])}


def _outline(path: str) -> str:
    """A path without the place that it starts from."""
    return re.sub(r"^M\S+ [\d.-]+", "", path)


def test_no_two_models_share_colour_and_shape() -> None:
    marks = {(number % HUES, _outline(shape(number, 0, 0))) for number in range(HUES * HUES)}
    assert len(marks) == HUES * HUES
    assert len({_outline(shape(number, 0, 0)) for number in range(HUES)}) == HUES


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.8931, 0.9017), (-3.2, 41.0), (0.0, 1e-7), (17.0, 17.3), (-1e5, 2e5)])
def test_ticks_are_round_few_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 4 <= len(found) <= 11
    assert low - 1e-9 * abs(high) <= found[0]
    assert found[-1] <= high + 1e-9 * abs(high)
    steps = np.diff(found)
    assert steps == pytest.approx(steps[0])
    assert float(f"{steps[0]:.2g}") == pytest.approx(steps[0])
    assert ticks(1.0, 1.0) == [1.0]


# Paired differences ----------------------------------------------------------------------------------------------------


def _chart_of(page: Page, claim: str, metric: str) -> ElementTree.Element:
    """A claim's chart of an endpoint, by the heading above it."""
    articles = page.section("patients").all("article")
    number = next(i for i, one in enumerate(articles) if one.one("h3").text.startswith(f"Claim {claim}: {metric} of "))
    return [chart for chart in page.charts() if chart.attrib["aria-label"].startswith("Paired differences")][number]


def _dots(chart: ElementTree.Element) -> list[ElementTree.Element]:
    return [one for one in chart.findall("g") if titled(one).startswith("patient ")]


CASES = [("largest", SSIM), ("half_time", SSIM), ("half_time", NMSE)]


def _endpoint(claim: str, metric: str) -> Endpoint:
    spec = LARGEST if claim == "largest" else HALF_TIME
    return next(one for one in spec.endpoints if one.metric == metric)


def _found(rich: Sweep, metric: str) -> dict[str, float]:
    reference, candidate = (rich.kept.cells[rich.key(name)] for name in ("sense2", "unet4"))
    endpoint = RATIO if metric == NMSE else ENDPOINT
    return differences(reference, candidate, metric, endpoint.scale, not endpoint.higher_is_better)


@pytest.mark.parametrize(("claim", "metric"), CASES)
def test_a_dot_a_patient_where_it_belongs(claim: str, metric: str, page: Page, rich: Sweep) -> None:
    found, endpoint = _found(rich, metric), _endpoint(claim, metric)
    ranked = sorted(found, key=lambda patient: (found[patient], patient))
    dots = _dots(_chart_of(page, claim, metric))
    assert [titled(dot) for dot in dots] == [f"patient {one}: {natural(found[one], endpoint.scale)}" for one in ranked]
    boxes = [_box(dot.find("path").attrib["d"]) for dot in dots]
    assert len(boxes) == PATIENTS
    x = fitted([found[one] for one in ranked], [(left + right) / 2 for left, right, _, _ in boxes])
    assert x(1.0) > x(0.0), "better is to the right"
    middles = [(top + bottom) / 2 for _, _, top, bottom in boxes]
    fitted(range(PATIENTS), middles, off=1.0)
    assert middles == sorted(middles), "from the worst down to the best"
    tail = endpoint.tail_threshold or math.inf
    assert [dot.attrib["class"] for dot in dots] == ["failed" if found[one] < -tail else "hue0" for one in ranked]
    shapes = {dot.attrib["class"]: _outline(dot.find("path").attrib["d"]) for dot in dots}
    assert len(set(shapes.values())) == 2, "who lies beyond the tail differs in shape as well"


@pytest.mark.parametrize(("claim", "metric"), CASES)
def test_what_the_dots_are_held_against(claim: str, metric: str, page: Page, rich: Sweep) -> None:
    """Zero, the threshold, the tail's margin, the mean and its interval."""
    found, endpoint, chart = _found(rich, metric), _endpoint(claim, metric), _chart_of(page, claim, metric)
    ranked = sorted(found, key=lambda patient: (found[patient], patient))
    boxes = [_box(dot.find("path").attrib["d"]) for dot in _dots(chart)]
    x = fitted([found[one] for one in ranked], [(left + right) / 2 for left, right, _, _ in boxes])
    kept = next(one for one in rich.kept.verdict(claim)["endpoints"] if f"{one['metric']}@{one['profile']}" == metric)
    log = math.log1p if endpoint.scale == "log_ratio" else float
    values = {"reference": 0.0, "limit": -log(endpoint.margin or 0), "tail": -log(endpoint.tail_margin or 0)}
    values["mean"] = float(np.mean(list(found.values())))
    said = {
        "reference": "no difference",
        "limit": f"threshold of the mean {natural(values['limit'], endpoint.scale)}",
        "tail": f"margin of single patients {natural(values['tail'], endpoint.scale)}",
        "mean": "mean of the patients",
    }
    for kind, value in values.items():
        (line,) = lines(chart, kind)
        assert float(line.attrib["x1"]) == float(line.attrib["x2"]) == pytest.approx(x(value), abs=0.1)
        assert titled(line) == said[kind]
    (band,) = lines(chart, "interval")
    low, high = kept["ci95"]
    assert float(band.attrib["x"]) == pytest.approx(x(low), abs=0.1)
    assert float(band.attrib["x"]) + float(band.attrib["width"]) == pytest.approx(x(high), abs=0.2)
    words = [natural(one, endpoint.scale) for one in (values["mean"], low, high)]
    assert titled(band) == f"mean {words[0]}, 95 % interval {words[1]} to {words[2]}"


@pytest.mark.parametrize(("claim", "metric"), CASES)
def test_the_ruler_is_numbered_truly(claim: str, metric: str, page: Page, rich: Sweep) -> None:
    """On the scale of the test: ratios as ratios, and no difference is a ratio of 1."""
    found, endpoint, chart = _found(rich, metric), _endpoint(claim, metric), _chart_of(page, claim, metric)
    ranked = sorted(found, key=lambda patient: (found[patient], patient))
    boxes = [_box(dot.find("path").attrib["d"]) for dot in _dots(chart)]
    x = fitted([found[one] for one in ranked], [(left + right) / 2 for left, right, _, _ in boxes])
    texts = [text for text in chart.findall("text") if text.attrib.get("text-anchor") == "middle"]
    assert len(texts) > 4
    for text in texts:
        said = text.text or ""
        assert said.startswith("×") == (endpoint.scale == "log_ratio")
        value = math.log(float(said[1:])) if said.startswith("×") else float(said)
        assert float(text.attrib["x"]) == pytest.approx(x(value), abs=2 if said.startswith("×") else 0.15)
    kind = "ratio" if metric == NMSE else "difference"
    assert f"{metric}: {kind} of candidate and reference, to the right the candidate is better" in [
        text.text for text in chart.findall("text")
    ]


# Claims and cells of other shapes --------------------------------------------------------------------------------------


def test_a_ladder_that_does_not_hold_marks_nothing(here: Path) -> None:
    level = baseline(24)
    rows = {"sense": arm(level.tolist()), "unet": arm((level - 0.05).tolist(), CANDIDATE)}
    ladder = replace(QUALITY, claim_id="ladder", candidate={"model": "unet"}, ladder=(4.0,))
    page = closed_sweep(rows, [ladder], here, sweep_id="no-ladder").page
    assert "Largest reduction that holds: none (ssim@mvue" in page.claim("ladder").text
    assert lines(page.chart("Trade-off"), "mark") == []


def test_a_capped_ladder_s_mark_says_so(here: Path) -> None:
    level = baseline(24)
    changes = {"provenance": "simulated", "evidence": "simulated"}
    rows = {"sense": arm(level.tolist(), **changes), "unet": arm((level + spread(24)).tolist(), CANDIDATE, **changes)}
    ladder = replace(QUALITY, claim_id="ladder", candidate={"model": "unet"}, ladder=(4.0,))
    page = closed_sweep(rows, [ladder], here, sweep_id="capped-ladder").page
    (mark,) = lines(page.chart("Trade-off"), "mark")
    assert titled(mark) == f"largest reduction that holds (demonstration only): {100 * (1 - 28 / 60):.1f} %"
    assert page.claim("ladder").attributes["class"] == "verdict capped"


def test_the_curve_of_several_trainings_runs_through_their_mean(here: Path) -> None:
    level = baseline(24)
    rows = {"sense": arm(level.tolist())}
    offsets = {f"net{seed}": 0.001 * seed for seed in range(3)}
    for seed, (name, offset) in enumerate(offsets.items()):
        rows[name] = arm((level + offset).tolist(), CANDIDATE, train_seed=seed)
    swept = {name: {"model": some[0].model, "train_seed": str(some[0].train_seed)} for name, some in rows.items()}
    chart = closed_sweep(rows, [], here, swept=swept, sweep_id="seeds").page.chart("Trade-off")
    curves = [one for one in chart if "curve" in one.attrib.get("class", "")]
    assert len(curves) == 2
    bars = [numbers(one.attrib["d"]) for one in curves[1].iter() if one.attrib.get("class") == "bars"]
    assert len(bars) == 3
    line = numbers(curves[1].find("polyline").attrib["points"])
    assert line == pytest.approx([bars[0][3], np.mean([one[1] for one in bars])], abs=0.1)


def test_one_cell_alone_has_a_chart(here: Path) -> None:
    page = closed_sweep({"sense": arm([0.9, 0.9, 0.9])}, [], here, sweep_id="alone").page
    group = _points(page.chart("Trade-off"))["sense"]
    assert titled(group) == "sense: 1.00 min, ssim@mvue 0.900 (0.900 to 0.900)"
    assert all(math.isfinite(number) for one in page.chart("Trade-off").iter() for number in numbers(one.attrib.get("d", "")))
