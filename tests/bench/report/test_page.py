"""Every number on the page is that of verdict.json and of the Parquet rows, to the digits shown, and the verdict comes first."""

from __future__ import annotations

import base64
import hashlib
import math
import re

import numpy as np
import pytest
from scipy import stats

from .reading import Page, Rows, by_patient, change, differences, mean_and_half, natural, places, score_text
from .sweeps import CLAIMS, NMSE, PATIENTS, PSNR, SSIM, SWEPT, VOLUMES, Sweep

ARMS = {
    "largest": ("sense2", "unet4"),
    "half_time": ("sense2", "unet4"),
    "better": ("sense2", "unet4"),
    "other": ("sense2", "net4"),
}
"""Claim → cells of its reference and its candidate, of the ladder at its last step that holds."""
SPECS = {claim.claim_id: claim for claim in CLAIMS}
ALPHA = 0.025
ENDPOINTS = [(claim, number) for claim in ARMS for number in range(len(SPECS[claim].endpoints))]


@pytest.fixture(scope="module")
def page(rich: Sweep) -> Page:
    return rich.page


def _arms(rich: Sweep, claim: str) -> tuple[Rows, Rows]:
    reference, candidate = (rich.kept.cells[rich.key(name)] for name in ARMS[claim])
    return reference, candidate


def _paired(rich: Sweep, claim: str, number: int) -> dict[str, float]:
    """Patient → difference on the scale of the test."""
    endpoint = SPECS[claim].endpoints[number]
    reference, candidate = _arms(rich, claim)
    if endpoint.bounded_by is not None:
        best = endpoint.bounded_by
        ours, theirs = by_patient(reference, endpoint.metric), by_patient(candidate, endpoint.metric)
        return {patient: math.log((best - ours[patient]) / (best - theirs[patient])) for patient in ours}
    return differences(reference, candidate, endpoint.metric, endpoint.scale, not endpoint.higher_is_better)


# The verdict -----------------------------------------------------------------------------------------------------------


def test_the_sweep_covers_all_kinds_of_answers(rich: Sweep) -> None:
    """Else the tests below would look at less than they say."""
    words = {claim: rich.kept.verdict(claim)["words"] for claim in SPECS}
    assert words == {
        "largest": "supported",
        "half_time": "inconclusive",
        "better": "refuted",
        "other": "not testable",
        "helium": "not testable",
    }


def test_the_verdicts_come_first_and_in_the_order_of_the_claims(page: Page, rich: Sweep) -> None:
    sections = [one.attributes["id"] for one in page.root.one("main").all("section")]
    assert sections[:4] == ["verdict", "trade-off", "patients", "pictures"]
    assert [link.attributes["href"] for link in page.root.one("nav").all("a")] == [f"#{name}" for name in sections]
    cards = page.section("verdict").all("article")
    assert [card.one("footer").text.partition(":")[0] for card in cards] == [f"Claim {name}" for name in SPECS]
    said = "; ".join(f"{name} {rich.kept.verdict(name)['words']}" for name in SPECS)
    assert page.root.one("head").one("title").text == f"Halfscan sweep rich: {said}"
    assert page.root.one("h1").text == "sense, unet, net on knees"
    assert "5 of 5 cells finished." in page.root.one("header").text


@pytest.mark.parametrize(
    ("claim", "kind", "answer"),
    [
        ("largest", "supported", "Supported"),
        ("half_time", "inconclusive", "Not supported: not decided"),
        ("better", "refuted", "Not supported: refuted"),
        ("other", "not_testable", "Not supported: can't be tested here"),
        ("helium", "not_testable", "Not supported: can't be tested here"),
    ],
)
def test_a_card_answers_and_says_why(claim: str, kind: str, answer: str, page: Page, rich: Sweep) -> None:
    card, verdict = page.claim(claim), rich.kept.verdict(claim)
    assert (card.attributes["class"], card.one("h3").text) == (f"verdict {kind}", answer)
    assert card.one("blockquote").text.startswith(SPECS[claim].statement)
    assert card.one("footer").text == f"Claim {claim}: {SPECS[claim].source}"
    reasons = [item.text for one in card.all("ul") for item in one.all("li")]
    assert reasons == verdict["reasons"]
    assert SPECS[claim].sha256 in card.text
    assert f"with the sweep, {verdict['registered_at']}" in card.text


