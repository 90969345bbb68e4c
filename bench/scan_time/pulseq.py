"""Pulseq: the seconds of a `.seq` file, and a mask written as one, so that a physicist can run that very pattern.

Needs pypulseq (`pip install halfscan[pulseq]`; MIT). The sequences (`sequences.py`) are plain on purpose: tuning them to a
scanner is the physicist's part; check its limits before it plays anything.

Source: Layton et al., Pulseq, Magn Reson Med 77 (2017) 1544; Ravi et al., PyPulseq, JOSS 4 (2019) 1725.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HalfscanError, one_line
from ..files import whole_file
from .breakdown import Breakdown
from .echo_order import linear_order
from .protocol import Protocol
from .sequences import Geometry, GradientEcho, TurboSpinEcho

BLOCKS_MOST = 2_000_000
"""Above, a file would take hours to write and no scanner to load."""
LONGEST_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class SeqTime:
    """What a Pulseq file takes."""

    path: str
    seconds: float
    """Sum of all blocks [s]."""
    blocks: int
    readouts: int
    """Blocks that record data."""
    timing_errors: int
    """Complaints of Pulseq's own timing check."""
    geometry: str | None = None
    """Of a file that was written here."""
    formula_s: float | None = None
    """Shots and dummies of the formula, for a file that was written here [s]; it holds neither reference nor preparation."""
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        state = "timing check passed" if not self.timing_errors else f"timing check: {self.timing_errors} errors"
        said = [f"{self.path}: {self.seconds:.3f} s, {self.blocks} blocks, {self.readouts} readouts, {state}"]
        if self.geometry is not None:
            said.append(self.geometry)
        if self.formula_s is not None:
            off = 100 * (self.seconds / self.formula_s - 1)
            said.append(f"Formula: {self.formula_s:.3f} s of shots and dummies ({off:+.2f} % in the file)")
        return said + [f"Warning: {line}." for line in self.warnings]


def read_seq(path: Path) -> SeqTime:
    """Seconds of a Pulseq file.

    Raises:
        HalfscanError: no pypulseq, no such file, or no Pulseq file.
    """
    pulseq = _pypulseq()
    try:
        found = path.is_file()
    except OSError as error:
        raise HalfscanError(f"{str(path)[:80]}: can't be read ({error.strerror})") from error
    if not found:
        raise HalfscanError(f"{path}: {'is no file' if path.exists() else 'no such file'}")
    sequence = pulseq.Sequence()
    try:
        with _quiet():
            sequence.read(str(path))
            measured = _measure(sequence, path)
    except Exception as error:
        # The reader raises whatever a malformed line trips: its own errors, index, value and key errors.
        raise HalfscanError(f"{path}: can't be read as a Pulseq file ({type(error).__name__}: {one_line(error)})") from error
    stated = sequence.definitions.get("TotalDuration")
    if not 0 < measured.seconds <= LONGEST_S:
        raise HalfscanError(f"{path}: its blocks take {measured.seconds:g} s, which is no scan: is the file damaged?")
    if stated is not None and not math.isclose(float(np.ravel(stated)[0]), measured.seconds, rel_tol=1e-3, abs_tol=1e-3):
        raise HalfscanError(
            f"{path}: it states a TotalDuration of {float(np.ravel(stated)[0]):g} s and its blocks take {measured.seconds:g} s: "
            "is the file damaged?"
        )
    return measured


def _measure(sequence: Any, path: Path) -> SeqTime:
    seconds, blocks, _ = sequence.duration()
    if not blocks:
        raise HalfscanError("it holds no blocks")
    # Block events: duration, RF, three gradients, ADC, extension.
    readouts = sum(int(events[5] > 0) for events in sequence.block_events.values())
    return SeqTime(
        path=str(path),
        seconds=float(seconds),
        blocks=int(blocks),
        readouts=readouts,
        timing_errors=len(sequence.check_timing()[1]),
    )


