"""A verdict survives verdict.json, every part of it; a record that is damaged or of another version is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from halfscan.bench.claims.judge import judge
from halfscan.bench.claims.record import as_record, from_record, to_json
from halfscan.bench.claims.types import ClaimSpec, Verdict
from halfscan.bench.errors import HalfscanError

from .test_judge import (
    CANDIDATE,
    CLAIM,
    ENDPOINT,
    QUALITY,
    SCANNED,
    SSIM,
    arm,
    baseline,
    registered,
    scanned,
    spread,
    vendor,
    verdict_on,
)
from .test_verdict_page import KINDS

MANY = replace(
    CLAIM,
    scope="method",
    endpoints=(
        replace(ENDPOINT, tail_margin=0.02, tail_required=0.5),
        replace(ENDPOINT, metric="nmse@mvue", scale="log_ratio", higher_is_better=False, tail_margin=0.3),
        replace(ENDPOINT, metric="fwhm@qa"),
    ),
)
DERIVED = {"ground_truth", "words", "qa_gates", "energy", "ci95_reason", "pass"}
"""Written for readers; all of it follows from the rest. So do the time leg's result and that it has no interval."""
OPTIONAL = {"low", "high", "reason"}
"""Of a quantity: absent is null."""


def _several() -> Verdict:
    """Five trainings, two contrasts, two tails, a QA gate that is null, and another claim that shares α."""
    rng, level = np.random.default_rng(1), baseline(24)
    rows = arm({SSIM: level, "nmse@mvue": 1.1 - level})
    for seed in range(5):
        scores = level + spread(24)[rng.permutation(24)]
        rows += arm({SSIM: scores, "nmse@mvue": 1.1 - scores}, CANDIDATE, train_seed=seed)
    rows = [replace(row, contrast="PD" if row.patient < "p012" else "PDFS", caveat="of one site") for row in rows]
    other = replace(MANY, claim_id="other")
    return judge([MANY, other], rows, registered(MANY, other), run_ids=("a", "b"), resamples=500)[0]


def _without_seconds() -> Verdict:
    """Of scans that were really made, and whose scanner recorded no duration."""
    rows = [replace(row, scan_s=None, scan_low_s=None, scan_high_s=None) for row in scanned(spread(24))]
    return verdict_on(rows, SCANNED)


VERDICTS = {
    **KINDS,
    "several": _several(),
    "scanned": verdict_on(scanned(spread(24)), SCANNED),
    "without seconds": _without_seconds(),
}


def _kept(verdict: Verdict) -> dict[str, Any]:
    """As a file gives it back; NaN would be no JSON."""
    return json.loads(json.dumps(as_record(verdict), allow_nan=False))


def test_all_kinds_are_there() -> None:
    """Else the round trips would prove less than they say."""
    assert {verdict.verdict for verdict in VERDICTS.values()} == {"supported", "refuted", "inconclusive", "not_testable"}
    assert {verdict.cap for verdict in VERDICTS.values()} == {"none", "demonstration", "exploratory"}
    several = VERDICTS["several"]
    assert (several.seeds, len(several.run_ids), len(several.caveats)) == (5, 2, 1)
    assert several.time is not None
    assert set(several.time.by_contrast) == {"PD", "PDFS"}
    assert [one.tail is not None for one in several.endpoints] == [True, True, False]
    assert several.endpoints[0].p_holm is not None


@pytest.mark.parametrize("kind", VERDICTS)
def test_a_verdict_comes_back_as_it_was(kind: str) -> None:
    assert from_record(_kept(VERDICTS[kind])) == VERDICTS[kind]


@pytest.mark.parametrize("kind", VERDICTS)
def test_what_comes_back_is_written_alike(kind: str) -> None:
    back = from_record(_kept(VERDICTS[kind]))
    assert as_record(back) == as_record(VERDICTS[kind])
    assert back.words == VERDICTS[kind].words
    assert to_json([back], single=True) == to_json([VERDICTS[kind]], single=True)


