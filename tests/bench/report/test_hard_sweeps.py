"""Sweeps of which little is known: each has a page, it says so in words, and claims nothing that nobody found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halfscan.bench.claims.types import ClaimSpec
from halfscan.bench.cli import main
from halfscan.bench.closing import close_sweep
from halfscan.bench.rows import Row, write_rows
from halfscan.bench.tracking import ROWS

from ..claims.test_judge import CANDIDATE, CLAIM, ENDPOINT, QUALITY, arm, baseline, spread
from .reading import Page, differences, kept, mean_and_half, natural, score_text
from .sweeps import HELIUM, NMSE, PSNR, SSIM, Sweep, closed_sweep, planted_sweep

VENDORS = replace(QUALITY, reference={"model": "sense"}, candidate={"model": "unet"})


def _pair(patients: int = 24, mean: float = 0.0, **changes: Any) -> dict[str, list[Row]]:
    """SENSE and a network; changes go to both."""
    level = baseline(patients)
    candidate = {**CANDIDATE, **changes}
    return {"sense": arm(level.tolist(), **changes), "unet": arm((level + spread(patients, mean)).tolist(), candidate)}


def _whole(page: Page) -> Page:
    """What must hold of every page: all sections, no bare Python, no picture from elsewhere."""
    assert len(page.root.one("main").all("section")) == 11
    assert not {"None", "nan", "inf", "[]", "{}"} & set(page.root.text.replace(",", " ").split())
    assert page.charts() is not None
    assert page.root.one("h1").text
    return page


# Little has finished ---------------------------------------------------------------------------------------------------


def test_nothing_has_finished(here: Path) -> None:
    page = _whole(closed_sweep({}, [], here, failed=("sense", "unet"), sweep_id="nothing").page)
    assert page.root.one("h1").text == "A sweep of which no cell has finished"
    assert "0 of 2 cells finished." in page.root.one("header").text
    for section, said in {
        "verdict": "No cell of this sweep has finished: nothing is known.",
        "trade-off": "No cell of this sweep has finished, so there is nothing to compare.",
        "pictures": "No pictures: no cell has a score to choose patients by.",
        "cells": "No cell of this sweep has finished.",
        "assumed": "Nothing, since nothing has finished.",
        "provenance": "No cell has finished, so no data were seen.",
        "methods": "No cell of this sweep has finished: there is nothing to describe.",
    }.items():
        assert said in page.section(section).text
    for name in ("sense", "unet"):
        assert page.said("not-measured", f"cell model={name}") == ["its run failed"]
    assert page.charts() == []
    assert page.root.one("head").one("title").text == "Halfscan sweep nothing: no verdict"


def test_nothing_has_finished_and_claims_wait(here: Path) -> None:
    """What needs no rows is judged all the same."""
    page = _whole(closed_sweep({}, [VENDORS, HELIUM], here, failed=("sense",), sweep_id="waiting").page)
    said = page.section("verdict").text
    assert (
        "Claim half_time was registered and is not judged: reference arm (model=sense) is missing: the sweep holds no rows"
        in said
    )
    assert page.claim("helium").one("h3").text == "Not supported: can't be tested here"
    assert "Supported" not in said.replace("Not supported", "")


def test_a_cell_that_never_started_is_named(here: Path) -> None:
    _, manifest = planted_sweep(_pair(), [], here, sweep_id="lost")
    manifest = replace(
        manifest, cells=(*manifest.cells, replace(manifest.cells[0], key="lost-never", overrides=("model=never",)))
    )
    manifest.write()
    close_sweep(manifest)
    page = _whole(kept(here, manifest.parent_run).page)
    assert page.said("not-measured", "cell model=never") == ["it never started"]
    assert "2 of 3 cells finished." in page.root.one("header").text


# Claims that are not judged --------------------------------------------------------------------------------------------


def _refusal(capsys: pytest.CaptureFixture[str], sweep: str) -> str:
    """Of the judge, on the command line."""
    capsys.readouterr()
    assert main(["verify", sweep]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said.removeprefix("halfscan: ").strip()


def _refused() -> dict[str, tuple[Mapping[str, Sequence[Row]], ClaimSpec, str]]:
    """Sweeps whose one claim the judge refuses: rows, claim, and the beginning of the reason."""
    pair, level = _pair(), baseline(24)
    seeds = {f"unet{seed}": [replace(row, train_seed=seed) for row in pair["unet"]] for seed in range(2)}
    full = [replace(row, lines_sampled=row.lines_acquired) for row in pair["sense"]]
    rss = [replace(row, combination="rss") for row in pair["unet"]]
    ratio = replace(ENDPOINT, scale="log_ratio")
    ladder = replace(VENDORS, candidate={"model": "unet"}, ladder=(2.0, 4.0))
    return {
        "missing": ({"sense": pair["sense"]}, VENDORS, "candidate arm (model=unet) is missing: the sweep holds model=sense"),
        "column": (pair, replace(VENDORS, candidate={"vendor": "a"}), "candidate arm: rows have no column 'vendor'"),
        "mixed": (
            {**pair, "twice": arm(level, CANDIDATE, sampling="random")},
            VENDORS,
            "candidate arm (model=unet) mixes sampling=",
        ),
        "step": (pair, ladder, "candidate arm (model=unet, nominal_acceleration=2.0) is missing"),
        "patients": ({**pair, "unet": pair["unet"][1:]}, VENDORS, "the arms do not share their patients"),
        "seeds": (
            {"sense": pair["sense"], **seeds},
            VENDORS,
            "claim half_time: one checkpoint is its scope; the candidate arm has 2",
        ),
        "combined": ({**pair, "unet": rss}, VENDORS, "candidate arm: its images are combined over coils as rss"),
        "ceiling": ({**pair, "sense": full}, VENDORS, "reference arm: fully sampled, it is scored against itself"),
        "ratio": ({**pair, "sense": arm([0.0] * 24)}, replace(VENDORS, endpoints=(ratio,)), f"{SSIM}: a ratio of "),
    }


@pytest.mark.parametrize("kind", _refused())
def test_a_claim_that_is_not_judged_says_why_as_the_judge_does(kind: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, claim, reason = _refused()[kind]
    sweep = closed_sweep(rows, [claim], here, sweep_id=f"no-{kind}")
    why = sweep.closed.record.unjudged["half_time"]
    assert why.startswith(reason)
    assert why == _refusal(capsys, f"no-{kind}")
    page = _whole(sweep.page)
    assert page.section("verdict").all("article") == []
    assert f"Claim half_time was registered and is not judged: {why}" in page.section("verdict").text
    assert "No claim is judged: nothing is proven here." in page.section("verdict").text
    assert page.said("not-measured", "claim half_time") == [why]
    assert "No claim on image quality is judged here" in page.section("patients").text


def test_a_claim_whose_arm_is_missing_takes_no_other_with_it(here: Path) -> None:
    claims = [replace(VENDORS, claim_id="lacks", candidate={"model": "net"}), VENDORS, HELIUM]
    sweep = closed_sweep(_pair(), claims, here, failed=("net",), sweep_id="lacking")
    page = _whole(sweep.page)
    assert [one.one("footer").text.split(":")[0] for one in page.section("verdict").all("article")] == [
        "Claim half_time",
        "Claim helium",
    ]
    assert "Claim lacks was registered and is not judged: candidate arm (model=net) is missing" in page.section("verdict").text
    assert page.root.one("head").one("title").text == "Halfscan sweep lacking: half_time supported; helium not testable"


def test_a_registered_claim_that_nobody_has_judged_yet(here: Path) -> None:
    """A sweep that was closed before there were verdicts, say."""
    sweep = closed_sweep(_pair(), [VENDORS], here, sweep_id="unjudged")
    shutil.rmtree(sweep.kept.folder / "verdicts")
    page = _reported("unjudged")
    assert "Claim half_time was registered and is not judged: it was not judged yet: run `halfscan verify`" in page.root.text


def _reported(name: str) -> Page:
    assert main(["report", name, "--out", f"{name}.html"]) == 0
    return _whole(Page(Path(f"{name}.html").read_text("utf-8")))


@pytest.mark.parametrize(
    ("kept_rows", "why"),
    [
        (0, "candidate arm (model=unet) is missing: the sweep holds model=net; model=sense"),
        (23, "the arms do not share their patients: 1 volumes stand in one of them only"),
    ],
)
def test_a_verdict_whose_rows_are_gone_is_no_verdict(kept_rows: int, why: str, here: Path) -> None:
    """The sweep was closed again without a cell, or a patient: what was judged before rests on rows that nobody has any more."""
    claims = [VENDORS, replace(VENDORS, claim_id="other", candidate={"model": "net"})]
    rows = {**_pair(), "net": arm(baseline(24).tolist(), CANDIDATE, model="net")}
    _, manifest = planted_sweep(rows, claims, here, sweep_id=f"gone{kept_rows}")
    close_sweep(manifest)
    assert len(kept(here, manifest.parent_run).page.section("verdict").all("article")) == 2
    path = manifest.cell_folder(manifest.cells[1]) / ROWS
    path.unlink()
    if kept_rows:
        write_rows(rows["unet"][:kept_rows], path)
    closed = close_sweep(manifest)
    page = _whole(kept(here, manifest.parent_run).page)
    assert [one.one("footer").text.split(":")[0] for one in page.section("verdict").all("article")] == ["Claim other"]
    assert closed.record.unjudged == {"half_time": f"its verdict is withdrawn: {why}"}
    assert f"Claim half_time was registered and is not judged: its verdict is withdrawn: {why}" in page.section("verdict").text
    tags = kept(here, manifest.parent_run).verdict("half_time")
    assert tags == {"withdrawn": why}
    lost = page.said("not-measured", "cell model=unet")
    assert lost == ([] if kept_rows else ["its run is finished, and its rows were not there when the sweep was closed"])


# Few patients ----------------------------------------------------------------------------------------------------------


def test_one_patient_has_no_interval(here: Path) -> None:
    page = _whole(closed_sweep(_pair(1), [CLAIM], here, pictures=True, sweep_id="single").page)
    line = page.claim("half_time").one("table", kind="endpoints").table()[0]
    assert line[:5] == [SSIM, "not measured", "one patient: no confidence interval", "-0.01", "not testable"]
    assert page.claim("half_time").one("h3").text == "Not supported: not decided"
    assert "1 patients: below 20 nothing is concluded" in page.claim("half_time").text
    assert page.said("not-measured", "confidence intervals") == ["one patient: there is no spread to compute them from"]
    assert [row[6] for row in page.root.one("table", id="all-cells").table()] == [f"{baseline(1)[0]:.3f}"] * 2
    worst = page.section("patients").one("table", kind="worst")
    assert len(worst.table()) == 1
    assert worst.one("caption").text == "The worst 1 of 1"
    said = {group.findtext("title") for group in page.chart("Trade-off").iter("g") if group.find("title") is not None}
    assert said == {f"sense: 1.00 min, {SSIM} 0.900", f"unet: 0.47 min, {SSIM} 0.900"}


def test_few_patients_conclude_nothing(here: Path) -> None:
    page = _whole(closed_sweep(_pair(5), [VENDORS], here, sweep_id="few").page)
    assert page.claim("half_time").attributes["class"] == "verdict inconclusive"
    assert "These patients do not decide it. That is no evidence of equality" in page.claim("half_time").text
    assert len(page.section("patients").one("table", kind="worst").table()) == 5


# No claim, and claims of a kind of their own ---------------------------------------------------------------------------


def test_without_a_claim_nothing_is_proven(here: Path) -> None:
    page = _whole(closed_sweep(_pair(), [], here, sweep_id="claimless").page)
    assert "This sweep was started without a claim, so nothing is proven here" in page.section("verdict").text
    assert page.section("verdict").all("article") == []
    assert "supported" not in page.section("verdict").text.lower()
    assert "No claim on image quality is judged here" in page.section("patients").text
    assert len(page.root.one("table", kind="lowest").table()) == 5
    assert "The claim" not in page.section("methods").text


def test_a_claim_that_no_benchmark_can_test(here: Path) -> None:
    page = _whole(closed_sweep(_pair(), [HELIUM], here, sweep_id="helium").page)
    card = page.claim("helium")
    assert (card.one("h3").text, card.all("li")[0].text) == ("Not supported: can't be tested here", "a datasheet figure")
    assert card.all("table") == card.all("dl") == []
    assert "No claim on image quality is judged here" in page.section("patients").text


def test_a_claim_on_time_alone_has_no_patients_to_compare(here: Path) -> None:
    page = _whole(closed_sweep(_pair(), [replace(CLAIM, endpoints=())], here, sweep_id="time").page)
    assert page.claim("half_time").one("h3").text == "Supported"
    assert page.claim("half_time").all("table") == []
    assert "it claimed a reduction of scan seconds by 50 % against reference; the verdict" in page.section("methods").text


@pytest.mark.parametrize(("mean", "word"), [(0.0, "supported"), (-0.05, "refuted")])
def test_simulated_data_support_nothing(mean: float, word: str, here: Path) -> None:
    changes = {"provenance": "simulated", "evidence": "simulated", "caveat": "a phantom"}
    page = _whole(closed_sweep(_pair(mean=mean, **changes), [VENDORS], here, sweep_id=f"sim-{word[:3]}").page)
    card = page.claim("half_time")
    answer = f"Not supported: demonstration only; the numbers alone say: {word}"
    assert (card.attributes["class"], card.one("h3").text) == ("verdict capped", answer)
    assert "The claim holds" not in page.root.text
    said = page.section("verdict").text
    assert "The k-space of knees is simulated. Demonstration only: simulated data never support a claim on scan time." in said
    assert "Of knees: a phantom." in said
    assert page.root.one("head").one("title").text.endswith(f"half_time demonstration only; the numbers alone say: {word}")


def test_cells_that_were_known_before_cap_the_claim(here: Path) -> None:
    page = _whole(closed_sweep(_pair(), [VENDORS], here, known_before=2, sweep_id="known").page)
    assert page.claim("half_time").one("h3").text == "Not supported: exploratory only; the numbers alone say: supported"
    assert "2 cells had been reconstructed or measured before the sweep was started" in page.claim("half_time").text


def test_a_metric_that_is_null_is_not_measured_and_says_why(here: Path) -> None:
    """In one volume of one cell, and in all of another; the other metrics are as they are."""
    rows = _pair()
    some = {SSIM: list(baseline(24)), PSNR: [None, *[30.0] * 23]}
    rows["unet"] = [
        replace(row, reasons={PSNR: "the peak is zero"} if index == 0 else {}) for index, row in enumerate(arm(some, CANDIDATE))
    ]
    none = arm({SSIM: list(baseline(24)), NMSE: [None] * 24}, CANDIDATE, model="net")
    rows["net"] = [replace(row, reasons={NMSE: "the image is empty"}) for row in none]
    page = _whole(closed_sweep(rows, [], here, sweep_id="null").page)
    assert page.said("not-measured", PSNR) == ["the peak is zero"]
    assert page.said("not-measured", NMSE) == ["the image is empty"]
    table = {row[0]: row[6:9] for row in page.root.one("table", id="all-cells").table()}
    assert {name: values[1:] for name, values in table.items()} == {"sense": ["–"] * 2, "unet": ["–"] * 2, "net": ["–"] * 2}
    assert table["net"][0] == "0.900 ±0.008"
    trade_offs = [chart for chart in page.charts() if chart.attrib["aria-label"].startswith("Trade-off")]
    assert len(trade_offs) == 1, "no chart of a metric that no cell has"


# Claims that come later ------------------------------------------------------------------------------------------------


LATE = [
    "claim=[half_time]",
    "claims.half_time.reference={model: sense, nominal_acceleration: 2.0}",
    "claims.half_time.candidate={model: unet, nominal_acceleration: 4.0}",
]


def test_a_claim_that_is_judged_later_is_on_the_store_s_page(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says that it is exploratory, and those that were registered stand before it."""
    level = baseline(40)
    scores = {SSIM: level, PSNR: 20 + 10 * level}
    rows = {"sense": arm(scores), "unet": arm(scores, CANDIDATE)}
    registered = replace(VENDORS, claim_id="zzz")
    sweep = closed_sweep(rows, [registered], here, sweep_id="later")
    before = sweep.page
    capsys.readouterr()
    assert main(["verify", "later", "--json", *LATE]) == 0
    verdict = json.loads(capsys.readouterr().out)[0]
    page = _whole(sweep.page)
    assert [one.one("footer").text.split(":")[0] for one in page.section("verdict").all("article")] == [
        "Claim zzz",
        "Claim half_time",
    ]
    card = page.claim("half_time")
    assert card.attributes["class"] == "verdict capped"
    assert card.one("h3").text == "Not supported: exploratory only; the numbers alone say: supported"
    assert "exploratory: the sweep was not started with this claim, so it can't support it" in card.text
    assert "Registered: no; the sweep was not started with this claim." in card.text
    assert page.claim("zzz").text == before.claim("zzz").text
    assert verdict["words"] in page.root.one("head").one("title").text
    assert "The claim half_time was stated after the sweep had started" in page.section("methods").text
    assert page.html == _reported("later").html