def write_seq(breakdown: Breakdown, geometry: Geometry, path: Path) -> SeqTime:
    """Writes a mask as a 2D TSE or GRE sequence; the file appears whole or not at all.

    Args:
        breakdown: the mask with its protocol, slices interleaved within TR.

    Raises:
        HalfscanError: no pypulseq, another kind of protocol, an echo spacing or TR that gradients can't keep, or a file
            that fails Pulseq's timing check.
    """
    pulseq = _pypulseq()
    if path.suffix != ".seq":
        raise HalfscanError(f"{path}: a Pulseq file ends in .seq")
    protocol, mask = breakdown.protocol, breakdown.mask
    _refuse_unwritable(protocol)
    if mask.sampled.ndim > 1:
        raise HalfscanError(f"sampling={mask.pattern} leaves out samples along the readout: a 2D sequence reads whole lines")
    order = linear_order(np.flatnonzero(mask.sampled), protocol.echo_train_length)
    scan = breakdown.scans.candidate
    slices = protocol.slices or protocol.passes
    echoes = slices * protocol.echo_train_length * (scan.shots * protocol.averages * protocol.volumes + protocol.dummies)
    if 5 * echoes > BLOCKS_MOST:
        raise HalfscanError(f"the sequence would have some {5 * echoes:.0e} blocks: lower averages, volumes, slices or dummies")
    try:
        with _quiet():
            build = TurboSpinEcho if protocol.sequence == "tse" else GradientEcho
            sequence = build(pulseq, protocol, geometry, mask.acquired.size).play(order)
            passed, complaints = sequence.check_timing()
    except (ValueError, AssertionError, RuntimeError) as error:
        raise HalfscanError(
            f"the gradients can't keep protocol {protocol.name} at {geometry.fov_mm:g} mm and {geometry.slice_mm:g} mm slices "
            f"({one_line(error)}): lengthen echo_spacing_s or tr_s, or enlarge --fov-mm or --slice-mm"
        ) from error
    if not passed:
        raise HalfscanError(
            f"the sequence fails Pulseq's timing check ({one_line(Exception(complaints[0]))}): nothing is written"
        )
    with _quiet():
        for name, value in (
            ("Name", f"halfscan_{protocol.sequence}"),
            ("FOV", [geometry.fov_readout_mm / 1000, geometry.fov_mm / 1000, geometry.slice_mm * slices / 1000]),
            ("PhaseEncodingLines", mask.acquired.size),
            ("MaskSHA256", mask.hash),
        ):
            sequence.set_definition(name, value)
    with whole_file(path) as draft, _quiet():
        written = draft.with_suffix(".seq")  # pypulseq writes to no other
        try:
            sequence.write(str(written))
            written.replace(draft)
        finally:
            written.unlink(missing_ok=True)
    said = (
        f"Geometry: {geometry.fov_readout_mm:g} mm in {geometry.readout} samples along readout, {geometry.fov_mm:g} mm in "
        f"{mask.acquired.size} lines along phase, {slices} slice{'s' if slices > 1 else ''} of {geometry.slice_mm:g} mm"
    )
    formula = scan.shots_s + (scan.dummies.value or 0.0)
    measured = asdict(_measure(sequence, path))
    return SeqTime(**{**measured, "geometry": said, "formula_s": formula, "warnings": breakdown.warnings})


def _refuse_unwritable(protocol: Protocol) -> None:
    if protocol.sequence not in ("tse", "gre") or protocol.dimension != 2:
        raise HalfscanError(
            f"protocol {protocol.name} is {protocol.dimension}D {protocol.sequence}: only 2D tse and gre are written as .seq"
        )
    if protocol.sequence == "tse" and protocol.echo_spacing_s is None:
        raise HalfscanError("protocol.echo_spacing_s=null: a tse .seq needs it, such as protocol.echo_spacing_s=0.01")
    if protocol.sms_factor > 1:
        raise HalfscanError(f"protocol.sms_factor={protocol.sms_factor}: multi-band pulses are not written as .seq")


@contextmanager
def _quiet() -> Iterator[None]:
    """pypulseq warns about its own rounding; what matters here is its timing check, which is asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pypulseq() -> Any:
    try:
        import pypulseq
    except ImportError as error:
        raise HalfscanError("Pulseq files need pypulseq: pip install 'halfscan[pulseq]'") from error
    return pypulseq
