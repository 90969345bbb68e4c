"""Siemens raw data: lines put in their places, slices in order, timing from the header, one clear line for what is not read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import twixtools

from halfscan.bench.acquisition import Acquisition, Provenance
from halfscan.bench.errors import HalfscanError
from halfscan.datasets.twix import Twix

from ..conftest import REAL_DATA, phantom
from . import writing_twix
from .mutation import mutations, read_or_refused
from .writing_twix import header, noise, readout, readouts, save, save_vb, write

REAL = REAL_DATA / "raw" / "twixtools_gre.dat"
PHI = "Mustermann^Erika"


@pytest.fixture
def kspace() -> np.ndarray:
    return phantom(slices=3, coils=2, height=16, width=12)[2].numpy()


@pytest.fixture
def real_scan() -> Path:
    if not REAL.exists():
        pytest.skip("real data twixtools_gre.dat are not beside the project (HALFSCAN_TEST_DATA)")
    return REAL


def _only(path: Path, **settings: Any) -> Acquisition:
    (found,) = Twix(path=str(path), **settings).acquisitions()
    return found


def _image(kspace: np.ndarray) -> np.ndarray:
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=axes), norm="ortho"), axes=axes)


def _by_twixtools(path: Path) -> np.ndarray:
    """(slice, coil, ky, kx) of the last measurement, as twixtools reads it."""
    scans = twixtools.read_twix(str(path), parse_geometry=False, parse_pmu=False, verbose=False)
    found = twixtools.map_twix(scans)[-1]["image"]
    found.flags["squeeze_ave_dims"] = True
    places = [found.dims.index(name) for name in ("Sli", "Cha", "Lin", "Col")]
    others = tuple(index for index in range(len(found.dims)) if index not in places)
    return np.squeeze(found[:], others).swapaxes(1, 2)


def test_lines_are_read_as_twixtools_reads_them(tmp_path: Path, kspace: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, kspace)
    found = _only(path).kspace.read()
    assert capfd.readouterr() == ("", "")
    assert found.dtype == np.complex64
    assert np.array_equal(found, kspace)
    assert np.array_equal(found, _by_twixtools(path))


def test_a_real_scan_gives_the_image_it_is_known_by(real_scan: Path, real: Callable[[str], Path]) -> None:
    found = _only(real_scan)
    assert np.array_equal(found.kspace.read(), _by_twixtools(real_scan))
    known = _image(np.load(real("twixtools_phantom_gre2"))["kspace"])
    ours = _image(found.kspace.read())[..., 80:240]
    scale = np.linalg.norm(ours) / np.linalg.norm(known)
    assert np.linalg.norm(ours - scale * known) < 1e-5 * np.linalg.norm(ours)


def test_a_real_header_says_how_the_scan_was_made(real_scan: Path) -> None:
    found = _only(real_scan, public_dataset="twixtools")
    assert (found.timing.tr_s, found.timing.te_s, found.timing.total_s) == (0.01, 0.003, 3.0)
    assert (found.timing.averages, found.timing.concatenations, found.timing.echo_train_length) == (1, 1, 1)
    # The header calls the sequence a customer's: "gre" is what its author named it.
    assert found.timing.sequence is None
    assert found.field_strength_t == pytest.approx(2.89362)
    assert found.matrix == (160, 160)
    assert found.voxel_mm == (4.0, 1.25, 1.25)
    assert found.acquired.all()
    assert found.noise_cov is None
    assert found.provenance is Provenance.MEASURED
    assert found.volume == "twixtools_gre"


def test_the_older_format_is_read_too(tmp_path: Path, kspace: np.ndarray) -> None:
    path = save_vb(tmp_path / "old.dat", readouts(kspace), header())
    assert np.array_equal(_only(path).kspace.read(), kspace)
    assert Twix(path="x").recognises(path)


def test_a_part_is_that_part(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _only(write(tmp_path, kspace)).kspace
    assert np.array_equal(found.read({"slice": -1, "coil": 1, "ky": slice(2, 9, 3), "kx": 4}), kspace[-1, 1, 2:9:3, 4])
    assert np.array_equal(found.read({"ky": 3}), kspace[:, :, 3])


def test_slices_stand_in_space_however_they_are_numbered(tmp_path: Path, kspace: np.ndarray) -> None:
    lines = readouts(kspace)
    for one in lines:
        one.mdh.Counter.Sli = (1, 0, 2)[one.mdh.Counter.Sli]
    assert np.array_equal(_only(save(tmp_path / "i.dat", lines, header())).kspace.read(), kspace)
    for one in lines:
        one.mdh.SliceData.SlicePos.Tra *= -1
    assert np.array_equal(_only(save(tmp_path / "i.dat", lines, header())).kspace.read(), kspace[::-1])
    for one in lines:
        one.mdh.SliceData.SlicePos.Tra = 0
    assert np.array_equal(_only(save(tmp_path / "i.dat", lines, header())).kspace.read(), kspace[[1, 0, 2]])


def test_averages_are_averaged(tmp_path: Path, kspace: np.ndarray) -> None:
    lines = [*readouts(kspace, Ave=0), *readouts(3 * kspace, Ave=1)]
    path = save(tmp_path / "a.dat", lines, header({"lAverages": 2}))
    found = _only(path)
    np.testing.assert_allclose(found.kspace.read(), 2 * kspace, rtol=1e-6)
    np.testing.assert_allclose(_by_twixtools(path), 2 * kspace, rtol=1e-6)
    assert found.timing.averages == 2


def test_echoes_and_repetitions_are_volumes_of_their_own(tmp_path: Path, kspace: np.ndarray) -> None:
    lines = [
        one
        for echo in range(2)
        for repetition in range(2)
        for one in readouts((1 + echo + 2 * repetition) * kspace, Eco=echo, Rep=repetition)
    ]
    found = Twix(path=str(save(tmp_path / "m.dat", lines, header())), public_dataset="public").acquisitions()
    assert [one.volume for one in found] == ["m_e1_r1", "m_e1_r2", "m_e2_r1", "m_e2_r2"]
    for factor, one in zip((1, 3, 2, 4), found, strict=True):
        np.testing.assert_allclose(one.kspace.read(), factor * kspace, rtol=1e-6)
    assert [one.timing.te_s for one in found] == pytest.approx([0.033, 0.033, 0.099, 0.099])
    assert len({one.digest for one in found}) == 4
    assert len({one.patient for one in found}) == 1
    # The duration is that of all repetitions.
    assert {one.timing.total_s for one in found} == {None}
    alone = Twix(path=str(save(tmp_path / "e.dat", [one for one in lines if one.mdh.Counter.Rep == 0], header()))).acquisitions()
    assert {one.timing.total_s for one in alone} == {24.0}


def test_partial_fourier_keeps_the_centre_in_the_middle(tmp_path: Path, kspace: np.ndarray) -> None:
    lines = [one for one in readouts(kspace) if one.mdh.Counter.Lin >= 6]
    found = _only(save(tmp_path / "p.dat", lines, header()))
    assert np.array_equal(found.acquired, np.arange(16) >= 6)
    assert np.array_equal(found.kspace.read()[:, :, 6:], kspace[:, :, 6:])
    assert not found.kspace.read()[:, :, :6].any()
    # The same lines with another count, as some sequences number them from the first that they measure.
    for one in lines:
        one.mdh.Counter.Lin -= 6
        one.mdh.CenterLin -= 6
    moved = _only(save(tmp_path / "q.dat", lines, header()))
    assert np.array_equal(moved.acquired, found.acquired)
    assert np.array_equal(moved.kspace.read(), found.kspace.read())


def test_an_odd_number_of_lines_keeps_its_size(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _only(save(tmp_path / "o.dat", readouts(kspace[:, :, 1:]), header()))
    assert found.kspace.shape[2] == 15
    assert found.acquired.all()


def test_oversampling_stays_in_kspace_and_leaves_the_image(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _only(write(tmp_path, kspace, oversampling=2.0, protocol={"sKSpace.dPhaseOversamplingForDialog": 0.6}))
    assert found.kspace.shape == kspace.shape
    assert found.matrix == (10, 6)
    # 16 mm along ky in the image are 25.6 mm in k-space; 6 mm along kx are 12 mm.
    assert found.voxel_mm == pytest.approx((3.0, 1.6, 1.0))


def test_an_asymmetric_echo_is_centred_and_says_so(tmp_path: Path, kspace: np.ndarray) -> None:
    lines = [readout(one.data[:, 2:], 8, 4, float(one.mdh.SliceData.SlicePos.Tra)) for one in readouts(kspace)]
    for short, whole in zip(lines, readouts(kspace), strict=True):
        short.mdh.Counter = object.__getattribute__(whole.mdh, "Counter")
    found = _only(save(tmp_path / "a.dat", lines, header()))
    assert np.array_equal(found.kspace.read()[..., 2:], kspace[..., 2:])
    assert not found.kspace.read()[..., :2].any()
    assert found.caveat == "asymmetric echo: 2 of 12 samples of each line were not acquired"
    cut = readouts(kspace)
    for one in cut:
        one.mdh.CutOff.Pre = 2
    assert np.array_equal(_only(save(tmp_path / "c.dat", cut, header())).kspace.read(), found.kspace.read())


def test_the_protocol_s_numbers_are_kept(tmp_path: Path, kspace: np.ndarray) -> None:
    timing = _only(write(tmp_path, kspace)).timing
    assert (timing.sequence, timing.tr_s, timing.te_s) == ("tse", pytest.approx(2.8), pytest.approx(0.033))
    assert (timing.echo_train_length, timing.averages, timing.concatenations, timing.total_s) == (4, 1, 1, 24.0)
    assert timing.dummies is None
    silent = dict.fromkeys(writing_twix.PROTOCOL)
    found = _only(save(tmp_path / "s.dat", readouts(kspace), header(silent)))
    assert set(vars(found.timing).values()) == {None}
    assert (found.field_strength_t, found.voxel_mm, found.contrast) == (None, None, None)


@pytest.mark.parametrize(
    ("stated", "sequence"),
    [
        ({"ucSequenceType": 1, "tSequenceFileName": '"%SiemensSeq%\\gre"'}, "gre"),
        ({"ucSequenceType": 1, "tSequenceFileName": '""%SiemensSeq%\\tfl""'}, "gre"),
        ({"ucSequenceType": 1, "tSequenceFileName": '"%CustomerSeq%\\gre"'}, None),
        ({"ucSequenceType": 1, "tSequenceFileName": '"Doe_John"'}, None),
        ({"ucSequenceType": 2}, None),
        ({"ucSequenceType": None}, None),
    ],
)
def test_a_sequence_is_named_only_where_it_is_certain(
    tmp_path: Path, kspace: np.ndarray, stated: dict[str, object], sequence: str | None
) -> None:
    assert _only(write(tmp_path, kspace, protocol=stated)).timing.sequence == sequence


PROTOCOLS = {
    "a radial scan": {"sKSpace.ucTrajectory": 2},
    "a spiral scan": {"sKSpace.ucTrajectory": "0x4"},
    "a BLADE": {"sKSpace.ucTrajectory": 8},
    "a non-Cartesian scan": {"sKSpace.ucTrajectory": 16},
    "a 3D scan": {"sKSpace.ucDimension": 4},
    "an EPI scan": {"sFastImaging.lEPIFactor": 64},
    "2 slices at once": {"sSliceAcceleration.lMultiBandFactor": 2},
    "parallel imaging .*AccelFactPE = 2": {"sPat.lAccelFactPE": 2},
    "parallel imaging .*AccelFact3D = 3": {"sPat.lAccelFact3D": 3},
}


@pytest.mark.parametrize("why", PROTOCOLS)
def test_other_scans_are_refused_by_name(tmp_path: Path, kspace: np.ndarray, why: str) -> None:
    with pytest.raises(HalfscanError, match=rf"scan\.dat: {why}"):
        Twix(path=str(write(tmp_path, kspace, protocol=PROTOCOLS[why]))).acquisitions()


def test_samples_on_a_ramp_are_refused(tmp_path: Path, kspace: np.ndarray) -> None:
    ramped = header().replace(b"    1 1\n", b"    2 1\n")
    with pytest.raises(HalfscanError, match="gradient's ramps"):
        Twix(path=str(save(tmp_path / "r.dat", readouts(kspace), ramped))).acquisitions()


def _with(**counters: int) -> Callable[[list[Any]], list[Any]]:
    def change(lines: list[Any]) -> list[Any]:
        for name, value in counters.items():
            setattr(lines[5].mdh.Counter, name, value)
        return lines

    return change


def _flagged(flag: str) -> Callable[[list[Any]], list[Any]]:
    def change(lines: list[Any]) -> list[Any]:
        lines[5].add_flag(flag)
        return lines

    return change


def _centred(**values: int) -> Callable[[list[Any]], list[Any]]:
    def change(lines: list[Any]) -> list[Any]:
        for one in lines:
            for name, value in values.items():
                setattr(one.mdh, name, value)
        return lines

    return change


def _tilted(lines: list[Any]) -> list[Any]:
    for one in lines:
        if one.mdh.Counter.Sli == 2:
            one.mdh.SliceData.Quaternion[:] = (0.70710678, 0.70710678, 0.0, 0.0)
    return lines


def _longer(lines: list[Any]) -> list[Any]:
    extra = readout(np.ones((2, 20)), 8, 10, Lin=3)
    return [*lines[:9], extra, *lines[10:]]


def _swapped(lines: list[Any]) -> list[Any]:
    for coil, head in enumerate(lines[7].channel_hdr):
        head.ChannelId = 1 - coil
    return lines


READOUTS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "holds no image": lambda lines: [noise(np.ones((2, 8)))],
    "1 of 48 lines are missing": lambda lines: lines[:20] + lines[21:],
    "lines are missing: undersampled": lambda lines: [
        one for one in lines if one.mdh.Counter.Lin % 2 or one.mdh.Counter.Lin == 0
    ],
    "a 3D scan of 2 partitions": _with(Par=1),
    "lines are missing": _with(Lin=60_000),
    "1 of 48 lines are missing: ": _with(Lin=6),
    "run to and fro": _flagged("REFLECT"),
    "several slices at once": _flagged("SLICE_ACCEL_REFSCAN"),
    "1 lines were measured again": lambda lines: [*lines, readouts(np.ones((3, 2, 16, 12)))[0]],
    "several planes": _tilted,
    "differ in their samples: 12 to 20": _longer,
    "the centre of k-space, 0, does not lie inside 0 to 15 along ky": _centred(CenterLin=0),
    "the centre of k-space, 60000, does not lie inside 0 to 11 along kx": _centred(CenterCol=60_000),
    "the coils of the readout at byte .* are not those of the first": _swapped,
}


@pytest.mark.parametrize("why", READOUTS)
def test_lines_that_make_no_image_are_refused_by_name(tmp_path: Path, kspace: np.ndarray, why: str) -> None:
    path = save(tmp_path / "bad.dat", READOUTS[why](readouts(kspace)), header())
    with pytest.raises(HalfscanError, match=rf"bad\.dat: .*{why}") as refused:
        Twix(path=str(path)).acquisitions()
    assert "\n" not in str(refused.value)


def test_what_is_no_image_is_left_aside(tmp_path: Path, kspace: np.ndarray) -> None:
    other = [
        readout(np.full((2, 12), 100.0), 8, 6, flags=[flag], Lin=8)
        for flag in ("PHASCOR", "RTFEEDBACK", "PHASESTABSCAN", "PATREFSCAN", "noname60")
    ]
    lines = [*other, writing_twix.packet("pulse"), *readouts(kspace)]
    path = save(tmp_path / "o.dat", lines, header(), [("AdjCoilSens", readouts(9 * kspace), header({"sKSpace.ucDimension": 4}))])
    assert np.array_equal(_only(path).kspace.read(), kspace)


def _noise(coils: int, samples: int = 40_000) -> np.ndarray:
    """(coil, sample) of unit variance; the first two coils share half of theirs."""
    rng = np.random.default_rng(0)
    white = (rng.standard_normal((coils, samples)) + 1j * rng.standard_normal((coils, samples))) / np.sqrt(2)
    white[1] = (white[0] * 1j + white[1]) / np.sqrt(2)
    return white.astype(np.complex64)


def test_noise_is_scaled_to_the_scan_s_samples(tmp_path: Path, kspace: np.ndarray) -> None:
    lines = [*(noise(part) for part in np.split(_noise(2, 256 * 150), 150, axis=1)), *readouts(kspace)]
    cov = _only(save(tmp_path / "n.dat", lines, header())).noise_cov
    # 256 samples at 130 Hz each last 30 µs, those of the scan 10 µs; the filter passes 0.793 of the noise readout's band.
    expected = 30 / 10 / 0.793
    assert cov is not None
    assert cov[0, 0].real == pytest.approx(expected, rel=0.03)
    assert cov[1, 0] == pytest.approx(1j * expected / np.sqrt(2), abs=0.1)
    averaged = [*lines, *readouts(kspace, Ave=1)]
    twice = _only(save(tmp_path / "a.dat", averaged, header())).noise_cov
    np.testing.assert_allclose(twice, cov / 2, rtol=1e-6)
    unequal = _only(save(tmp_path / "u.dat", averaged[:-1], header()))
    assert unequal.noise_cov is None
    assert _only(save(tmp_path / "d.dat", lines, header({"sRXSPEC.alDwellTime[0]": None}))).noise_cov is None


def test_noise_of_the_adjustments_serves_where_the_scan_has_none(tmp_path: Path, kspace: np.ndarray) -> None:
    adjusted = noise(_noise(3, 20_000)[::-1])
    for coil, head in zip((7, 1, 0), adjusted.channel_hdr, strict=True):
        head.ChannelId = coil
    found = _only(save(tmp_path / "n.dat", readouts(kspace), header(), [("AdjCoilSens", [adjusted], header())]))
    cov = found.noise_cov
    assert cov is not None
    assert cov.shape == (2, 2)
    assert cov[0, 0].real == pytest.approx(5 / 10 / 0.793, rel=0.05)
    assert cov[1, 0].imag == pytest.approx(5 / 10 / 0.793 / np.sqrt(2), rel=0.1)
    louder = _only(
        save(tmp_path / "g.dat", readouts(kspace), header(), [("AdjCoilSens", [adjusted], header({"sRXSPEC.lGain": 2}))])
    )
    assert louder.noise_cov is None
    assert louder.digest != found.digest


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        (np.ones((2, 1)), "1 samples of noise are too few for 2 coils"),
        (np.zeros((2, 64)), "not Hermitian and positive definite"),
        (np.full((2, 64), np.nan), "hold NaN"),
        (np.full((2, 64), 3e38), "more than any receiver gives"),
    ],
)
def test_noise_that_can_t_be_is_refused(tmp_path: Path, kspace: np.ndarray, samples: np.ndarray, why: str) -> None:
    path = save(tmp_path / "n.dat", [noise(samples), *readouts(kspace)], header())
    with pytest.raises(HalfscanError, match=rf"n\.dat: .*{why}"):
        Twix(path=str(path)).acquisitions()


def test_scrubbed_ids_are_none_and_patients_pair_by_what_is_left(tmp_path: Path, kspace: np.ndarray) -> None:
    def patient(name: str, **ids: str) -> str:
        return _only(save(tmp_path / f"{name}.dat", readouts(kspace), header(**ids)), public_dataset="public").patient

    assert patient("a", PatientID="17") == patient("b", PatientID="17", PatientLOID="6.0.3") != patient("c", PatientID="18")
    assert patient("d", PatientLOID="6.0.3") == patient("e", PatientLOID="6.0.3") != patient("f", PatientLOID="6.0.4")
    assert patient("g", PatientLOID="xxx") != patient("h", PatientLOID="")


def test_nobody_is_named(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _only(write(tmp_path, kspace, phi=PHI))
    shown = repr({name: value for name, value in vars(found).items() if name != "file_name"}) + repr(found)
    for part in PHI.upper().split("^"):
        assert part not in shown.upper()
    with pytest.raises(HalfscanError) as refused:
        Twix(path=str(write(tmp_path, kspace, phi=PHI, protocol={"sKSpace.ucDimension": 4}))).acquisitions()
    assert "Mustermann" not in str(refused.value)


def test_provenance_is_measured_unless_the_user_says_otherwise(tmp_path: Path, kspace: np.ndarray) -> None:
    path = write(tmp_path, kspace)
    assert _only(path).provenance is Provenance.MEASURED
    assert _only(path, provenance="simulated").provenance is Provenance.SIMULATED
    with pytest.raises(HalfscanError, match=r"dataset\.provenance=real is unknown"):
        Twix(path=str(path), provenance="real")


def test_files_that_are_none_are_refused_and_not_recognised(tmp_path: Path, kspace: np.ndarray) -> None:
    whole = write(tmp_path, kspace).read_bytes()
    spoilt = {
        "empty": (b"", "0 bytes are no Siemens raw data"),
        "foreign": (b"%PDF-1.7 a report\n" * 200, "no Siemens raw data, or cut"),
        "many": (b"\0\0\0\0\x41\0\0\0" + bytes(20_000), "does not begin as Siemens raw data do"),
        "cut": (whole[:-1000], "the file is cut"),
        "parts": (whole[:10_244] + b"\xff\0\0\0" + whole[10_248:], "claims 255 parts"),
        "silent": (whole.replace(b"ASCCONV", b"ascconv"), "holds no protocol"),
    }
    for name, (content, why) in spoilt.items():
        path = tmp_path / f"{name}.dat"
        path.write_bytes(content)
        with pytest.raises(HalfscanError, match=rf"{name}\.dat: .*{why}"):
            Twix(path=str(path)).acquisitions()
    known = {path.stem for path in tmp_path.iterdir() if Twix(path="x").recognises(path)}
    assert known == {"scan", "cut", "parts", "silent"}
    with pytest.raises(HalfscanError) as refused:
        Twix(path=str(tmp_path)).acquisitions()
    assert all(f"{name}.dat" in str(refused.value) for name in spoilt)
    assert "scan.dat" not in str(refused.value)


def test_a_stopped_measurement_is_refused(tmp_path: Path, kspace: np.ndarray) -> None:
    lines = readouts(kspace)
    path = save(tmp_path / "s.dat", lines, header())
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[24:32], "little")
    content[24:32] = (length - 352).to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(HalfscanError, match="its last readout is missing"):
        Twix(path=str(path)).acquisitions()


def test_a_packet_without_length_does_not_hold_it_up(tmp_path: Path, kspace: np.ndarray) -> None:
    packet = writing_twix.packet("pulse")
    packet.mdh.FlagsAndDMALength = 0
    with pytest.raises(HalfscanError, match="a packet of 0 bytes"):
        Twix(path=str(save(tmp_path / "p.dat", [packet, *readouts(kspace)], header()))).acquisitions()


def test_the_missing_library_is_named(tmp_path: Path, kspace: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, kspace)
    monkeypatch.setitem(sys.modules, "twixtools", None)
    with pytest.raises(HalfscanError, match=r"pip install 'halfscan\[formats\]'"):
        Twix(path=str(path)).acquisitions()


def _compact(path: Path) -> bytes:
    """The file without the room for 63 further measurements, so that damage falls on what is read."""
    content = bytearray(path.read_bytes())
    content[16:24] = (160).to_bytes(8, "little")
    return bytes(content[:160] + content[10_240:])


def _damage(folder: Path, count: int) -> None:
    small = phantom(slices=2, coils=2, height=6, width=6)[2].numpy()
    lines = [noise(_noise(2, 8)), *readouts(small)]
    goods = [_compact(save(folder / "good.dat", lines, header())), save_vb(folder / "old.dat", lines, header()).read_bytes()]
    read = 0
    for seed, (good, text) in enumerate([(goods[0], False), (goods[0], True), (goods[1], False)]):
        for index, changed in enumerate(mutations(good, count // 3, seed=seed, text=text, head=len(header()) + 160)):
            path = folder / f"d{seed}_{index}.dat"
            path.write_bytes(changed)
            read += read_or_refused(Twix(path=str(path)), path)
    assert 0 < read < count


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    _damage(tmp_path, 300)


@pytest.mark.trials
def test_many_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    _damage(tmp_path, 3000)
