"""Claims from the command line to the store and back: what a sweep ends with, and what `halfscan verify` may say later."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halfscan.bench.claims.record import as_record, to_json
from halfscan.bench.cli import main
from halfscan.bench.errors import HalfscanError
from halfscan.bench.files import write_json
from halfscan.bench.identity import KEY_VARIABLE
from halfscan.bench.manifest import read_manifest
from halfscan.bench.rows import Row, read_cells, read_rows
from halfscan.bench.tracking import CLAIMS, Store, tracking_uri
from halfscan.bench.verify import carried_claims, verify_sweep

from ...conftest import phantom
from ..planted import planted
from ..running import run
from .test_judge import CANDIDATE, ENDPOINT, QUALITY, SSIM, arm, baseline, spread, verdict_on, with_p

pytestmark = pytest.mark.usefixtures("work")

CLAIM = [
    "claim=[half_time]",
    "claims.half_time.reference={model: zero_filled, nominal_acceleration: 2.0}",
    "claims.half_time.candidate={model: sense, nominal_acceleration: 2.0}",
]
OTHER = [word.replace("half_time", "double_nmse") for word in CLAIM]
SWEEP = ["model=zero_filled,sense", "sampling.acceleration=2"]
FILES = {"claim.json", "verdict.json", "verdict.html", "forest.svg"}


def verify(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["verify", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def artifacts(work: Path, claim: str = "half_time") -> dict[str, Path]:
    return {path.name: path for path in work.glob(f"mlartifacts/*/artifacts/verdicts/{claim}/*")}


def tags() -> dict[str, str]:
    """Of the parents' runs in the store."""
    parents = "select run_uuid from tags where key = 'halfscan.kind' and value = 'sweep'"
    with sqlite3.connect("mlflow.db") as connection:
        found = connection.execute(f"select key, value from tags where run_uuid in ({parents})").fetchall()
    connection.close()
    return dict(found)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a refusal says: one line, and exit code 2."""
    capsys.readouterr()
    assert main(["verify", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("halfscan: ")
    assert captured.err.count("\n") == 1
    return captured.err


# A real sweep ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a sweep with a claim left: its store; its outputs are deleted."""

    folder: Path
    printed: str
    started: str
    verdict: dict[str, Any]
    note: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Swept:
    """Run once: the tests read its store."""
    folder = tmp_path_factory.mktemp("swept")
    shutil.copy(empty_store, folder / "mlflow.db")
    (folder / "data").mkdir()
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        clean = phantom(slices=1, coils=2, height=40, width=36)[2].numpy()
        noise = 0.02 * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))
        np.savez(folder / "data" / f"{name}.npz", kspace=(clean + noise).astype(np.complex64))
        write_json(folder / "data" / f"{name}.json", {"axes": ["slice", "coil", "ky", "kx"]})
    settings = ["sampling.acs_lines=10", "maps.calibration=10", "maps.kernel=4", "protocol.echo_train_length=4"]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        patch.setenv(KEY_VARIABLE, "a test site's secret")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert run("dataset=array", "dataset.path=data", *settings, *SWEEP, *CLAIM) == 0
        note = tags()["mlflow.note.content"]
    started = read_manifest(next(folder.glob("outputs/sweeps/*"))).created_at
    shutil.rmtree(folder / "outputs")
    verdict = json.loads(artifacts(folder)["verdict.json"].read_text())
    return Swept(folder=folder, printed=printed.getvalue(), started=started, verdict=verdict, note=note)


@pytest.fixture
def swept(finished: Swept, monkeypatch: pytest.MonkeyPatch) -> Swept:
    monkeypatch.chdir(finished.folder)
    return finished


def test_a_sweep_ends_with_its_verdict(swept: Swept) -> None:
    """Printed, and in the parent run: no cell's run holds it."""
    assert "Verdict: demonstration only; the numbers alone say: inconclusive" in swept.printed
    assert "2 patients: below 20 nothing is concluded" in swept.printed
    found = artifacts(swept.folder)
    assert set(found) == FILES
    parents = [path.parent for path in swept.folder.glob("mlartifacts/*/artifacts/sweep.json")]
    assert [path.parent.parent.parent for path in found.values()] == parents * 4
    verdict = swept.verdict
    assert (verdict["claim_id"], verdict["cap"], verdict["uncapped"]) == ("half_time", "demonstration", "inconclusive")
    assert verdict["registered_at"] == swept.started
    assert len(verdict["run_ids"]) == 2
    assert tags()["halfscan.verdict.half_time"] == verdict["words"]
    assert swept.note.startswith(f"Claim half_time: **{verdict['words']}**\n\n")


