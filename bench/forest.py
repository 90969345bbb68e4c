"""A forest plot as SVG: every endpoint's effect with its interval, against the threshold that it must lie above."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from .claims.types import Endpoint, EndpointResult

_ROW, _LEFT, _WIDTH, _RIGHT, _TOP = 44, 210, 420, 270, 34
# The colours of the page that it stands on, else its own.
_INK, _SOFT = 'style="fill:var(--ink, #111)"', 'style="fill:var(--soft-ink, #555)"'
_COLOURS = {
    "superior": "var(--good, #2b7a4b)",
    "noninferior": "var(--good, #2b7a4b)",
    "met": "var(--good, #2b7a4b)",
    "inconclusive": "var(--open, #8a5a00)",
    "inferior": "var(--bad, #b03a2e)",
    "not_met": "var(--bad, #b03a2e)",
}


def forest_plot(endpoints: Sequence[EndpointResult]) -> str:
    """An SVG picture; each endpoint has a scale of its own, since their units differ. Endpoints without a value say why."""
    height = _TOP + _ROW * max(len(endpoints), 1) + 16
    width = _LEFT + _WIDTH + _RIGHT
    rows = "".join(_row(endpoint, _TOP + _ROW * index) for index, endpoint in enumerate(endpoints))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" class="forest" '
        f'font-family="system-ui, sans-serif" font-size="13"><title>Effects and thresholds</title>'
        f'<rect width="{width}" height="{height}" style="fill:var(--soft, #fff)"/>'
        f'<text x="{_LEFT}" y="18" {_SOFT}>worse</text>'
        f'<text x="{_LEFT + _WIDTH}" y="18" {_SOFT} text-anchor="end">better than the reference</text>{rows}</svg>\n'
    )


def _row(endpoint: EndpointResult, top: int) -> str:
    middle = top + _ROW / 2
    name = f'<text x="8" y="{middle - 3}" {_INK}>{escape(endpoint.metric)}</text>'
    kind = "log ratio" if endpoint.scale == "log_ratio" else "difference"
    name += f'<text x="8" y="{middle + 13}" {_SOFT} font-size="11">{kind}, {spaced(endpoint.result)}</text>'
    effect = endpoint.effect
    if effect.value is None or effect.low is None or effect.high is None:
        return f'{name}<text x="{_LEFT}" y="{middle + 4}" {_SOFT}>{escape((effect.reason or "no value")[:90])}</text>'
    ends = [effect.low, effect.high, endpoint.threshold, 0.0]
    low, high = min(ends), max(ends)
    margin = 0.08 * (high - low) or 1.0

    def x(value: float) -> float:
        return _LEFT + _WIDTH * (value - low + margin) / (high - low + 2 * margin)

    colour = _COLOURS.get(endpoint.result, "var(--soft-ink, #555)")
    found = f"{effect.value:.4g} ({effect.low:.4g} to {effect.high:.4g})"
    ends_at = f'x1="{x(effect.low):.1f}" x2="{x(effect.high):.1f}" y1="{middle}" y2="{middle}"'
    return (
        f"{name}"
        f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{middle}" y2="{middle}" style="stroke:var(--grid, #ddd)"/>'
        f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{top + 6}" y2="{top + _ROW - 6}" style="stroke:var(--soft-ink, #999)"/>'
        f'<line x1="{x(endpoint.threshold):.1f}" x2="{x(endpoint.threshold):.1f}" y1="{top + 2}" y2="{top + _ROW - 2}" '
        f'style="stroke:var(--bad, #b03a2e)" stroke-dasharray="4 3"><title>threshold {endpoint.threshold:.4g}</title></line>'
        f'<line {ends_at} style="stroke:{colour}" stroke-width="3"/>'
        f'<circle cx="{x(effect.value):.1f}" cy="{middle}" r="5" style="fill:{colour}"/>'
        f'<text x="{_LEFT + _WIDTH + 10}" y="{middle - 3}" {_INK}>{found}</text>'
        f'<text x="{_LEFT + _WIDTH + 10}" y="{middle + 13}" {_SOFT} font-size="11">threshold {endpoint.threshold:.4g}</text>'
    )


def spaced(result: str) -> str:
    """A result as people write it."""
    return result.replace("_", " ").replace("noninferior", "not inferior")


def natural(endpoint: EndpointResult | Endpoint, value: float) -> str:
    """A value on the scale of the test in words: ratios as ratios, and what rounding leaves of nothing as nothing."""
    value = 0.0 if abs(value) < 1e-12 else value
    return f"×{math.exp(value):.3f}" if endpoint.scale == "log_ratio" else f"{value:+.4g}"
