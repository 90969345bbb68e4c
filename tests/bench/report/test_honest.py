"""What a reader could be misled by: verdicts whose rows changed, words for legs that nobody tested, limits in the wrong place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halfscan.bench.closing import close_sweep
from halfscan.bench.files import write_json
from halfscan.bench.rows import write_rows
from halfscan.bench.table import label
from halfscan.bench.tracking import CLAIMS, ROWS

from ..claims.test_judge import CANDIDATE, ENDPOINT, LADDER, QUALITY, SSIM, arm, baseline, spread
from .reading import kept, lines, titled
from .sweeps import closed_sweep, planted_sweep

PATIENTS = 40
LEVEL = baseline(PATIENTS)
NET = replace(QUALITY, candidate={"model": "unet"}, reference={"model": "sense"})


def test_a_verdict_does_not_outlive_its_rows(here: Path) -> None:
    """Supported by one seed; then another is there, worse: one checkpoint is no longer what the claim is about."""
    rows = {
        "sense": arm(LEVEL.tolist()),
        "unet0": arm((LEVEL + spread(PATIENTS)).tolist(), CANDIDATE, train_seed=0),
        "unet1": arm((LEVEL + spread(PATIENTS, -0.05)).tolist(), CANDIDATE, train_seed=1),
    }
    store, manifest = planted_sweep(rows, [NET], here, sweep_id="seeds2")
    late = manifest.cell_folder(manifest.cells[2]) / ROWS
    late.unlink()
    first = close_sweep(manifest)
    assert [one.verdict.verdict for one in first.record.judged] == ["supported"]
    assert store.verdict_tags(manifest.parent_run) == {"half_time": "supported"}
    write_rows(rows["unet1"], late)
    second = close_sweep(manifest)
    assert second.verdicts == []
    why = second.record.unjudged["half_time"]
    assert why.startswith("its verdict is withdrawn: claim half_time: one checkpoint is its scope")
    assert store.verdict_tags(manifest.parent_run)["half_time"].startswith("withdrawn: ")
    page = kept(here, manifest.parent_run).page
    assert page.section("verdict").all("article") == []
    assert "Supported" not in page.section("verdict").text
    from mlflow.tracking import MlflowClient

    run = MlflowClient(tracking_uri=store.uri).get_run(manifest.parent_run)
    assert not [value for name, value in run.data.metrics.items() if np.isfinite(value)]
    assert "supported" not in run.data.tags["mlflow.note.content"]


def test_a_stored_verdict_counts_only_for_the_rows_that_give_it(here: Path) -> None:
    """Whoever edits it: another effect than that of the rows is no verdict of theirs."""
    rows = {"sense": arm(LEVEL.tolist()), "unet": arm((LEVEL - 0.05).tolist(), CANDIDATE)}
    _, manifest = planted_sweep(rows, [NET], here, sweep_id="edited")
    close_sweep(manifest)
    path = kept(here, manifest.parent_run).folder / "verdicts" / "half_time" / "verdict.json"
    path.write_text(path.read_text("utf-8").replace('"effect": -0.05', '"effect": 0.05').replace("refuted", "supported"), "utf-8")
    from halfscan.bench.report.gather import read_record
    from halfscan.bench.tracking import Store, tracking_uri

    record = read_record(Store(tracking_uri(), "halfscan"), manifest.parent_run)
    assert record.judged == []
    assert "judge it again" in record.unjudged["half_time"]


def test_a_registered_claim_is_never_denied(here: Path) -> None:
    """The manifest has its hash although the statement never reached the store."""
    rows = {"sense": arm(LEVEL.tolist()), "unet": arm(LEVEL.tolist(), CANDIDATE)}
    _, manifest = planted_sweep(rows, [NET], here, sweep_id="denied")
    for path in here.glob(f"mlartifacts/{manifest.parent_run}/artifacts/{CLAIMS}"):
        write_json(path, [])
    closed = close_sweep(manifest)
    assert "its statement is not in the store" in closed.record.unjudged["half_time"]
    page = kept(here, manifest.parent_run).page
    assert "started without a claim" not in page.root.text
    assert "Claim half_time was registered and is not judged" in page.root.text


@pytest.mark.parametrize(
    ("changes", "has", "has_not"),
    [
        ({"time_target": None}, "No reduction of scan time was claimed", "the time leg"),
        ({"time_target": 0.5, "endpoints": ()}, "nothing is known of it here", "every endpoint"),
        ({"time_target": 0.5}, "the time leg and every endpoint of image quality", "nothing is known"),
    ],
)
def test_only_legs_that_were_tested_hold(changes: dict[str, object], has: str, has_not: str, here: Path) -> None:
    rows = {"sense": arm(LEVEL.tolist()), "unet": arm((LEVEL + spread(PATIENTS)).tolist(), CANDIDATE)}
    name = f"legs{len(has)}"
    claim = replace(NET, **changes)  # type: ignore[arg-type]
    article = closed_sweep(rows, [claim], here, sweep_id=name).page.claim("half_time")
    assert article.one("h3").text == "Supported"
    assert has in article.all("p")[0].text
    assert has_not not in article.all("p")[0].text


def test_a_ladder_that_saves_nothing_supports_nothing(here: Path) -> None:
    """Quality holds, and the scan is longer than the reference's."""
    longer = {"scan_s": 70.0, "scan_low_s": 69.0, "scan_high_s": 72.0}
    rows = {"sense": arm(LEVEL.tolist()), "unet": arm((LEVEL + spread(PATIENTS)).tolist(), CANDIDATE, **longer)}
    claim = replace(LADDER, ladder=(4.0,))
    sweep = closed_sweep(rows, [claim], here, sweep_id="longer")
    article = sweep.page.claim(claim.claim_id)
    assert article.one("h3").text == "Not supported: not decided"
    assert "16.7 % more: supported" in article.text
    assert "-16.7" not in article.text
    assert lines(sweep.page.chart("Trade-off"), "mark") == []


