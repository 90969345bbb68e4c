"""Preparing what a user downloaded: unpacked once, read once, every bad file named, nothing outside the folder."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from halfscan.datasets import survey
from halfscan.scripts import prepare_data

from ..conftest import phantom
from ..datasets.writing_fastmri import write


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    good = write(tmp_path / "in", phantom(slices=1, coils=2, height=24, width=20)[2].numpy(), "good")
    bad = tmp_path / "in" / "cut.h5"
    bad.write_bytes(good.read_bytes()[:500])
    return [good, bad]


def _pack(kind: str, folder: Path, files: list[Path]) -> Path:
    path = folder / f"data.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, f"multicoil/{file.name}")
        return path
    with tarfile.open(path, f"w:{kind.rpartition('.')[2].replace('tar', '')}") as archive:
        for file in files:
            archive.add(file, f"multicoil/{file.name}")
    return path


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.xz", "zip"])
def test_archives_are_unpacked_and_bad_files_named(
    files: list[Path], tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert prepare_data.main(["dataset=fastmri", str(_pack(kind, tmp_path, files)), "--out", str(out)]) == 1
    said = capsys.readouterr().out
    assert "1 volumes are ready" in said
    assert "can't be used:" in said
    assert "cut.h5" in said
    assert sorted(path.name for path in out.iterdir()) == ["cut.h5", "good.h5"]


def test_the_same_command_goes_on_where_it_stopped(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, out = _pack("tar", tmp_path, files[:1]), tmp_path / "out"
    assert prepare_data.main(["dataset=fastmri", str(archive), "--out", str(out)]) == 0
    stamp = (out / "good.h5").stat().st_mtime_ns
    monkeypatch.setattr(survey, "_survey", lambda *_: pytest.fail("read again"))
    assert prepare_data.main(["dataset=fastmri", str(archive), "--out", str(out)]) == 0
    assert (out / "good.h5").stat().st_mtime_ns == stamp


def test_an_archive_can_t_write_outside_its_folder(files: list[Path], tmp_path: Path) -> None:
    path, out = tmp_path / "evil.tar", tmp_path / "deep" / "out"
    with tarfile.open(path, "w") as archive:
        for name in ("../../escaped.h5", "/escaped2.h5"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    assert prepare_data.main(["dataset=fastmri", str(path), "--out", str(out)]) == 1
    assert sorted(one.name for one in out.iterdir()) == ["escaped.h5", "escaped2.h5"]
    assert not list(tmp_path.glob("escaped*"))
    assert not Path("/escaped2.h5").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dataset=fastmri", "nowhere.tar", "--out", "x"], "no such archive or folder"),
        (["dataset=fastmri", "data.tar"], "say with --out"),
        (["dataset=fastmri"], "give one archive"),
        (["dataset=nonsense", "."], "nonsense"),
        (["dataset=fastmri", "broken.tar", "--out", "x"], "can't be unpacked"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.tar").write_bytes(b"no archive")
    (tmp_path / "data.tar").write_bytes(b"no archive")
    assert prepare_data.main(words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
