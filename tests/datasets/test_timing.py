"""Timing from an ISMRMRD header and from a sidecar: units, silence, and nonsense."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from halfscan.bench.acquisition import Timing
from halfscan.bench.errors import HalfscanError
from halfscan.datasets.array import Array
from halfscan.datasets.header import read_header
from halfscan.datasets.timing import first_stated, sidecar_timing

HEADER = """<?xml version="1.0" encoding="utf-8"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <encoding>
    <encodingLimits><average><minimum>0</minimum><maximum>1</maximum><center>0</center></average></encodingLimits>
    <echoTrainLength>4</echoTrainLength>
  </encoding>
  <sequenceParameters><TR>2800</TR><TE>33</TE><TI>100</TI><sequence_type>TurboSpinEcho</sequence_type><echo_spacing>11.1</echo_spacing></sequenceParameters>
</ismrmrdHeader>"""


def test_a_header_in_milliseconds() -> None:
    expected = Timing(sequence="tse", tr_s=2.8, te_s=0.033, echo_spacing_s=pytest.approx(0.0111), echo_train_length=4, averages=2)
    assert read_header(HEADER).timing == expected
    assert read_header(HEADER.encode()).timing == expected
    assert read_header(HEADER.replace(' xmlns="http://www.ismrm.org/ISMRMRD"', "")).timing == expected


@pytest.mark.parametrize("value", ["0", "-5", "NaN", "none", ""])
def test_what_a_header_fills_in_for_unknown_is_silence(value: str) -> None:
    assert read_header(HEADER.replace("<TR>2800", f"<TR>{value}")).timing.tr_s is None


def test_silence_and_nonsense() -> None:
    assert read_header("<ismrmrdHeader/>").timing == Timing()
    with pytest.raises(HalfscanError, match="no XML"):
        read_header("TR=2800")
    with pytest.raises(HalfscanError, match="entities"):
        read_header('<!DOCTYPE a [<!ENTITY b "c">]>' + HEADER)


def test_a_sidecar() -> None:
    stated = {"TR_ms": 2800, "TE_ms": "33 (note)", "echo_train_length": 8, "dummies": 0, "scan_time_s": 93.5}
    assert sidecar_timing(stated) == Timing(tr_s=2.8, echo_train_length=8, dummies=0, total_s=93.5)
    assert first_stated(Timing(tr_s=1.0), Timing(tr_s=2.0, te_s=0.1)) == Timing(tr_s=1.0, te_s=0.1)


WRONG = [
    *({"TR_ms": value} for value in (-1, True, 10**400)),
    *({"averages": value} for value in (1.5, 0, [2])),
    {"dummies": -1},
    {"scan_time_s": float("inf")},
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{next(iter(wrong))} {str(next(iter(wrong.values())))[:8]}")
def test_a_sidecar_s_nonsense_is_refused(wrong: dict[str, float], write_kspace: Callable[..., Path]) -> None:
    path = write_kspace(sidecar={"axes": ["slice", "coil", "ky", "kx"], **wrong})
    with pytest.raises(HalfscanError, match=rf"scan.json: .*{next(iter(wrong))}"):
        Array(path=str(path)).acquisitions()


def test_the_array_data_set_reads_the_header_of_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "knee.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["kspace"] = (rng.standard_normal((1, 2, 16, 16)) + 1j).astype(np.complex64)
        file["ismrmrd_header"] = HEADER
    path.with_suffix(".json").write_text(json.dumps({"axes": ["slice", "coil", "ky", "kx"], "TR_ms": 3000}), "utf-8")
    (acquisition,) = Array(path=str(path)).acquisitions()
    assert acquisition.timing.tr_s == 3.0, "the sidecar goes first"
    assert acquisition.timing.echo_train_length == 4
