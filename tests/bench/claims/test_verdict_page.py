"""A verdict for people: every text escaped, nothing loaded from elsewhere, and never `supported` without its cap."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from halfscan.bench.claims.types import ClaimSpec, Endpoint, Verdict
from halfscan.bench.claims.word import Registration
from halfscan.bench.forest import forest_plot
from halfscan.bench.rows import Row
from halfscan.bench.verdict_page import in_words, verdict_page

from .test_judge import (
    CANDIDATE,
    CLAIM,
    ENDPOINT,
    LADDER,
    QUALITY,
    REFERENCE,
    SSIM,
    STARTED,
    arm,
    baseline,
    ladder_rows,
    spread,
    vendor,
    verdict_on,
)

UNREGISTERED = Registration(hashes={}, started=STARTED)
EVIL = "<script>alert('x')</script>&\"<img src=x onerror=alert(1)>"


class _Reader(HTMLParser):
    """Tags, their attributes, and the text that a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def _all_kinds() -> dict[str, Verdict]:
    """One verdict of each kind."""
    null = replace(CLAIM, endpoints=(ENDPOINT, Endpoint(metric="fwhm@qa", margin=1.0, margin_rationale="-")))
    guarded = replace(CLAIM, endpoints=(replace(ENDPOINT, tail_margin=0.03, tail_required=0.9),))
    ratio = replace(CLAIM, endpoints=(Endpoint(metric=SSIM, at_least=2.0, scale="log_ratio", bounded_by=1.0),))
    helium = replace(QUALITY, endpoints=(), reference={}, candidate={}, untestable="a datasheet figure")
    simulated = [replace(row, provenance="simulated", evidence="simulated", caveat="a phantom") for row in vendor(spread(40))]
    return {
        "supported": verdict_on(vendor(spread(40))),
        "refuted": verdict_on(vendor(spread(40, -0.05))),
        "few": verdict_on(vendor(spread(4))),
        "one": verdict_on(vendor(spread(1))),
        "null": verdict_on(vendor(spread(40)), null),
        "tail": verdict_on(vendor(spread(30)), guarded),
        "ratio": verdict_on(vendor(spread(40)), ratio),
        "untestable": verdict_on([], helium),
        "exploratory": verdict_on(vendor(spread(40)), CLAIM, UNREGISTERED),
        "demonstration": verdict_on(simulated),
        "capped_refuted": verdict_on(vendor(spread(40, -0.05)), CLAIM, UNREGISTERED),
        "ladder": verdict_on(ladder_rows(0.0, 0.0, -0.05), LADDER),
        "no_ladder": verdict_on(ladder_rows(-0.05, 0.0, 0.0), LADDER),
        "capped_ladder": verdict_on(ladder_rows(0.0, 0.0, -0.05), LADDER, UNREGISTERED),
        "time_alone": verdict_on(vendor(spread(40)), replace(CLAIM, endpoints=())),
    }


KINDS = _all_kinds()


# Escaping --------------------------------------------------------------------------------------------------------------


def _evil() -> tuple[list[Row], ClaimSpec]:
    """Rows and a claim whose every text tries to break out."""
    level = baseline(40)
    metrics = [f"{EVIL}@mvue", f"null{EVIL}@qa"]
    reasons = {metrics[1]: f"because {EVIL}"}
    texts = dict.fromkeys(("sampling", "protocol", "dataset", "truth_source"), f"t{EVIL}")
    rows = []
    for side, difference, model in ((REFERENCE, 0.0, f"ref{EVIL}"), (CANDIDATE, spread(40), f"cand{EVIL}")):
        scores = {metrics[0]: (level + difference).tolist(), metrics[1]: [None] * 40}
        found = arm(scores, side, **{**texts, "model": model, "caveat": f"caveat{EVIL}"})
        rows += [replace(row, reasons=reasons, contrast=f"{index % 2}{EVIL}") for index, row in enumerate(found)]
    claim = replace(
        CLAIM,
        statement=f"statement{EVIL}",
        source=f"source{EVIL}",
        reference={"model": f"ref{EVIL}"},
        candidate={"model": f"cand{EVIL}"},
        endpoints=tuple(replace(ENDPOINT, metric=metric, margin_rationale=f"why{EVIL}") for metric in metrics),
    )
    return rows, claim


def test_every_text_in_the_page_is_escaped() -> None:
    """Claim, source, arms, truth, contrasts, reasons, rationales and caveats: shown, and not run."""
    rows, claim = _evil()
    verdict = replace(verdict_on(rows, claim), evidence=f"evidence{EVIL}", registered_at=f"then{EVIL}")
    page = verdict_page(verdict)
    reader = _Reader(page)
    assert "<script" not in page
    assert "<img" not in page
    assert not {"script", "img", "iframe", "link", "object", "embed"} & set(reader.tags)
    for beginning in ("statement", "source", "ref", "cand", "t", "caveat", "because ", "why", "1", "evidence", "then"):
        assert f"{beginning}{EVIL}" in reader.text, beginning


def test_an_untestable_claim_s_reason_is_escaped() -> None:
    claim = replace(QUALITY, endpoints=(), reference={}, candidate={}, untestable=f"since {EVIL}", statement=EVIL, source=EVIL)
    page = verdict_page(verdict_on([], claim))
    assert "<script" not in page
    assert f"since {EVIL}" in _Reader(page).text


def test_a_ladder_s_reasons_are_escaped() -> None:
    rows = [replace(row, metrics={f"{EVIL}@mvue": row.metrics[SSIM]}) for row in ladder_rows(-0.05, 0.0, 0.0)]
    claim = replace(LADDER, endpoints=(replace(ENDPOINT, metric=f"{EVIL}@mvue"),))
    page = verdict_page(verdict_on(rows, claim))
    assert "<script" not in page
    assert "Largest reduction that holds: none" in _Reader(page).text


