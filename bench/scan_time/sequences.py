"""Plain 2D turbo spin echo and gradient echo sequences that read a given order of lines, in Pulseq's blocks.

Slice-selective sinc pulses, crushers around every refocusing pulse in TSE, RF and gradient spoiling in GRE, the slices of a TR
interleaved. Samples lie symmetric about the centre of a line, half a sample from where a Fourier transform has it: a phase ramp
that magnitudes do not see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import HalfscanError
from .echo_order import EchoOrder
from .protocol import Protocol

GRADIENT_RASTER_S = 1e-5
ADC_RASTER_S = 1e-7
RF_DEAD_S = 1e-4
"""Before and after a pulse alike, so that blocks with a pulse are symmetric about it [s]."""
EXCITATION_S, REFOCUSING_S = 0.0025, 0.002
READOUT_SHARE = 0.35
"""Of an echo spacing that reads data."""
GRE_READOUT_S = 0.0032
CRUSHER_CYCLES = 4.0
"""Dephasing across a slice by one crusher [cycles]."""
GRE_FLIP_DEG = 15.0
SPOILING_INCREMENT_DEG = 117.0


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """What a written sequence needs beside the protocol."""

    fov_mm: float = 256.0
    """Along phase [mm]."""
    fov_readout_mm: float = 256.0
    """Along readout, oversampling included [mm]."""
    slice_mm: float = 5.0
    readout: int = 256
    """Samples of a line."""
    max_gradient_mt_m: float = 30.0
    max_slew_t_m_s: float = 130.0

    def __post_init__(self) -> None:
        for name in ("fov_mm", "fov_readout_mm", "slice_mm", "readout", "max_gradient_mt_m", "max_slew_t_m_s"):
            value = getattr(self, name)
            if not 0 < value <= 10_000:
                raise HalfscanError(f"{name}={value} must be above 0, and at most 10000")


def _up(seconds: float, raster: float = GRADIENT_RASTER_S) -> float:
    """Rounded up to a raster."""
    return math.ceil(seconds / raster - 1e-6) * raster


class _Sequence2D:
    """What both sequences share: limits, readout, phase encoding, and slices interleaved within TR."""

    def __init__(self, pulseq: Any, protocol: Protocol, geometry: Geometry, lines: int, readout_s: float) -> None:
        self.pp, self.protocol, self.geometry, self.full_lines = pulseq, protocol, geometry, lines
        self.limits = pulseq.Opts(
            max_grad=geometry.max_gradient_mt_m,
            grad_unit="mT/m",
            max_slew=geometry.max_slew_t_m_s,
            slew_unit="T/m/s",
            rf_dead_time=RF_DEAD_S,
            rf_ringdown_time=RF_DEAD_S,
            adc_dead_time=GRADIENT_RASTER_S,
        )
        self.sequence = pulseq.Sequence(self.limits)
        self.labels: dict[str, int] = {}
        self.dk = 1000 / geometry.fov_mm
        """Step in k-space along phase [1/m]."""
        dwell = max(ADC_RASTER_S, math.floor(readout_s / geometry.readout / ADC_RASTER_S) * ADC_RASTER_S)
        sampled = geometry.readout * dwell
        flat = _up(sampled + 2 * GRADIENT_RASTER_S)
        amplitude = geometry.readout * (1000 / geometry.fov_readout_mm) / sampled
        self.gx = pulseq.make_trapezoid("x", amplitude=amplitude, flat_time=flat, system=self.limits)
        delay = self.gx.rise_time + math.floor((flat - sampled) / 2 / 1e-6) * 1e-6
        self.adc = pulseq.make_adc(geometry.readout, dwell=dwell, delay=delay, system=self.limits)
        self.read_s = float(pulseq.calc_duration(self.gx))

    def encode(self, line: int, duration: float) -> SimpleNamespace:
        """The phase-encoding gradient of a line, −1 for none."""
        area = 0.0 if line < 0 else (line - self.full_lines // 2) * self.dk
        return self.pp.make_trapezoid("y", area=area, duration=duration, system=self.limits)

    def slice_offset(self, index: int, count: int) -> float:
        """Of a slice's centre [m]; slices lie one thickness apart."""
        return (index - (count - 1) / 2) * self.geometry.slice_mm / 1000

    def play(self, order: EchoOrder) -> Any:
        """All concatenations, dummies, volumes, averages and shots, the slices of a concatenation within each TR."""
        protocol = self.protocol
        slices = protocol.slices or protocol.passes
        idle = np.full(order.lines.shape[1], -1)
        for first in range(protocol.passes):
            neighbours = range(first, slices, protocol.passes)
            # Every second slice first: neighbours within a TR would saturate each other.
            together = [*neighbours[::2], *neighbours[1::2]]
            slot = math.floor(protocol.tr_s / len(together) / GRADIENT_RASTER_S + 1e-6) * GRADIENT_RASTER_S
            rest = _up(protocol.tr_s - slot * len(together)) if len(together) > 1 else 0.0
            repetitions = [(average, volume) for volume in range(protocol.volumes) for average in range(protocol.averages)]
            trains = [(idle, (0, 0))] * protocol.dummies
            trains += [(train, repetition) for repetition in repetitions for train in order.lines]
            for number, (train, (average, volume)) in enumerate(trains):
                for place in together:
                    last = place == together[-1]
                    self.labels = {"SLC": place, "AVG": average, "REP": volume}
                    self.excite(train, self.slice_offset(place, slices), slot + (rest if last else 0.0), number)
        return self.sequence

    def excite(self, train: Any, offset_m: float, slot_s: float, number: int) -> None:
        """One excitation of a slice with its echoes, filled up to its slot [s].

        Args:
            number: of the TR, counted from 0: all its slices share the phase of RF spoiling, whose increments a slice would
                otherwise see with gaps.
        """
        raise NotImplementedError

    def fill(self, used_s: float, slot_s: float) -> None:
        """A delay up to the end of the slot."""
        left = round((slot_s - used_s) / GRADIENT_RASTER_S) * GRADIENT_RASTER_S
        if left < 0:
            raise ValueError(f"TR leaves {1000 * slot_s:.1f} ms an excitation and it takes {1000 * used_s:.1f} ms")
        if left > 0:
            self.sequence.add_block(self.pp.make_delay(left))

    def read(self, line: int) -> None:
        """The readout; without a line nothing is recorded."""
        if line < 0:
            self.sequence.add_block(self.gx)
        else:
            stated = {"LIN": int(line), **self.labels}
            labels = [self.pp.make_label(name, "SET", value) for name, value in stated.items()]
            self.sequence.add_block(self.gx, self.adc, *labels)


