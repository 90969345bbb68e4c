"""Files appear whole or not at all, whoever else writes them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from halfscan.bench.files import whole_file, why_unwritable, write_json


def test_a_failed_write_leaves_nothing_and_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, 1)

    def write_half() -> None:
        with whole_file(path) as draft:
            draft.write_text("half")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write_half()
    assert path.read_text() == "1"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: write_json(tmp_path / "a.json", list(range(2000))), range(64)))
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_why_a_folder_can_not_be_written(tmp_path: Path) -> None:
    assert why_unwritable(tmp_path / "new" / "deep") is None
    assert "/proc" in (why_unwritable(Path("/proc/none")) or "")
