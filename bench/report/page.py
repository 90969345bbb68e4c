"""The sweep's page: one HTML file, verdict first, that loads nothing from elsewhere and says nothing the store does not hold."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from ... import __version__
from ..books import Books
from ..claims.types import EndpointResult, Evidence
from ..forest import forest_plot, natural, spaced
from ..pictures import ERROR_FULL_SCALE
from ..quantity import Quantity
from ..scores import score_of
from ..table import CellSummary, fitting_profile, label, number, percent, score
from ..verdict_page import ladder_in_words, meaning, registered, time_in_words
from .charts import HUES, draw_differences, draw_trade_off, shape
from .differences import Differences, differences
from .energy import energy_section
from .gather import Judged, SweepRecord
from .methods import methods
from .pictures import PictureCase, Shown
from .statements import assumed, clinical, digests, limits, not_measured, provenance, versions
from .trade_off import TradeOff, metrics_shown, trade_offs

_SECTIONS = (
    ("verdict", "Verdict"),
    ("trade-off", "Quality against minutes"),
    ("patients", "Patients"),
    ("pictures", "Pictures"),
    ("energy", "Energy"),
    ("cells", "All cells"),
    ("assumed", "Assumed"),
    ("not-measured", "Not measured"),
    ("provenance", "Provenance"),
    ("versions", "Versions"),
    ("methods", "Methods"),
)
_LOWEST = 5


def report_page(record: SweepRecord, books: Books) -> str:
    """The page; every text on it is escaped.

    Args:
        record: the sweep.
        books: what its ledger of energy is kept with.
    """
    script = _text("page.js")
    charts = trade_offs(record)
    curves = {name: number for number, name in enumerate(dict.fromkeys(curve.name for chart in charts for curve in chart.curves))}
    found = [(one, item) for one in record.judged for item in differences(one)]
    total = len(record.manifest.cells)
    return _template().render(
        title=f"Halfscan sweep {record.manifest.sweep_id}: {_headline(record)}",
        heading=_heading(record),
        record=record,
        prospective=all(cell.first.evidence == Evidence.PROSPECTIVE for cell in record.cells),
        finished=f"{len(record.cells)} of {total} cell{'' if total == 1 else 's'} finished.",
        sections=_SECTIONS,
        claims=[_claim(one) for one in record.judged],
        no_verdict=_without_verdict(record),
        caveats=limits(record.cells),
        facets=_facets(charts, curves),
        legend=[
            {"number": number, "hue": number % HUES, "name": name, "shape": Markup(shape(number, 8, 8))}
            for name, number in curves.items()
        ],
        margin_words=list(dict.fromkeys(f"{chart.metric}: {limit.words}." for chart in charts for limit in chart.limits)),
        energy=energy_section(record, books),
        differences=[_differences(one, item) for one, item in found],
        lowest=_lowest(record.cells),
        error_scale=f"{ERROR_FULL_SCALE:.0%}",
        cases=[_case(record, case) for case in record.pictures.cases],
        table=_table(record),
        assumed=assumed(record),
        not_measured=not_measured(record),
        provenance=provenance(record),
        versions=versions(record),
        digests=digests(record),
        methods=methods(record),
        version=__version__,
        style=Markup(_text("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _text(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


@lru_cache
def _template() -> Template:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(_text("page.html"))


# The verdict -----------------------------------------------------------------------------------------------------------


def _headline(record: SweepRecord) -> str:
    if record.judged:
        return "; ".join(f"{one.claim.claim_id} {one.verdict.words}" for one in record.judged)
    return "no verdict"


def _heading(record: SweepRecord) -> str:
    models = list(dict.fromkeys(cell.first.model for cell in record.cells))
    datasets = list(dict.fromkeys(cell.first.dataset for cell in record.cells))
    if not models:
        return "A sweep of which no cell has finished"
    return f"{_listed(models)} on {_listed(datasets)}"


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _without_verdict(record: SweepRecord) -> str:
    if not record.cells:
        return "No cell of this sweep has finished: nothing is known."
    if record.unjudged:
        return "No claim is judged: nothing is proven here."
    return "This sweep was started without a claim, so nothing is proven here: it may suggest what to claim of the next one."


_ANSWERS = {
    "supported": "Supported",
    "refuted": "Not supported: refuted",
    "inconclusive": "Not supported: not decided",
    "not_testable": "Not supported: can't be tested here",
}


def _claim(one: Judged) -> dict[str, Any]:
    verdict = one.verdict
    capped = verdict.cap != "none" and verdict.uncapped != "not_testable"
    return {
        "verdict": verdict,
        "kind": "capped" if capped else verdict.verdict,
        "answer": f"Not supported: {verdict.words}" if capped else _ANSWERS[verdict.verdict],
        "plain": _plain(one),
        "time": time_in_words(verdict.time) if verdict.time is not None else "",
        "ladder": ladder_in_words(verdict),
        "forest": Markup(forest_plot(verdict.endpoints)),
        "endpoints": [_endpoint(endpoint) for endpoint in verdict.endpoints],
        "registered": f"{registered(verdict)} Claim SHA-256 {verdict.claim_sha256}.",
    }


def _plain(one: Judged) -> str:
    verdict, time = one.verdict, one.verdict.time
    said = meaning(verdict)
    if time is None or time.candidate_s is None or time.reference_s is None:
        return said
    share = 100 * (time.reduction.value or 0.0)
    change = "the same" if abs(share) < 0.05 else f"{abs(share):.1f} % {'shorter' if share > 0 else 'longer'}"
    scans = f"{_minutes(time.candidate_s)} instead of {_minutes(time.reference_s)} ({time.baseline})"
    # Against full or clinical scans it is the mean of the volumes' reductions, which two mean times need not give.
    mean = "" if abs(share / 100 - (1 - time.candidate_s / time.reference_s)) < 5e-4 else " in the mean of the volumes"
    return f"The candidate's scan takes {scans}: {change}{mean}. {said}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{round(seconds) // 60} min {round(seconds) % 60} s"


def _endpoint(one: EndpointResult) -> dict[str, str]:
    effect, tail = one.effect, one.tail
    known = effect.value is not None
    return {
        "metric": one.metric,
        "effect": natural(one, effect.value) if effect.value is not None else "not measured",
        "interval": _interval(one, effect) if known else (effect.reason or ""),
        "threshold": natural(one, one.threshold),
        "result": spaced(one.result),
        "power": "–" if one.power is None else f"{one.power:.0%}",
        "tail": "not looked at" if tail is None else f"{tail['failed']} of {tail['patients']}",
        "why": one.margin_rationale or ("the improvement that is claimed" if one.at_least is not None else ""),
    }


def _interval(one: EndpointResult, effect: Quantity) -> str:
    if effect.low is None or effect.high is None:
        return effect.reason or "none"
    return f"{natural(one, effect.low)} to {natural(one, effect.high)}"


# Charts, patients, pictures ---------------------------------------------------------------------------------------------


def _facets(charts: Sequence[TradeOff], curves: Mapping[str, int]) -> list[dict[str, Any]]:
    names = dict.fromkeys((chart.dataset, chart.protocol) for chart in charts)
    return [
        {
            "number": number,
            "name": f"{dataset}, protocol {protocol}",
            "charts": [
                {"metric": chart.metric, "svg": Markup(draw_trade_off(chart, curves))}
                for chart in charts
                if (chart.dataset, chart.protocol) == (dataset, protocol)
            ],
        }
        for number, (dataset, protocol) in enumerate(names)
    ]


def _differences(one: Judged, found: Differences) -> dict[str, Any]:
    endpoint = found.endpoint
    places = score_of(endpoint.metric).digits
    failed = sum(case.beyond_tail for case in found.cases)
    kind, zero = ("ratio", "×1") if endpoint.scale == "log_ratio" else ("difference", "0")
    tail = "" if endpoint.tail_threshold is None else f" {failed} lie beyond the margin of single patients."
    return {
        "claim_id": one.claim.claim_id,
        "metric": endpoint.metric,
        "heading": f"Claim {one.claim.claim_id}: {endpoint.metric} of {one.verdict.candidate_protocol}",
        "svg": Markup(draw_differences(found)),
        "said": f"Each dot is a patient, {one.verdict.candidate_protocol} against {one.verdict.reference_protocol}, as a {kind} "
        f"turned so that above {zero} the candidate is better; the band is the 95 % interval of the mean.{tail}",
        "kind": kind,
        "of": len(found.cases),
        "rows": [
            {
                "patient": case.patient,
                "volumes": _listed(case.volumes),
                "reference": f"{case.reference:.{places}f}",
                "candidate": f"{case.candidate:.{places}f}",
                "difference": natural(endpoint, case.difference),
                "beyond": "–" if endpoint.tail_threshold is None else "yes" if case.beyond_tail else "no",
            }
            for case in found.worst
        ],
    }


def _lowest(cells: Sequence[CellSummary]) -> dict[str, Any] | None:
    """The volumes with the lowest SSIM in any cell, claim or none."""
    metric = f"ssim@{fitting_profile(cells)}" if cells else ""
    scored = [
        (value, label(cell), patient, volume)
        for cell in cells
        if metric in cell.rows.metrics
        for value, patient, volume in zip(*(cell.rows.values(name) for name in (metric, "patient", "volume")), strict=True)
        if value is not None
    ]
    if not scored:
        return None
    rows = [
        {"cell": cell, "patient": patient, "volume": volume, "value": f"{value:.{score_of(metric).digits}f}"}
        for value, cell, patient, volume in sorted(scored)[:_LOWEST]
    ]
    return {"metric": metric, "rows": rows}


def _case(record: SweepRecord, case: PictureCase) -> dict[str, Any]:
    words = f"{case.name} patient" if case.name != "only" else "the only patient"
    if (case.name, case.rank) not in (("worst", 1), ("best", case.of), ("median", case.of // 2 + 1), ("only", 1)):
        words += " that may be shown"
    truths, masks = ({getattr(one, kind): one for one in case.shown} for kind in ("truth", "mask"))
    figures = [_figure(record, case, one, "truth", name, name) for name, one in truths.items()]
    for one in case.shown:
        figures += [
            _figure(record, case, one, kind, getattr(one, kind), f"{one.truth} {one.mask}") for kind in ("image", "error")
        ]
    figures += [_figure(record, case, one, "mask", name, name) for name, one in masks.items()]
    value = f"×{math.exp(case.value):.3f}" if record.pictures.ratio else f"{case.value:+.4g}"
    said = f"Patient {case.patient}, volume {case.volume}: rank {case.rank} of {case.of} from the worst, by "
    said += f"{record.pictures.ranked_by} ({value})."
    return {"words": f"{words}, rank {case.rank} of {case.of}", "said": said, "figures": figures}


def _figure(record: SweepRecord, case: PictureCase, one: Shown, kind: str, name: str, pair: str) -> dict[str, str]:
    scored = "" if one.score is None else f", {record.pictures.metric} {one.score:.{score_of(record.pictures.metric).digits}f}"
    captions = {
        "truth": "reference (truth)",
        "image": f"{one.label}{scored}",
        "error": f"error of {one.label}",
        "mask": f"mask, achieved R = {one.acceleration:.2f}",
    }
    alts = {
        "truth": f"{case.name} patient, fully sampled reference, middle slice",
        "image": f"{case.name} patient as {one.label} rebuilt it, middle slice{scored}",
        "error": f"{case.name} patient, absolute error of {one.label}, white at {ERROR_FULL_SCALE:.0%} of the truth's peak",
        "mask": f"sampled lines of k-space, white, achieved acceleration {one.acceleration:.2f}",
    }
    png = (record.pictures.files or {})[name]
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    return {"kind": kind, "cell": one.cell, "pair": pair, "source": source, "caption": captions[kind], "alt": alts[kind]}


def _table(record: SweepRecord) -> dict[str, Any] | None:
    if not record.cells:
        return None
    metrics = metrics_shown(record.cells, record.judged)
    units = [score_of(metric).unit for metric in metrics]
    scores = [metric if unit == "1" else f"{metric} [{unit}]" for metric, unit in zip(metrics, units, strict=True)]
    return {
        "headings": ["cell", "R", "scan s", "range s", "vs full", f"vs {clinical(record.cells)}", *scores, "ms/slice"],
        "rows": [_table_row(cell, metrics) for cell in record.cells],
    }


def _table_row(cell: CellSummary, metrics: Sequence[str]) -> dict[str, Any]:
    seconds = cell.scan_seconds
    values = [
        (number(cell.acceleration, 2), cell.acceleration),
        (number(seconds.value, 1), seconds.value),
        ("–" if seconds.low is None else f"{seconds.low:.1f} to {seconds.high:.1f}", seconds.low),
        *(
            (percent(found), None if found.value is None else -found.value)
            for found in (cell.reduction("full"), cell.reduction("clinical"))
        ),
        *((score(cell, metric), _value(cell, metric)) for metric in metrics),
        (number(cell.ms_per_slice, 1), cell.ms_per_slice),
    ]
    shown = [(text, "" if value is None else f"{value:.9g}") for text, value in values]
    return {"key": cell.entry.key, "label": label(cell), "numbers": shown}


def _value(cell: CellSummary, metric: str) -> float | None:
    return cell.metric(metric).value if metric in cell.rows.metrics else None
