"""Echo orders read every line once, in bands; masks that a scan would read otherwise are warned of."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.sampling.mask import Mask
from halfscan.bench.sampling.poisson_disc import PoissonDisc
from halfscan.bench.sampling.variable_density import VariableDensity
from halfscan.bench.scan_time.echo_order import linear_order, warnings
from halfscan.bench.scan_time.protocol import Protocol

TSE = Protocol(name="p", sequence="tse", tr_s=4.0, echo_train_length=8, echo_spacing_s=0.01)
EPI = Protocol(name="p", sequence="epi", tr_s=4.0)
ALL = np.ones(128, dtype=bool)


@given(st.sets(st.integers(0, 400), min_size=1), st.integers(1, 32))
def test_every_line_is_read_once_and_echoes_read_ascending_bands(lines: set[int], train: int) -> None:
    order = linear_order(sorted(lines), train)
    read = order.lines[order.lines >= 0]
    assert sorted(read.tolist()) == sorted(lines)
    assert order.lines.shape == (-(-len(lines) // train), train)
    bands = [band[band >= 0] for band in order.lines.T]
    filled = [band for band in bands if band.size]
    assert all(before.max() < after.min() for before, after in pairwise(filled))


def test_the_centre_is_read_by_the_middle_echo() -> None:
    order = linear_order(np.arange(128), 8)
    assert 64 in order.lines[:, 4]
    assert (order.lines[:, 0] == np.arange(16)).all()


def test_a_train_that_is_not_filled_keeps_the_centre_in_its_middle() -> None:
    order = linear_order(np.arange(49), 24)
    assert 24 in order.lines[:, 12]
    assert (order.lines >= 0).any(axis=0).all(), "no echo stays without any line"


def _mask(sampled: np.ndarray) -> Mask:
    return Mask(axes=("ky",), sampled=sampled, acquired=ALL, acs=None, nominal=2.0, pattern="made", spec={}, replicate=0)


def test_a_full_scan_and_a_scanner_s_own_mask_pass() -> None:
    assert warnings(_mask(ALL), TSE) == ()
    assert warnings(Equispaced(acceleration=4, acs_lines=24).draw(ALL, "x"), TSE) == ()


def test_a_centre_that_moves_in_the_train_changes_the_contrast() -> None:
    half = ALL.copy()
    half[:48] = False  # as partial Fourier does
    (words,) = warnings(_mask(half), TSE)
    assert "centre of k-space is read 2.4 of 8 echoes (10 ms apart) earlier" in words


def test_lines_that_move_in_the_train_are_warned_of() -> None:
    (words,) = warnings(VariableDensity(acceleration=4, acs_lines=24).draw(ALL, "x"), TSE)
    assert "T2 decay" in words
    gre = Protocol(name="p", sequence="gre", tr_s=0.03)
    assert warnings(VariableDensity(acceleration=4, acs_lines=24).draw(ALL, "x"), gre) == ()


def test_samples_left_out_along_the_readout_are_warned_of() -> None:
    mask = PoissonDisc(acceleration=4, acs_lines=12).draw(np.ones(48, dtype=bool), "x", readout=48)
    assert "along the readout" in warnings(mask, TSE)[0]
    full = PoissonDisc(acceleration=1, acs_lines=12).draw(np.ones(48, dtype=bool), "x", readout=64)
    assert len(warnings(full, TSE)) == 1, "all lines are read: nothing moves in the train"


@pytest.mark.parametrize(("acs_lines", "count"), [(0, 0), (16, 1)])
def test_epi_steps_evenly(acs_lines: int, count: int) -> None:
    mask = Equispaced(acceleration=2, acs_lines=acs_lines).draw(ALL, "x")
    assert len(warnings(mask, EPI)) == count