@pytest.mark.parametrize("claim", ARMS)
def test_a_card_says_what_was_compared(claim: str, page: Page, rich: Sweep) -> None:
    facts, verdict = dict(page.claim(claim).facts()), rich.kept.verdict(claim)
    for name, rows in zip(("Reference", "Candidate"), _arms(rich, claim), strict=True):
        achieved = float(np.mean([row["acceleration"] for row in rows]))
        model, rate = rows[0]["model"], rows[0]["nominal_acceleration"]
        assert facts[name] == f"{model}, equispaced R={rate:g} (achieved {achieved:.2f}), protocol tse_knee"
    assert facts["Evidence"].startswith(f"retrospective; {PATIENTS} patients; scope: checkpoint; truth: full_kspace, sharing its")
    assert verdict["patients"] == PATIENTS


def _mean(rows: Rows, column: str, contrast: str | None = None) -> float:
    return float(np.mean([row[column] for row in rows if contrast in (None, row["contrast"])]))


def _reduction(rich: Sweep, claim: str, end: str = "", contrast: str | None = None) -> float:
    """Of a claim against its baseline, from the rows."""
    reference, candidate = _arms(rich, claim)
    if SPECS[claim].time_baseline == "full":
        return _mean(candidate, f"reduction_full{end}", contrast)
    return 1 - _mean(candidate, f"scan{end}_s", contrast) / _mean(reference, f"scan{end}_s", contrast)


@pytest.mark.parametrize("claim", ARMS)
def test_the_time_line(claim: str, page: Page, rich: Sweep) -> None:
    reference, candidate = _arms(rich, claim)
    target, baseline = SPECS[claim].time_target, SPECS[claim].time_baseline
    ours = _mean(candidate, "full_s") if baseline == "full" else _mean(reference, "scan_s")
    theirs = _mean(candidate, "scan_s")
    share, ends = _reduction(rich, claim), sorted(_reduction(rich, claim, end) for end in ("", "_low", "_high"))
    said = f"Scan time: {theirs:.1f} s against {ours:.1f} s ({baseline}), {100 * share:.1f} % less, "
    said += f"{100 * ends[0]:.1f} % to {100 * ends[-1]:.1f} % over the timing assumptions"
    said += "" if target is None else f"; claimed: {100 * target:.1f} % (met)"
    parts = [f"{name}: {100 * _reduction(rich, claim, contrast=name):.1f} %" for name in ("PD", "PDFS")]
    assert dict(page.claim(claim).facts())["Time"] == f"{said}; by contrast {', '.join(parts)}."
    plain = f"The candidate's scan takes {_clock(theirs)} instead of {_clock(ours)} ({baseline}): {100 * share:.1f} % shorter."
    # The mean of the volumes' reductions is not the reduction of the mean seconds, and the page says which it is.
    of_means = abs(share - (1 - theirs / ours)) < 5e-4
    assert page.claim(claim).all("p")[0].text.startswith(plain if of_means else f"{plain[:-1]} in the mean of the volumes.")
    assert ends[0] < share < ends[-1], "a range that is none would hide a mistake"


