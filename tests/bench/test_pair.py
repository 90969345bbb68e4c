"""Two really scanned series a patient, from their files to a verdict that reviewers read, and nothing that names a person."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from halfscan.bench.cli import main
from halfscan.bench.errors import StoreError
from halfscan.bench.rows import Row, read_rows
from halfscan.bench.tracking import Store

from ..conftest import phantom
from ..datasets.writing_dicom import write_images
from .pair.writing import anatomy, noisy, stated, write_study
from .running import runs, table

pytestmark = pytest.mark.usefixtures("work")

PHI = "Mustermann^Erika"


def _pair(study: tuple[Path, Path, Path], *words: str) -> int:
    pairs, regions, readers = study
    return main(["pair", str(pairs), "--regions", str(regions), "--readers", str(readers), *words])


def _rows() -> list[Row]:
    return [row for path in sorted(Path().glob("outputs/sweeps/*/cells/*/rows.parquet")) for row in read_rows(path)]


def _store() -> Store:
    return Store(f"sqlite:///{Path('mlflow.db').absolute()}", "halfscan")


def _verdict() -> dict:
    store = _store()
    return json.loads(store.read_verdicts(store.parent_of(None))["half_time_scanned"]["verdict.json"])


def test_half_the_scan_as_good_is_supported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _pair(write_study(tmp_path / "study", 20), "claim=half_time_scanned") == 0
    said = capsys.readouterr().out
    assert "Verdict: supported" in said
    assert "58.0 s against 120.0 s (reference), 51.7 % less" in said
    assert "whether they knew which series was which is not recorded here" in said
    # What nobody scanned is no change of nothing.
    rows = [line for line in said.splitlines() if "scanner arm=" in line]
    assert [[cell.strip() for cell in row.split("│")][2:6] for row in rows] == [
        ["–", "120.0", "–", "–"],
        ["–", "58.0", "–", "–"],
    ]
    verdict = _verdict()
    assert (verdict["verdict"], verdict["evidence"], verdict["patients"], verdict["truth"]) == (
        *("supported", "prospective", 20),
        "none: its scores need no truth",
    )
    assert verdict["time"]["basis"] == "recorded by the scanner, against reference"
    assert verdict["energy"]["value"] is None
    assert runs() == [("cell", "FINISHED"), ("cell", "FINISHED"), ("sweep", "FINISHED")]
    reference, candidate = table(capsys)
    assert (reference["protocol"], candidate["protocol"]) == ("reference", "candidate")
    assert candidate["acceleration"] == {"nominal": None, "achieved": None}
    assert candidate["scan_seconds"]["method"] == "measured"
    assert candidate["reduction_full"]["reason"] == "no full scan was made beside both"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"deviations": (4.0, 8.0)}, "refuted"),
        ({"seconds": (120.0, 90.0)}, "refuted"),
        ({"seconds": (120.0, None)}, "not_testable"),
    ],
    ids=["noisier", "too long", "no seconds"],
)
def test_what_is_not_so_is_not_supported(tmp_path: Path, settings: dict, word: str) -> None:
    assert _pair(write_study(tmp_path / "study", 20, **settings), "claim=half_time_scanned") == 0
    verdict = _verdict()
    assert (verdict["verdict"], verdict["cap"]) == (word, "none")
    if word == "not_testable":
        assert "20 of 20 pairs lack seconds: no duration of a whole scan" in verdict["reasons"][0]
        assert verdict["time"]["reduction"] is None


def test_what_nobody_measured_is_null_with_its_reason(tmp_path: Path) -> None:
    pairs, _, _ = write_study(tmp_path / "study", 2, seconds=(120.0, None))
    assert main(["pair", str(pairs)]) == 0
    for row in _rows():
        assert (row.evidence, row.provenance, row.model, row.sampling, row.energy_j) == (
            *("prospective", "processed", "scanner"),
            *(None, None),
        )
        assert (row.scan_s is None) == (row.protocol == "candidate") == ("scan_s" in row.reasons)
        assert row.metrics["blur@pair"] is not None
        assert (row.metrics["snr@pair"], row.reasons["snr@pair"]) == (None, "no region was drawn")
        for column in ("acceleration", "full_s", "clinical_s", "energy_j", "recon_s_per_slice"):
            assert getattr(row, column) is None
            assert row.reasons[column]


def test_the_record_holds_what_scores_rest_on(tmp_path: Path) -> None:
    """A patient who moved by two pixels between the scans, and two readers."""
    pairs, regions, readers = write_study(tmp_path / "study", 1)
    moved = np.roll(noisy(anatomy(0), 4, 1), (2, -2), axis=(1, 2))
    write_images(tmp_path / "study", moved, "p0/candidate", patient="P0", change=stated(58.0, 2))
    assert _pair((pairs, regions, readers)) == 0
    assert _store().holds(_store().parent_of(None), "pairs.json")
    (path,) = Path().glob("outputs/sweeps/*/pairs.json")
    record = json.loads(path.read_text())
    (pair,) = record["pairs"]
    assert pair["registration"]["shift_mm"] == pytest.approx([-1.6, 1.0], abs=0.1)
    assert pair["registration"]["rotation_deg"] == 0
    assert pair["registration"]["through_plane_mm"] is None
    assert pair["registration"]["correlation"] > 0.98
    assert pair["seconds"] == {"reference": 120.0, "candidate": 58.0}
    bright = pair["regions"][0]
    assert (bright["region"], bright["against"], bright["reference"]["pixels"]) == ("bright", "grey", 25)
    assert bright["candidate"]["mean"] == pytest.approx(bright["reference"]["mean"], rel=0.03)
    assert record["agreement"][0]["readers"] == [1, 2]
    assert record["agreement"][0]["kappa"]["reason"] == "one patient: no confidence interval"


def test_the_same_command_measures_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write_study(tmp_path / "study", 2)
    assert _pair(study, "claim=half_time_scanned") == 0
    monkeypatch.setattr("halfscan.bench.pair_command.measure", lambda *_: pytest.fail("measured again"))
    assert _pair(study, "claim=half_time_scanned") == 0
    assert runs() == [("cell", "FINISHED"), ("cell", "FINISHED"), ("sweep", "FINISHED")]


def test_a_claim_that_comes_after_the_scans_were_measured_is_exploratory(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", 20)
    assert _pair(study) == 0
    assert _pair(study, "claim=half_time_scanned") == 0
    assert (_verdict()["verdict"], _verdict()["cap"], _verdict()["uncapped"]) == ("inconclusive", "exploratory", "supported")


def _redrawn(study: tuple[Path, Path, Path]) -> None:
    text = study[1].read_text().replace(",1,11,12,6,6,", ",1,12,12,6,6,")
    study[1].write_text(text)


def _turned_round(study: tuple[Path, Path, Path]) -> None:
    head, *lines = study[0].read_text().splitlines()
    study[0].write_text("\n".join([head, *reversed(lines)]) + "\n")


def _one_less(study: tuple[Path, Path, Path]) -> None:
    for path in study:
        path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("case 0,")))


@pytest.mark.parametrize("change", [_redrawn, _turned_round, _one_less])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same store", "another store"])
def test_no_claim_is_new_to_scans_that_were_measured(tmp_path: Path, change: Callable, elsewhere: bool) -> None:
    """Whatever is drawn anew, turned round or left out after a look at the numbers."""
    study = write_study(tmp_path / "study", 21)
    assert _pair(study, *(["tracking.uri=sqlite:///first.db"] if elsewhere else ["out=first"])) == 0
    change(study)
    assert _pair(study, "claim=half_time_scanned") == 0
    assert (_verdict()["cap"], _verdict()["verdict"]) == ("exploratory", "inconclusive")


def test_other_weightings_and_computed_images_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = noisy(anatomy(0), 4, 0)
    write_images(tmp_path, images, "long", change=stated(120.0, 1))
    other = stated(50.0, 2, EchoTime=60, ImageType=["DERIVED", "SECONDARY", "M"])
    write_images(tmp_path, noisy(anatomy(0), 4, 1)[:, 4:-4, 3:-3], "short", change=other)
    for path in (tmp_path / "short").iterdir():
        _change(path, lambda one: setattr(one, "ImagePositionPatient", [-8.5, -16.8, one.ImagePositionPatient[2]]))
    (tmp_path / "pairs.csv").write_text("pair,reference,candidate\na,long,short\n")
    assert main(["pair", str(tmp_path / "pairs.csv"), "claim=half_time_scanned"]) == 0
    for caveat in (
        "TE of 33 and 60 ms: another weighting",
        "computed from other images (DERIVED)",
        "fields of view of 38 × 20 and 32 × 17 mm: the candidate's is smaller",
        "what resolution was acquired is not stated",
    ):
        assert caveat in " ".join(_verdict()["caveats"]), caveat


def test_what_was_not_the_same_thing_twice_is_judged_by_nothing(tmp_path: Path) -> None:
    """Not by readers either, who may have liked it."""
    study = write_study(tmp_path / "study", 20)
    rng = np.random.default_rng(0)
    write_images(tmp_path / "study", rng.rayleigh(30, (3, 48, 40)), "p3/candidate", patient="P3", change=stated(58.0, 2))
    assert _pair(study, "claim=half_time_scanned") == 0
    verdict = _verdict()
    assert verdict["verdict"] == "not_testable"
    for reason in verdict["reasons"]:
        assert "both series agree by a correlation of" in reason
    assert [one["effect"] for one in verdict["endpoints"]] == [None] * 3


def test_a_table_may_say_whose_series_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of archives whose PatientIDs were all made alike."""
    lines = ["pair,reference,candidate,patient"]
    for number in range(2):
        for arm, took in (("long", 120.0), ("short", 58.0)):
            images = noisy(anatomy(number), 4, number + int(took))
            write_images(tmp_path, images, f"{number}{arm}", patient="ANON", change=stated(took, 1))
        lines.append(f"case {number},{number}long,{number}short,Doe {number}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    assert main(["pair", str(tmp_path / "pairs.csv")]) == 0
    assert len({row.patient for row in _rows()}) == 2
    assert all("told apart by the study's table" in str(row.caveat) for row in _rows())
    assert not any("Doe" in row.patient for row in _rows())


def test_the_table_does_not_overrule_headers_that_name_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arm, patient in (("long", "A"), ("short", "B")):
        write_images(tmp_path, noisy(anatomy(0), 4, ord(patient)), arm, patient=patient, change=stated(60.0, 1))
    (tmp_path / "pairs.csv").write_text("pair,reference,candidate,patient\na,long,short,Doe\n")
    assert main(["pair", str(tmp_path / "pairs.csv")]) == 2
    assert "pair a: its series are of two patients by their headers" in capsys.readouterr().err


def test_a_path_that_the_configuration_would_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pairs.csv").write_text("pair,reference,candidate\na,${oc.env:HOME},short\n")
    assert main(["pair", str(tmp_path / "pairs.csv")]) == 2
    assert "${ means something else here: rename it" in capsys.readouterr().err


def test_what_fails_while_measuring_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("lost its\nnerve")

    monkeypatch.setattr("halfscan.bench.pair_command.measure", broken)
    assert _pair(write_study(tmp_path / "study", 1)) == 1
    assert "cell arm=reference has no result: RuntimeError: lost its nerve" in capsys.readouterr().err


def test_both_series_may_lie_in_one_folder(tmp_path: Path) -> None:
    images = anatomy(0)
    for number, took in ((3, 120.0), (8, 50.0)):
        write_images(tmp_path, noisy(images, 4, number), f"all/{number}", change=stated(took, number))
    (tmp_path / "pairs.csv").write_text("pair,reference,candidate,reference_series,candidate_series,contrast\na,all,all,3,8,T2\n")
    assert main(["pair", str(tmp_path / "pairs.csv")]) == 0
    assert sorted((row.protocol, row.scan_s, row.contrast) for row in _rows()) == [
        ("candidate", 50.0, "T2"),
        ("reference", 120.0, "T2"),
    ]


def test_siemens_seconds_carry_their_rounding(tmp_path: Path) -> None:
    for number, text in ((1, "TA 02:00"), (2, "TA 00:58")):

        def change(one: object, at: int, number: int = number, text: str = text) -> None:
            stated(None, number)(one, at)
            one.private_block(0x0051, "SIEMENS MR HEADER", create=True).add_new(0x0A, "SH", text)  # type: ignore[attr-defined]

        write_images(tmp_path, noisy(anatomy(0), 4, number), f"s{number}", change=change)
    (tmp_path / "pairs.csv").write_text("pair,reference,candidate\na,s1,s2\n")
    assert main(["pair", str(tmp_path / "pairs.csv")]) == 0
    assert sorted((row.scan_s, row.scan_low_s, row.scan_high_s) for row in _rows()) == [(58, 57.5, 58.5), (120, 119.5, 120.5)]


def test_other_commands_read_the_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _pair(write_study(tmp_path / "study", 3), "claim=half_time_scanned") == 0
    capsys.readouterr()
    assert main(["compare", "protocol=reference", "protocol=candidate"]) == 0
    said = capsys.readouterr().out
    assert "finished images, prospective comparison" in said
    assert "120.0 s and 58.0 s: 51.7 % less" in said
    assert main(["verify", "claim=half_time_scanned"]) == 0
    assert main(["report", "--out", "page.html"]) == 0
    page = Path("page.html").read_text("utf-8")
    assert "Scan minutes are what the scanner recorded" in page
    assert "weighted kappa" in page
    for untrue in ("whole shots", "undersampled afterwards", "Demonstration only", "None"):
        assert untrue not in page.partition("<body")[2].replace("<script", ""), untrue


def test_pictures_show_where_regions_lie_and_measure_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that who looks and redraws has seen no number."""
    from PIL import Image

    study = write_study(tmp_path / "study", 1)
    assert _pair(study, "--pictures", "pictures") == 0
    assert "Nothing was measured" in capsys.readouterr().out
    assert runs() == []
    assert not Path("outputs").exists()
    assert _pair(study, "claim=half_time_scanned") == 0
    assert _verdict()["cap"] == "none"
    (path,) = Path("pictures").iterdir()
    assert path.name == "pair001-slice1.png"
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    yellow = (pixels == (255, 200, 0)).all(axis=2)
    halves = yellow[:, : yellow.shape[1] // 2 - 4], yellow[:, yellow.shape[1] // 2 + 4 :]
    assert halves[0].sum() == halves[1].sum() > 200


def test_nobody_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In headers, private tags, names of pairs and readers: not one occurrence in logs, MLflow, Parquet or HTML."""
    assert _pair(write_study(tmp_path / "study", 2, phi=PHI), "claim=half_time_scanned") == 0
    out, err = capfd.readouterr()
    written = b"".join(one.read_bytes() for one in Path().rglob("*") if one.is_file())
    for part in PHI.split("^"):
        for text in (part, part.upper(), part.lower()):
            assert text not in out + err
            assert text.encode() not in written


# Refusals ----------------------------------------------------------------------------------------------------------------


def test_every_pair_that_can_not_be_used_is_named_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    pairs, _, _ = write_study(folder, 2)
    images = noisy(anatomy(0), 4, 9)
    series = {
        "other": ({"patient": "X"}, stated(50.0, 2)),
        "far": ({"patient": "P0"}, stated(50.0, 2, (0.0, 0.0))),
        "weak": ({"patient": "P0"}, stated(50.0, 2, MagneticFieldStrength=1.5)),
        "nowhere": ({"patient": "P0"}, stated(50.0, 2)),
        "fewer": ({"patient": "P0"}, stated(50.0, 2)),
        "two": ({"patient": "P0"}, stated(50.0, 2)),
        "kinds": ({"patient": "P0"}, stated(50.0, 2, ScanningSequence="GR")),
    }
    for name, (settings, change) in series.items():
        kept = {"nowhere": 1, "fewer": 1, "two": 2}.get(name, 3)
        write_images(folder, images[:kept], name, change=change, **settings)
    for path in (folder / "far").iterdir():
        _change(path, lambda one: setattr(one, "ImagePositionPatient", [-10, -20, 900 + one.ImagePositionPatient[2]]))
    for path in (folder / "nowhere").iterdir():
        _change(path, lambda one: delattr(one, "ImageOrientationPatient"))
    (folder / "empty").mkdir()
    lines = [
        *("two patients,p0/reference,other", "far,p0/reference,far", "weak,p0/reference,weak", "gone,p0/reference,none"),
        *("empty,p0/reference,empty", "twice,p1/reference,p1/reference", "both,p1,p1/candidate", "no place,p0/reference,nowhere"),
        *(
            "two of three,p0/reference,two",
            "fewer,p0/reference,fewer",
            "kinds,p0/reference,kinds",
            f"long,p0/reference,{'x' * 400}",
        ),
        "good,p0/reference,p0/candidate",
    ]
    pairs.write_text("pair,reference,candidate\n" + "\n".join(lines) + "\n")
    assert main(["pair", str(pairs)]) == 2
    said = capsys.readouterr().err
    for message in (
        "pair two patients: its series are of two patients by their headers",
        "pair far: both series share no slice",
        "pair weak: its series were scanned at 3 T and 1.5 T",
        "pair gone: dataset.path=",
        "pair empty: dataset.path=",
        "pair twice: both of its series are the same images",
        "p1: holds 2 volumes, and the reference must be one: of several series name it by reference_series",
        "pair no place: a header does not say where its slices lie",
        "pair fewer: the candidate shows 1 of the reference's 3 slices: less was scanned, not faster",
        "pair two of three: the candidate shows 2 of the reference's 3 slices",
        "pair kinds: its series are tse and gre: a pair is of one kind of sequence",
        "pair long: ",
    ):
        assert message in said, (message, said)
    assert "pair good" not in said
    assert said.count("\n") == 1
    assert not Path("outputs").exists()
    assert runs() == []


def _change(path: Path, change: object) -> None:
    import pydicom

    one = pydicom.dcmread(path)
    change(one)  # type: ignore[operator]
    one.save_as(path)


def test_a_series_stands_in_one_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, _, _ = write_study(tmp_path / "study", 1)
    pairs.write_text(pairs.read_text() + "again,p0/candidate,p0/reference\n")
    assert main(["pair", str(pairs)]) == 2
    assert "pair again: its reference stands in pair case 0 already" in capsys.readouterr().err


def test_a_region_outside_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path / "study", 1)
    study[1].write_text("pair,region,slice,row,column,height,width\ncase 0,one,1,40,10,9,9\n")
    assert _pair(study) == 2
    assert "pair case 0: region one lies outside the reference's 3 slices of 48 × 40 pixels" in capsys.readouterr().err