def test_verify_reads_the_store_alone(swept: Swept, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(capsys) == [swept.verdict]
    assert verify(capsys, *CLAIM) == [swept.verdict], "stated again, word for word"
    sweep = tags()["halfscan.sweep"]
    assert verify(capsys, sweep[:6]) == [swept.verdict]
    assert main(["verify", sweep]) == 0
    assert "Verdict: demonstration only; the numbers alone say: inconclusive" in capsys.readouterr().out
    assert not (swept.folder / "outputs").exists()
    assert tags()["mlflow.note.content"].count("Claim half_time: ") == 1


@pytest.mark.parametrize("change", ["endpoints.0.margin=0.02", "alpha=0.05", "time_target=0.1", "statement=less"])
def test_a_changed_claim_is_refused(change: str, swept: Swept, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with exit code 2, and the verdict stays."""
    said = refused(capsys, *CLAIM, f"claims.half_time.{change}")
    assert "claim half_time is not the one that this sweep was started with" in said
    assert json.loads(artifacts(swept.folder)["verdict.json"].read_text()) == swept.verdict


def test_a_claim_that_the_sweep_does_not_carry_is_exploratory(swept: Swept, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = verify(capsys, *OTHER)[0]
    assert (verdict["claim_id"], verdict["registered_at"]) == ("double_nmse", None)
    assert any(reason.startswith("exploratory: the sweep was not started with this claim") for reason in verdict["reasons"])
    assert set(artifacts(swept.folder, "double_nmse")) == FILES


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["claim=nope"], "Could not find 'claim/nope'"),
        (["one", "two"], "one and two: name one sweep"),
        (["zzz"], "no sweep zzz in sqlite:"),
        (["claim=double_psnr"], "is missing: the sweep holds model=sense"),
        (["claim=[half_time]", "model=sense,zero_filled"], "an override has several values"),
    ],
)
def test_what_verify_can_not_find_is_named(words: list[str], why: str, swept: Swept, capsys: pytest.CaptureFixture[str]) -> None:
    assert why in refused(capsys, *words)


def test_a_sweep_without_a_claim_can_support_none(small: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small, *SWEEP, "dataset.provenance=measured") == 0
    assert "carries no claim: name one, such as claim=half_time" in refused(capsys)
    verdict = verify(capsys, *CLAIM)[0]
    assert (verdict["cap"], verdict["evidence"], verdict["registered_at"]) == ("exploratory", "retrospective", None)
    # The same cells again, now with a claim, in a new folder: the store knows that they have been seen.
    assert run(*small, *SWEEP, "dataset.provenance=measured", *CLAIM, "out=elsewhere") == 0
    late = verify(capsys)[0]
    assert (late["cap"], bool(late["registered_at"])) == ("exploratory", True)
    assert any("2 cells had been reconstructed or measured before" in reason for reason in late["reasons"])


def test_a_claim_of_one_s_own_folder(small: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = [
        "# @package claims.mine",
        "_target_: halfscan.bench.claims.types.ClaimSpec",
        "claim_id: mine",
        "statement: <script>alert('mine')</script>",
        "source: here",
        "reference: {model: zero_filled}",
        "candidate: {model: sense}",
        "time_target: null",
        "endpoints:",
        "  - {_target_: halfscan.bench.claims.types.Endpoint, metric: ssim@mvue, margin: 0.01, margin_rationale: a guess}",
    ]
    (work / "conf" / "claim").mkdir(parents=True)
    (work / "conf" / "claim" / "mine.yaml").write_text("\n".join(text))
    words = ["--config-dir", "conf", *small, *SWEEP, "claim=[mine]"]
    assert run(*words) == 0
    assert "Claim mine: <script>" in capsys.readouterr().out
    shutil.rmtree(work / "conf")
    assert verify(capsys)[0]["claim_text"] == "<script>alert('mine')</script>", "the store remembers it"
    assert "<script" not in artifacts(work, "mine")["verdict.html"].read_text()


def test_a_claim_whose_arm_the_sweep_lacks_is_named_and_the_others_are_judged(
    small: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*small, "claim=[half_time,off_peak_energy]") == 0
    captured = capsys.readouterr()
    assert (
        "halfscan: claim half_time is not judged: reference arm (model=sense, nominal_acceleration=2.0) is missing"
        in captured.err
    )
    assert "Verdict: not testable" in captured.out
    assert set(artifacts(work, "off_peak_energy")) == FILES
    assert artifacts(work) == {}


# A planted sweep: rows of which the truth is known, in a store -----------------------------------------------------------


VENDORS = {"equal": spread(40), "worse": spread(40, -0.05), "noisy": spread(40, 0.0, 0.1)}
CLAIMS_ON_VENDORS = [replace(QUALITY, claim_id=name, candidate={"model": name}, time_target=0.5) for name in VENDORS]


def _vendors(**changes: Any) -> dict[str, list[Row]]:
    level = baseline(40)
    cells = {"sense": arm(level.tolist(), **changes)}
    for name, differences in VENDORS.items():
        cells[name] = arm((level + differences).tolist(), CANDIDATE, **{**changes, "model": name})
    return cells


def test_planted_vendors_get_the_three_verdicts(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = planted(_vendors(), CLAIMS_ON_VENDORS, work)
    verdicts = {verdict["claim_id"]: verdict for verdict in verify(capsys)}
    assert {name: verdict["verdict"] for name, verdict in verdicts.items()} == {
        "equal": "supported",
        "worse": "refuted",
        "noisy": "inconclusive",
    }
    assert {verdict["cap"] for verdict in verdicts.values()} == {"none"}
    assert verdicts["equal"]["time"]["result"] == "met"
    assert verdicts["equal"]["run_ids"] == [run_id for run_id, _ in _in_order(store)]
    for name in VENDORS:
        assert set(artifacts(work, name)) == FILES
        assert json.loads(artifacts(work, name)["verdict.json"].read_text()) == verdicts[name]
    note = tags()["mlflow.note.content"]
    assert [line for line in note.split("\n\n") if line.startswith("Claim equal: ")] == ["Claim equal: **supported**"]
    assert "**4 of 4 cells finished.**" in note
    assert "| noisy |" in note


def _in_order(store: Store) -> list[tuple[str, str]]:
    children = store.children(store.parent_of("planted"))
    return [children[f"planted-{key}"] for key in ("sense", *VENDORS)]


@pytest.mark.parametrize(
    ("changes", "known_before", "cap"),
    [
        ({"provenance": "processed", "evidence": "simulated"}, 0, "demonstration"),
        ({}, 2, "exploratory"),
    ],
)
def test_a_capped_verdict_is_never_written_as_supported(
    changes: dict[str, Any], known_before: int, cap: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(_vendors(**changes), CLAIMS_ON_VENDORS[:1], work, known_before)
    verdict = verify(capsys)[0]
    assert (verdict["verdict"], verdict["uncapped"], verdict["cap"]) == ("inconclusive", "supported", cap)
    words = f"{cap} only; the numbers alone say: supported"
    assert verdict["words"] == tags()["halfscan.verdict.equal"] == words
    assert f"**{words}**" in tags()["mlflow.note.content"]
    assert main(["verify"]) == 0
    printed = capsys.readouterr().out
    assert f"Verdict: {words}\n" in printed
    assert printed.count("supported") == 1


def test_the_store_gives_the_verdict_of_its_rows(work: Path) -> None:
    """What the judge says of rows in memory is what it says of them after Parquet and MLflow."""
    cells = _vendors()
    store = planted(cells, CLAIMS_ON_VENDORS[:1], work)
    found = verify_sweep(store, store.parent_of(None))[0]
    direct = verdict_on([row for cell in cells.values() for row in cell], CLAIMS_ON_VENDORS[0])
    assert replace(found.endpoints[0], **_resampled(direct.endpoints[0])) == direct.endpoints[0]
    assert found.time == direct.time
    assert json.loads(to_json([found]))[0] == json.loads(to_json([found], single=True))


def _resampled(endpoint: Any) -> dict[str, Any]:
    """What hangs on the number of resamples, fewer here."""
    names = ("bootstrap_interval", "effect", "p_threshold", "p_superior", "p_holm")
    return {name: getattr(endpoint, name) for name in names}


def test_a_store_whose_claims_were_edited_is_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted(_vendors(), CLAIMS_ON_VENDORS[:1], work)
    path = next(work.glob(f"mlartifacts/*/artifacts/{CLAIMS}"))
    stated = json.loads(path.read_text())
    stated[0]["endpoints"][0]["margin"] = 0.5
    path.write_text(json.dumps(stated))
    assert "claim equal is not the one" in refused(capsys)
    path.write_text(json.dumps([{**stated[0], "endpoints": [{"metrik": SSIM}]}]))
    assert "a claim of the sweep can't be read by this halfscan" in refused(capsys)


def test_rows_that_are_no_numbers_are_refused_in_one_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = _vendors()
    cells["equal"][4] = replace(cells["equal"][4], metrics={SSIM: float("nan")})
    planted(cells, CLAIMS_ON_VENDORS[:1], work)
    path = next(path for path in work.glob("mlartifacts/*/artifacts/rows.parquet") if len(read_rows(path)) == 160)
    assert sum(row.metrics[SSIM] != row.metrics[SSIM] for cell in read_cells(path).values() for row in cell.rows()) == 1
    assert "candidate arm: ssim@mvue is nan for volume v004" in refused(capsys)


def test_a_cell_that_has_no_result_is_missing_by_name(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = _vendors()
    del cells["equal"]
    planted(cells, CLAIMS_ON_VENDORS[:1], work)
    assert "candidate arm (model=equal) is missing: the sweep holds model=noisy; model=sense; model=worse" in refused(capsys)


def test_untestable_claims_say_why(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted(_vendors(), CLAIMS_ON_VENDORS[:1], work)
    verdict = verify(capsys, "claim=[off_peak_energy,dry_cool_helium]")
    assert [one["words"] for one in verdict] == ["not testable", "not testable"]
    assert "a power log of the scanner" in verdict[0]["reasons"][0]
    assert set(artifacts(work, "dry_cool_helium")) == FILES


def _two_claims(work: Path) -> Store:
    """Two registered claims: one holds with p = .018, which is enough after the other has held with p = .001."""
    level = baseline(40)
    claims = [replace(QUALITY, claim_id=name, candidate={"model": name}) for name in ("close", "clear")]
    cells = {"sense": arm(level.tolist())}
    for name, p_value in (("close", 0.018), ("clear", 0.001)):
        cells[name] = arm((level + with_p(p_value)).tolist(), CANDIDATE, model=name)
    return planted(cells, claims, work)


def test_the_claims_of_a_sweep_share_alpha(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named alone, a claim gets no more of it than beside the others."""
    store = _two_claims(work)
    together = verify(capsys)
    assert [verdict["verdict"] for verdict in together] == ["supported", "supported"]
    parent = store.parent_of(None)
    for stated, before in zip(carried_claims(store, parent), together, strict=True):
        alone = as_record(verify_sweep(store, parent, [stated])[0])
        assert alone["endpoints"][0]["p_holm"] >= before["endpoints"][0]["p_holm"]


def test_a_verdict_hangs_on_no_way_of_asking(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = _two_claims(work)
    before = verify(capsys)[0]
    assert before["verdict"] == "supported"
    parent = store.parent_of(None)
    assert verify_sweep(store, parent, carried_claims(store, parent)[:1])[0].verdict == "supported"


def test_an_exploratory_claim_costs_the_registered_ones_nothing(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = _two_claims(work)
    assert verify(capsys)[0]["verdict"] == "supported"
    parent = store.parent_of(None)
    close = carried_claims(store, parent)[0]
    late = replace(close, claim_id="late", alpha=0.01)
    assert [verdict.cap for verdict in verify_sweep(store, parent, [close, late])] == ["none", "exploratory"]
    assert verify_sweep(store, parent, [close, late])[0].verdict == "supported"


def test_the_margin_may_not_follow_the_scores(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The attack: a margin that the noisy vendor would pass, under the registered name and under a new one."""
    planted(_vendors(), CLAIMS_ON_VENDORS, work)
    store = Store(tracking_uri(), "halfscan")
    loose = replace(CLAIMS_ON_VENDORS[2], endpoints=(replace(ENDPOINT, margin=0.5),))
    with pytest.raises(HalfscanError, match="claim noisy is not the one"):
        verify_sweep(store, store.parent_of(None), [loose])
    verdict = verify_sweep(store, store.parent_of(None), [replace(loose, claim_id="noisy_again")])[0]
    assert (verdict.uncapped, verdict.verdict, verdict.cap) == ("supported", "inconclusive", "exploratory")
