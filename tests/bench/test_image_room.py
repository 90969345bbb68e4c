"""Saved images have a size that they stay below, and nobody loses what he reads."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from halfscan.bench import images
from halfscan.bench.files import DRAFT, drop_drafts
from halfscan.bench.image_room import RECORD, hold, note_saved, trim_images

from .running import SWEEP, rows_of, run, runs

HOUR = 3600.0


def _saved(root: Path, name: str, hours: float) -> Path:
    """A folder of some 2 kB of images that were used so long ago."""
    folder = root / name
    folder.mkdir(parents=True)
    for index in range(2):
        np.save(folder / f"{index:05d}.npy", np.zeros(218, np.float32))  # 1,000 bytes with its header
        os.utime(folder / f"{index:05d}.npy", (time.time() - hours * HOUR,) * 2)
    (folder / RECORD).write_text("[]")
    (folder / "qa-0.json").write_text("[]")
    return folder


def _full(folder: Path) -> bool:
    return len(list(folder.glob("*.npy"))) == 2


def test_the_least_lately_used_go_and_what_was_measured_stays(tmp_path: Path) -> None:
    old, middle, new = (_saved(tmp_path, name, hours) for name, hours in (("c", 3), ("a", 2), ("b", 1)))
    trim_images(tmp_path, 6_000)
    assert _full(old)
    trim_images(tmp_path, 5_500)
    assert (_full(old), _full(middle), _full(new)) == (False, True, True)
    assert {path.name for path in old.iterdir()} == {RECORD, "qa-0.json"}


def test_what_is_in_use_does_not_count_as_room(tmp_path: Path) -> None:
    read, idle = _saved(tmp_path, "read", 9), _saved(tmp_path, "idle", 2)
    with ExitStack() as held:
        hold(read, held)
        os.utime(read / "00000.npy", (0, 0))
        trim_images(tmp_path, 3_000)
        assert (_full(read), _full(idle)) == (True, False)


def test_what_is_about_to_take_its_name_stays(tmp_path: Path) -> None:
    draft = _saved(tmp_path, f"new.0{DRAFT}", 9)
    trim_images(tmp_path, 0)
    assert _full(draft)
    note_saved(draft)
    draft.rename(tmp_path / "new")
    trim_images(tmp_path, 0)
    assert _full(tmp_path / "new"), "made just now, however long it took"


def test_nobody_clears_what_another_reads(tmp_path: Path) -> None:
    folder, draft = _saved(tmp_path, "one", 1), _saved(tmp_path, "two", 1)
    (folder / RECORD).write_text("[{}, {}]")
    (folder / "00001.npy").unlink()
    program = """
import sys, pathlib
from halfscan.bench.images import _clear
_clear(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), 2)
"""
    command = [sys.executable, "-c", program, str(folder), str(draft)]
    with ExitStack() as held:
        hold(folder, held)
        subprocess.run(command, check=True)
        assert folder.exists()
    subprocess.run(command, check=True)
    assert not folder.exists()


def test_a_look_at_a_folder_costs_its_new_images_nothing(tmp_path: Path) -> None:
    folder, draft = _saved(tmp_path, "one", 1), _saved(tmp_path, "two", 1)
    for path in folder.glob("*.npy"):
        path.unlink()
    for path in (folder, draft):
        (path / RECORD).write_text("[{}, {}]")
    (folder / "qa-1.json").write_text("[]")
    program = """
import sys, time, pathlib
from contextlib import ExitStack
from halfscan.bench.image_room import hold
with ExitStack() as held:
    hold(pathlib.Path(sys.argv[1]), held)
    print("held", flush=True)
    time.sleep(1)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        images._place(draft, folder, 2)
    assert _full(folder)
    assert sorted(path.name for path in folder.glob("qa*")) == ["qa-0.json", "qa-1.json"]
    # And one that was slower than another brings along what was measured of its images.
    late = _saved(tmp_path, "three", 1)
    (late / "energy.json").write_text("[]")
    images._place(late, folder, 2)
    assert (folder / "energy.json").exists()


def test_what_killed_processes_left_goes_after_a_week(tmp_path: Path) -> None:
    old, new = _saved(tmp_path, f"old.0{DRAFT}", 200), _saved(tmp_path, f"new.0{DRAFT}", 200)
    checkpoint = tmp_path / "digest" / f"checkpoint.pt.7{DRAFT}"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"half")
    for path in (old, *old.iterdir(), checkpoint):
        os.utime(path, (time.time() - 200 * HOUR,) * 2)
    drop_drafts(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["digest", new.name]
    assert not checkpoint.exists()


def test_images_in_use_stay(tmp_path: Path) -> None:
    read, idle, fresh = _saved(tmp_path, "read", 9), _saved(tmp_path, "idle", 2), _saved(tmp_path, "fresh", 0)
    with ExitStack() as held:
        hold(read, held)
        os.utime(read / "00000.npy", (0, 0))  # as if it was read since long ago
        # In another process: locks of one process are one lock.
        program = (
            "import sys, pathlib; from halfscan.bench.image_room import trim_images; trim_images(pathlib.Path(sys.argv[1]), 0)"
        )
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
        assert (_full(read), _full(idle), _full(fresh)) == (True, False, True)
    trim_images(tmp_path, 0)
    assert (_full(read), _full(fresh)) == (False, True)


def test_a_reader_says_when_it_used_them(tmp_path: Path) -> None:
    folder = _saved(tmp_path, "a", 5)
    with ExitStack() as held:
        hold(folder, held)
    trim_images(tmp_path, 0)
    assert _full(folder)
    with ExitStack() as held:
        hold(tmp_path / "nowhere", held)


def test_it_is_looked_at_when_much_was_saved(tmp_path: Path) -> None:
    folder = _saved(tmp_path, "a", 5)
    trim_images(tmp_path, 1_000, at_once=False)
    assert _full(folder)
    note_saved(_saved(tmp_path, "b", 5))
    trim_images(tmp_path, 1_000, at_once=False)
    assert not _full(folder)


@pytest.mark.usefixtures("work")
def test_a_sweep_without_room_keeps_its_rows_and_remakes_images(
    small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halfscan.bench.image_room._GRACE_S", -1.0)
    assert run(*small, *SWEEP, "qa=standard", "images_gb=0") == 0
    folders = list(work.glob("outputs/images/*"))
    measured = {path: path.stat().st_mtime_ns for path in work.glob("outputs/images/*/qa-*.json")}
    assert len(folders) == len(measured) == 4
    assert not list(work.glob("outputs/images/*/*.npy"))
    assert run(*small, *SWEEP, "qa=standard", "images_gb=0") == 0  # finished cells need none
    assert not list(work.glob("outputs/images/*/*.npy"))
    assert run(*small, *SWEEP, "qa=standard", "protocol.tr_s=1.5") == 0
    assert len(list(work.glob("outputs/images/*/*.npy"))) == 8
    assert {path: path.stat().st_mtime_ns for path in measured} == measured
    assert len(rows_of(work)) == 8
    assert runs().count(("cell", "FINISHED")) == 8