def test_a_first_claim_that_comes_later(here: Path) -> None:
    level = baseline(24)
    scores = {SSIM: level, PSNR: 20 + 10 * level}
    sweep = closed_sweep({"sense": arm(scores), "unet": arm(scores, CANDIDATE)}, [], here, sweep_id="first-late")
    assert main(["verify", "first-late", *LATE]) == 0
    page = _whole(sweep.page)
    assert page.claim("half_time").attributes["class"] == "verdict capped"
    assert "started without a claim" not in page.section("verdict").text
    assert len(page.section("patients").all("table", kind="worst")) == 2


# Many seeds, data sets and volumes -------------------------------------------------------------------------------------


def _seeds(count: int = 5) -> dict[str, list[Row]]:
    level, rng = baseline(24), np.random.default_rng(3)
    cells = {"sense": arm(level.tolist())}
    for seed in range(count):
        scores = level + spread(24, 0.002 * (seed - 2), 0.004)[rng.permutation(24)]
        cells[f"unet{seed}"] = arm(scores.tolist(), CANDIDATE, train_seed=seed)
    return cells


def test_a_claim_on_a_method_over_five_trainings(here: Path) -> None:
    cells = _seeds()
    swept = {name: {"model": rows[0].model, "model.train_seed": str(rows[0].train_seed)} for name, rows in cells.items()}
    claim = replace(VENDORS, scope="method")
    sweep = closed_sweep(cells, [claim], here, swept=swept, sweep_id="method")
    page, rows = _whole(sweep.page), sweep.kept.cells
    facts = dict(page.claim("half_time").facts())
    assert "scope: method" in facts["Evidence"]
    assert sweep.kept.verdict("half_time")["seeds"] == 5
    by_seed = [differences(rows["method-sense"], rows[f"method-unet{seed}"], SSIM) for seed in range(5)]
    means = {patient: float(np.mean([one[patient] for one in by_seed])) for patient in by_seed[0]}
    ranked = sorted(means, key=lambda patient: (means[patient], patient))
    table = page.section("patients").one("table", kind="worst").table()
    assert [line[0] for line in table] == ranked[:5]
    assert [line[4] for line in table] == [natural(means[patient]) for patient in ranked[:5]]
    line = page.claim("half_time").one("table", kind="endpoints").table()[0]
    assert line[1] == natural(np.mean(list(means.values())))
    low, high = sweep.kept.verdict("half_time")["endpoints"][0]["ci95"]
    half = mean_and_half(list(means.values()))[1]
    assert high - low > 2 * half, "the seeds widen the interval"
    assert line[2] == f"{natural(low)} to {natural(high)}"
    cells_shown = [row[0] for row in page.root.one("table", id="all-cells").table()]
    assert cells_shown == ["sense train_seed=None", *(f"unet train_seed={seed}" for seed in range(5))]
    assert "(networks with training seeds 0, 1, 2, 3, 4)" in page.section("methods").text


