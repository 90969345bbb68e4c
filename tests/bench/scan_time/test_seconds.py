"""Scan seconds: known answers to the second, both baselines, and no impossible time."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from halfscan.bench.errors import HalfscanError
from halfscan.bench.scan_time.protocol import Assumed, ClinicalProtocol, Protocol, expected_lines
from halfscan.bench.scan_time.seconds import compare_scan_times, reduction, scan_time

KNOWN = Assumed(dummies=None, preparation_s=None, reference_line_s=None, sms_reference_s=None)
BARE = {"preparation_s": 0.0, "assumed": KNOWN}
TSE = Protocol(name="tse", sequence="tse", tr_s=2.0, echo_train_length=16, dummies=1, **BARE)
GRE = Protocol(name="gre", sequence="gre", tr_s=0.03, dummies=8, **BARE)


@pytest.mark.parametrize(
    ("protocol", "lines", "seconds"), [(TSE, 64, 10.0), (TSE, 32, 6.0), (TSE, 33, 8.0), (GRE, 64, 2.16), (GRE, 22, 0.90)]
)
def test_known_answers(protocol: Protocol, lines: int, seconds: float) -> None:
    assert scan_time(lines, protocol).seconds.value == pytest.approx(seconds)


def test_half_the_lines_is_not_half_the_time() -> None:
    assert reduction(scan_time(32, TSE), scan_time(64, TSE)).value == pytest.approx(0.4)
    assert 1 / (1 - (reduction(scan_time(22, GRE), scan_time(64, GRE)).value or 0)) == pytest.approx(2.4)


def test_averages_and_concatenations_multiply() -> None:
    protocol = Protocol(name="p", sequence="tse", tr_s=2.0, echo_train_length=8, averages=2, concatenations=3, dummies=1, **BARE)
    assert scan_time(64, protocol).seconds.value == 3 * 2.0 * (8 * 2 + 1)


def test_what_is_assumed_carries_its_range() -> None:
    seconds = scan_time(64, Protocol(name="p", sequence="tse", tr_s=2.0, echo_train_length=16)).seconds
    assert (seconds.low, seconds.value, seconds.high) == pytest.approx((8 + 2 + 0, 8 + 2 + 1.5, 8 + 4 + 5.6))
    known = scan_time(64, TSE).seconds
    assert known.low == known.value == known.high == 10.0


def test_3d_counts_partitions_and_the_ellipse() -> None:
    protocol = Protocol(name="p", sequence="gre", dimension=3, tr_s=0.01, partitions=60, dummies=0, **BARE)
    assert scan_time(100, protocol).seconds.value == pytest.approx(60.0)
    elliptical = replace(protocol, elliptical=True)
    assert scan_time(100, elliptical).steps == math.ceil(6000 * math.pi / 4)
    mprage = Protocol(
        name="p", sequence="mprage", dimension=3, tr_s=2.3, echo_train_length=176, partitions=176, dummies=1, **BARE
    )
    assert scan_time(240, mprage).seconds.value == pytest.approx(2.3 * 241)


def test_epi_saves_time_only_through_tr_or_segments() -> None:
    epi = Protocol(name="p", sequence="epi", tr_s=3.0, volumes=20, dummies=2, **BARE)
    full, half = scan_time(96, epi), scan_time(48, epi)
    assert full.seconds.value == half.seconds.value == 3.0 * 22
    assert (full.echoes, half.echoes) == (96, 48)
    assert scan_time(96, replace(epi, segments=4)).seconds.value == 3.0 * (20 * 4 + 2)


def test_concatenations_follow_from_slices() -> None:
    protocol = Protocol(
        name="p", sequence="tse", tr_s=3.0, concatenations=None, slices=50, slices_per_tr=20, sms_factor=2, **BARE
    )
    assert protocol.passes == 2
    assert replace(protocol, sms_factor=1).passes == 3


def test_reference_scans() -> None:
    separate = Protocol(name="p", sequence="tse", tr_s=3.0, echo_train_length=8, reference="separate", **BARE)
    assert separate.reference_scan().value == 6.0
    assert (separate.reference_scan().low, separate.reference_scan().high) == (2.0, 10.0)
    assert replace(separate, sms_factor=2).reference_scan().value == 12.0
    stated = replace(separate, slices=30, reference_lines=32)
    assert stated.reference_scan().value == pytest.approx(30 * 32 * 0.00475)
    both = replace(stated, sms_factor=2)
    assert both.reference_scan().value == pytest.approx(15 * 32 * 0.00475 + 4.2)
    assert scan_time(64, stated, accelerated=False).reference.value == 0.0
    assert scan_time(64, both, accelerated=False).reference.value > 0.0
    assert compare_scan_times(64, 128, stated).clinical.reference.value == 0.0, "its reference lines are integrated"


def test_self_calibration_adds_nothing() -> None:
    protocol = Protocol(name="p", sequence="tse", tr_s=3.0, echo_train_length=8, reference="self_calibrated", **BARE)
    assert scan_time(64, protocol).reference.value == 0.0


def test_lines_without_a_mask() -> None:
    assert expected_lines(256, 2, 24) == 128 + 12
    assert expected_lines(972, 3, 32) == 345, "345.33: the fraction of a line is not read"
    assert expected_lines(9, 3, 3) == 5, "a whole number stays whole"
    assert expected_lines(10, 1, 4) == 10
    assert expected_lines(10, 4, 64) == 10


@given(st.integers(1, 500), st.floats(1, 20), st.integers(0, 64))
def test_a_higher_acceleration_never_reads_more(full: int, acceleration: float, acs: int) -> None:
    assert 1 <= expected_lines(full, acceleration * 1.1, acs) <= expected_lines(full, acceleration, acs) <= full


def test_reduction_against_full_and_clinical() -> None:
    protocol = Protocol(name="p", sequence="tse", tr_s=2.0, echo_train_length=4)
    scans = compare_scan_times(sampled=50, acquired=128, protocol=protocol)
    assert protocol.clinical.lines(128) == 76
    assert scans.full.shots_s == 64.0
    assert scans.clinical.shots_s == 38.0
    assert scans.against_full.value == pytest.approx(1 - (26 + 2 + 1.5) / (64 + 2 + 1.5))
    assert scans.against_clinical.value == pytest.approx(1 - (26 + 2 + 1.5) / (38 + 2 + 1.5))
    low, high = scans.against_full.low, scans.against_full.high
    assert low is not None
    assert high is not None
    assert low < scans.against_full.value < high


def test_a_slower_candidate_is_a_negative_reduction() -> None:
    assert (compare_scan_times(sampled=128, acquired=128, protocol=TSE).against_clinical.value or 0) < 0


@st.composite
def protocols(draw: st.DrawFn) -> Protocol:
    sequence = draw(st.sampled_from(["tse", "gre", "mprage", "epi"]))
    dimension = 2 if sequence == "epi" else draw(st.sampled_from([2, 3]))
    slices = draw(st.none() | st.integers(1, 80)) if dimension == 2 else None
    counts = st.integers(1, 8)
    dummies = draw(st.integers(0, 50))
    return Protocol(
        name="p",
        sequence=sequence,
        dimension=dimension,
        tr_s=draw(st.floats(1e-3, 20)),
        echo_train_length=1 if sequence == "epi" else draw(st.integers(1, 64)),
        echo_spacing_s=draw(st.none() | st.floats(1e-4, 0.02)),
        averages=draw(counts),
        volumes=draw(counts),
        slices=slices,
        sms_factor=draw(st.integers(1, 4)) if dimension == 2 else 1,
        concatenations=draw(counts) if dimension == 2 else 1,
        partitions=draw(st.integers(1, 100)) if dimension == 3 else 1,
        elliptical=dimension == 3 and draw(st.booleans()),
        segments=draw(counts) if sequence == "epi" else 1,
        dummies=dummies,
        reference=draw(st.sampled_from(["integrated", "separate", "self_calibrated"])),
        reference_lines=draw(st.none() | st.integers(0, 64)),
        assumed=Assumed(dummies=(max(0, dummies - 1), dummies + 1)),
    )


@given(st.data(), st.integers(2, 2000))
@settings(max_examples=500, deadline=None)
def test_time_is_finite_positive_and_grows_with_lines(data: st.DataObject, lines: int) -> None:
    """Whatever is not refused by name takes a time that makes sense, and the same with one line, average or TR more."""
    try:
        protocol = data.draw(protocols())
        now = scan_time(lines, protocol)
        more = [scan_time(lines + 1, protocol), scan_time(lines, replace(protocol, averages=protocol.averages + 1))]
        slower = scan_time(lines, replace(protocol, tr_s=protocol.tr_s * 1.5))
        comparison = compare_scan_times(lines - lines // 3, lines, protocol)
    except HalfscanError as refusal:
        event("refused")
        if "protocol." not in str(refusal):
            raise
        return
    seconds = now.seconds
    assert 0 < seconds.low <= seconds.value <= seconds.high < math.inf
    assert all(seconds.value <= other.seconds.value < math.inf for other in (*more, slower))
    for change in (comparison.against_full, comparison.against_clinical):
        assert -math.inf < change.low <= change.value <= change.high < 1


@pytest.mark.parametrize(
    "setting",
    [
        {"sequence": "spiral"},
        {"dimension": 4},
        {"reference": "none"},
        {"timing": "guess"},
        {"tr_s": 0.0},
        {"tr_s": -1.0},
        {"tr_s": float("nan")},
        {"tr_s": float("inf")},
        {"tr_s": 0.001, "echo_train_length": 16},
        {"tr_s": 0.1, "echo_train_length": 16, "echo_spacing_s": 0.01},
        {"tr_s": 2.0, "echo_train_length": 16, "echo_spacing_s": 0.01, "slices": 30},
        {"echo_train_length": 0},
        {"echo_train_length": 2, "sequence": "epi"},
        {"echo_spacing_s": 0.0},
        {"averages": 0},
        {"averages": 1.5},
        {"volumes": 0},
        {"concatenations": 0},
        {"concatenations": None},
        {"concatenations": 1, "slices": 20, "slices_per_tr": 10},
        {"sms_factor": 4, "slices": 3},
        {"dimension": 2, "partitions": 10},
        {"dimension": 2, "elliptical": True},
        {"dimension": 3, "sms_factor": 2},
        {"dimension": 3, "concatenations": 2},
        {"segments": 4},
        {"sequence": "gre", "echo_train_length": 2},
        {"concatenations": 3, "slices": 2},
        {"dimension": 3, "slices": 4},
        {"reference_lines": 32, "reference": "separate"},
        {"tr_s": 1e308},
        {"averages": 10**400},
        {"dummies": -1},
        {"dummies": 5},
        {"reference_lines": -1},
        {"reference_line_s": 0.1},
        {"sms_reference_s": -1.0},
        {"preparation_s": 9.0},
        {"assumed": Assumed(preparation_s=(3.0, 1.0))},
        {"assumed": Assumed(preparation_s=(1.0,))},
        {"clinical": ClinicalProtocol(acceleration=0.5)},
    ],
    ids=str,
)
def test_impossible_protocols_are_refused_by_name(setting: dict[str, Any]) -> None:
    with pytest.raises(HalfscanError, match=f"protocol.({'|'.join(setting)})"):
        scan_time(64, Protocol(**{"name": "p", "sequence": "tse", "tr_s": 2.0, **setting}))


def test_trains_and_segments_longer_than_the_lines_are_refused() -> None:
    with pytest.raises(HalfscanError, match="echo_train_length=16 is longer than the 15 sampled lines"):
        scan_time(15, TSE)
    epi = Protocol(name="p", sequence="epi", tr_s=3.0, segments=20)
    with pytest.raises(HalfscanError, match="segments=20 are more than the 10 sampled lines"):
        scan_time(10, epi)
    with pytest.raises(HalfscanError, match="shorter than 1 echo train of 300 echoes"):
        scan_time(300, replace(epi, segments=1, tr_s=0.2, echo_spacing_s=0.001))


def test_no_lines_are_refused() -> None:
    with pytest.raises(HalfscanError, match="sample at least one"):
        scan_time(0, GRE)
