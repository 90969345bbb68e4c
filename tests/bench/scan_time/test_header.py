"""The data's own timing goes before the protocol's, and whatever it overrules or contradicts is said."""

from dataclasses import replace

import pytest

from halfscan.bench.acquisition import Timing
from halfscan.bench.errors import HalfscanError
from halfscan.bench.scan_time.header import with_header
from halfscan.bench.scan_time.protocol import Protocol
from halfscan.bench.scan_time.seconds import scan_time

PROTOCOL = Protocol(name="tse_brain", sequence="tse", tr_s=4.0, echo_train_length=12)


def test_the_header_goes_first() -> None:
    timed = with_header(PROTOCOL, Timing(tr_s=3.0, echo_train_length=12, echo_spacing_s=0.009, dummies=0))
    assert (timed.protocol.tr_s, timed.protocol.echo_spacing_s) == (3.0, 0.009)
    assert timed.origins == {
        "tr_s": "header instead of 4",
        "echo_train_length": "header",
        "echo_spacing_s": "header",
        "dummies": "header instead of 1",
    }
    assert timed.protocol.assumed.dummies is None, "what the header states is no assumption"


def test_a_silent_header_leaves_the_protocol() -> None:
    timed = with_header(PROTOCOL, Timing(te_s=0.1))
    assert timed.protocol == PROTOCOL
    assert timed.origins == {}


def test_a_protocol_can_be_told_to_overrule() -> None:
    stubborn = Protocol(name="p", sequence="tse", tr_s=4.0, echo_train_length=12, timing="protocol")
    assert with_header(stubborn, Timing(tr_s=3.0)).protocol == stubborn


@pytest.mark.parametrize("sequence", ["epi", "mprage"])
def test_a_header_s_train_length_is_not_taken_where_it_means_nothing(sequence: str) -> None:
    length = 1 if sequence == "epi" else 176
    protocol = Protocol(name="p", sequence=sequence, tr_s=2.3, echo_train_length=length)
    assert with_header(protocol, Timing(echo_train_length=7)).protocol.echo_train_length == length


def test_another_sequence_in_the_header_is_refused() -> None:
    with pytest.raises(HalfscanError, match="they are gre, and protocol tse_brain is tse"):
        with_header(PROTOCOL, Timing(sequence="gre"))
    assert with_header(replace(PROTOCOL, timing="protocol"), Timing(sequence="gre")).protocol.sequence == "tse"
    mprage = Protocol(name="p", sequence="mprage", tr_s=2.3)
    assert with_header(mprage, Timing(sequence="gre")).protocol == mprage


def test_contradictions_are_refused() -> None:
    with pytest.raises(HalfscanError, match=r"header says tr_s=0.05, .*tse_brain protocol.tr_s=0.05 is shorter"):
        with_header(
            Protocol(name="tse_brain", sequence="tse", tr_s=4.0, echo_train_length=12, echo_spacing_s=0.01), Timing(tr_s=0.05)
        )


def test_the_recorded_duration_is_the_truth_and_the_residual_is_reported() -> None:
    timed = with_header(PROTOCOL, Timing(total_s=60.0))
    full = scan_time(120, timed.protocol)
    assert timed.recorded.value == 60.0
    assert timed.residual(full).value == pytest.approx(4 * 11 + 1.5 - 60)
    silent = with_header(PROTOCOL, Timing())
    assert silent.residual(full).value is None
    assert "record no duration" in (silent.residual(full).reason or "")