def test_kspace_is_no_pair(tmp_path: Path, write_kspace: object, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_kspace("one", kspace=phantom(coils=1)[2].numpy())  # type: ignore[operator]
    (tmp_path / "pairs.csv").write_text(f"pair,reference,candidate\na,{path},{path}\n")
    assert main(["pair", str(tmp_path / "pairs.csv"), "dataset=array"]) == 2
    assert "a pair is of finished images, which dataset=array does not read" in capsys.readouterr().err
    (tmp_path / "pairs.csv").write_text(f"pair,reference,candidate,reference_series\na,{path},{path},3\n")
    assert main(["pair", str(tmp_path / "pairs.csv"), "dataset=array"]) == 2
    assert "reference_series is for DICOM: dataset=array has no series" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word",
    ["dataset.path=/x", "dataset.max_slices=1", "dataset.patient_pattern='(x)'", "dataset.splits=s", "dataset.phase_axis=ROW"],
)
def test_what_the_table_says_is_said_there_alone(tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, _, _ = write_study(tmp_path / "study", 1)
    assert main(["pair", str(pairs), word]) == 2
    assert f"{word}: the table of pairs says which series" in capsys.readouterr().err


@pytest.mark.parametrize(("folder", "why"), [("afile/x", "can't be written"), ("looks", "give --regions")])
def test_pictures_that_can_not_be_drawn_are_refused_first(
    tmp_path: Path, folder: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("afile").write_text("")
    pairs, regions, _ = write_study(tmp_path / "study", 1)
    drawn = ["--regions", str(regions)] if folder != "looks" else []
    assert main(["pair", str(pairs), "--pictures", folder, *drawn]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize("word", ["model=sense", "sampling.acceleration=2", "qa=standard", "+device=cuda"])
def test_words_that_mean_nothing_here_are_refused(tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, _, _ = write_study(tmp_path / "study", 1)
    assert main(["pair", str(pairs), word]) == 2
    assert f"{word}: nothing is undersampled or reconstructed here" in capsys.readouterr().err


def test_a_wrong_claim_is_refused_before_anything_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, _, _ = write_study(tmp_path / "study", 1)
    assert main(["pair", str(pairs), "claim=none_such"]) == 2
    assert main(["pair", str(pairs), "claim=half_time_scanned", "claims.half_time_scanned.alpha=2"]) == 2
    assert "alpha=2.0 must lie between 0 and 0.5" in capsys.readouterr().err
    assert runs() == []


def test_a_store_that_is_away_gets_the_pairs_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreError("the tracking store is away")

    with monkeypatch.context() as patch:
        patch.setattr("halfscan.bench.keeping._PAUSE_S", 0.0)
        patch.setattr(Store, "log_cell", away)
        assert _pair(write_study(tmp_path / "study", 20), "claim=half_time_scanned") == 2
    assert len(_rows()) == 40
    assert not _store().holds(_store().parent_of(None), "pairs.json")
    assert main(["sync"]) == 0
    capsys.readouterr()
    assert _store().holds(_store().parent_of(None), "pairs.json")
    assert runs() == [("cell", "FINISHED"), ("cell", "FINISHED"), ("sweep", "FINISHED")]
    assert _verdict()["verdict"] == "supported"