def test_the_forest_plot_is_escaped_svg() -> None:
    rows, claim = _evil()
    plot = forest_plot(verdict_on(rows, claim).endpoints)
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(plot).iter()}
    assert tags == {"svg", "title", "rect", "text", "line", "circle"}
    texts = [element.text or "" for element in ElementTree.fromstring(plot).iter()]
    assert f"{EVIL}@mvue" in texts


# Shape -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_whole_and_loads_nothing(kind: str) -> None:
    page = verdict_page(KINDS[kind])
    reader = _Reader(page)
    assert page.startswith("<!doctype html>")
    names = {name for name, _ in reader.attributes}
    assert not {"src", "href", "action", "onload", "onerror", "xlink:href"} & names
    assert "url(" not in page
    assert "@import" not in page
    assert "None" not in reader.text
    assert "nan" not in reader.text.split()
    assert KINDS[kind].claim_sha256 in reader.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_forest_plot_is_well_formed_and_within_its_frame(kind: str) -> None:
    root = ElementTree.fromstring(forest_plot(KINDS[kind].endpoints))
    width = float(root.attrib["width"])
    height = float(root.attrib["viewBox"].split()[3])
    for element in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(element.attrib.get(name, 0)) <= width
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(element.attrib.get(name, 0)) <= height
    assert len([1 for element in root.iter() if element.tag.endswith("circle")]) == sum(
        endpoint.effect.value is not None for endpoint in KINDS[kind].endpoints
    )


@pytest.mark.parametrize("kind", KINDS)
def test_page_and_words_say_the_same(kind: str) -> None:
    verdict = KINDS[kind]
    lines, text = in_words(verdict), " ".join(_Reader(verdict_page(verdict)).text.split())
    assert lines[1] == f"Verdict: {verdict.words}"
    assert verdict.words in text
    for reason in verdict.reasons:
        assert f"  because {reason}" in lines
        assert reason in text
    assert all("\n" not in line for line in lines)


def test_what_the_words_tell() -> None:
    said = "\n".join(in_words(KINDS["supported"]))
    assert "Scan time: 28.0 s against 60.0 s (reference), 53.3 % less, 51.6 % to 54.2 % over the timing assumptions" in said
    assert "claimed: 50.0 % (met)." in said
    assert re.search(r"ssim@mvue: .* must lie above -0.01: not inferior\.", said)
    assert f"Registered: with the sweep, {STARTED} (the store's owner could edit that)." in said
    assert "×2.000: not met" in "\n".join(in_words(KINDS["ratio"]))
    assert "Registered: no" in "\n".join(in_words(KINDS["exploratory"]))
    assert "0 of 30 patients beyond the tail margin" in "\n".join(in_words(KINDS["tail"]))
    assert "fwhm@qa: not testable (fwhm@qa is null in 40 of 40 volumes" in "\n".join(in_words(KINDS["null"]))
    assert "Data: a phantom." in in_words(KINDS["demonstration"])
    assert in_words(KINDS["untestable"])[1:3] == ["Verdict: not testable", "  because a datasheet figure"]


def test_a_ladder_in_words() -> None:
    said = "\n".join(in_words(KINDS["ladder"]))
    assert "R=2: 60.0 s, 0.0 % less: supported" in said
    assert "R=8: 15.0 s, 75.0 % less: refuted" in said
    assert "Largest reduction that holds: 50.0 %, " in said
    assert "Largest reduction that holds: none (ssim@mvue" in "\n".join(in_words(KINDS["no_ladder"]))
    assert "Largest reduction that holds (exploratory only): 50.0 %" in "\n".join(in_words(KINDS["capped_ladder"]))


# Caps ------------------------------------------------------------------------------------------------------------------


def _bare(text: str) -> list[str]:
    """Sentences with the word `supported` that do not name their cap."""
    return [line for line in text.splitlines() if "supported" in line and not re.search("(exploratory|demonstration) only", line)]


@pytest.mark.parametrize("kind", ["exploratory", "demonstration"])
def test_under_a_cap_supported_never_stands_bare(kind: str) -> None:
    verdict = KINDS[kind]
    assert verdict.uncapped == "supported"
    page = verdict_page(verdict)
    assert _bare("\n".join(in_words(verdict))) == []
    assert _bare(_Reader(page).text) == []
    assert "numbers alone say: supported" in _Reader(page).text, "and yet it is visible"
    assert 'class="verdict capped"' in page
    assert f"<title>Claim half_time: {kind} only; the numbers alone say: supported</title>" in unescape(page)


def test_a_supported_claim_without_a_cap_says_so() -> None:
    page = verdict_page(KINDS["supported"])
    assert 'class="verdict supported"><strong>supported</strong>' in page
    assert "exploratory" not in page
    assert "demonstration" not in page


@pytest.mark.parametrize(
    "write", [lambda verdict: "\n".join(in_words(verdict)), lambda verdict: _Reader(verdict_page(verdict)).text]
)
def test_under_a_cap_no_step_of_a_ladder_stands_bare(write: Any) -> None:
    assert KINDS["capped_ladder"].cap == "exploratory"
    assert _bare(write(KINDS["capped_ladder"])) == []


@pytest.mark.parametrize("kind", ["exploratory", "demonstration"])
def test_under_a_cap_the_page_does_not_say_that_the_claim_holds(kind: str) -> None:
    assert "The claim holds on these patients" not in _Reader(verdict_page(KINDS[kind])).text