def test_the_limit_is_that_of_the_arm_s_rows(here: Path) -> None:
    """A claim on one contrast of cells that hold two."""
    both = []
    for scores, side in ((LEVEL, {}), (LEVEL + spread(PATIENTS), CANDIDATE)):
        fat = [replace(row, volume=f"{row.volume}fs", contrast="PDFS") for row in arm((scores - 0.4).tolist(), side or {**_REF})]
        both.append([*arm(scores.tolist(), side or {**_REF}, contrast="PD"), *fat])
    claim = replace(NET, reference={"model": "sense", "contrast": "PD"}, candidate={"model": "unet", "contrast": "PD"})
    page = closed_sweep({"sense": both[0], "unet": both[1]}, [claim], here, sweep_id="contrast").page
    assert f"{SSIM}: {LEVEL.mean() - 0.01:.4g}: the reference's mean {LEVEL.mean():.4g}" in page.section("trade-off").text


_REF = {"model": "sense", "nominal_acceleration": 2.0, "acceleration": 1.9, "lines_sampled": 134, "mask_hash": "mask of R=2"} | {
    "train_seed": None,
    **{f"{name}{end}": value for name, value in (("scan", 60.0),) for end in ("_s", "_low_s", "_high_s")},
    **{f"reduction_{name}{end}": 0.0 for name in ("full", "clinical") for end in ("", "_low", "_high")},
}


def test_a_mark_stands_in_the_candidate_s_chart(here: Path) -> None:
    """Its reference ran with another protocol."""
    rows = {"sense": arm(LEVEL.tolist()), "unet": arm((LEVEL + spread(PATIENTS)).tolist(), CANDIDATE, protocol="flash")}
    page = closed_sweep(rows, [replace(LADDER, ladder=(4.0,))], here, sweep_id="facets").page
    of_reference, of_candidate = (one for one in page.charts() if "Trade-off" in one.attrib["aria-label"])
    assert lines(of_reference, "mark") == []
    assert [titled(one) for one in lines(of_candidate, "mark")] == ["largest reduction that holds: 53.3 %"]
    assert len(lines(of_candidate, "limit")) == len(lines(of_reference, "limit")) == 1


def test_which_way_is_better_is_the_claim_s_word_or_the_score_s(here: Path) -> None:
    name = "nmse_object@mvue"
    scores = [{name: (0.01 * factor * (1 + LEVEL)).tolist()} for factor in (1.0, 0.5)]
    rows = {"sense": arm(scores[0]), "unet": arm(scores[1], CANDIDATE)}
    endpoint = replace(ENDPOINT, metric=name, margin=0.001, higher_is_better=False)
    chart = closed_sweep(rows, [replace(NET, endpoints=(endpoint,))], here, sweep_id="lower").page.chart("Trade-off")
    assert "lower is better" in chart.attrib["aria-label"]


