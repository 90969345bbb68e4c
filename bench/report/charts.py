"""The page's charts as SVG: the trade-off of quality and minutes, and the paired differences of patients.

Colours are the page's (classes), so that dark mode and print need no second picture; every colour comes with a shape of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from ..claims.types import Endpoint
from ..forest import natural
from ..quantity import Quantity
from ..scores import score_of
from .differences import Differences
from .trade_off import Point, TradeOff

_WIDTH, _HEIGHT = 760, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 20, 26, 54
HUES = 8
"""Colours of the page's style, and shapes, after which they come again."""


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """A linear map of [low, high] onto [start, end] pixels."""
    span = (high - low) or 1.0
    return lambda value: start + (end - start) * (value - low) / span


def ticks(low: float, high: float, about: int = 8) -> list[float]:
    """Round numbers inside [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [step * index for index in range(first, math.floor(high / step + 1e-9) + 1)]


def draw_trade_off(chart: TradeOff, hues: Mapping[str, int]) -> str:
    """Quality over minutes, a curve a model, with intervals, ranges, margins and the largest reduction that holds."""
    points = [point for curve in chart.curves for point in curve.points]
    x_low, x_high = padded([value for point in points for value in _ends(point.minutes)] + [mark.minutes for mark in chart.marks])
    y_values = [value for point in points for value in _ends(point.quality)]
    y_values += [value for limit in chart.limits for value in (limit.reference, limit.value)]
    y_low, y_high = padded(y_values)
    x, y = scale(max(x_low, 0.0), x_high, _LEFT, _WIDTH - _RIGHT), scale(y_low, y_high, _HEIGHT - _BOTTOM, _TOP)
    metric, _, profile = chart.metric.partition("@")
    unit = _unit(chart.metric)
    better = {True: ", lower is better", False: ", higher is better", None: ""}[chart.lower_is_better]
    title = f"{metric} ({profile}){unit}{better}"
    parts = [_axes(x, y, (max(x_low, 0.0), x_high), (y_low, y_high), "scan time [min]", title)]
    for limit in chart.limits:
        far = _TOP if chart.lower_is_better else _HEIGHT - _BOTTOM
        top, height = min(y(limit.value), far), abs(far - y(limit.value))
        parts.append(
            f'<rect class="beyond" x="{_LEFT}" y="{top:.1f}" width="{_WIDTH - _LEFT - _RIGHT}" height="{height:.1f}"/>'
            f"{_horizontal('reference', y(limit.reference))}{_horizontal('limit', y(limit.value), limit.words)}"
            f'<text class="note" x="{_WIDTH - _RIGHT - 4}" y="{y(limit.value) + 13:.1f}" text-anchor="end">'
            f"beyond the margin of {escape(limit.claims)}</text>"
        )
    for mark in chart.marks:
        # Its words stand on the side that has room for them.
        aside, anchor = (5, "start") if x(mark.minutes) < _WIDTH / 2 else (-5, "end")
        parts.append(
            f'<line class="mark" x1="{x(mark.minutes):.1f}" x2="{x(mark.minutes):.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}">'
            f"<title>{escape(mark.words)}</title></line>"
            f'<text class="note" x="{x(mark.minutes) + aside:.1f}" y="{_TOP + 12}" text-anchor="{anchor}">'
            f"{escape(mark.words)}</text>"
        )
    for curve in chart.curves:
        number = hues[curve.name]
        line = " ".join(f"{x(minutes):.1f},{y(quality):.1f}" for minutes, quality in curve.line)
        dots = "".join(_dot(point, x, y, number, chart.metric) for point in curve.points)
        parts.append(f'<g class="curve hue{number % HUES}" data-hue="{number}"><polyline points="{line}"/>{dots}</g>')
    return svg(f"Trade-off of {title} and scan minutes; its numbers stand in the table of all cells", parts)


def _dot(point: Point, x: Callable[[float], float], y: Callable[[float], float], number: int, metric: str) -> str:
    across, up = x(point.minutes.value or 0), y(point.quality.value or 0)
    left, right = (x(end) for end in (point.minutes.low or 0, point.minutes.high or 0))
    bars = f"M{left:.1f} {up:.1f}H{right:.1f}"
    if point.quality.low is not None and point.quality.high is not None:
        bars += f"M{across:.1f} {y(point.quality.low):.1f}V{y(point.quality.high):.1f}"
    words = f"{point.label}: {point.minutes.value:.2f} min, {metric} {_number(point.quality, metric)}"
    return f'<g><path class="bars" d="{bars}"/>{shape(number, across, up)}<title>{escape(words)}</title></g>'


def _unit(metric: str) -> str:
    unit = score_of(metric).unit
    return "" if unit == "1" else f" [{unit}]"


def _number(quality: Quantity, metric: str) -> str:
    if quality.value is None:
        return "not measured"
    places = score_of(metric).digits
    if quality.low is None or quality.high is None:
        return f"{quality.value:.{places}f}"
    return f"{quality.value:.{places}f} ({quality.low:.{places}f} to {quality.high:.{places}f})"


def shape(number: int, x: float, y: float, size: float = 5.0) -> str:
    """The mark of a model by its number: no two hues share one, so that colour is never all that tells models apart."""
    r = size
    paths = (
        f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0",
        f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z",
        f"M{x:.1f} {y - r - 1:.1f}l{r + 1} {2 * r}h{-2 * r - 2}z",
        f"M{x:.1f} {y - r - 1:.1f}l{r + 1} {r + 1}l{-r - 1} {r + 1}l{-r - 1} {-r - 1}z",
        f"M{x:.1f} {y + r + 1:.1f}l{r + 1} {-2 * r}h{-2 * r - 2}z",
        f"M{x - 2:.1f} {y - r:.1f}h4v{r - 2}h{r - 2}v4h{2 - r}v{r - 2}h-4v{2 - r}h{2 - r}v-4h{r - 2}z",
        f"M{x - r:.1f} {y - 2.5:.1f}h{2 * r}v5h{-2 * r}z",
        f"M{x - 2.5:.1f} {y - r:.1f}h5v{2 * r}h-5z",
    )
    return f'<path class="dot" d="{paths[(number + number // HUES) % HUES]}"/>'


def draw_differences(found: Differences) -> str:
    """A dot a patient, from the worst to the best, against zero, the threshold and the tail's margin."""
    endpoint, effect = found.endpoint, found.result.effect
    height = min(420, 110 + 9 * len(found.cases))
    tail = None if endpoint.tail_threshold is None else -endpoint.tail_threshold
    values = [case.difference for case in found.cases] + [0.0, endpoint.threshold] + ([] if tail is None else [tail])
    low, high = padded(values)
    x, y = scale(low, high, _LEFT, _WIDTH - _RIGHT), scale(-0.7, len(found.cases) - 0.3, _TOP, height - _BOTTOM)
    kind = "ratio" if endpoint.scale == "log_ratio" else "difference"
    unit = _unit(endpoint.metric) if endpoint.scale == "difference" else ""
    of = f"{endpoint.metric}: {kind} of candidate and reference{unit}"
    parts = [_ruler(x, low, high, height, f"{of}, to the right the candidate is better", endpoint)]
    if effect.low is not None and effect.high is not None and effect.value is not None:
        width = x(effect.high) - x(effect.low)
        parts.append(
            f'<rect class="interval" x="{x(effect.low):.1f}" y="{_TOP}" width="{max(width, 1):.1f}" '
            f'height="{height - _TOP - _BOTTOM}">'
            f"<title>mean {natural(endpoint, effect.value)}, 95 % interval {natural(endpoint, effect.low)} to "
            f"{natural(endpoint, effect.high)}</title></rect>{_vertical('mean', x(effect.value), height)}"
        )
    parts.append(_vertical("reference", x(0.0), height, "no difference"))
    parts.append(
        _vertical("limit", x(endpoint.threshold), height, f"threshold of the mean {natural(endpoint, endpoint.threshold)}")
    )
    if tail is not None:
        parts.append(_vertical("tail", x(tail), height, f"margin of single patients {natural(endpoint, tail)}"))
    for index, case in enumerate(found.cases):
        hue = "failed" if case.beyond_tail else "hue0"
        words = f"patient {case.patient}: {natural(endpoint, case.difference)}"
        mark = shape(3 if case.beyond_tail else 0, x(case.difference), y(index), 3.5)
        parts.append(f'<g class="{hue}">{mark}<title>{escape(words)}</title></g>')
    return svg(f"Paired differences of {endpoint.metric}, a dot a patient; the worst stand in the table below", parts, height)


