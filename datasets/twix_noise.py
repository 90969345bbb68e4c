"""The noise that a Siemens scan was preceded by, scaled to the scan's own samples.

Source: Kellman & McVeigh 2005, Magn Reson Med 54:1439 (SNR units): noise is white within the receiver's band, so
that its variance goes as one over the dwell time. How long a sample of a noise readout lasts is in no header: it follows
ismrmrd/siemens_to_ismrmrd.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import ComplexArray
from ..bench.errors import HalfscanError
from .noise import checked_covariance
from .twix_file import Measurement
from .twix_lines import Lines

_BAND = 0.793
"""Part of a noise readout's band that the receiver's filter passes: the middle of an image gets all of its noise."""
_PIXEL_HZ = 130.0
"""Bandwidth of a noise readout's sample."""
_ADJUSTMENT_US = 5.0
"""Dwell time of the noise in the adjustment of coils."""
_MOST = 1e30


def noise_cov(
    file: Path, stream: IO[bytes], scan: Measurement, earlier: Iterable[Measurement], lines: Lines
) -> ComplexArray | None:
    """(coil, coil) covariance of a volume's samples, from the scan's noise readouts or those of the adjustments before it.

    Returns:
        None where nobody measured noise with these coils and this gain, or where a dwell time or the averages are unknown.

    Raises:
        HalfscanError: the noise can't be one.
    """
    dwell_ns = scan.header.positive("sRXSPEC.alDwellTime[0]")
    if dwell_ns is None or lines.averages is None:
        return None
    for measurement in (scan, *earlier):
        if measurement.header.number("sRXSPEC.lGain") != scan.header.number("sRXSPEC.lGain"):
            continue
        found = _covariance(stream, measurement, lines.coils)
        if found is not None:
            return checked_covariance(file, "its noise readouts", found * (1000 / (dwell_ns * _BAND * lines.averages)))
    return None


def _covariance(stream: IO[bytes], measurement: Measurement, coils: npt.NDArray[np.uint16]) -> npt.NDArray[np.complex128] | None:
    """(coil, coil) E[n nᴴ] times the dwell time [µs] of the noise; None without noise of all these coils."""
    readouts = [(measurement.readouts[index], int(measurement.places[index])) for index in measurement.noise()]
    total = sum(int(readout["SamplesInScan"]) for readout, _ in readouts)
    if not readouts:
        return None
    if total < coils.size:
        raise HalfscanError(f"{total} samples of noise are too few for {coils.size} coils")
    power = np.zeros((coils.size, coils.size), dtype=np.complex128)
    for readout, place in readouts:
        channels, samples = int(readout["UsedChannels"]), int(readout["SamplesInScan"])
        ids, noise = measurement.layout.read(stream, place, channels, samples)
        if not np.array_equal(ids, coils):
            known = {int(identity): index for index, identity in enumerate(ids)}
            if len(known) < ids.size or not set(coils.tolist()) <= known.keys():
                return None
            noise = noise[[known[identity] for identity in coils.tolist()]]
        values = noise.astype(np.complex128)
        power += values @ values.conj().T * _dwell_us(measurement, samples)
    if not np.abs(power).max() < _MOST:
        raise HalfscanError("its noise readouts hold NaN, infinity or more than any receiver gives")
    return power / total


def _dwell_us(measurement: Measurement, samples: int) -> float:
    """How long a sample of a noise readout lasts [µs]; the scanner rounds down to 0.1 µs from software VD on."""
    if measurement.adjusts_coils:
        return _ADJUSTMENT_US
    exact = 1e6 / (samples * _PIXEL_HZ)
    return exact if measurement.old else int(76800 / samples) / 10
