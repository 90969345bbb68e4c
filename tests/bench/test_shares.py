"""A cell whose volumes several processes share: what they did is found, and the rows are those of one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from halfscan.bench import images as module
from halfscan.bench.benchmark import measure, measure_share
from halfscan.bench.cell import build_cell
from halfscan.bench.cli import main
from halfscan.bench.configuration import compose_run
from halfscan.bench.qa import measure as quality
from halfscan.bench.rows import to_table, without_times
from halfscan.bench.shelf import Shelf

from .test_reconstruction_energy import PARTS, SINGLE

pytestmark = pytest.mark.usefixtures("work")


@pytest.mark.parametrize("qa", ["none", "standard"])
def test_what_shares_did_is_not_done_again(qa: str, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ["qa.replicas=4"] if qa == "standard" else []
    cell = build_cell(compose_run([*small, "model=sense", "energy=none", f"qa={qa}", *few], [*PARTS, *SINGLE]))
    alone = [one.row for one in measure(cell, tmp_path / "alone" / "images")]
    images, shelf = tmp_path / "shared" / "images", Shelf(tmp_path / "references", 10**9)
    for share in (0, 1, 1):  # one of them twice
        measure_share(cell, images, share, 2, shelf)
    assert len(list(images.glob("*.parts/*.npy"))) == len(alone) == 2
    with monkeypatch.context() as patch:
        patch.setattr(module, "reconstruct", None)
        patch.setattr(quality, "_volume", None)
        shared = [one.row for one in measure(cell, images, shelf=shelf)]
    assert without_times(to_table(shared)) == without_times(to_table(alone))
    assert not list(images.glob("*parts"))
    measure_share(cell, images, 0, 2, shelf)
    assert not list(images.glob("*parts")), "the cell is done"


def test_a_share_that_was_cut_short_is_done_by_the_cell(small: list[str], tmp_path: Path) -> None:
    cell = build_cell(compose_run([*small, "model=zero_filled", "energy=none"], [*PARTS, *SINGLE]))
    alone = [one.row for one in measure(cell, tmp_path / "alone" / "images")]
    images = tmp_path / "shared" / "images"
    measure_share(cell, images, 0, 2, None)
    (part,) = images.glob("*.parts/*.npy")
    part.write_bytes(part.read_bytes()[:100])
    shared = [one.row for one in measure(cell, images)]
    assert without_times(to_table(shared)) == without_times(to_table(alone))


def test_a_merge_that_is_stopped_takes_no_share_along(small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = build_cell(compose_run([*small, "model=zero_filled", "energy=none"], [*PARTS, *SINGLE]))
    measure_share(cell, tmp_path / "images", 0, 2, None)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "reconstruct", stop)
        with pytest.raises(KeyboardInterrupt):
            list(measure(cell, tmp_path / "images"))
    assert sorted(path.name for path in tmp_path.glob("images/*/*")) == ["00000.json", "00000.npy"]
    for image in tmp_path.glob("images/*/*.npy"):
        image.unlink()  # a share without its image is none
    measure_share(cell, tmp_path / "images", 0, 2, None)
    assert list(tmp_path.glob("images/*/*.npy"))


def test_shares_of_images_that_made_room_are_made_again(small: list[str], tmp_path: Path) -> None:
    cell = build_cell(compose_run([*small, "model=zero_filled", "energy=none"], [*PARTS, *SINGLE]))
    alone = [one.row for one in measure(cell, tmp_path / "images")]
    for image in tmp_path.glob("images/*/*.npy"):
        image.unlink()
    for share in (0, 1):
        measure_share(cell, tmp_path / "images", share, 2, None)
    assert len(list(tmp_path.glob("images/*.parts/*.npy"))) == 2
    again = [one.row for one in measure(cell, tmp_path / "images")]
    assert without_times(to_table(again)) == without_times(to_table(alone))


@pytest.mark.parametrize("word", ["shares=0", "pack=0"])
def test_numbers_of_jobs_that_can_not_be(word: str, small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *small, word]) == 2
    assert f"{word} must be at least 1" in capsys.readouterr().err