def _ruler(x: Callable[[float], float], low: float, high: float, height: int, words: str, endpoint: Endpoint) -> str:
    bottom = height - _BOTTOM
    lines = "".join(
        f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{_numbered(endpoint, tick)}</text>'
        for tick in clean(ticks(low, high))
    )
    return f'{lines}<text x="{_LEFT}" y="{height - 10}">{escape(words)}</text>'


def _numbered(endpoint: Endpoint, tick: float) -> str:
    """Nothing has no sign; on ratios it is a ratio of 1."""
    return "0" if tick == 0 and endpoint.scale == "difference" else natural(endpoint, tick)


def _axes(
    x: Callable[[float], float],
    y: Callable[[float], float],
    across: tuple[float, float],
    up: tuple[float, float],
    below: str,
    above: str,
) -> str:
    bottom = _HEIGHT - _BOTTOM
    lines = "".join(
        f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>'
        for tick in clean(ticks(*across))
    )
    lines += "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in clean(ticks(*up))
    )
    return (
        f'{lines}<text x="{_LEFT}" y="14">{escape(above)}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 10}" text-anchor="end">{escape(below)}</text>'
    )


def clean(values: Iterable[float]) -> list[float]:
    """Without what floating point leaves of round numbers."""
    return [float(f"{value:.10g}") for value in values]


def _horizontal(kind: str, y: float, words: str = "the reference's mean") -> str:
    return segment(kind, (_LEFT, y), (_WIDTH - _RIGHT, y), words)


def _vertical(kind: str, x: float, height: int, words: str = "mean of the patients") -> str:
    return segment(kind, (x, _TOP), (x, height - _BOTTOM), words)


def segment(kind: str, start: tuple[float, float], end: tuple[float, float], words: str) -> str:
    return (
        f'<line class="{kind}" x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}">'
        f"<title>{escape(words)}</title></line>"
    )


def _ends(quantity: Quantity) -> list[float]:
    return [value for value in (quantity.low, quantity.value, quantity.high) if value is not None]


def padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def svg(title: str, parts: Sequence[str], height: int = _HEIGHT) -> str:
    # Named by an attribute, not by <title>, which browsers show as a tooltip over the whole chart.
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg>'
    )
