"""ISMRMRD files: which readouts make which image, where they lie, what their noise is, and what is refused."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pytest

from halfscan.bench.acquisition import Acquisition, Provenance
from halfscan.bench.errors import HalfscanError
from halfscan.datasets.mrd import Mrd

from ..conftest import phantom
from .mutation import mutations, read_or_refused
from .writing_fastmri import header
from .writing_mrd import write


@pytest.fixture
def kspace() -> np.ndarray:
    return phantom(slices=3, coils=3, height=24, width=20)[2].numpy()


def _open(path: Path, **settings: object) -> Acquisition:
    (found,) = Mrd(path=str(path), **settings).acquisitions()
    return found


def _change(path: Path, changed: object) -> Path:
    """Rewrites a file's readouts: `changed` may alter one, or drop it by returning False."""
    old = ismrmrd.Dataset(str(path), "dataset", create_if_needed=False, mode="r")
    readouts = [old.read_acquisition(index) for index in range(old.number_of_acquisitions())]
    text = old.read_xml_header()
    old.close()
    path.unlink()
    new = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    new.write_xml_header(text)
    for one in readouts:
        if changed(one) is not False:
            new.append_acquisition(one)
    new.close()
    return path


def test_the_header_s_timing_and_field_are_read(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _open(write(tmp_path, kspace))
    assert (found.timing.sequence, found.timing.tr_s, found.timing.averages) == ("tse", 2.8, 1)
    assert found.field_strength_t == 2.89
    assert found.voxel_mm == (3.0, 1.0, 1.0)
    assert found.provenance is Provenance.MEASURED
    assert np.array_equal(found.kspace.read(), kspace)


@pytest.mark.parametrize("group", ["dataset", "raw"])
@pytest.mark.parametrize("suffix", [".h5", ".mrd"])
def test_groups_may_have_any_name(tmp_path: Path, kspace: np.ndarray, group: str, suffix: str) -> None:
    path = write(tmp_path, kspace, group=group, suffix=suffix)
    assert Mrd(path="").recognises(path)
    assert np.array_equal(_open(path).kspace.read(), kspace)


def test_averages_are_averaged(tmp_path: Path, kspace: np.ndarray) -> None:
    def louder(one: ismrmrd.Acquisition) -> None:
        one.data[:] *= 1 + one.idx.average

    found = _open(_change(write(tmp_path, kspace, averages=3), louder))
    assert found.timing.averages == 3
    np.testing.assert_allclose(found.kspace.read(), 2 * kspace, rtol=1e-5)


def test_echoes_and_repetitions_are_volumes_of_their_own(tmp_path: Path, kspace: np.ndarray) -> None:
    for echo in (0, 1):
        for repetition in (0, 1):
            path = write(tmp_path, kspace * (1 + echo + 2 * repetition), contrast=echo, repetition=repetition)
    opened = Mrd(path=str(path), public_dataset="published").acquisitions()
    assert [one.volume for one in opened] == ["scan_e1_r1", "scan_e1_r2", "scan_e2_r1", "scan_e2_r2"]
    for one, factor in zip(opened, (1, 3, 2, 4), strict=True):
        np.testing.assert_allclose(one.kspace.read(), factor * kspace, rtol=1e-6)
    assert len({one.digest for one in opened}) == 4


@pytest.mark.parametrize(("lines", "centre"), [((0, 17), 9), ((0, 17), 12), ((0, 23), 12), ((0, 15), 4)])
def test_lines_lie_around_the_header_s_centre(tmp_path: Path, kspace: np.ndarray, lines: tuple[int, int], centre: int) -> None:
    """Padding on both sides goes, the centre stays in the middle, and partial Fourier is not acquired."""
    height = 24
    first = height // 2 - centre
    part = kspace[:, :, first : first + lines[1] + 1]
    text = header((20, height), (20, height), (*lines, centre))
    found = _open(write(tmp_path, part, text=text))
    whole = np.zeros_like(kspace)
    whole[:, :, first : first + part.shape[2]] = part
    kept = found.kspace.size("ky")
    start = height // 2 - kept // 2
    assert np.array_equal(found.kspace.read(), whole[:, :, start : start + kept])
    assert found.acquired.sum() == part.shape[2]


def test_an_asymmetric_echo_is_placed_by_its_centre(tmp_path: Path, kspace: np.ndarray) -> None:
    path = write(tmp_path, kspace[..., 4:], text=header((20, 24), (20, 24), (0, 23, 12)))

    def centred(one: ismrmrd.Acquisition) -> None:
        one.center_sample, one.discard_pre, one.discard_post = 6, 1, 2

    found = _open(_change(path, centred))
    expected = kspace.copy()
    expected[..., :5] = expected[..., 18:] = 0
    assert np.array_equal(found.kspace.read(), expected)
    assert "asymmetric echo: 7 of 20 samples" in found.caveat


def test_oversampling_is_cut_off_the_image_not_the_kspace(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _open(write(tmp_path, kspace, text=header((20, 24), (10, 24), (0, 23, 12))))
    assert (found.kspace.size("kx"), found.field_of_view) == (20, (24, 10))


@pytest.mark.parametrize(("dwell_us", "averages"), [(5.0, 1), (10.0, 1), (5.0, 4)])
def test_noise_is_scaled_to_the_samples(tmp_path: Path, kspace: np.ndarray, dwell_us: float, averages: int) -> None:
    rng = np.random.default_rng(0)
    noise = ((rng.standard_normal((3, 4000)) + 1j * rng.standard_normal((3, 4000))) * [[1.0], [2.0], [3.0]]).astype(np.complex64)
    found = _open(write(tmp_path, kspace, noise=noise, noise_dwell_us=dwell_us, averages=averages))
    expected = np.array([2.0, 8.0, 18.0]) * dwell_us / 5.0 / averages
    np.testing.assert_allclose(found.noise_cov.diagonal().real, expected, rtol=0.06)
    assert np.array_equal(found.kspace.read().shape, kspace.shape)


@pytest.mark.parametrize(
    "flag", ["NAVIGATION_DATA", "PHASECORR_DATA", "PARALLEL_CALIBRATION", "DUMMYSCAN_DATA", "RTFEEDBACK_DATA", "HPFEEDBACK_DATA"]
)
def test_readouts_that_are_no_image_are_left_aside(tmp_path: Path, kspace: np.ndarray, flag: str) -> None:
    path = write(tmp_path, kspace)
    with_more = ismrmrd.Dataset(str(path), "dataset", create_if_needed=False)
    other = with_more.read_acquisition(5)
    other.data[:] = 99
    other.setFlag(getattr(ismrmrd, f"ACQ_IS_{flag}"))
    with_more.append_acquisition(other)
    with_more.close()
    assert np.array_equal(_open(path).kspace.read(), kspace)


def test_calibration_lines_that_are_imaged_too_stay(tmp_path: Path, kspace: np.ndarray) -> None:
    def both(one: ismrmrd.Acquisition) -> None:
        if 8 <= one.idx.kspace_encode_step_1 < 16:
            one.setFlag(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)

    assert np.array_equal(_open(_change(write(tmp_path, kspace), both)).kspace.read(), kspace)


def test_other_encoding_spaces_are_left_aside_and_said(tmp_path: Path, kspace: np.ndarray) -> None:
    path = write(tmp_path, kspace)
    with_more = ismrmrd.Dataset(str(path), "dataset", create_if_needed=False)
    other = with_more.read_acquisition(0)
    other.encoding_space_ref = 1
    with_more.append_acquisition(other)
    with_more.close()
    found = _open(path)
    assert np.array_equal(found.kspace.read(), kspace)
    assert "1 readouts of other encoding spaces were left aside" in found.caveat


def test_a_private_patient_is_a_pseudonym_of_the_header_s_id(tmp_path: Path, kspace: np.ndarray) -> None:
    one, two = (write(tmp_path, kspace, name, phi="Doe^John") for name in ("first", "second"))
    assert _open(one).patient == _open(two).patient
    assert "DOE" not in repr(_open(one)).upper()
    assert _open(one).volume != _open(two).volume


def _set(**values: int) -> object:
    def change(one: ismrmrd.Acquisition) -> None:
        for name, value in values.items():
            setattr(one, name, value)

    return change


def _flag(name: str) -> object:
    return lambda one: one.setFlag(getattr(ismrmrd, name))


WRONG = {
    "run to and fro": _flag("ACQ_IS_REVERSE"),
    "in the first encoding space": _set(encoding_space_ref=1),
    "no readout is of an image: all": _flag("ACQ_IS_NAVIGATION_DATA"),
    "its samples are compressed": _flag("ACQ_COMPRESSION1"),
    "12 lines between sampled ones are missing|11 lines between": lambda one: one.idx.kspace_encode_step_1 % 2 == 0,
    "line 7 of slice 1 is there 0 times": lambda one: (one.idx.slice, one.idx.kspace_encode_step_1) != (1, 7),
    "do not fit the 20 columns": _set(discard_pre=15, discard_post=9),
    "encoded along kz as well": lambda one: setattr(one.idx, "kspace_encode_step_2", one.idx.slice),
    "do not fit a matrix of 24 lines": lambda one: setattr(one.idx, "kspace_encode_step_1", one.idx.kspace_encode_step_1 + 9),
    "holds NaN or infinity": lambda one: one.data.fill(np.nan),
    "k-space is all zeros": lambda one: one.data.fill(0),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_readouts_are_refused_by_name(tmp_path: Path, kspace: np.ndarray, message: str) -> None:
    with pytest.raises(HalfscanError, match=f"wrong.h5: .*({message})") as refused:
        _open(_change(write(tmp_path, kspace, "wrong"), WRONG[message]))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (header((20, 24), (20, 24), (0, 23, 12), trajectory="radial"), "its trajectory is radial"),
        (header((20, 24), (20, 24), (0, 23, 12)).replace(b"cartesian", b"Doe^John"), "its trajectory is none of the schema"),
        (header((20, 30), (20, 30), (0, 23, 40)), "24 of 30 lines were read, and its header does not say which is the centre"),
        (header((20, 30), (20, 30), (0, 23, 12)).replace(b"Limits>", b"Limitz>"), "does not say which is the centre"),
        (header((20, 24), (20, 24), (0, 23, 12)).replace(b"<z>1</z>", b"<z>8</z>"), "has 8 partitions"),
        (header((20, 60000), (20, 24), (0, 23, 12)), "24 of 60000 lines were read"),
        (header((60000, 24), (20, 24), (0, 23, 12)), "60000 columns"),
        (b"<ismrmrdHeader/>", "states no encoded matrix"),
        (b"TR=2800", "header is no XML"),
    ],
)
def test_wrong_headers_are_refused_by_name(tmp_path: Path, kspace: np.ndarray, text: bytes, message: str) -> None:
    with pytest.raises(HalfscanError, match=f"wrong.h5: .*{message}"):
        _open(write(tmp_path, kspace, "wrong", text=text))


def test_the_header_s_echo_time_is_the_first_echo_s_alone(tmp_path: Path, kspace: np.ndarray) -> None:
    write(tmp_path, kspace)
    first, second = Mrd(path=str(write(tmp_path, kspace, contrast=1))).acquisitions()
    assert (first.timing.te_s, second.timing.te_s) == (0.033, None)


Rows = np.ndarray


def _rewrite(path: Path, change: Callable[[Rows], None]) -> Path:
    """Changes heads and samples where they lie in a file, whether they fit one another or not."""
    with h5py.File(path, "r+") as file:
        rows = file["dataset/data"][:]
        change(rows)
        file["dataset/data"][:] = rows
    return path


def _all_coils(rows: Rows) -> None:
    rows["head"]["active_channels"] = 65535


@pytest.mark.parametrize("length", [0, 2, 100, 128])
def test_a_readout_of_another_length_than_its_head_says_is_refused(tmp_path: Path, kspace: np.ndarray, length: int) -> None:
    def cut(rows: Rows) -> None:
        rows["data"][5] = np.resize(rows["data"][5], length)

    with pytest.raises(HalfscanError, match=r"wrong.h5: its readouts hold other numbers of samples than their heads say"):
        _open(_rewrite(write(tmp_path, kspace, "wrong"), cut))


def test_heads_that_declare_too_many_coils_take_no_memory(tmp_path: Path, kspace: np.ndarray) -> None:
    path = _rewrite(write(tmp_path, kspace, "wrong"), _all_coils)
    tracemalloc.start()
    with pytest.raises(HalfscanError, match=r"wrong.h5: its readouts hold other numbers of samples"):
        _open(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_counters_all_different_take_no_memory_of_their_square(tmp_path: Path) -> None:
    count = 1000
    path = write(tmp_path, np.ones((1, 1, count, 2), np.complex64), "wrong")

    def apart(rows: Rows) -> None:
        rows["head"]["idx"]["slice"] = np.arange(count)

    _rewrite(path, apart)
    tracemalloc.start()
    with pytest.raises(HalfscanError, match=r"wrong.h5: line 1 of slice 0 is there 0 times and others 1"):
        _open(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * count**2


@pytest.mark.parametrize("averages", [1, 4])
def test_a_slice_is_read_within_three_slices_of_memory(tmp_path: Path, averages: int) -> None:
    kspace = np.tile(phantom(slices=2, coils=4, height=48, width=40)[2].numpy(), (1, 1, 1, 16))
    found = _open(write(tmp_path, kspace, averages=averages)).kspace
    tracemalloc.start()
    one = found.read({"slice": 1})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * one.nbytes


def test_a_line_that_is_there_twice_is_refused(tmp_path: Path, kspace: np.ndarray) -> None:
    path = _change(write(tmp_path, kspace, "wrong", averages=2), lambda one: setattr(one.idx, "average", 0))
    with pytest.raises(HalfscanError, match=r"wrong.h5: line 0 of slice 0 is there twice in average 0"):
        _open(path)


def test_readouts_of_different_coils_are_refused(tmp_path: Path, kspace: np.ndarray) -> None:
    path = write(tmp_path, kspace, "wrong")
    write(tmp_path, kspace[:, :2], "wrong", contrast=1)
    with pytest.raises(HalfscanError, match=r"wrong.h5: its readouts differ in active_channels, from 2 to 3"):
        _open(path)


def test_two_scans_in_one_file_are_refused(tmp_path: Path, kspace: np.ndarray) -> None:
    write(tmp_path, kspace)
    with pytest.raises(HalfscanError, match=r"scan.h5: holds 2 groups with xml and data"):
        _open(write(tmp_path, kspace, group="other"))


def test_other_hdf5_files_are_not_taken_for_one(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kspace"] = np.ones((2, 3), np.complex64)
    assert not Mrd(path="").recognises(tmp_path / "other.h5")
    with pytest.raises(HalfscanError, match=r"other.h5: holds no groups with xml and data"):
        _open(tmp_path / "other.h5")


@pytest.mark.parametrize("setting", [{"provenance": "real"}, {"contrast": "John Doe 1961"}])
def test_settings_out_of_range_are_refused(setting: dict) -> None:
    with pytest.raises(HalfscanError, match=f"dataset.{next(iter(setting))}"):
        Mrd(path="x", **setting)


_WHOLE_NUMBERS = (0, 1, 2, 3, 5, 6, 7, 8, 9, 16, 255, 32767, 65534, 65535)
"""That sizes and counters of a head are set to."""
_FIELDS = (
    *("flags", "number_of_samples", "available_channels", "active_channels", "discard_pre", "discard_post", "center_sample"),
    *("encoding_space_ref", "trajectory_dimensions", "version"),
)


def _wrong(good: Path, path: Path, rng: np.random.Generator) -> Path:
    """A whole file whose header, heads or samples do not fit one another."""
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "r+") as file:
        rows = file["dataset/data"][:]
        for _ in range(int(rng.integers(1, 3))):
            way = int(rng.integers(5))
            which = slice(None) if rng.integers(2) else int(rng.integers(len(rows)))
            value = int(rng.choice(_WHOLE_NUMBERS))
            if way == 0:
                rows["head"][str(rng.choice(_FIELDS))][which] = value
            elif way == 1:
                counters = rows["head"]["idx"]
                counters[str(rng.choice([name for name in counters.dtype.names if name != "user"]))][which] = value
            elif way == 2:
                at = int(rng.integers(len(rows)))
                rows["data"][at] = np.resize(rows["data"][at], int(rng.integers(0, 64)))
            elif way == 3:
                rows["head"]["sample_time_us"][which] = rng.choice([0.0, -1.0, np.nan, np.inf, 1e30])
            else:
                text = file["dataset/xml"][0]
                places = [*re.finditer(rb"(?<=>)-?[0-9.]+(?=<)", text)]
                place = places[int(rng.integers(len(places)))]
                put = str(rng.choice(["-1", "0", "1", "7", "16", "1e9", "nan", "inf", "65535", "999999", "4294967296", ""]))
                file["dataset/xml"][0] = text[: place.start()] + put.encode() + text[place.end() :]
        file["dataset/data"][:] = rows
    return path


def _damage(folder: Path, count: int) -> None:
    """Half of the files with damaged bytes, half whole ones that say what can't be: what is read of these was written so."""
    kspace = phantom(slices=2, coils=2, height=8, width=6)[2].numpy()
    good = write(folder, kspace, "good")
    read = {"bytes": 0, "heads": 0}
    for index, changed in enumerate(mutations(good.read_bytes(), count // 2, seed=0, text=True)):
        path = folder / f"d{index}.h5"
        path.write_bytes(changed)
        read["bytes"] += read_or_refused(Mrd(path=str(path)), path)
        path.unlink()
        path = _wrong(good, folder / f"w{index}.h5", np.random.default_rng(index))
        if read_or_refused(Mrd(path=str(path)), path):
            read["heads"] += 1
            for volume in Mrd(path=str(path)).acquisitions():
                samples = volume.kspace.read()
                assert np.isin(samples[samples != 0], kspace).all(), path
        path.unlink()
    assert all(0 < number < count // 2 for number in read.values()), read


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    _damage(tmp_path, 300)


@pytest.mark.trials
def test_many_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    _damage(tmp_path, 3000)
