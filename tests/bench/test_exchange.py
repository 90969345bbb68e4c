"""A vendor's images: sampled lines go out, finished images come in, and they are judged as if they were made here."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from halfscan.bench.cli import main
from halfscan.bench.exchange import read_index, slice_key
from halfscan.bench.operators import centre_crop, root_sum_of_squares, to_image

from .running import run, table

pytestmark = pytest.mark.usefixtures("work")


def _vendor(folder: Path, scale: float = 1.0) -> Path:
    """Reconstructs exported inputs: the zero-filled root sum of squares, by the files alone."""
    for path in folder.glob("*.h5"):
        with h5py.File(path) as file:
            image = root_sum_of_squares(to_image(torch.from_numpy(file["kspace"][()])))
            np.save(path.with_suffix(".npy"), centre_crop(image, tuple(file.attrs["field_of_view"])).numpy() * scale)
    return folder


@pytest.fixture
def exported(small: list[str]) -> tuple[Path, list[str]]:
    words = [*small, "sampling.acceleration=2"]
    assert main(["export-inputs", *words, "--out", "inputs"]) == 0
    return Path("inputs").absolute(), words


def test_finished_images_score_as_the_same_method_does_here(
    exported: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, words = exported
    assert main(["score", str(_vendor(folder)), *words, "--name", "vendor"]) == 0
    (theirs,) = table(capsys)
    assert run(*words, "model=zero_filled_rss", "qa=none") == 0
    (ours,) = table(capsys)
    assert theirs["model"] == "vendor"
    for metric, value in ours["metrics"].items():
        assert theirs["metrics"][metric]["mean"] == pytest.approx(value["mean"], rel=1e-5)
    assert theirs["scan_seconds"] == ours["scan_seconds"]
    assert theirs["recon_ms_per_slice"] is None
    assert theirs["energy"]["value"] is None
    assert "made elsewhere" in theirs["energy"]["reason"]


def test_inputs_hold_the_sampled_lines_alone_and_no_names(exported: tuple[Path, list[str]]) -> None:
    folder, _ = exported
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            kspace, mask = file["kspace"][()], file["mask"][()]
            assert not kspace[np.broadcast_to(~mask, kspace.shape)].any()
            assert kspace.any()
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"one" not in everything.replace(b"none", b"")
    assert [one.name for one in read_index(folder)] == ["00000", "00001"]


def test_images_of_other_samples_are_never_scored(exported: tuple[Path, list[str]], capfd: pytest.CaptureFixture[str]) -> None:
    folder, words = exported
    assert main(["score", str(_vendor(folder)), *words, "sampling.acceleration=3"]) == 1
    assert "no image is of these samples" in capfd.readouterr().err


def test_other_images_under_the_same_path_are_another_cell(
    exported: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, words = exported
    assert main(["score", str(_vendor(folder)), *words]) == 0
    (first,) = table(capsys)
    assert main(["score", str(_vendor(folder, 1.1)), *words]) == 0
    (second,) = table(capsys)
    assert first["cell"] != second["cell"]
    assert first["metrics"] != second["metrics"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "00001.npy").unlink(), "00001.npy can't be read"),
        (lambda folder: (folder / "00000.npy").write_bytes(b"JPEG"), "00000.npy can't be read"),
        (lambda folder: np.save(folder / "00000.npy", np.ones((2, 3, 4))), r"00000.npy is float64 of (2, 3, 4) and must be"),
        (lambda folder: np.save(folder / "00000.npy", np.full((2, 40, 36), np.nan)), "NaN or infinity"),
        (lambda folder: (folder / "inputs.json").unlink(), "copy the inputs.json of the exported inputs beside the images"),
        (lambda folder: (folder / "inputs.json").write_text('{"version": 9, "volumes": []}'), "version 9, not 1"),
    ],
)
def test_spoilt_images_are_named(
    exported: tuple[Path, list[str]], capfd: pytest.CaptureFixture[str], spoil: object, message: str
) -> None:
    folder, words = exported
    spoil(_vendor(folder))
    assert main(["score", str(folder), *words]) in (1, 2)
    assert message in capfd.readouterr().err


def test_nothing_is_written_over(exported: tuple[Path, list[str]], capfd: pytest.CaptureFixture[str]) -> None:
    folder, words = exported
    assert main(["export-inputs", *words, "--out", str(folder)]) == 2
    assert "is not empty" in capfd.readouterr().err


def test_a_slice_is_known_by_its_samples_and_its_mask() -> None:
    kspace = torch.randn(3, 8, 6, dtype=torch.complex64)
    mask = torch.ones(8, 1, dtype=torch.bool)
    other = mask.clone()
    other[3] = False
    turned = kspace.mT.contiguous()
    assert len({slice_key(*one) for one in ((kspace, mask), (kspace, other), (kspace + 1e-6, mask), (turned, mask))}) == 4
    assert slice_key(turned.mT, mask) == slice_key(kspace, mask)


def test_an_index_that_lies_is_refused(exported: tuple[Path, list[str]]) -> None:
    folder, _ = exported
    content = json.loads((folder / "inputs.json").read_text())
    content["volumes"][0]["name"] = "../../etc/passwd"
    (folder / "inputs.json").write_text(json.dumps(content))
    assert read_index(folder)[0].name == "passwd"