def test_two_data_sets_have_a_chart_each(here: Path) -> None:
    """Of their own protocol; a claim's margin is drawn where its arms lie."""
    knees = _pair()
    brains = {
        f"b-{name}": [
            replace(
                row,
                dataset="brains",
                protocol="tse_brain",
                clinical="GRAPPA R=3",
                patient=f"b{row.patient}",
                metrics={SSIM: 0.95},
            )
            for row in rows
        ]
        for name, rows in _pair(12).items()
    }
    claim = replace(VENDORS, reference={"model": "sense", "dataset": "knees"}, candidate={"model": "unet", "dataset": "knees"})
    swept = {
        name: {"model": name[-5:].strip("b-"), "dataset": "brains" if name[0] == "b" else "knees"} for name in (*knees, *brains)
    }
    sweep = closed_sweep({**knees, **brains}, [claim], here, swept=swept, sweep_id="two-sets")
    page = _whole(sweep.page)
    facets = page.section("trade-off").all("div", kind="facet")
    assert [facet.one("h3").text for facet in facets] == ["knees, protocol tse_knee", "brains, protocol tse_brain"]
    limits = [len([line for line in facet.all("line") if line.attributes.get("class") == "limit"]) for facet in facets]
    assert limits == [1, 0]
    assert page.root.one("h1").text == "sense, unet on knees, brains"
    assert page.said("provenance", "brains")[0] == "measured; comparison retrospective; 12 patients, 12 volumes, 8 coils, 3 T"
    assert "24 patients, 24 volumes" in page.said("provenance", "knees")[0]
    assert page.claim("half_time").one("h3").text == "Supported"
    table = page.root.one("table", id="all-cells")
    assert [row[6] for row in table.table()] == [score_text(rows, SSIM) for rows in sweep.kept.cells.values()]
    heads = [one.text for one in table.one("thead").all("th")]
    assert heads[5] == "vs SENSE R=2 or GRAPPA R=3", "one column must not name one clinical protocol for all"
    assert "against full sampling and SENSE R=2 or GRAPPA R=3." in page.section("methods").text


