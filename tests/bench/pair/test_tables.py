"""Tables of pairs, regions and readers: what they say, and one line for every way to be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from halfscan.bench.errors import HalfscanError
from halfscan.bench.pair.tables import Reading, Region, read_pairs, read_readings, read_regions

NAMES = ["a", "b"]


def _table(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


def test_pairs_lie_beside_their_table(tmp_path: Path) -> None:
    text = "\ufeffcandidate, pair ,reference,candidate_series,contrast\r\nx/short,a,/data/long,7,T2-FLAIR\r\n\r\n x2 ,b,y,,\r\n"
    one, two = read_pairs(_table(tmp_path, text))
    assert (one.patient, two.patient) == (None, None)
    assert (one.name, one.contrast, one.series) == ("a", "T2-FLAIR", {"reference": None, "candidate": 7})
    assert one.paths == {"reference": Path("/data/long"), "candidate": tmp_path / "x/short"}
    assert (two.paths["candidate"], two.contrast, two.series["candidate"]) == (tmp_path / "x2", None, None)


def test_spreadsheets_are_read(tmp_path: Path) -> None:
    """Capitals, empty columns behind the last, series numbers of ten digits, and a patient where headers don't tell."""
    text = "Pair,Reference,Candidate,Patient,Reference_Series,,\na,x,y,Doe 7,1234567890,,\nb,x2,y2,,,,\n"
    one, two = read_pairs(_table(tmp_path, text))
    assert (one.patient, one.series["reference"], two.patient) == ("Doe 7", 1234567890, None)


def test_regions_and_whom_they_are_against(tmp_path: Path) -> None:
    text = "pair,region,slice,row,column,height,width,against\na,white,2,10,20,5,6,grey\na,grey,2,1,2,5,6,\nb,white,0,0,0,9,9,\n"
    found = read_regions(_table(tmp_path, text), NAMES)
    assert found["a"][0] == Region(name="white", slice=2, row=10, column=20, height=5, width=6, against="grey")
    assert (found["a"][1].against, len(found["b"])) == (None, 1)


def test_readers_have_numbers_and_no_names(tmp_path: Path) -> None:
    lines = ["pair,arm,reader,score,item"]
    lines += [
        f"a,{arm},{name},{score},{item}"
        for arm, score in (("reference", 4), ("candidate", 3.5))
        for name, item in (("Roe", ""), ("Doe", "artefact"), ("Doe", "score"))
    ]
    found = read_readings(_table(tmp_path, "\n".join(lines)), NAMES)["a"]
    assert Reading(arm="candidate", reader=2, item="score", score=3.5) in found
    assert {(one.reader, one.item) for one in found} == {(2, "score"), (1, "artefact"), (1, "score")}


PAIRS = "pair,reference,candidate\n"
REGIONS = "pair,region,slice,row,column,height,width,against\n"
READERS = "pair,arm,reader,score,item\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column pair"),
        ("pair,reference\na,b\n", "lacks the column candidate"),
        ("pair,reference,candidate,notes\na,b,c,d\n", "has a column 'notes' too many"),
        ("pair,reference,candidate,pair\na,b,c,d\n", "has a column 'pair' too many"),
        (PAIRS, "has no line below its first"),
        ("pair;reference;candidate\na;b;c\n", "its columns must be separated by commas"),
        (PAIRS + "a,~nosuchuser/x,y\n", "line 2: ~nosuchuser/x: "),
        (PAIRS + "a,x,y,z\n", "line 2: has 4 cells, and the first line 3"),
        ("pair,reference,candidate,contrast\na,x,y,Müller\n", "line 2: contrast must be one short word"),
        (PAIRS + "a,b\n", "line 2: has 2 cells, and the first line 3"),
        (PAIRS + "a,x,y\na,z,w\n", "line 3: says the pair of line 2 again"),
        (PAIRS + "a,,y\n", "line 2: reference is empty"),
        (PAIRS + ",x,y\n", "line 2: pair is empty"),
        (PAIRS + 'a,"x,y\n', "can't be read as CSV in UTF-8"),
        ("pair,reference,candidate,reference_series\na,x,y,one\n", "line 2: reference_series 'one' is no number"),
        ("pair,reference,candidate,reference_series\na,x,y,1.5\n", "reference_series '1.5' must be a whole number from 0"),
        ("pair,reference,candidate,contrast\na,x,y,Jane Doe born 1961\n", "line 2: contrast must be one short word"),
    ],
)
def test_wrong_pairs_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HalfscanError, match=f"table.csv.*{message}"):
        read_pairs(_table(tmp_path, text))


def test_other_encodings_and_absent_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"pair,reference,candidate\na,\xff\xfe,c\n")
    for path in (tmp_path / "table.csv", tmp_path / "none.csv", tmp_path):
        with pytest.raises(HalfscanError, match="can't be read as CSV in UTF-8"):
            read_pairs(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (REGIONS + "c,w,0,0,0,5,5,\n", "line 2: there is no pair 'c'"),
        (REGIONS + "a,Jane Doe,0,0,0,5,5,\n", "line 2: region 'Jane Doe' must be one short word"),
        (REGIONS + "a,w,0,0,0,0,5,\n", "line 2: height and width must be at least 1"),
        (REGIONS + "a,w,-1,0,0,5,5,\n", "line 2: slice '-1' must be a whole number from 0"),
        (REGIONS + "a,w,0,0,nan,5,5,\n", "line 2: column 'nan' is no number"),
        (REGIONS + "a,w,0,0,0,5,5,g\n", "pair a: region w is against g, which is no other"),
        (REGIONS + "a,w,0,0,0,5,5,w\n", "pair a: region w is against w, which is no other"),
        (REGIONS + "a,w,0,0,0,5,5,g\nb,g,0,0,0,5,5,\n", "pair a: region w is against g, which is no other"),
        (REGIONS + "a,w,0,0,0,5,5,\na,w,1,0,0,5,5,\n", "line 3: says the pair, region of line 2 again"),
    ],
)
def test_wrong_regions_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HalfscanError, match=f"table.csv.*{message}"):
        read_regions(_table(tmp_path, text), NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (READERS + "a,first,Doe,4,\n", "line 2: arm 'first' must be reference or candidate"),
        (READERS + "a,reference,Doe,good,\n", "line 2: score 'good' is no number"),
        (READERS + "a,reference,Doe,inf,\n", "line 2: score 'inf' is no number"),
        (READERS + "a,reference,,4,\n", "line 2: reader is empty"),
        (READERS + "a,reference,Doe,4,\na,candidate,doe,4,\n", "reader doe is written Doe elsewhere"),
        (READERS + "a,reference,Doe,4,\n", "pair a: reader Doe scored score of the reference alone"),
        (READERS + "a,reference,Doe,4,x\na,candidate,Doe,4,\n", "reader Doe scored score of the candidate alone"),
        (READERS + "a,reference,Doe,4,\na,reference,Doe,4,score\n", "line 3: says the pair, arm, reader, item of line 2 again"),
        (READERS + "a,reference,Doe,4,is it sharp?\n", "line 2: item 'is it sharp\\?' must be one short word"),
    ],
)
def test_wrong_readings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HalfscanError, match=f"table.csv.*{message}"):
        read_readings(_table(tmp_path, text), NAMES)