class TurboSpinEcho(_Sequence2D):
    """Blocks of one echo, symmetric about its refocusing pulse and its readout:
    refocusing, crusher with phase encoding, readout, crusher with rewinding."""

    def __init__(self, pulseq: Any, protocol: Protocol, geometry: Geometry, lines: int) -> None:
        spacing = protocol.echo_spacing_s or 0.0
        super().__init__(pulseq, protocol, geometry, lines, READOUT_SHARE * spacing)
        thickness = geometry.slice_mm / 1000
        pulse = {"system": self.limits, "slice_thickness": thickness, "apodization": 0.5, "time_bw_product": 4, "return_gz": True}
        self.excitation, self.gz_excitation, rephase = pulseq.make_sinc_pulse(
            math.pi / 2, duration=EXCITATION_S, phase_offset=math.pi / 2, use="excitation", **pulse
        )
        self.refocusing, self.gz_refocusing, _ = pulseq.make_sinc_pulse(math.pi, duration=REFOCUSING_S, use="refocusing", **pulse)
        refocusing_s = float(pulseq.calc_duration(self.refocusing, self.gz_refocusing))
        excitation_s = float(pulseq.calc_duration(self.excitation, self.gz_excitation))
        self.crusher_s = _floor((spacing - refocusing_s - self.read_s) / 2)
        self.echo_s = refocusing_s + self.read_s + 2 * self.crusher_s
        # From the middle of the excitation to the middle of the first refocusing pulse is half an echo spacing.
        self.first_s = _floor((self.echo_s - excitation_s - refocusing_s) / 2)
        if self.crusher_s <= 0 or self.first_s <= 0:
            raise ValueError(f"an echo spacing of {1000 * spacing:g} ms does not hold a pulse, a readout and two crushers")
        area = CRUSHER_CYCLES / thickness
        self.crusher = pulseq.make_trapezoid("z", area=area, duration=self.crusher_s, system=self.limits)
        self.first_crusher = pulseq.make_trapezoid("z", area=area + rephase.area, duration=self.first_s, system=self.limits)
        self.prephase = pulseq.make_trapezoid("x", area=self.gx.area / 2, duration=self.first_s, system=self.limits)
        self.before_s = excitation_s + self.first_s

    def excite(self, train: Any, offset_m: float, slot_s: float, number: int) -> None:
        add, encode = self.sequence.add_block, self.encode
        self.excitation.freq_offset = self.gz_excitation.amplitude * offset_m
        self.refocusing.freq_offset = self.gz_refocusing.amplitude * offset_m
        # Off-centre slices: the phase at the middle of the pulse must stay as planned.
        for pulse, phase in ((self.excitation, math.pi / 2), (self.refocusing, 0.0)):
            pulse.phase_offset = phase - 2 * math.pi * pulse.freq_offset * self.pp.calc_rf_center(pulse)[0]
        add(self.excitation, self.gz_excitation)
        add(self.prephase, self.first_crusher)
        for line in train:
            add(self.refocusing, self.gz_refocusing)
            add(self.crusher, encode(line, self.crusher_s))
            self.read(line)
            rewind = encode(line, self.crusher_s)
            add(self.crusher, self.pp.scale_grad(rewind, -1.0))
        self.fill(self.before_s + len(train) * self.echo_s, slot_s)


