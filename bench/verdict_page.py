"""A verdict in plain words: what was claimed, what was found, what limits it, and a forest plot."""

from __future__ import annotations

from html import escape

from .claims.types import EndpointResult, TimeResult, Verdict
from .forest import forest_plot, natural, spaced

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
body { color: #1a1a1a; background: #fff } blockquote { margin: 1rem 0; padding-left: 1rem; border-left: 3px solid #bbb }
.verdict { font-size: 1.3rem; padding: .8rem 1rem; border-left: 8px solid #777; background: #f4f4f2 }
.supported { border-color: #2b7a4b } .refuted { border-color: #b03a2e } .capped, .inconclusive { border-color: #b8860b }
table { border-collapse: collapse } th, td { text-align: left; vertical-align: top }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ccc }
svg { max-width: 100%; height: auto } .small { font-size: .9rem; color: #444 }
"""

_MEANS = {
    "refuted": "The claim does not hold: at least one leg fails with its whole interval.",
    "inconclusive": "These patients do not decide it. That is no evidence of equality, and none against it.",
    "not_testable": "The claim can't be tested with what was measured.",
}


def in_words(verdict: Verdict) -> list[str]:
    """The verdict for people, a line each."""
    lines = [f"Claim {verdict.claim_id}: {verdict.claim_text}", f"Verdict: {verdict.words}"]
    lines += [f"  because {reason}" for reason in verdict.reasons]
    if verdict.candidate_protocol:
        lines += [
            f"Candidate: {verdict.candidate_protocol}",
            f"Reference: {verdict.reference_protocol}; {verdict.patients} patients",
        ]
    if verdict.time is not None:
        lines.append(time_in_words(verdict.time))
    lines += [endpoint_in_words(endpoint) for endpoint in verdict.endpoints]
    lines += ladder_in_words(verdict)
    lines += [f"Data: {caveat}." for caveat in verdict.caveats]
    lines.append(registered(verdict))
    return lines


def ladder_in_words(verdict: Verdict) -> list[str]:
    """Each step, and the largest reduction that holds; nothing for a claim without a ladder."""
    found = verdict.largest_reduction
    if found is None:
        return []
    capped = "" if verdict.cap == "none" else f" ({verdict.cap} only)"
    steps = [
        f"R={step.acceleration:g}: {step.seconds:.1f} s, {_change(step.reduction.value)}: {_under(capped, step.result)}"
        for step in verdict.ladder
    ]
    if found.value is None:
        return [*steps, f"Largest reduction that holds: none ({found.reason})"]
    span = f"{_percent(found.low)} to {_percent(found.high)} over the timing assumptions"
    return [*steps, f"Largest reduction that holds{capped}: {_percent(found.value)}, {span}"]


def _under(capped: str, result: str) -> str:
    """A result, under a cap never as a bare word."""
    return f"the numbers alone say {spaced(result)}{capped}" if capped else spaced(result)


def time_in_words(time: TimeResult) -> str:
    """The time leg."""
    found = time.reduction
    if found.value is None or time.candidate_s is None or time.reference_s is None:
        return f"Scan time: not testable ({found.reason})."
    said = f"Scan time: {time.candidate_s:.1f} s against {time.reference_s:.1f} s ({time.baseline}), {_change(found.value)}, "
    said += f"{_percent(found.low)} to {_percent(found.high)} over {time.uncertain}"
    if time.target is not None:
        said += f"; claimed: {_percent(time.target)} ({spaced(time.result)})"
    if len(time.by_contrast) > 1:
        said += "; by contrast " + ", ".join(f"{name}: {_percent(value)}" for name, value in time.by_contrast.items())
    return said + "."


def endpoint_in_words(endpoint: EndpointResult) -> str:
    """One endpoint, its effect as a ratio where the test is on ratios."""
    effect = endpoint.effect
    if effect.value is None or effect.low is None or effect.high is None:
        return f"{endpoint.metric}: not testable ({effect.reason})."
    low, high, bound = (natural(endpoint, value) for value in (effect.low, effect.high, endpoint.threshold))
    said = f"{endpoint.metric}: {natural(endpoint, effect.value)} ({low} to {high}), must lie above {bound}: "
    said += spaced(endpoint.result)
    if (tail := endpoint.tail) is not None:
        gate = "" if tail["required"] is None else f", required {_percent(tail['required'])}"
        said += f"; {tail['failed']} of {tail['patients']} patients beyond the tail margin"
        said += f" (at least {_percent(tail['lower_bound'])} are not{gate})"
    return said + "."


def registered(verdict: Verdict) -> str:
    """When the claim was registered."""
    if verdict.registered_at is None:
        return "Registered: no; the sweep was not started with this claim."
    return f"Registered: with the sweep, {verdict.registered_at} (the store's owner could edit that)."


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.1f} %"


def verdict_page(verdict: Verdict) -> str:
    """One HTML page; every text in it is escaped, nothing is loaded from elsewhere."""
    title = f"Claim {escape(verdict.claim_id)}: {escape(verdict.words)}"
    kind = "capped" if verdict.cap != "none" else verdict.verdict
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body><main>'
        f"<h1>Claim {escape(verdict.claim_id)}</h1><blockquote>{escape(verdict.claim_text)}<br>"
        f'<span class="small">{escape(verdict.claim_source)}</span></blockquote>'
        f'<p class="verdict {kind}"><strong>{escape(verdict.words)}</strong><br>'
        f'<span class="small">{escape(meaning(verdict))}</span></p>'
        f"{_list('', verdict.reasons)}{_arms(verdict)}"
        f"{_list('Ladder', ladder_in_words(verdict))}{_quality(verdict)}{_list('What limits the data', verdict.caveats)}"
        f'<p class="small">{escape(registered(verdict))} Claim SHA-256 {escape(verdict.claim_sha256)}.</p>'
        "</main></body></html>\n"
    )


def meaning(verdict: Verdict) -> str:
    """What the verdict says of the claim, in a few sentences: of the legs that were tested, and of no other."""
    if verdict.cap != "none" and verdict.uncapped != "not_testable":
        return "Whatever the numbers say, this sweep can't support the claim: the reasons below say why."
    return _holds(verdict) if verdict.uncapped == "supported" else _MEANS[verdict.uncapped]


def _holds(verdict: Verdict) -> str:
    timed = verdict.time is not None and verdict.time.target is not None
    legs = ["the time leg"] * timed + ["every endpoint of image quality"] * bool(verdict.endpoints)
    legs += ["every required share of patients"] * any((one.tail or {}).get("required") is not None for one in verdict.endpoints)
    said = f"The claim holds on these patients: {' and '.join(legs) or 'nothing was tested'}."
    if not verdict.endpoints:
        said += " Nothing was claimed of image quality, and nothing is known of it here."
    if not timed and not verdict.ladder:
        said += " No reduction of scan time was claimed."
    return said


def _change(share: float | None) -> str:
    """A reduction in words; a negative one is no reduction."""
    if share is None:
        return "? less"
    return f"{_percent(abs(share))} {'less' if share >= 0 else 'more'}"


def _list(heading: str, lines: tuple[str, ...] | list[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return (f"<h2>{heading}</h2>" if heading else "") + f"<ul>{items}</ul>"


def _arms(verdict: Verdict) -> str:
    if verdict.candidate_protocol is None:
        return ""
    seeds = f"{verdict.seeds} training seed{'s' if verdict.seeds != 1 else ''}"
    time = f"<h2>Time</h2><p>{escape(time_in_words(verdict.time))}</p>" if verdict.time is not None else ""
    return (
        f"<p>Candidate: {escape(verdict.candidate_protocol)}.<br>Reference: {escape(verdict.reference_protocol or '')}.<br>"
        f"Truth: {escape(verdict.ground_truth or '')}. Evidence: {escape(verdict.evidence or '')}. {verdict.patients} patients, "
        f"{seeds}; scope: {verdict.scope}.</p>{time}"
    )


def _quality(verdict: Verdict) -> str:
    if not verdict.endpoints:
        return ""
    rows = "".join(_row(endpoint) for endpoint in verdict.endpoints)
    return (
        f"<h2>Quality</h2>{forest_plot(verdict.endpoints)}<table><thead><tr><th>endpoint</th><th>found</th>"
        f"<th>why this margin</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(endpoint: EndpointResult) -> str:
    why = endpoint.margin_rationale or ("the improvement that is claimed" if endpoint.at_least is not None else "")
    _, _, found = endpoint_in_words(endpoint).partition(": ")
    return f"<tr><td>{escape(endpoint.metric)}</td><td>{escape(found)}</td><td>{escape(why)}</td></tr>"
