"""Charts of an exam's energy: from what is saved to the net, and what the sum depends on most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from ..ledger.ledger import J_A_KWH, TERMS, Entry, Lever
from ..quantity import Quantity
from .charts import clean, padded, scale, segment, svg, ticks

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 360, 60, 12, 34, 60
_ROW, _NAMES, _MARGIN = 34, 190, 110
"""Height of a lever, and the widths of its name and of what stands beside its bar [px]."""
_WORDS = {"scanner": "scanner", "reconstruction": "recon", "training": "training", "net": "net"}


def draw_waterfall(entries: Sequence[Entry]) -> str:
    """Scanner saved, reconstruction and training spent, and what is left, with 95 % intervals; scenarios side by side.

    What nobody measured is an empty frame, and so is the net then: it has no height to be misread.
    """
    tops = [_steps(entry) for entry in entries]
    reached = [0.0]
    for steps in tops:
        for _, quantity, start in steps:
            if quantity.value is not None:
                reached += [start, start + quantity.value]
                reached += [start + end for end in (quantity.low, quantity.high) if end is not None]
    low, high = padded(reached)
    y = scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = [_grid(y, low, high)]
    wide = (_WIDTH - _LEFT - _RIGHT) / len(entries)
    slot = (wide - 16) / (len(TERMS) + 1)
    for group, (entry, steps) in enumerate(zip(entries, tops, strict=True)):
        left = _LEFT + group * wide + 8
        for index, (name, quantity, start) in enumerate(steps):
            parts.append(_bar(name, quantity, start, left + index * slot, slot, y))
        middle = left + 2 * slot
        words = entry.scenario if entry.site else f"{entry.scenario}: no site saving"
        parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 14}" text-anchor="middle" font-weight="600">{escape(words)}</text>')
    parts.append(segment("reference", (_LEFT, y(0.0)), (_WIDTH - _RIGHT, y(0.0)), "nothing"))
    return svg("From scanner energy saved to net, kWh an exam; the numbers stand in the table below", parts, _HEIGHT)


def _steps(entry: Entry) -> list[tuple[str, Quantity, float]]:
    """(name, what it adds, where it begins) of every bar; a bar after an unknown one begins where that did."""
    level, found = 0.0, []
    for name in TERMS:
        found.append((name, entry.terms[name], level))
        level += entry.terms[name].value or 0.0
    return [*found, ("net", entry.net, 0.0)]


def _bar(name: str, quantity: Quantity, start: float, left: float, slot: float, y: Callable[[float], float]) -> str:
    middle, width = left + slot / 2, slot - 10
    below = f'<text class="note" x="{middle:.1f}" y="{_HEIGHT - 38}" text-anchor="middle">{_WORDS[name]}</text>'
    if quantity.value is None:
        why = escape(f"{name}: {quantity.reason}")
        return (
            f'<g class="unknown"><rect x="{middle - width / 2:.1f}" y="{y(start) - 26:.1f}" width="{width:.1f}" height="26"/>'
            f'<text x="{middle:.1f}" y="{y(start) - 8:.1f}" text-anchor="middle">?</text><title>{why}</title></g>{below}'
        )
    end = start + quantity.value
    top, height = min(y(start), y(end)), max(abs(y(start) - y(end)), 1.0)
    kind = "net" if name == "net" else "saved" if quantity.value > 0 else "spent"
    bars, highest = "", max(start, end)
    if quantity.low is not None and quantity.high is not None and quantity.low < quantity.high:
        ends = (start + quantity.low, start + quantity.high)
        highest = max(highest, *ends)
        bars = f'<path class="range" d="M{middle:.1f} {y(ends[0]):.1f}V{y(ends[1]):.1f}"/>'
    return (
        f'<g class="{kind}"><rect x="{middle - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>{bars}'
        f'<text x="{middle:.1f}" y="{y(highest) - 5:.1f}" text-anchor="middle">{signed(quantity)}</text>'
        f"<title>{escape(f'{name}: {in_words(quantity)}')}</title></g>{below}"
    )


def _grid(y: Callable[[float], float], low: float, high: float) -> str:
    lines = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in clean(ticks(low, high))
    )
    return f'{lines}<text x="{_LEFT}" y="14">kWh an exam; above zero is saved</text>'


def draw_levers(entry: Entry) -> str:
    """What every input's own range makes of the sum, the widest first, the others in the middle of theirs."""
    levers, what = entry.levers, what_is_summed(entry)
    height = _TOP + _ROW * len(levers) + 44
    low, high = padded([end for lever in levers for end in (lever.at_low, lever.at_high)])
    x = scale(low, high, _NAMES + _MARGIN, _WIDTH - _MARGIN)
    bottom = height - 44
    parts = [
        f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>'
        for tick in clean(ticks(low, high))
    ]
    for index, lever in enumerate(levers):
        middle = _TOP + _ROW * (index + 0.5)
        # The end of the input that lies to the left of the chart.
        ends = sorted(((lever.at_low, lever.low), (lever.at_high, lever.high)))
        (left, left_end), (right, right_end) = ends
        words = (
            f"{lever.name} {_end(lever, lever.low)} to {_end(lever, lever.high)}: {lever.at_low:+.3g} to {lever.at_high:+.3g} kWh"
        )
        parts.append(
            f'<g class="hue0"><text x="0" y="{middle + 4:.1f}">{escape(lever.name)}</text>'
            f'<rect class="lever" x="{x(left):.1f}" y="{middle - 9:.1f}" width="{max(x(right) - x(left), 1):.1f}" height="18"/>'
            f'<text class="note" x="{x(left) - 6:.1f}" y="{middle + 4:.1f}" text-anchor="end">{_end(lever, left_end)}</text>'
            f'<text class="note" x="{x(right) + 6:.1f}" y="{middle + 4:.1f}">{_end(lever, right_end)}</text>'
            f"<title>{escape(words)}</title></g>"
        )
    if low < 0 < high:
        parts.append(segment("reference", (x(0.0), _TOP), (x(0.0), bottom), "nothing"))
    parts.append(f'<text x="{_NAMES + _MARGIN}" y="{height - 6}">kWh an exam, {entry.scenario}: the {what}</text>')
    return svg(f"What the {what} depends on most", parts, height)


def what_is_summed(entry: Entry) -> str:
    """Without a term that nobody measured there is no net."""
    return "net" if entry.net.value is not None else "sum of what is known"


def _end(lever: Lever, value: float) -> str:
    """Of an input's range; joules as the chart's own kWh, and a factor without a unit."""
    if lever.unit == "J":
        return f"{value / J_A_KWH:.3g} kWh"
    return f"{value:.4g}" + ("" if lever.unit == "1" else f" {lever.unit}")


def signed(quantity: Quantity) -> str:
    """With its sign, which says saved or spent."""
    if quantity.value is None:
        return "–"
    return "0" if quantity.value == 0 else f"{quantity.value:+.3g}"


def in_words(quantity: Quantity) -> str:
    """Value and interval, or why there is none."""
    if quantity.value is None:
        return quantity.reason or "not measured"
    if quantity.low is None or quantity.high is None or quantity.low == quantity.high:
        return signed(quantity)
    return f"{signed(quantity)} ({quantity.low:+.2g} to {quantity.high:+.2g})"
