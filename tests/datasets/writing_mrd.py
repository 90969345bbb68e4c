"""Writes ISMRMRD files with the ismrmrd library: a readout a line, with all that its head says."""

from __future__ import annotations

from pathlib import Path

import ismrmrd
import numpy as np

from .writing_fastmri import header

DWELL_US = 5.0


def write(
    folder: Path,
    kspace: np.ndarray,
    name: str = "scan",
    phi: str | None = None,
    *,
    group: str = "dataset",
    suffix: str = ".h5",
    text: bytes | None = None,
    noise: np.ndarray | None = None,
    noise_dwell_us: float = DWELL_US,
    averages: int = 1,
    **counters: int,
) -> Path:
    """(slice, coil, ky, kx) as readouts, each average of it the same; `noise` (coil, sample) goes before them.

    A second call with the same name adds to the file: another echo, say, by `contrast=1`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{suffix}"
    slices, _, height, width = kspace.shape
    dataset = ismrmrd.Dataset(str(path), group, create_if_needed=True)
    dataset.write_xml_header(text or header((width, height), (width, height), (0, height - 1, height // 2), phi))
    if noise is not None:
        one = _readout(noise)
        one.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        one.sample_time_us = noise_dwell_us
        dataset.append_acquisition(one)
    for average in range(averages):
        # Interleaved, as scanners do it.
        for index in (*range(0, slices, 2), *range(1, slices, 2)):
            for line in range(height):
                dataset.append_acquisition(_readout(kspace[index, :, line], slice=index, line=line, average=average, **counters))
    dataset.close()
    return path


def _readout(samples: np.ndarray, slice: int = 0, line: int = 0, average: int = 0, **counters: int) -> ismrmrd.Acquisition:
    one = ismrmrd.Acquisition.from_array(np.ascontiguousarray(samples, np.complex64))
    one.center_sample = samples.shape[1] // 2
    one.sample_time_us = DWELL_US
    one.idx.slice, one.idx.kspace_encode_step_1, one.idx.average = slice, line, average
    for name, value in counters.items():
        setattr(one.idx, name, value)
    return one