def test_a_null_endpoint_keeps_its_reason_and_no_number() -> None:
    (null,) = (one for one in from_record(_kept(VERDICTS["null"])).endpoints if one.effect.value is None)
    assert (null.effect.low, null.effect.high, null.p_threshold, null.power, null.tail) == (None,) * 5
    assert "fwhm@qa is null in 40 of 40 volumes" in str(null.effect.reason)


# Damage ------------------------------------------------------------------------------------------------------------------


def _refused(record: Any) -> str:
    with pytest.raises(HalfscanError) as refusal:
        from_record(record)
    said = str(refusal.value)
    assert "\n" not in said
    assert "judge it again with `halfscan verify`" in said
    return said


@pytest.mark.parametrize("version", [0, 2, 99, "1", None, [1]])
def test_another_version_is_refused_by_its_number(version: Any) -> None:
    said = _refused({**_kept(VERDICTS["supported"]), "schema_version": version})
    assert f"a verdict has schema version {version}: " in said


@pytest.mark.parametrize("record", [{}, [], [1], "a verdict", 3, None])
def test_what_is_no_record_is_damaged(record: Any) -> None:
    assert "a verdict in the store is damaged (" in _refused(record)


def _places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything inside a record."""
    found = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in found:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _at(record: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        record = record[key]
    return record


@pytest.mark.parametrize("kind", ["supported", "several", "ladder", "null"])
def test_a_record_that_lacks_anything_is_refused_or_has_lost_nothing(kind: str) -> None:
    """Every key at every depth. Contrasts are named by the data: one less is one less."""
    whole = _kept(VERDICTS[kind])
    keys = [path for path in _places(whole) if isinstance(path[-1], str) and path[-2:-1] != ("by_contrast",)]
    refused = 0
    for path in keys:
        record = deepcopy(whole)
        del _at(record, path[:-1])[path[-1]]
        if path[0] in DERIVED or path[-1] in DERIVED or path in (("time", "ci95"), ("time", "result")) or path[-1] == "passed":
            assert from_record(record) == VERDICTS[kind], path
        elif path[-1] not in OPTIONAL or path[0] == "endpoints":
            assert repr(path[-1]) in _refused(record), path
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("kind", ["supported", "several", "ladder", "null", "untestable"])
@pytest.mark.parametrize("wrong", [None, "text", [], {}, [[]], {"a": 1}, -1, [0.5]])
def test_a_record_of_other_shapes_raises_nothing_else(kind: str, wrong: Any) -> None:
    """Wherever it stands: it is refused, or read."""
    whole = _kept(VERDICTS[kind])
    for path in _places(whole):
        record = deepcopy(whole)
        _at(record, path[:-1])[path[-1]] = wrong
        try:
            assert isinstance(from_record(record), Verdict)
        except HalfscanError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["ci95", "ci95_student", "ci95_bootstrap"])
@pytest.mark.parametrize("interval", [[0.1], [0.1, 0.2, 0.3], "x"])
def test_an_interval_of_other_than_two_ends_is_refused(name: str, interval: Any) -> None:
    record = _kept(VERDICTS["supported"])
    record["endpoints"][0][name] = interval
    _refused(record)


def test_an_interval_that_does_not_hold_its_value_is_refused() -> None:
    record = _kept(VERDICTS["supported"])
    record["endpoints"][0]["ci95"] = [0.5, 0.6]
    assert "does not hold the value" in _refused(record)


def test_a_null_without_a_reason_is_refused() -> None:
    record = _kept(VERDICTS["null"])
    record["endpoints"][1]["reason"] = None
    assert "needs a reason" in _refused(record)


def test_claims_of_the_same_id_keep_their_own_record() -> None:
    """The digest tells them apart, whatever else is alike."""
    loose: ClaimSpec = replace(QUALITY, endpoints=(replace(ENDPOINT, margin=0.5),))
    one, other = (from_record(_kept(verdict_on(vendor(spread(24)), claim))) for claim in (QUALITY, loose))
    assert one.claim_id == other.claim_id
    assert one.claim_sha256 != other.claim_sha256