def test_the_same_scan_is_neither_shorter_nor_longer(here: Path) -> None:
    """And a longer one is longer."""
    rows = _pair(scan_s=60.0, scan_low_s=59.0, scan_high_s=62.0)
    page = _whole(closed_sweep(rows, [VENDORS], here, sweep_id="same").page)
    assert "The candidate's scan takes 60.0 s instead of 60.0 s (reference): the same." in page.claim("half_time").text
    rows["unet"] = [replace(row, scan_s=179.7, scan_low_s=179.0, scan_high_s=181.0) for row in rows["unet"]]
    page = _whole(closed_sweep(rows, [VENDORS], here, sweep_id="longer").page)
    said = "The candidate's scan takes 3 min 0 s instead of 60.0 s (reference): 199.5 % longer."
    assert said in page.claim("half_time").text


def test_more_models_than_colours(here: Path) -> None:
    level = baseline(5)
    names = [f"m{number}" for number in range(19)]
    rows = {name: arm((level - 0.001 * number).tolist(), model=name) for number, name in enumerate(names)}
    page = _whole(closed_sweep(rows, [], here, sweep_id="many").page)
    assert page.root.one("h1").text == "m0, m1, m2, m3 and 15 more on knees"
    legend = page.section("trade-off").one("fieldset", kind="legend").all("label")
    assert [one.text for one in legend] == names
    marks = {(one.attributes["class"], one.one("path").attributes["d"]) for one in legend}
    assert len(marks) == 19


def test_patients_with_many_volumes_stay_short(here: Path) -> None:
    rows = {
        name: [replace(row, patient="p", volume=f"v{index}") for index, row in enumerate(some)] for name, some in _pair(7).items()
    }
    page = _whole(closed_sweep(rows, [VENDORS], here, sweep_id="volumes").page)
    (line,) = page.section("patients").one("table", kind="worst").table()
    assert line[:2] == ["p", "v0, v1, v2, v3 and 3 more"]
    assert page.said("provenance", "knees")[0].startswith("measured; comparison retrospective; 1 patients, 7 volumes")


def test_a_sweep_can_be_closed_twice(here: Path) -> None:
    store, manifest = planted_sweep(_pair(), [VENDORS], here, pictures=True, sweep_id="twice")
    first = Sweep(work=here, store=store, manifest=manifest, closed=close_sweep(manifest)).page.html
    assert Sweep(work=here, store=store, manifest=manifest, closed=close_sweep(manifest)).page.html == first
