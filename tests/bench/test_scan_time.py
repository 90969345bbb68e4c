"""Scan seconds: known answers to the second, both baselines, and no impossible time."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfscan.bench.errors import HalfscanError
from halfscan.bench.scan_time.protocol import ClinicalProtocol, Protocol
from halfscan.bench.scan_time.seconds import compare_scan_times, reduction, scan_time_2d

BARE = {"preparation_s": 0.0, "preparation_high_s": 0.0}
TSE = Protocol(name="tse", sequence="tse", tr_s=2.0, echo_train_length=16, dummies=1, **BARE)
GRE = Protocol(name="gre", sequence="gre", tr_s=0.03, dummies=8, **BARE)


@pytest.mark.parametrize(
    ("protocol", "lines", "seconds"), [(TSE, 64, 10.0), (TSE, 32, 6.0), (TSE, 33, 8.0), (GRE, 64, 2.16), (GRE, 22, 0.90)]
)
def test_known_answers(protocol: Protocol, lines: int, seconds: float) -> None:
    assert scan_time_2d(lines, protocol).seconds.value == pytest.approx(seconds)


def test_half_the_lines_is_not_half_the_time() -> None:
    assert reduction(scan_time_2d(32, TSE), scan_time_2d(64, TSE)).value == pytest.approx(0.4)
    assert 1 / (1 - (reduction(scan_time_2d(22, GRE), scan_time_2d(64, GRE)).value or 0)) == pytest.approx(2.4)


def test_averages_and_concatenations_multiply() -> None:
    protocol = Protocol(name="p", sequence="tse", tr_s=2.0, echo_train_length=8, averages=2, concatenations=3, dummies=1, **BARE)
    assert scan_time_2d(64, protocol).seconds.value == 3 * 2.0 * (8 * 2 + 1)


def test_assumed_preparation_carries_its_range() -> None:
    seconds = scan_time_2d(64, Protocol(name="p", sequence="tse", tr_s=2.0, echo_train_length=16)).seconds
    assert (seconds.low, seconds.value, seconds.high) == pytest.approx((10.0, 11.3, 15.6))


def test_reduction_against_full_and_clinical() -> None:
    protocol = Protocol(name="p", sequence="tse", tr_s=2.0, echo_train_length=4)
    scans = compare_scan_times(sampled=50, acquired=128, protocol=protocol)
    assert protocol.clinical.lines(128) == 76
    assert scans.full.shots_s == 64.0
    assert scans.clinical.shots_s == 38.0
    assert scans.against_full.value == pytest.approx(1 - (26 + 2 + 1.3) / (64 + 2 + 1.3))
    assert scans.against_clinical.value == pytest.approx(1 - (26 + 2 + 1.3) / (38 + 2 + 1.3))
    low, high = scans.against_full.low, scans.against_full.high
    assert low is not None
    assert high is not None
    assert low < scans.against_full.value < high


def test_a_slower_candidate_is_a_negative_reduction() -> None:
    assert (compare_scan_times(sampled=128, acquired=128, protocol=TSE).against_clinical.value or 0) < 0


@given(
    lines=st.integers(1, 4000),
    tr=st.floats(1e-3, 20),
    train=st.integers(1, 64),
    averages=st.integers(1, 8),
    dummies=st.integers(0, 50),
)
@settings(max_examples=200, deadline=None)
def test_time_is_finite_positive_and_grows_with_lines(lines: int, tr: float, train: int, averages: int, dummies: int) -> None:
    protocol = Protocol(name="p", sequence="tse", tr_s=tr, echo_train_length=train, averages=averages, dummies=dummies)
    if train > lines:
        with pytest.raises(HalfscanError, match="longer than the"):
            scan_time_2d(lines, protocol)
        return
    now, more = (scan_time_2d(n, protocol).seconds.value or math.nan for n in (lines, lines + 1))
    assert 0 < now <= more < math.inf


@pytest.mark.parametrize(
    "setting",
    [
        {"sequence": "epi"},
        {"tr_s": 0.0},
        {"tr_s": -1.0},
        {"tr_s": float("nan")},
        {"echo_train_length": 0},
        {"averages": 0},
        {"concatenations": 0},
        {"dummies": -1},
        {"reference_s": -1.0},
        {"preparation_s": 9.0},
        {"clinical": ClinicalProtocol(acceleration=0.5)},
    ],
)
def test_impossible_protocols_are_refused_by_name(setting: dict[str, float]) -> None:
    with pytest.raises(HalfscanError, match=f"protocol.{next(iter(setting))}"):
        Protocol(**{"name": "p", "sequence": "tse", "tr_s": 2.0, **setting})


def test_no_lines_are_refused() -> None:
    with pytest.raises(HalfscanError, match="sample at least one"):
        scan_time_2d(0, GRE)