def _clock(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else "{} min {} s".format(*divmod(round(seconds), 60))


def test_the_ladder_s_lines(page: Page, rich: Sweep) -> None:
    words = {2: "supported", 4: "supported", 8: "refuted"}
    said = []
    for rate, word in words.items():
        rows = rich.kept.cells[rich.key(f"unet{rate}")]
        said.append(f"R={rate}: {_mean(rows, 'scan_s'):.1f} s, {100 * _mean(rows, 'reduction_full'):.1f} % less: {word}")
    share, low, high = (100 * _reduction(rich, "largest", end) for end in ("", "_low", "_high"))
    said.append(f"Largest reduction that holds: {share:.1f} %, {low:.1f} % to {high:.1f} % over the timing assumptions")
    card = page.claim("largest")
    assert [line.text for line in card.one("ol").all("li")] == said
    assert all(not page.claim(claim).all("ol") for claim in SPECS if claim != "largest")


@pytest.mark.parametrize(("claim", "number"), ENDPOINTS)
def test_the_endpoints(claim: str, number: int, page: Page, rich: Sweep) -> None:
    """The table's line against verdict.json, and that against the rows."""
    endpoint, found = SPECS[claim].endpoints[number], rich.kept.verdict(claim)["endpoints"][number]
    line = page.claim(claim).one("table", kind="endpoints").table()[number]
    bound = endpoint.at_least or -(endpoint.margin or 0.0)
    if endpoint.scale == "log_ratio":
        bound = math.log(endpoint.at_least) if endpoint.at_least else -math.log1p(endpoint.margin or 0.0)
    why = endpoint.margin_rationale or "the improvement that is claimed"
    assert (line[0], line[3], line[7]) == (endpoint.metric, natural(bound, endpoint.scale), why)
    if found["effect"] is None:
        reason = f"{PSNR} is null in 1 of {VOLUMES} volumes of the candidate arm: it was not scored"
        assert line[1:3] + line[4:7] == ["not measured", reason, "not testable", "–", "not looked at"]
        return
    values = np.array(list(_paired(rich, claim, number).values()))
    mean, half = mean_and_half(values.tolist())
    assert found["effect"] == pytest.approx(mean, abs=1e-12)
    assert found["ci95_student"] == pytest.approx([mean - half, mean + half], abs=1e-12)
    lows, highs = zip(found["ci95_student"], found["ci95_bootstrap"], strict=True)
    assert found["ci95"] == [min(lows), max(highs)]
    assert line[1] == natural(mean, endpoint.scale)
    assert line[2] == " to ".join(natural(end, endpoint.scale) for end in found["ci95"])
    assert line[4] == found["result"].replace("noninferior", "not inferior").replace("_", " ")
    assert line[5] == ("–" if endpoint.margin is None else f"{_power(claim, -bound, values):.0%}")
    tail = None if endpoint.tail_margin is None else endpoint.tail_margin
    if tail is not None and endpoint.scale == "log_ratio":
        tail = math.log1p(tail)
    assert line[6] == ("not looked at" if tail is None else f"{(values < -tail).sum()} of {PATIENTS}")


def _power(claim: str, margin: float, values: np.ndarray) -> float:
    """At the margin, had the candidate been equal: of the noncentral t distribution."""
    # Four claims can be tested; a ladder takes its even share of the level.
    alpha = ALPHA / 4 if SPECS[claim].ladder else ALPHA
    patients = len(values)
    shift = margin / values.std(ddof=1) * math.sqrt(patients)
    return float(stats.nct.sf(stats.t.ppf(1 - alpha, patients - 1), patients - 1, shift))


def test_powers_and_tails_differ(page: Page) -> None:
    """Else a table that mixes its lines up would pass."""
    lines = page.claim("half_time").one("table", kind="endpoints").table()
    assert len({line[5] for line in lines}) == len({line[6] for line in lines}) == 2


def test_the_forest_plot_says_the_same(page: Page, rich: Sweep) -> None:
    for claim in ARMS:
        plot = page.claim(claim).one("svg", kind="forest")
        texts = [one.text for one in plot.all("text")]
        for endpoint in rich.kept.verdict(claim)["endpoints"]:
            assert f"{endpoint['metric']}@{endpoint['profile']}" in texts
            if endpoint["effect"] is not None:
                low, high = endpoint["ci95"]
                assert f"{endpoint['effect']:.4g} ({low:.4g} to {high:.4g})" in texts
                assert f"threshold {endpoint['threshold']:.4g}" in texts


# Tables ----------------------------------------------------------------------------------------------------------------


def test_the_table_of_all_cells(page: Page, rich: Sweep) -> None:
    table = page.root.one("table", id="all-cells")
    metrics = [SSIM, NMSE, PSNR]
    heads = [one.text for one in table.one("thead").all("th")]
    units = [f"{metric} [dB]" if metric == PSNR else metric for metric in metrics]
    assert heads == ["cell", "R", "scan s", "range s", "vs full", "vs SENSE R=2", *units, "ms/slice"]
    assert [row.attributes["data-cell"] for row in table.one("tbody").all("tr")] == [rich.key(name) for name in SWEPT]
    for name, line in zip(SWEPT, table.table(), strict=True):
        rows = rich.kept.cells[rich.key(name)]
        assert line == [
            f"{SWEPT[name]['model']} acceleration={SWEPT[name]['sampling.acceleration']}",
            f"{_mean(rows, 'acceleration'):.2f}",
            f"{_mean(rows, 'scan_s'):.1f}",
            f"{_mean(rows, 'scan_low_s'):.1f} to {_mean(rows, 'scan_high_s'):.1f}",
            change(rows, "full"),
            change(rows, "clinical"),
            *(score_text(rows, metric) for metric in metrics),
            f"{1000 * _mean(rows, 'recon_s_per_slice'):.1f}",
        ]


def test_what_the_table_is_sorted_by_is_what_it_shows(page: Page, rich: Sweep) -> None:
    """Numbers, to more digits than are seen; of the interval's column its lower end, of a reduction the change of scan time."""
    for name, row in zip(SWEPT, page.root.one("table", id="all-cells").one("tbody").all("tr"), strict=True):
        rows = rich.kept.cells[rich.key(name)]
        keys = [cell.attributes["data-sort"] for cell in row.all("td")]
        means = [_mean(rows, "acceleration"), _mean(rows, "scan_s"), _mean(rows, "scan_low_s")]
        means += [-_mean(rows, "reduction_full"), -_mean(rows, "reduction_clinical")]
        assert [float(key) for key in keys[:5]] == pytest.approx(means, rel=1e-8)
        for metric, key in zip((SSIM, NMSE, PSNR), keys[5:8], strict=True):
            missing = any(one[metric] is None for one in rows)
            assert missing == (key == "")
            assert missing or float(key) == pytest.approx(np.mean(list(by_patient(rows, metric).values())), rel=1e-8)
        assert float(keys[8]) == pytest.approx(1000 * _mean(rows, "recon_s_per_slice"), rel=1e-8)


@pytest.mark.parametrize(("claim", "number"), [one for one in ENDPOINTS if one != ("other", 1)])
def test_the_worst_five(claim: str, number: int, page: Page, rich: Sweep) -> None:
    """The right patients, in the right order, with their means and differences, and who lies beyond the tail's margin."""
    endpoint, found = SPECS[claim].endpoints[number], _paired(rich, claim, number)
    reference, candidate = _arms(rich, claim)
    ours, theirs = by_patient(reference, endpoint.metric), by_patient(candidate, endpoint.metric)
    tail = endpoint.tail_margin and (math.log1p(endpoint.tail_margin) if endpoint.scale == "log_ratio" else endpoint.tail_margin)
    digits = places(endpoint.metric)
    worst = sorted(found, key=lambda patient: (found[patient], patient))[:5]
    section = page.section("patients")
    table = section.one("table", kind="worst", data_claim=claim, data_metric=endpoint.metric)
    assert table.table() == [
        [
            patient,
            ", ".join(sorted(row["volume"] for row in candidate if row["patient"] == patient)),
            f"{ours[patient]:.{digits}f}",
            f"{theirs[patient]:.{digits}f}",
            natural(found[patient], endpoint.scale),
            "–" if tail is None else "yes" if found[patient] < -tail else "no",
        ]
        for patient in worst
    ]
    assert table.one("caption").text == f"The worst 5 of {PATIENTS}"
    kind = "ratio" if endpoint.scale == "log_ratio" else "difference"
    assert [one.text for one in table.one("thead").all("th")][4] == kind
    article = next(one for one in section.all("article") if table in one.walk())
    beyond = None if tail is None else sum(one < -tail for one in found.values())
    assert (f"{beyond} lie beyond the margin of single patients." in article.text) == (tail is not None)


def test_beyond_the_tail_is_somebody_and_not_everybody(page: Page) -> None:
    table = page.section("patients").one("table", kind="worst", data_claim="half_time", data_metric=SSIM)
    assert {line[5] for line in table.table()} == {"yes", "no"}


def test_the_lowest_volumes_of_any_cell(page: Page, rich: Sweep) -> None:
    scored = []
    for name, swept in SWEPT.items():
        label = f"{swept['model']} acceleration={swept['sampling.acceleration']}"
        scored += [(row[SSIM], label, row["patient"], row["volume"]) for row in rich.kept.cells[rich.key(name)]]
    lowest = [[label, patient, volume, f"{value:.3f}"] for value, label, patient, volume in sorted(scored)[:5]]
    assert page.root.one("table", kind="lowest").table() == lowest
    assert f"The lowest {SSIM} of any volume" in page.section("patients").text


# Words beside the numbers ----------------------------------------------------------------------------------------------


def test_what_is_assumed(page: Page) -> None:
    assert page.said("assumed", "tse_knee: preparation") == ["2 s (1 to 3)"]
    assert page.said("assumed", "tse_knee: TR") == ["3000 ms (header)"]
    assert page.said("assumed", "mask") == ["the last shot is not full"], "of one cell alone"
    assert "noise" in page.said("assumed", "truth")[0]
    for claim in CLAIMS:
        for endpoint in claim.endpoints:
            said = [] if endpoint.margin is None else [f"{endpoint.margin:g}, {endpoint.margin_rationale}"]
            assert page.said("assumed", f"{claim.claim_id}: margin of {endpoint.metric}") == said


def test_what_was_not_measured(page: Page) -> None:
    assert page.said("not-measured", PSNR) == ["it was not scored"]
    assert page.said("not-measured", "energy_j") == ["no counter on this machine"]
    assert page.said("not-measured", f"other: {PSNR}")[0].startswith(f"{PSNR} is null in 1 of {VOLUMES} volumes")
    assert page.said("not-measured", "confidence intervals") == []


def test_where_it_comes_from(page: Page, rich: Sweep) -> None:
    assert page.said("provenance", "knees")[0] == "measured; comparison retrospective; 24 patients, 36 volumes, 8 coils, 3 T"
    assert page.said("versions", "sweep")[0].endswith(f"parent run {rich.manifest.parent_run}")
    assert page.said("versions", "versions") == ["halfscan=0.1.0 torch=2.13.0"]
    for claim in CLAIMS:
        assert page.said("versions", f"SHA-256 of claim {claim.claim_id}") == [claim.sha256]
    digests = {line[0]: line[1:] for line in page.root.all("table")[-1].table()}
    runs = rich.store.children(rich.manifest.parent_run)
    for name, swept in SWEPT.items():
        label = f"{swept['model']} acceleration={swept['sampling.acceleration']}"
        seed = "–" if swept["model"] == "sense" else "0"
        mask = f"mask of R={swept['sampling.acceleration']}."
        assert digests[label] == [runs[rich.key(name)][0], name, mask, seed]


def test_the_methods_name_what_was_done(page: Page, rich: Sweep) -> None:
    said = page.root.one("p", id="methods-text").text
    for words in (
        "Measured k-space of 24 patients (36 volumes, 8 coils) came from the data set knees.",
        "equispaced R = 8 with 24 ACS lines (achieved 7.28)",
        "Images were reconstructed by sense, unet, net (networks with training seed 0) on cpu, 2 threads.",
        "The claim half_time was registered before the sweep started, with unet, equispaced R=4",
        "ssim@mvue (difference, margin 0.01",
        "nmse@mvue (ratio, margin 0.03",
        "ssim@mvue (ratio, at least 1.5",
        "psnr@mvue (difference, at least 0.25",
        "Student's t test and a studentized bootstrap of 10,000 resamples had to agree",
        "Software: halfscan 0.1.0 torch 2.13.0. Sweep rich.",
    ):
        assert words in said
    for claim in ARMS:
        assert f"the verdict was: {rich.kept.verdict(claim)['words']}." in said
    assert "helium" not in said


# The file --------------------------------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_loads_nothing(page: Page) -> None:
    assert page.html.startswith("<!doctype html>")
    script = page.root.one("script")
    digest = base64.b64encode(hashlib.sha256("".join(map(str, script.inside)).encode()).digest()).decode()
    policy = next(one for one in page.root.all("meta") if one.attributes.get("http-equiv") == "Content-Security-Policy")
    assert f"script-src 'sha256-{digest}'" in policy.attributes["content"]
    assert policy.attributes["content"].startswith("default-src 'none'; img-src data:;")
    for element in page.root.walk():
        assert element.attributes.get("src", "data:").startswith("data:")
        assert element.attributes.get("href", "#").startswith("#")
        assert not any(name.startswith("on") or name in ("action", "formaction", "srcset") for name in element.attributes)
    assert set(re.findall(r"url\((.)", page.html)) <= {"#"}
    assert "@import" not in page.html


def test_names_on_the_page_are_its_own(page: Page) -> None:
    names = [one.attributes["id"] for one in page.root.walk() if "id" in one.attributes]
    assert len(set(names)) == len(names)
    used = {one.attributes["href"][1:] for one in page.root.all("a")}
    used |= {one.attributes["aria-labelledby"] for one in page.root.walk() if "aria-labelledby" in one.attributes}
    assert used <= set(names)


def test_nothing_is_shown_as_python_writes_it(page: Page) -> None:
    words = page.root.text.replace(",", " ").split()
    assert not {"None", "nan", "inf", "()", "[]", "{}", "True", "False"} & set(words)


def test_the_page_of_the_sweep_s_folder_is_that_of_the_store(rich: Sweep) -> None:
    """The folder is gone; what was written there is in the store."""
    assert rich.closed.page.name == "report.html"
    assert not rich.closed.page.exists()
    assert (rich.kept.folder / "report.html").exists()
