"""What MLflow's own pages say of a sweep: verdicts first, the trade-off below, each once however often the sweep is closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from halfscan.bench.cli import main
from halfscan.bench.closing import close_sweep
from halfscan.bench.report.notes import plain

from ..claims.test_judge import CANDIDATE, QUALITY, arm, baseline, spread
from .reading import change, score_text
from .sweeps import CLAIMS, HELIUM, NMSE, PSNR, SSIM, SWEPT, Sweep, closed_sweep, planted_sweep

NOTE, ROLE = "mlflow.note.content", "halfscan.role"
VENDORS = replace(QUALITY, reference={"model": "sense"}, candidate={"model": "unet"})


def _parent(sweep: Sweep) -> Any:
    return sweep.store.client.get_run(sweep.manifest.parent_run)


def _children(sweep: Sweep) -> dict[str, dict[str, str]]:
    """Name of a cell → tags of its run."""
    runs = sweep.store.describe_children(sweep.manifest.parent_run)
    return {entry.digest: dict(runs[entry.key].tags) for entry in sweep.manifest.cells}


def _pair(patients: int = 24) -> dict[str, Any]:
    level = baseline(patients)
    return {"sense": arm(level.tolist()), "unet": arm((level + spread(patients)).tolist(), CANDIDATE)}


def test_the_parent_is_named_by_models_data_and_sweep(rich: Sweep, here: Path) -> None:
    assert _parent(rich).info.run_name == "sense, unet, net on knees (rich)"
    level = baseline(3)
    many = closed_sweep({f"m{n}": arm(level.tolist(), model=f"m{n}") for n in range(6)}, [], here, sweep_id="six")
    assert _parent(many).info.run_name == "m0, m1, m2, m3 and 2 more on knees (six)"
    assert _parent(closed_sweep({}, [], here, failed=("sense",), sweep_id="none")).info.run_name == "sweep none"


def _table(note: str) -> list[list[str]]:
    """Of a note, as Markdown shows it."""
    tokens = MarkdownIt("commonmark").enable("table").parse(note)
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows and len(rows[-1]) < 99 and token.level > 3:
            rows[-1].append("".join(child.content for child in token.children or ()))
    return rows


def test_the_verdicts_lead_the_note_and_the_trade_off_follows(rich: Sweep) -> None:
    note = _parent(rich).data.tags[NOTE]
    paragraphs = note.split("\n\n")
    words = {f"Claim {claim.claim_id}: **{rich.kept.verdict(claim.claim_id)['words']}**" for claim in CLAIMS}
    assert set(paragraphs[: len(CLAIMS)]) == words
    assert paragraphs[len(CLAIMS)].startswith("**5 of 5 cells finished.** Halfscan sweep rich.")
    assert paragraphs[-2].startswith("| cell | R | min |")
    assert paragraphs[-1].startswith("The whole page: `report.html` among this run's artifacts.")


def test_the_note_s_table_is_that_of_the_rows(rich: Sweep) -> None:
    table = _table(_parent(rich).data.tags[NOTE])
    assert table[0] == ["cell", "R", "min", "vs SENSE R=2", SSIM, PSNR, NMSE]
    for name, line in zip(SWEPT, table[1:], strict=True):
        rows = rich.kept.cells[rich.key(name)]
        assert line == [
            f"{SWEPT[name]['model']} acceleration={SWEPT[name]['sampling.acceleration']}",
            f"{np.mean([row['acceleration'] for row in rows]):.2f}",
            f"{np.mean([row['scan_s'] for row in rows]) / 60:.2f}",
            change(rows, "clinical"),
            *(score_text(rows, metric) for metric in (SSIM, PSNR, NMSE)),
        ]


def test_the_parent_s_metrics_are_what_the_verdicts_rest_on(rich: Sweep) -> None:
    metrics = _parent(rich).data.metrics
    expected: dict[str, float] = {}
    for claim in CLAIMS:
        verdict, group = rich.kept.verdict(claim.claim_id), f"claim {claim.claim_id}"
        if verdict["time"] is not None:
            low, high = verdict["time"]["range"]
            expected |= {f"{group}/reduction": verdict["time"]["reduction"]}
            expected |= {f"{group}/reduction_low": low, f"{group}/reduction_high": high}
        if verdict["largest_reduction"] is not None:
            ends = {"": "value", "_low": "low", "_high": "high"}
            expected |= {f"{group}/largest_reduction{end}": verdict["largest_reduction"][name] for end, name in ends.items()}
        for one in verdict["endpoints"]:
            if one["effect"] is not None:
                name, (low, high) = f"{group}/{one['metric']}.{one['profile']}", one["ci95"]
                expected |= {name: one["effect"], f"{name}_low": low, f"{name}_high": high}
    assert {name: value for name, value in metrics.items() if name.startswith("claim ")} == expected
    assert len(expected) == 33
    assert not any(name.startswith("claim helium") for name in metrics)


def test_each_cell_says_what_it_is_and_what_part_it_plays(rich: Sweep) -> None:
    tags = _children(rich)
    assert {name: one.get(ROLE) for name, one in tags.items()} == {
        "sense2": "reference of largest, reference of half_time, reference of better, reference of other",
        "unet8": None,
        "unet2": None,
        "unet4": "candidate of largest, candidate of half_time, candidate of better",
        "net4": "candidate of other",
    }
    for name, one in tags.items():
        rows = rich.kept.cells[rich.key(name)]
        model, rate = SWEPT[name].values()
        scores = ", ".join(f"{metric.partition('@')[0]} {score_text(rows, metric)}" for metric in (SSIM, PSNR, NMSE))
        seconds, achieved = (np.mean([row[column] for row in rows]) for column in ("scan_s", "acceleration"))
        said = one[NOTE].split("\n\n")
        assert said[0] == (
            f"**{model} acceleration={rate}**: {seconds:.1f} s of scan ({change(rows, 'clinical')} against SENSE R=2) at an "
            f"achieved acceleration of {achieved:.2f}; mvue: {scores}; 24 patients."
        )
        assert said[1:] == [f"It is the {role}." for role in one.get(ROLE, "").split(", ") if role]


def test_simulated_cells_say_that_they_support_nothing(here: Path) -> None:
    rows = {"sense": arm([0.9] * 3, provenance="simulated", evidence="simulated")}
    note = _children(closed_sweep(rows, [], here, sweep_id="sim"))["sense"][NOTE]
    assert note.endswith("The k-space is simulated: a demonstration; it supports no claim on scan time.")


def test_closing_a_sweep_again_says_nothing_twice(here: Path) -> None:
    store, manifest = planted_sweep(_pair(), [VENDORS, HELIUM], here, pictures=True, sweep_id="twice")
    sweep = Sweep(work=here, store=store, manifest=manifest, closed=close_sweep(manifest))
    first = (_parent(sweep).data.tags[NOTE], _children(sweep), _parent(sweep).data.metrics)
    for _ in range(2):
        close_sweep(manifest)
    parent = _parent(sweep)
    assert (parent.data.tags[NOTE], _children(sweep), parent.data.metrics) == first
    assert parent.data.tags[NOTE].count("| cell | R |") == 1
    assert parent.data.tags[NOTE].count("Claim half_time: ") == 1
    assert parent.info.run_name == "sense, unet on knees (twice)"
    assert parent.info.status == "FINISHED"


def test_a_later_verdict_follows_the_registered_ones_and_the_table_stays(here: Path) -> None:
    level = baseline(24)
    scores = {SSIM: level, PSNR: 20 + 10 * level}
    sweep = closed_sweep({"sense": arm(scores), "unet": arm(scores, CANDIDATE)}, [HELIUM], here, sweep_id="late")
    words = ["claim=[half_time]", "claims.half_time.reference={model: sense, nominal_acceleration: 2.0}"]
    words += ["claims.half_time.candidate={model: unet, nominal_acceleration: 4.0}"]
    for _ in range(2):
        assert main(["verify", "late", *words]) == 0
    note = _parent(sweep).data.tags[NOTE].split("\n\n")
    assert note[0] == "Claim helium: **not testable**"
    assert note[1] == f"Claim half_time: **{sweep.kept.verdict('half_time')['words']}**"
    assert [line[:12] for line in note].count("| cell | R |") == 1


def test_a_sweep_of_many_cells_has_a_note_that_mlflow_keeps_whole(here: Path) -> None:
    """MLflow cuts at 8,000 characters; verdicts and where the page lies must not go with the rest."""
    name, cells = "a_network_with_a_long_name" * 12, 24
    rows = {f"{number}": arm([0.9, 0.8, 0.7], model=f"{name}{number}") for number in range(cells)}
    note = _parent(closed_sweep(rows, [HELIUM], here, sweep_id="long")).data.tags[NOTE]
    assert len(note) < 8000
    assert note.startswith("Claim helium: **not testable**")
    shown = len(_table(note)) - 1
    assert 5 < shown < cells
    assert f"\n\nand {cells - shown} more cells." in note
    assert "The whole page: `report.html`" in note


# Names in Markdown -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "[here](http://elsewhere)",
        "![](http://elsewhere/x.png)",
        "a | b",
        "**bold** _and_ `code`",
        "# heading",
        "&lt;script&gt;",
        "\\",
        "~~gone~~",
        "two\nlines | and a cell",
        "two\n\nparagraphs",
        "../../x",
    ],
)
def test_a_name_stays_text_in_markdown(name: str) -> None:
    assert _read(name) == " ".join(name.split())


@given(st.text(alphabet="<>&|\\`*_[](){}#!~^'\"/:;=.- \nab1", max_size=40))
def test_any_name_stays_text_in_markdown(name: str) -> None:
    assert _read(name) == " ".join(name.split())


def _read(name: str) -> str:
    """A name as a reader sees it in the cell of a table; whatever is more than text fails."""
    note = f"| cell | R |\n| --- | --- |\n| x {plain(name)} | 2 |\n| last | 3 |"
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(note)
    cells = [token for token in tokens if token.type == "inline"]
    assert [cell.content for cell in cells[-3:]] == ["2", "last", "3"]
    assert len(cells) == 6
    children = cells[2].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    return " ".join("".join(child.content for child in children).removeprefix("x").split())