class GradientEcho(_Sequence2D):
    """Spoiled gradient echo at its shortest echo time."""

    def __init__(self, pulseq: Any, protocol: Protocol, geometry: Geometry, lines: int) -> None:
        super().__init__(pulseq, protocol, geometry, lines, min(GRE_READOUT_S, READOUT_SHARE * protocol.tr_s))
        thickness = geometry.slice_mm / 1000
        self.excitation, self.gz, rephase = pulseq.make_sinc_pulse(
            math.radians(GRE_FLIP_DEG),
            duration=EXCITATION_S,
            slice_thickness=thickness,
            apodization=0.5,
            time_bw_product=4,
            use="excitation",
            return_gz=True,
            system=self.limits,
        )
        prephase = pulseq.make_trapezoid("x", area=-self.gx.area / 2, system=self.limits)
        widest = pulseq.make_trapezoid("y", area=max(1, lines // 2) * self.dk, system=self.limits)
        spoiler = pulseq.make_trapezoid("z", area=CRUSHER_CYCLES / thickness, system=self.limits)
        self.encode_s = _up(max(float(pulseq.calc_duration(event)) for event in (prephase, widest, spoiler, rephase)))
        self.prephase = pulseq.make_trapezoid("x", area=-self.gx.area / 2, duration=self.encode_s, system=self.limits)
        self.rephase = pulseq.make_trapezoid("z", area=rephase.area, duration=self.encode_s, system=self.limits)
        self.spoiler = pulseq.make_trapezoid("z", area=CRUSHER_CYCLES / thickness, duration=self.encode_s, system=self.limits)
        self.used_s = float(pulseq.calc_duration(self.excitation, self.gz)) + 2 * self.encode_s + self.read_s

    def excite(self, train: Any, offset_m: float, slot_s: float, number: int) -> None:
        (line,) = train
        add, encode = self.sequence.add_block, self.encode
        phase = math.radians(SPOILING_INCREMENT_DEG * number * (number + 1) / 2 % 360)
        self.excitation.freq_offset = self.gz.amplitude * offset_m
        centre = self.pp.calc_rf_center(self.excitation)[0]
        self.excitation.phase_offset = phase - 2 * math.pi * self.excitation.freq_offset * centre
        self.adc.phase_offset = phase
        add(self.excitation, self.gz)
        add(self.prephase, self.rephase, encode(line, self.encode_s))
        self.read(line)
        add(self.pp.scale_grad(encode(line, self.encode_s), -1.0), self.spoiler)
        self.fill(self.used_s, slot_s)


def _floor(seconds: float) -> float:
    """Rounded down to the gradients' raster."""
    return math.floor(seconds / GRADIENT_RASTER_S + 1e-6) * GRADIENT_RASTER_S
