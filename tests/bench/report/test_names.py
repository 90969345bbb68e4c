"""Names, claims and reasons are text on the page and in MLflow's notes, whatever they are called, and no part of a path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from halfscan.bench.claims.types import ClaimSpec
from halfscan.bench.cli import main
from halfscan.bench.rows import Row

from ..claims.test_judge import CANDIDATE, ENDPOINT, QUALITY, REFERENCE, arm, baseline, spread
from .reading import VOID, Element, Page
from .sweeps import SSIM, Sweep, closed_sweep, working_in

SCRIPT, IMAGE, PATH = "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "../../x"
NUL = "null@mvue"
KNOWN = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "article", "footer", "div", "span"),
    *("h1", "h2", "h3", "h4", "p", "ul", "ol", "li", "a", "dl", "dt", "dd", "blockquote", "code", "details", "summary", "figure"),
    *(
        "figcaption",
        "img",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "label",
        "input",
        "select",
        "button",
        "fieldset",
    ),
    *("legend", "script", "svg", "g", "rect", "line", "circle", "path", "polyline", "text", "filter", "br"),
    *("fecomponenttransfer", "fefuncr", "fefuncg", "fefuncb"),
}
"""Elements that the page is made of."""


def _rows() -> dict[str, list[Row]]:
    """Whatever may come from a data set, a model or a configuration tries to break out."""
    level, differ = baseline(24), spread(24)
    texts: dict[str, Any] = {
        "dataset": f"data {PATH}{SCRIPT}",
        "sampling": f"sampling {IMAGE}",
        "protocol": f"protocol {SCRIPT}",
        "clinical": f"clinical {IMAGE}",
        "caveat": f"caveat {SCRIPT}{IMAGE}",
        "device": f"device {IMAGE}",
        "truth_source": f"truth {SCRIPT}",
        "timing": {f"timing {IMAGE}": f"timed {SCRIPT}"},
        "assumptions": {f"assumption {SCRIPT}": f"assumed {IMAGE}"},
        "warnings": (f"warning {SCRIPT}", f"warning {IMAGE}"),
        "mask_hash": f"{SCRIPT}{IMAGE}",
        "provenance": "simulated",
        "evidence": "simulated",
    }
    found = {}
    for name, side, scores in (("one", REFERENCE, level), ("two", CANDIDATE, level + differ)):
        model = f"model {name} {IMAGE}{PATH}"
        rows = arm({SSIM: scores, NUL: [None] * 24}, side, **{**texts, "model": model})
        found[name] = [
            replace(
                row,
                patient=f"{IMAGE}{row.patient}",
                volume=f"{SCRIPT}{PATH}{row.volume}",
                contrast=f"{int(row.patient[1:]) % 2}{IMAGE}",
                reasons={NUL: f"reason {SCRIPT}{IMAGE}", f"energy_j{IMAGE}": f"other reason {SCRIPT}"},
            )
            for row in rows
        ]
    return found


def _claims(rows: dict[str, list[Row]]) -> list[ClaimSpec]:
    arms = {name: {"model": rows[cell][0].model} for name, cell in (("reference", "one"), ("candidate", "two"))}
    why = {"margin_rationale": f"why {SCRIPT}{IMAGE}"}
    endpoints = (replace(ENDPOINT, tail_margin=0.02, **why), replace(ENDPOINT, metric=NUL, **why))
    texts = {"statement": f"statement {SCRIPT}{IMAGE}", "source": f"source {IMAGE}{SCRIPT}"}
    stated = replace(QUALITY, endpoints=endpoints, **texts, **arms)
    return [
        stated,
        replace(stated, claim_id="lacking", candidate={"model": f"nobody {SCRIPT}{IMAGE}"}),
        replace(stated, claim_id="helium", endpoints=(), reference={}, candidate={}, untestable=f"untestable {SCRIPT}{IMAGE}"),
    ]


@pytest.fixture(scope="module")
def evil(shelf: Path) -> tuple[Sweep, set[Path]]:
    """The sweep, and everything that lay outside its store and its outputs before it was made."""
    work = shelf / "a" / "b" / "work"
    work.mkdir(parents=True)
    (shelf / "mlflow.db").rename(work / "mlflow.db")
    before = set(shelf.rglob("*"))
    rows = _rows()
    # Values with a slash are hashed as paths; these have none.
    swept = {name: {"model": some[0].model, "sampling.evil": f"swept {IMAGE}"} for name, some in rows.items()}
    swept["lost"] = {"model": f"lost {IMAGE}", "sampling.evil": f"lost {IMAGE}"}
    with working_in(work):
        sweep = closed_sweep(rows, _claims(rows), work, swept=swept, pictures=True, failed=("lost",), sweep_id="evil")
        run_id, _ = sweep.store.children(sweep.manifest.parent_run)[sweep.key("one")]
        for tag in ("versions", "device", "git_commit", "dataset_digest"):
            sweep.store.client.set_tag(run_id, f"halfscan.{tag}", f"{tag} {SCRIPT}{IMAGE}")
        assert main(["report", "evil", "--out", "evil.html"]) == 0
    return sweep, before


@pytest.fixture
def page(evil: tuple[Sweep, set[Path]]) -> Page:
    """As `halfscan report` writes it, tags of the runs and all."""
    return Page((evil[0].work / "evil.html").read_text("utf-8"))


def test_no_name_becomes_an_element(page: Page) -> None:
    elements = list(page.root.walk())
    assert {one.tag for one in elements} - {"page"} <= KNOWN
    assert len(page.root.all("script")) == 1
    assert "alert(1)" not in "".join(str(one) for one in page.root.one("script").inside)
    for image in page.root.all("img"):
        assert image.attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
    assert len(page.section("pictures").all("figure")) > 10
    for one in elements:
        assert not any(name.startswith("on") or "<" in name or '"' in name for name in one.attributes), one.attributes
        assert one.tag in VOID or one.tag != "img"


def test_the_policy_is_the_page_s_own(page: Page) -> None:
    metas = [one for one in page.root.all("meta") if "http-equiv" in one.attributes]
    assert len(metas) == 1
    assert page.root.all("base") == page.root.all("link") == page.root.all("iframe") == page.root.all("form") == []


@pytest.mark.parametrize(
    ("section", "texts"),
    [
        ("verdict", ["statement ", "source ", "caveat ", "untestable ", "why ", "reason ", "model one ", "protocol ", "nobody "]),
        ("trade-off", ["model two ", "swept "]),
        ("patients", ["model one ", "swept ", f"{IMAGE}p0", f"{SCRIPT}{PATH}v0"]),
        ("pictures", [f"{IMAGE}p0", f"{SCRIPT}{PATH}v0", "model two "]),
        ("cells", ["model two ", "clinical ", "swept "]),
        ("assumed", ["timing ", "timed ", "assumption ", "assumed ", "warning ", "why ", "protocol "]),
        ("not-measured", ["reason ", "other reason ", "lost ", "nobody "]),
        ("provenance", ["data ", "caveat ", "truth "]),
        ("versions", ["versions ", "device ", "git_commit ", "dataset_digest "]),
        ("methods", ["data ", "caveat ", "sampling ", "protocol ", "clinical ", "model one ", "device ", "truth ", "versions "]),
    ],
)
def test_names_are_shown_as_they_are(section: str, texts: list[str], page: Page) -> None:
    """Text, unchanged: a reader sees the name that somebody gave."""
    said = page.section(section).text
    for beginning in texts:
        _, found, after = said.partition(beginning)
        assert found, beginning
        assert "<script>alert(1)</script>" in after or "onerror=alert(1)>" in after, beginning


def test_names_in_attributes_stay_there(page: Page) -> None:
    labels = [one.attributes["aria-label"] for one in page.root.walk() if "aria-label" in one.attributes]
    assert any(IMAGE in label for label in labels)
    assert any(IMAGE in picture.alt for case in page.pictures() for picture in case)


def test_names_in_charts_are_text(page: Page) -> None:
    tags, said = set(), ""
    for chart in page.charts():
        for element in chart.iter():
            tags.add(element.tag)
            said += element.text or ""
    assert tags == {"svg", "g", "path", "line", "rect", "text", "title", "polyline"}
    assert IMAGE in said
    assert f"patient {IMAGE}p0" in said


def _tree(note: str) -> tuple[set[str], str]:
    """Kinds of a note's tokens, and its text as a reader sees it."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(note)
    inside = [child for token in tokens for child in token.children or ()]
    return {token.type for token in (*tokens, *inside)}, "".join(child.content for child in inside)


