"""Laws that every data set in files keeps, on real files that the real libraries wrote. A new format adds one line to FORMATS."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from halfscan.bench.acquisition import Acquisition, KSpace, Provenance
from halfscan.bench.cli import main
from halfscan.bench.errors import HalfscanError
from halfscan.bench.operators import root_sum_of_squares, to_image
from halfscan.datasets.array import Array
from halfscan.datasets.cfl import Cfl
from halfscan.datasets.dicom import Dicom
from halfscan.datasets.fastmri import FastMri
from halfscan.datasets.m4raw import M4Raw
from halfscan.datasets.mrd import Mrd
from halfscan.datasets.nifti import Nifti
from halfscan.datasets.source import Source
from halfscan.datasets.twix import Twix

from ..conftest import phantom
from . import writing_array, writing_cfl, writing_dicom, writing_fastmri, writing_m4raw, writing_mrd, writing_nifti, writing_twix

PHI = "Mustermann^Erika"


@dataclass(frozen=True)
class Format:
    """A data set, and how its files are written."""

    dataset: type[Source]
    write: Callable[..., Path]
    folders: bool = False
    """A scan is a folder."""
    images: bool = False
    """Finished images of one channel: k-space is made from them."""
    volume_name: str = "scan"
    settings: dict[str, object] = field(default_factory=dict)
    provenance: Provenance = Provenance.MEASURED


FORMATS = {
    "array": Format(Array, writing_array.write),
    "cfl": Format(Cfl, writing_cfl.write, provenance=Provenance.PROCESSED),
    "dicom": Format(Dicom, writing_dicom.write, images=True, folders=True, provenance=Provenance.PROCESSED),
    "fastmri": Format(FastMri, writing_fastmri.write),
    "m4raw": Format(M4Raw, writing_m4raw.write),
    "twix": Format(Twix, writing_twix.write),
    "mrd": Format(Mrd, writing_mrd.write),
    "nifti": Format(Nifti, writing_nifti.write, images=True, provenance=Provenance.PROCESSED),
}


@pytest.fixture(params=FORMATS)
def kind(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


@pytest.fixture
def kspace(kind: Format) -> np.ndarray:
    clean = phantom(slices=3, coils=1 if kind.images else 4, height=32, width=24)[2].numpy()
    if kind.images:
        return clean
    rng = np.random.default_rng(0)
    return (clean + 0.01 * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))).astype(np.complex64)


@pytest.fixture
def path(kind: Format, kspace: np.ndarray, tmp_path: Path) -> Path:
    return kind.write(tmp_path / "data", kspace, kind.volume_name)


def _open(kind: Format, path: Path, **settings: object) -> Acquisition:
    (found,) = kind.dataset(path=str(path), **kind.settings, **settings).acquisitions()
    return found


def _files(path: Path) -> list[Path]:
    """All files of a written scan that hold its data."""
    inside = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    return [one for one in inside if one.suffix != ".json"]


def test_what_was_written_is_read(kind: Format, path: Path, kspace: np.ndarray) -> None:
    found = _open(kind, path).kspace
    assert found.axes == ("slice", "coil", "ky", "kx")
    read = found.read_stack()
    assert read.dtype == np.complex64
    if kind.images:
        ours, theirs = (
            root_sum_of_squares(to_image(torch.from_numpy(np.ascontiguousarray(one)))).numpy() for one in (read, kspace)
        )
        scale = np.vdot(ours, theirs) / np.vdot(ours, ours)
        assert np.linalg.norm(scale * ours - theirs) < 0.01 * np.linalg.norm(theirs)
    else:
        assert read.shape == kspace.shape
        assert np.linalg.norm(read - kspace) < 1e-6 * np.linalg.norm(kspace)


def test_the_centre_of_kspace_lies_in_the_middle(kind: Format, path: Path) -> None:
    power = (np.abs(_open(kind, path).kspace.read_stack()) ** 2).sum((0, 1))
    peak = np.unravel_index(power.argmax(), power.shape)
    assert np.abs(np.subtract(peak, [size // 2 for size in power.shape])).max() <= 2


def test_the_record_fits_the_data(kind: Format, path: Path) -> None:
    found = _open(kind, path)
    assert found.acquired.shape == (found.kspace.size("ky"),)
    assert found.acquired.any()
    assert all(0 < image <= found.kspace.size(axis) for image, axis in zip(found.field_of_view, ("ky", "kx"), strict=True))
    assert found.provenance is kind.provenance
    assert len(found.patient) == 12


def test_a_part_is_that_part_of_the_whole(kind: Format, path: Path) -> None:
    found = _open(kind, path).kspace
    whole = found.read()
    assert np.array_equal(found.read({"slice": 1}), whole[1])
    assert np.array_equal(found.read({"slice": slice(1, 3), "ky": slice(2, 30, 4), "kx": 5}), whole[1:3, :, 2:30:4, 5])
    assert np.array_equal(found.read_stack(2), whole[2:])


def test_opening_reads_no_kspace_once_the_file_is_known(kind: Format, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = _open(kind, path).digest
    monkeypatch.setattr(KSpace, "read", lambda *_: pytest.fail("k-space was read"))
    assert _open(kind, path).digest == digest


def test_the_digest_follows_the_samples(kind: Format, path: Path, kspace: np.ndarray, tmp_path: Path) -> None:
    again = _open(kind, kind.write(tmp_path / "again", kspace, kind.volume_name))
    other = _open(kind, kind.write(tmp_path / "other", 1.5 * kspace[::-1], kind.volume_name))
    assert _open(kind, path).digest == again.digest != other.digest


def test_central_slices_are_those_of_the_middle(kind: Format, path: Path) -> None:
    whole, middle = _open(kind, path), _open(kind, path, max_slices=1)
    assert middle.slices == 1
    assert np.array_equal(middle.kspace.read(), whole.kspace.read({"slice": slice(1, 2)}))
    assert middle.digest != whole.digest


def test_nothing_in_the_file_changes(kind: Format, path: Path) -> None:
    before = [(one.read_bytes(), one.stat().st_mtime_ns) for one in _files(path)]
    _open(kind, path).kspace.read()
    assert [(one.read_bytes(), one.stat().st_mtime_ns) for one in _files(path)] == before


def test_a_file_that_changes_after_it_was_opened_is_refused(kind: Format, path: Path) -> None:
    found = _open(kind, path)
    for one in _files(path):
        os.utime(one, ns=(1, 1))
    with pytest.raises(HalfscanError, match="changed or vanished since it was checked"):
        found.kspace.read()


@pytest.mark.parametrize("spoilt", ["half", "empty", "foreign", "head"])
def test_a_spoilt_file_is_named_in_one_line(kind: Format, path: Path, spoilt: str) -> None:
    file = max(_files(path), key=lambda one: one.stat().st_size)
    whole = file.read_bytes()
    parts = {"half": whole[: len(whole) // 2], "empty": b"", "foreign": b"%PDF-1.7 a report\n" * 200, "head": whole[:200]}
    file.write_bytes(parts[spoilt])
    with pytest.raises(HalfscanError) as refused:
        _open(kind, path).kspace.read()
    assert path.name in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_a_bad_scan_among_good_ones_is_named_before_anything_runs(kind: Format, kspace: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    written = [kind.write(folder / name if kind.folders else folder, kspace, name) for name in ("good", "spoilt")]
    for file in _files(written[1]):
        if "spoilt" in str(file.relative_to(folder)):
            file.write_bytes(b"")
    with pytest.raises(HalfscanError, match="spoilt") as refused:
        kind.dataset(path=str(folder), **kind.settings).acquisitions()
    assert "good" not in str(refused.value).replace(str(folder), "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(kind: Format, path: Path) -> None:
    for file in _files(path):
        file.chmod(0)
    with pytest.raises(HalfscanError, match="permission denied"):
        _open(kind, path)


def test_a_missing_path_is_named(kind: Format, tmp_path: Path) -> None:
    with pytest.raises(HalfscanError, match="no such file or folder"):
        kind.dataset(path=str(tmp_path / "nowhere"), **kind.settings).acquisitions()


def test_it_knows_its_own_kind_and_no_other(kind: Format, path: Path, kspace: np.ndarray) -> None:
    knowing = [name for name, one in FORMATS.items() if one.dataset(path="x", **one.settings).recognises(path)]
    expected = next(name for name, one in FORMATS.items() if one is kind)
    # M4Raw's files are fastMRI's: its names mean something only together.
    assert knowing == ([] if expected == "m4raw" else [expected])


def test_nobody_is_named(kind: Format, kspace: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = _open(kind, kind.write(tmp_path / "data", kspace, kind.volume_name, phi=PHI))
    shown = {name: value for name, value in vars(found).items() if name != "file_name"}
    for part in PHI.upper().split("^"):
        assert part not in repr(found).upper()
        assert part not in repr(shown).upper()
        assert part not in repr(asdict(found.timing)).upper()
        assert part not in caplog.text.upper()


@pytest.mark.usefixtures("work")
def test_nothing_that_names_anybody_leaves_a_run(
    kind: Format, kspace: np.ndarray, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logs, MLflow, Parquet and HTML: not one occurrence."""
    path = kind.write(tmp_path / "data", kspace, kind.volume_name, phi=PHI)
    name = next(name for name, one in FORMATS.items() if one is kind)
    small = [
        "sampling.acs_lines=8",
        "maps.calibration=8",
        "maps.kernel=3",
        "protocol.timing=protocol",
        "protocol.echo_train_length=4",
    ]
    settings = [f"dataset.{key}={value}" for key, value in kind.settings.items()]
    assert main(["run", f"dataset={name}", f"dataset.path={path}", "model=zero_filled", "qa=none", *settings, *small]) == 0
    out, err = capfd.readouterr()
    written = b"".join(one.read_bytes() for one in Path().rglob("*") if one.is_file())
    for part in PHI.split("^"):
        for text in (part, part.upper(), part.lower()):
            assert text not in out + err
            assert text.encode() not in written
            assert text.encode("utf-16-le") not in written
    shutil.rmtree("outputs", ignore_errors=True)
