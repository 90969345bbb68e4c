"""Pulseq files: the formula's seconds, the mask's lines in k-space, spin echoes in the middle of readouts, and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halfscan.bench.cli import main
from halfscan.bench.errors import HalfscanError
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.sampling.poisson_disc import PoissonDisc
from halfscan.bench.sampling.random import Random
from halfscan.bench.scan_time.breakdown import break_down
from halfscan.bench.scan_time.protocol import Protocol
from halfscan.bench.scan_time.pulseq import read_seq, write_seq
from halfscan.bench.scan_time.sequences import Geometry

pypulseq = pytest.importorskip("pypulseq", reason="the extra halfscan[pulseq] is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pypulseq.*")

TSE = Protocol(name="tse", sequence="tse", tr_s=1.5, echo_train_length=6, echo_spacing_s=0.01)
GRE = Protocol(name="gre", sequence="gre", tr_s=0.03, dummies=3, assumed=replace(TSE.assumed, dummies=None))
GEOMETRY = Geometry(fov_mm=220.0, fov_readout_mm=300.0, slice_mm=4.0, readout=64)
LINES = np.ones(48, dtype=bool)
MASK = Equispaced(acceleration=3, acs_lines=8).draw(LINES, "x")
KINDS = {
    "tse": TSE,
    "gre": GRE,
    "slices": replace(TSE, slices=5, concatenations=2, averages=2),
    "gre slices": replace(GRE, slices=3, tr_s=0.1),
    "volumes": replace(GRE, volumes=2),
    "odd train": replace(TSE, echo_train_length=7, echo_spacing_s=0.00873, tr_s=1.00003),
}


def _read(path: Path) -> Any:
    sequence = pypulseq.Sequence()
    sequence.read(str(path))
    return sequence


def _labels(block: Any) -> Iterator[tuple[str, int]]:
    for label in block.label.values() if isinstance(block.label, dict) else block.label:
        yield label.label, int(label.value)


@pytest.mark.parametrize("kind", KINDS)
def test_file_and_formula_agree(kind: str, tmp_path: Path) -> None:
    protocol = KINDS[kind]
    breakdown = break_down(MASK, protocol)
    written = write_seq(breakdown, GEOMETRY, tmp_path / "x.seq")
    assert written.timing_errors == 0
    assert written.seconds == pytest.approx(written.formula_s, rel=0.01)
    scan = breakdown.scans.candidate
    assert written.formula_s == pytest.approx(scan.shots_s + protocol.passes * protocol.tr_s * protocol.dummies)
    slices = protocol.slices or 1
    assert written.readouts == MASK.lines_sampled * slices * protocol.averages * protocol.volumes
    again = read_seq(tmp_path / "x.seq")
    assert (again.seconds, again.blocks, again.readouts) == (pytest.approx(written.seconds), written.blocks, written.readouts)
    assert [path.name for path in tmp_path.iterdir()] == ["x.seq"]


@pytest.mark.parametrize("kind", ["tse", "gre", "odd train"])
@pytest.mark.parametrize("mask", [MASK, Random(acceleration=2, acs_lines=6).draw(LINES, "y")], ids=["equispaced", "random"])
def test_the_file_reads_the_mask_s_lines(kind: str, mask: Any, tmp_path: Path) -> None:
    """k-space as Pulseq's own integrator sees it: every sampled line once, each centred along the readout."""
    write_seq(break_down(mask, KINDS[kind]), GEOMETRY, tmp_path / "x.seq")
    trajectory = _read(tmp_path / "x.seq").calculate_kspace()[0]
    kx, ky = trajectory[:2].reshape(2, -1, GEOMETRY.readout)
    kx, ky = kx * GEOMETRY.fov_readout_mm / 1000, ky * GEOMETRY.fov_mm / 1000
    lines = np.rint(ky[:, 0] + LINES.size // 2).astype(int)
    assert sorted(lines.tolist()) == np.flatnonzero(mask.sampled).tolist()
    assert np.abs(ky - (lines - LINES.size // 2)[:, None]).max() < 1e-3
    assert np.abs(kx.mean(axis=1)).max() < 0.06, "in steps of k-space, half of which a sample is wide"
    assert np.ptp(kx, axis=1) == pytest.approx(GEOMETRY.readout - 1, rel=1e-3)


def test_echoes_form_in_the_middle_of_readouts(tmp_path: Path) -> None:
    """Carr-Purcell: refocusing pulses lie one echo spacing apart, the first half of one after the excitation."""
    write_seq(break_down(MASK, TSE), GEOMETRY, tmp_path / "x.seq")
    _, _, excited, refocused, sampled = _read(tmp_path / "x.seq").calculate_kspace()[:5]
    train = np.asarray(refocused).reshape(-1, TSE.echo_train_length)
    start = np.asarray(excited)[:, None] if np.ndim(excited) else excited
    assert np.diff(train, axis=1) == pytest.approx(TSE.echo_spacing_s, abs=2e-5)
    assert 2 * (train[:, :1] - start) == pytest.approx(TSE.echo_spacing_s, abs=4e-5)
    middle = np.asarray(sampled).reshape(-1, GEOMETRY.readout).mean(axis=1)
    after = middle - np.asarray(refocused)[np.searchsorted(refocused, middle) - 1]
    assert after == pytest.approx(TSE.echo_spacing_s / 2, abs=2e-5)


def test_the_file_names_its_mask(tmp_path: Path) -> None:
    write_seq(break_down(MASK, GRE), GEOMETRY, tmp_path / "x.seq")
    sequence = _read(tmp_path / "x.seq")
    assert sequence.get_definition("MaskSHA256") == MASK.hash
    blocks = [sequence.get_block(number) for number in sequence.block_events]
    lines = [dict(_labels(block))["LIN"] for block in blocks if block.adc is not None]
    assert lines == np.flatnonzero(MASK.sampled).tolist()


def test_every_slice_sees_the_same_rf_spoiling(tmp_path: Path) -> None:
    """The second difference of a slice's phases is the spoiling increment, whatever other slices lie between."""
    write_seq(break_down(MASK, replace(GRE, slices=4, tr_s=0.1)), GEOMETRY, tmp_path / "x.seq")
    sequence = _read(tmp_path / "x.seq")
    blocks = [sequence.get_block(number) for number in sequence.block_events]
    pulses = [block.rf for block in blocks if block.rf is not None]
    frequencies = sorted({round(pulse.freq_offset, 3) for pulse in pulses})
    assert len(frequencies) == 4
    for frequency in frequencies:
        phases = np.array([pulse.phase_offset for pulse in pulses if round(pulse.freq_offset, 3) == frequency])
        second = np.diff(phases, n=2)
        assert np.cos(second - np.radians(117)) == pytest.approx(1.0, abs=1e-4)
    sliced = [dict(_labels(block))["SLC"] for block in blocks if block.adc is not None]
    assert sliced[:4] == [0, 2, 1, 3], "neighbours are not excited one after the other"


def test_masks_with_holes_in_their_lines_are_not_written(tmp_path: Path) -> None:
    mask = PoissonDisc(acceleration=2, acs_lines=12).draw(LINES, "x", readout=48)
    with pytest.raises(HalfscanError, match="a 2D sequence reads whole lines"):
        write_seq(break_down(mask, GRE), GEOMETRY, tmp_path / "x.seq")


@pytest.mark.parametrize(
    ("protocol", "geometry", "words"),
    [
        (replace(TSE, echo_spacing_s=0.004), GEOMETRY, "echo spacing of 4 ms does not hold"),
        (replace(TSE, slices=20, tr_s=1.3), GEOMETRY, "TR leaves 65.0 ms an excitation"),
        (replace(TSE, echo_spacing_s=None), GEOMETRY, "echo_spacing_s=null"),
        (replace(GRE, tr_s=0.004), GEOMETRY, "TR leaves 4.0 ms an excitation"),
        (replace(TSE, slices=4, sms_factor=2), GEOMETRY, "multi-band"),
        (replace(GRE, dimension=3, partitions=8), GEOMETRY, "only 2D tse and gre"),
        (TSE, replace(GEOMETRY, slice_mm=0.05), "gradients can't keep"),
        (TSE, replace(GEOMETRY, fov_mm=4.0), "gradients can't keep"),
    ],
)
def test_what_gradients_can_not_play_is_refused(protocol: Protocol, geometry: Geometry, words: str, tmp_path: Path) -> None:
    with pytest.raises(HalfscanError, match=words):
        write_seq(break_down(MASK, protocol), geometry, tmp_path / "x.seq")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pypulseq leaves damaged files open
def test_bad_geometry_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HalfscanError, match=r"fov_mm=0\.0 must be above 0"):
        Geometry(fov_mm=0.0)
    with pytest.raises(HalfscanError, match=r"ends in \.seq"):
        write_seq(break_down(MASK, GRE), GEOMETRY, tmp_path / "x.txt")
    with pytest.raises(HalfscanError, match="no such file"):
        read_seq(tmp_path / "absent.seq")
    for content in ("not a sequence", "", "[VERSION]\nmajor 1\n"):
        (tmp_path / "bad.seq").write_text(content)
        with pytest.raises(HalfscanError, match="can't be read as a Pulseq file"):
            read_seq(tmp_path / "bad.seq")


def test_the_command_writes_and_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "x.seq")
    assert main(["time", "protocol=flash", "sampling.acceleration=4", "--lines", "64", "--write-seq", file]) == 0
    assert "timing check passed" in capsys.readouterr().out
    assert main(["time", "--seq", file]) == 0
    assert "readouts" in capsys.readouterr().out