def test_images_that_fit_no_truth_are_told(here: Path) -> None:
    changes = {"truth_combinations": {"mvue": "mvue", "fastmri": "rss"}}
    rows = {"sense": arm(LEVEL.tolist(), **changes), "unet": arm(LEVEL.tolist(), CANDIDATE, combination="rss", **changes)}
    said = closed_sweep(rows, [], here, sweep_id="unfit").page.section("verdict").text
    assert "Images of unet are combined over coils otherwise than the truth of the profile mvue" in said


def test_swept_names_that_end_alike_stay_apart(here: Path) -> None:
    rows = {name: arm(LEVEL.tolist(), model="unet") for name in ("a", "b")}
    swept = {"a": {"model.channels": "8", "trainer.channels": "8"}, "b": {"model.channels": "8", "trainer.channels": "16"}}
    sweep = closed_sweep(rows, [], here, swept=swept, sweep_id="alike")
    assert [label(cell) for cell in sweep.closed.record.cells] == [
        "unet model.channels=8 trainer.channels=8",
        "unet model.channels=8 trainer.channels=16",
    ]
    assert len([one for one in sweep.page.chart("Trade-off") if "curve" in one.attrib.get("class", "")]) == 2


def test_two_closers_do_not_work_at_once(here: Path) -> None:
    from halfscan.bench.errors import HalfscanError
    from halfscan.bench.sweep import exclusive

    _, manifest = planted_sweep({"sense": arm(LEVEL.tolist())}, [], here, sweep_id="held")
    with exclusive(manifest.folder), pytest.raises(HalfscanError, match="is being run by another process"):
        close_sweep(manifest)


def test_contrasts_do_not_widen_the_range_of_what_is_assumed(here: Path) -> None:
    """A short and a long scan in one cell, each known to a second: their mean is known to a second as well."""
    short = {"scan_s": 55.0, "scan_low_s": 54.0, "scan_high_s": 56.0, "contrast": "PD"}
    long = {"scan_s": 165.0, "scan_low_s": 164.0, "scan_high_s": 166.0, "contrast": "T1"}
    rows = [*arm([0.9] * 3, **short), *(replace(row, volume=f"{row.volume}t1") for row in arm([0.9] * 3, **long))]
    table = closed_sweep({"sense": rows}, [], here, sweep_id="range").page.root.one("table", id="all-cells").table()
    assert table[0][2:4] == ["110.0", "109.0 to 111.0"]


@pytest.mark.parametrize(("seconds", "anchor"), [(30.0, "start"), (59.0, "end")])
def test_the_words_of_a_mark_stand_where_there_is_room(seconds: float, anchor: str, here: Path) -> None:
    scan = {"scan_s": seconds, "scan_low_s": seconds, "scan_high_s": seconds}
    rows = {
        "sense": arm(LEVEL.tolist()),
        "fast": arm(LEVEL.tolist(), CANDIDATE, model="fast", scan_s=20.0, scan_low_s=20.0, scan_high_s=20.0),
        "unet": arm((LEVEL + spread(PATIENTS)).tolist(), CANDIDATE, **scan),
    }
    page = closed_sweep(rows, [replace(LADDER, ladder=(4.0,))], here, sweep_id=f"room{anchor}").page
    words = [one for one in page.chart("Trade-off").iter("text") if (one.text or "").startswith("largest reduction")]
    assert [one.attrib["text-anchor"] for one in words] == [anchor]


def test_a_store_that_fails_withdraws_no_verdict(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does its address, a path, get into what others read."""
    from halfscan.bench import closing
    from halfscan.bench.errors import StoreError

    rows = {"sense": arm(LEVEL.tolist()), "unet": arm((LEVEL + spread(PATIENTS)).tolist(), CANDIDATE)}
    store, manifest = planted_sweep(rows, [NET], here, sweep_id="away")
    close_sweep(manifest)

    def away(*_: object) -> None:
        raise StoreError("the tracking store sqlite:////home/DOE_JANE/mlflow.db failed")

    monkeypatch.setattr(closing, "verify_sweep", away)
    with pytest.raises(StoreError):
        close_sweep(manifest)
    assert store.verdict_tags(manifest.parent_run) == {"half_time": "supported"}