def test_names_in_mlflow_s_notes_are_text(evil: tuple[Sweep, set[Path]]) -> None:
    """No HTML, no link and no picture; the parent's as far as this page adds to it, and the cells'."""
    sweep = evil[0]
    parent = sweep.store.client.get_run(sweep.manifest.parent_run).data.tags["mlflow.note.content"]
    runs = sweep.store.describe_children(sweep.manifest.parent_run)
    notes = [parent[parent.index("| cell | R |") :]]
    notes += [runs[sweep.key(name)].tags["mlflow.note.content"] for name in ("one", "two")]
    for note in notes:
        kinds, said = _tree(note)
        assert not kinds & {"html_block", "html_inline", "link_open", "image", "heading_open", "s_open"}
        assert f"model one {IMAGE}{PATH}" in said or f"model two {IMAGE}{PATH}" in said
        assert f"clinical {IMAGE}" in said


def test_no_name_becomes_a_path(evil: tuple[Sweep, set[Path]]) -> None:
    """Nothing is written beside the working directory, and inside it only where files belong."""
    sweep, before = evil
    work = sweep.work
    outside = {path for path in work.parents[2].rglob("*") if work not in path.parents} - before
    assert outside == set()
    known = {"mlflow.db", "mlflow.db.lock", "mlartifacts", "outputs", "evil.html"}
    assert {path.name.removesuffix("-wal").removesuffix("-shm") for path in work.iterdir()} <= known
    names = {path.name for path in work.rglob("*") if path.is_file()}
    assert not any(set(name) & set("<>\"'&=/ ") or name.startswith((".", "x")) for name in names), names


def test_the_page_names_its_title_and_heading_as_text(page: Page) -> None:
    assert page.root.one("h1").text == f"model one {IMAGE}{PATH}, model two {IMAGE}{PATH} on data {PATH}{SCRIPT}"
    title: Element = page.root.one("head").one("title")
    assert title.text == "Halfscan sweep evil: half_time not testable; helium not testable"
