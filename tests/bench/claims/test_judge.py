"""Rows with planted truths → the verdict that they deserve, its cap, and what no verdict may rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from halfscan.bench.claims.judge import judge
from halfscan.bench.claims.types import ClaimSpec, Endpoint, Verdict
from halfscan.bench.claims.word import Registration
from halfscan.bench.errors import HalfscanError
from halfscan.bench.rows import Row

# The factory: rows of one arm, all fields ------------------------------------------------------------------------------

SSIM = "ssim@mvue"
STARTED = "2026-01-02T03:04:05+00:00"
RESAMPLES = 2000
Scores = Sequence[float | None] | Mapping[str, Sequence[float | None]]

REFERENCE: dict[str, Any] = {
    "model": "sense",
    "nominal_acceleration": 2.0,
    "acceleration": 1.9,
    "lines_sampled": 134,
    "mask_hash": "mask of R=2",
    "train_seed": None,
    "scan_s": 60.0,
    "scan_low_s": 59.0,
    "scan_high_s": 62.0,
    "reduction_full": 0.45,
    "reduction_full_low": 0.44,
    "reduction_full_high": 0.46,
    "reduction_clinical": 0.0,
    "reduction_clinical_low": -0.01,
    "reduction_clinical_high": 0.01,
}
CANDIDATE: dict[str, Any] = {
    "model": "unet",
    "nominal_acceleration": 4.0,
    "acceleration": 3.5,
    "lines_sampled": 73,
    "mask_hash": "mask of R=4",
    "train_seed": 0,
    "scan_s": 28.0,
    "scan_low_s": 27.0,
    "scan_high_s": 30.0,
    "reduction_full": 0.75,
    "reduction_full_low": 0.73,
    "reduction_full_high": 0.76,
    "reduction_clinical": 0.53,
    "reduction_clinical_low": 0.51,
    "reduction_clinical_high": 0.54,
}


def arm(scores: Scores, side: Mapping[str, Any] = REFERENCE, **changes: Any) -> list[Row]:
    """One row a patient.

    Args:
        scores: one a patient, of SSIM or by metric; None: not scored.
        side: REFERENCE or CANDIDATE.
        changes: columns that all of its rows differ in.
    """
    by_metric = scores if isinstance(scores, Mapping) else {SSIM: scores}
    patients = len(next(iter(by_metric.values())))
    settings: dict[str, Any] = {
        "dataset": "knees",
        "contrast": "PD",
        "provenance": "measured",
        "evidence": "retrospective",
        "caveat": None,
        "field_strength_t": 3.0,
        "slices": 16,
        "coils": 8,
        "sampling": "equispaced",
        "acs_lines": 24,
        "lines_acquired": 256,
        "mask_replicate": 0,
        "protocol": "tse_knee",
        "sequence": "tse",
        "full_s": 112.0,
        "full_recorded_s": None,
        "clinical": "SENSE R=2",
        "clinical_s": 60.0,
        "combination": "mvue",
        "device": "cpu",
        "threads": 2,
        "recon_s_per_slice": 0.01,
        "energy_j": None,
        "truth_source": "full_kspace",
        "truth_shares_noise": True,
        "truth_combinations": {"mvue": "mvue"},
        **side,
        **changes,
    }
    return [
        Row(
            **{"patient": f"p{index:03}", "volume": f"v{index:03}", **settings},
            metrics={metric: values[index] for metric, values in by_metric.items()},
            reasons={metric: "it was not scored" for metric, values in by_metric.items() if values[index] is None},
        )
        for index in range(patients)
    ]


def spread(patients: int, mean: float = 0.0, deviation: float = 0.004) -> np.ndarray:
    """Differences of exactly this mean and standard deviation, near-normal and in no order."""
    if patients == 1:
        return np.array([mean])
    quantiles = stats.norm.ppf((np.arange(patients) + 0.5) / patients)
    mixed = np.random.default_rng(patients).permutation(quantiles)
    return mean + deviation * (mixed - mixed.mean()) / mixed.std(ddof=1)


def baseline(patients: int) -> np.ndarray:
    return 0.9 + spread(patients, 0.0, 0.02)[::-1]


def vendor(differences: Sequence[float] | np.ndarray, **changes: Any) -> list[Row]:
    """Both arms of a comparison whose patients differ so; changes go to the candidate."""
    level = baseline(len(differences))
    return arm(level.tolist()) + arm((level + differences).tolist(), CANDIDATE, **changes)


UNKNOWN = dict.fromkeys(
    [
        *("sampling", "nominal_acceleration", "acceleration", "acs_lines", "lines_sampled", "lines_acquired", "mask_hash"),
        *("mask_replicate", "full_s", "clinical", "clinical_s", "combination", "device", "threads", "truth_source", "train_seed"),
        *(f"reduction_{baseline}{end}" for baseline in ("full", "clinical") for end in ("", "_low", "_high")),
        "recon_s_per_slice",
    ]
)
"""What nobody knows of images that the scanner made of lines of its own."""


def scanned(differences: Sequence[float] | np.ndarray) -> list[Row]:
    """Both arms of scans that were really made, with seconds as a scanner rounds them."""
    level = baseline(len(differences))
    both = {"model": "scanner", "evidence": "prospective", "provenance": "processed", "truth_shares_noise": False, **UNKNOWN}
    rows = []
    for name, seconds, slices, scores in (("long", 120.0, 16, level), ("short", 50.0, 20, level + differences)):
        own = {"protocol": name, "slices": slices, "scan_s": seconds, "scan_low_s": seconds - 0.5, "scan_high_s": seconds + 0.5}
        rows += arm(scores.tolist(), {**both, **own, "truth_combinations": {}})
    return rows


ENDPOINT = Endpoint(metric=SSIM, margin=0.01, margin_rationale="a quarter of a known loss")
CLAIM = ClaimSpec(
    claim_id="half_time",
    statement="half the scan at equal quality",
    source="a news release",
    reference={"model": "sense", "nominal_acceleration": 2.0},
    candidate={"model": "unet", "nominal_acceleration": 4.0},
    time_target=0.5,
    endpoints=(ENDPOINT,),
)
QUALITY = replace(CLAIM, time_target=None)
SCANNED = replace(CLAIM, reference={"protocol": "long"}, candidate={"protocol": "short"})


def registered(*claims: ClaimSpec, **changes: Any) -> Registration:
    return Registration(**{"hashes": {claim.claim_id: claim.sha256 for claim in claims}, "started": STARTED, **changes})


def verdict_on(rows: Sequence[Row], claim: ClaimSpec = CLAIM, registration: Registration | None = None) -> Verdict:
    return judge([claim], rows, registration or registered(claim), resamples=RESAMPLES)[0]


# Three vendors ---------------------------------------------------------------------------------------------------------


def test_a_truly_equal_vendor_is_supported() -> None:
    verdict = verdict_on(vendor(spread(40)))
    assert (verdict.verdict, verdict.uncapped, verdict.cap, verdict.reasons) == ("supported", "supported", "none", ())
    assert verdict.words == "supported"
    assert (verdict.evidence, verdict.registered_at, verdict.patients) == ("retrospective", STARTED, 40)
    assert verdict.endpoints[0].result == "noninferior"
    assert verdict.endpoints[0].equivalent is True
    assert verdict.endpoints[0].effect.value == pytest.approx(0.0, abs=1e-12)


def test_identical_images_are_not_inferior_and_not_superior() -> None:
    verdict = verdict_on(vendor(np.zeros(20)))
    assert verdict.verdict == "supported"
    assert verdict.endpoints[0].result == "noninferior"
    assert (verdict.endpoints[0].effect.low, verdict.endpoints[0].effect.high) == (0.0, 0.0)


def test_a_constant_shift_has_a_power() -> None:
    """NaN would be no JSON."""
    verdict = verdict_on(vendor(np.full(20, 0.1)))
    assert verdict.verdict == "supported"
    assert verdict.endpoints[0].power == 1.0


def test_a_better_vendor_is_superior() -> None:
    verdict = verdict_on(vendor(spread(40, 0.01)))
    assert (verdict.verdict, verdict.endpoints[0].result) == ("supported", "superior")
    assert verdict.endpoints[0].p_superior < 0.01


def test_a_worse_vendor_is_refuted() -> None:
    verdict = verdict_on(vendor(spread(40, -0.02)))
    assert (verdict.verdict, verdict.endpoints[0].result) == ("refuted", "inferior")
    assert "lies wholly below -0.01" in verdict.reasons[0]


def test_an_underpowered_vendor_is_inconclusive() -> None:
    verdict = verdict_on(vendor(spread(40, 0.0, 0.05)))
    assert (verdict.verdict, verdict.endpoints[0].result) == ("inconclusive", "inconclusive")
    assert verdict.endpoints[0].equivalent is False
    assert verdict.endpoints[0].power < 0.5


def test_no_difference_found_is_no_evidence_of_equality() -> None:
    """The difference is far from significant, and yet nothing is supported."""
    differences = spread(24, 0.0, 0.04)
    assert stats.ttest_1samp(differences, 0).pvalue > 0.9
    assert verdict_on(vendor(differences)).verdict == "inconclusive"


@pytest.mark.parametrize("mean", [0.0, 0.05, -0.05])
@pytest.mark.parametrize("patients", [1, 2, 19])
def test_below_20_patients_nothing_is_concluded(patients: int, mean: float) -> None:
    verdict = verdict_on(vendor(spread(patients, mean, 0.001)))
    assert verdict.verdict == verdict.uncapped == "inconclusive"
    assert verdict.reasons[0] == f"{patients} patients: below 20 nothing is concluded"


def test_20_patients_may_conclude() -> None:
    assert verdict_on(vendor(spread(20))).verdict == "supported"
    assert verdict_on(vendor(spread(20, -0.05))).verdict == "refuted"


def test_volumes_are_no_patients() -> None:
    """19 patients with 4 volumes each stay 19."""
    rows = [replace(row, volume=f"{row.volume}-{index}") for row in vendor(spread(19)) for index in range(4)]
    verdict = verdict_on(rows)
    assert verdict.verdict == "inconclusive"
    assert (verdict.endpoints[0].patients, verdict.endpoints[0].volumes) == (19, 76)


# Several endpoints and what is null --------------------------------------------------------------------------------------

PSNR = Endpoint(metric="psnr@mvue", margin=0.5, margin_rationale="-")
TWO = replace(CLAIM, endpoints=(ENDPOINT, PSNR))


def _two(ssim: Sequence[float | None] | np.ndarray, psnr: Sequence[float | None] | np.ndarray) -> list[Row]:
    patients = len(ssim)
    zeros = {SSIM: [0.0] * patients, "psnr@mvue": [0.0] * patients}
    return arm(zeros) + arm({SSIM: list(ssim), "psnr@mvue": list(psnr)}, CANDIDATE)


def test_every_endpoint_is_required() -> None:
    good, wide, bad = spread(40), spread(40, 0, 2.0), spread(40, -3.0, 0.1)
    assert verdict_on(_two(good, good), TWO).verdict == "supported"
    assert verdict_on(_two(good, wide), TWO).verdict == "inconclusive"
    assert verdict_on(_two(good, bad), TWO).verdict == "refuted"


def test_a_null_metric_is_not_testable() -> None:
    verdict = verdict_on(_two(spread(40), [None, *spread(39)]), TWO)
    assert verdict.verdict == verdict.uncapped == "not_testable"
    assert verdict.reasons == ("psnr@mvue: psnr@mvue is null in 1 of 40 volumes of the candidate arm: it was not scored",)
    assert verdict.endpoints[1].effect.value is None
    assert verdict.endpoints[0].result == "noninferior"


def test_a_metric_that_was_never_scored_is_not_testable() -> None:
    claim = replace(CLAIM, endpoints=(replace(ENDPOINT, metric="fwhm@qa"),))
    verdict = verdict_on(vendor(spread(40)), claim)
    assert verdict.verdict == "not_testable"
    assert "fwhm@qa is null in 40 of 40 volumes of the reference arm" in verdict.reasons[0]


def test_one_refuted_endpoint_refutes_whatever_is_null() -> None:
    verdict = verdict_on(_two(spread(40, -0.05), [None] * 40), TWO)
    assert verdict.verdict == "refuted"
    assert any("null" in reason for reason in verdict.reasons)


def test_a_null_metric_of_few_patients_is_inconclusive() -> None:
    assert verdict_on(_two(spread(10), [None] * 10), TWO).verdict == "inconclusive"


def test_an_untestable_claim_says_what_it_would_need() -> None:
    claim = replace(QUALITY, endpoints=(), reference={}, candidate={}, untestable="it needs a power log of the scanner")
    for registration in (registered(claim), Registration(hashes={}, started=STARTED)):
        verdict = verdict_on([], claim, registration)
        assert (verdict.verdict, verdict.uncapped, verdict.words) == ("not_testable", "not_testable", "not testable")
        assert verdict.reasons == ("it needs a power log of the scanner",)


# Registration and caps -------------------------------------------------------------------------------------------------


def test_a_changed_margin_is_refused_by_name() -> None:
    loose = replace(CLAIM, endpoints=(replace(ENDPOINT, margin=0.02),))
    with pytest.raises(HalfscanError, match=r"claim half_time is not the one .* a margin or another statement changed"):
        verdict_on(vendor(spread(40)), loose, registered(CLAIM))
    with pytest.raises(HalfscanError, match="claim half_time is not the one"):
        registered(CLAIM).of(loose)
    assert registered(CLAIM).of(replace(CLAIM)) == STARTED
    assert Registration(hashes={}, started=STARTED).of(CLAIM) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"time_target": 0.4},
        {"alpha": 0.05},
        {"scope": "method"},
        {"time_baseline": "full"},
        {"statement": "a little less scan"},
        {"candidate": {"model": "unet", "nominal_acceleration": 3.0}},
        {"endpoints": (replace(ENDPOINT, tail_margin=0.05),)},
    ],
)
def test_whatever_is_stated_is_registered(changes: dict[str, Any]) -> None:
    with pytest.raises(HalfscanError, match="changed since"):
        registered(CLAIM).of(replace(CLAIM, **changes))


@pytest.mark.parametrize(
    ("registration", "why"),
    [
        (Registration(hashes={}, started=STARTED), "was not started with this claim"),
        (registered(CLAIM, known_before=3), "3 cells had been reconstructed or measured before"),
    ],
)
def test_what_was_not_stated_beforehand_is_exploratory(registration: Registration, why: str) -> None:
    verdict = verdict_on(vendor(spread(40)), CLAIM, registration)
    assert (verdict.cap, verdict.verdict, verdict.uncapped) == ("exploratory", "inconclusive", "supported")
    assert any(why in reason for reason in verdict.reasons)
    assert verdict.words == "exploratory only; the numbers alone say: supported"


@pytest.mark.parametrize("provenance", ["simulated", "processed"])
def test_simulated_k_space_gives_a_demonstration(provenance: str) -> None:
    rows = [replace(row, provenance=provenance, evidence="simulated") for row in vendor(spread(40))]
    verdict = verdict_on(rows)
    assert (verdict.cap, verdict.verdict, verdict.uncapped) == ("demonstration", "inconclusive", "supported")
    assert verdict.words == "demonstration only; the numbers alone say: supported"
    unregistered = verdict_on(rows, CLAIM, Registration(hashes={}, started=STARTED))
    assert unregistered.cap == "demonstration"
    assert {reason.split(":")[0] for reason in unregistered.reasons} == {"demonstration", "exploratory"}


def test_prospective_scans_can_support() -> None:
    verdict = verdict_on(scanned(spread(40)), SCANNED)
    assert (verdict.verdict, verdict.cap, verdict.evidence) == ("supported", "none", "prospective")
    assert verdict.candidate_protocol == "scanner, short as it was scanned"
    assert verdict.ground_truth == "none: its scores need no truth"


def test_recorded_seconds_are_rounded_each_by_itself() -> None:
    time = verdict_on(scanned(spread(40)), SCANNED).time
    assert time is not None
    assert (time.reference_s, time.candidate_s, time.recorded) == (120.0, 50.0, True)
    assert time.reduction.value == pytest.approx(1 - 50 / 120)
    assert (time.reduction.low, time.reduction.high) == pytest.approx((1 - 50.5 / 119.5, 1 - 49.5 / 120.5))


def test_a_patient_whose_scan_was_no_shorter_keeps_the_claim_from_holding() -> None:
    """Together they took less than half, and the claim speaks of each."""
    rows = scanned(spread(40))
    for index, row in enumerate(rows):
        if row.protocol == "short":
            seconds = 10.0 if index % 2 else 90.0
            rows[index] = replace(row, scan_s=seconds, scan_low_s=seconds, scan_high_s=seconds)
    verdict = verdict_on(rows, SCANNED)
    assert verdict.time is not None
    assert verdict.time.reduction.value == pytest.approx(1 - 50 / 120)
    assert (verdict.time.reduction.low, verdict.time.reduction.high) == pytest.approx((1 - 90 / 119.5, 1 - 10 / 120.5))
    assert verdict.verdict == "inconclusive"


def test_seconds_that_one_scan_lacks_leave_the_time_leg_untested() -> None:
    rows = scanned(spread(40))
    rows[3] = replace(rows[3], scan_s=None, scan_low_s=None, scan_high_s=None, reasons={"scan_s": "its header has no duration"})
    verdict = verdict_on(rows, SCANNED)
    assert verdict.verdict == "not_testable"
    assert verdict.reasons == ("scan time: 1 of 40 pairs lack seconds: its header has no duration",)
    assert verdict.time is not None
    assert verdict.time.candidate_s == 50.0
    assert verdict.time.reference_s is None
    assert verdict_on(rows, replace(SCANNED, time_target=None)).verdict == "supported"


@pytest.mark.parametrize("baseline_name", ["full", "clinical"])
def test_a_scan_that_nobody_made_is_no_baseline(baseline_name: str) -> None:
    verdict = verdict_on(scanned(spread(40)), replace(SCANNED, time_baseline=baseline_name))
    assert verdict.verdict == "not_testable"
    assert f"no scan of the {baseline_name} baseline" in verdict.reasons[0]


def test_a_cap_leaves_a_refutation_visible() -> None:
    verdict = verdict_on(vendor(spread(40, -0.05)), CLAIM, Registration(hashes={}, started=STARTED))
    assert (verdict.verdict, verdict.uncapped, verdict.cap) == ("refuted", "refuted", "exploratory")
    assert verdict.words == "exploratory only; the numbers alone say: refuted"


# The tail guard ----------------------------------------------------------------------------------------------------------


def _guarded(required: float | None) -> ClaimSpec:
    return replace(CLAIM, endpoints=(replace(ENDPOINT, tail_margin=0.03, tail_required=required),))


@pytest.mark.parametrize(("required", "needed"), [(0.90, 36), (0.95, 72)])
def test_without_failures_36_patients_show_90_percent_and_72_show_95(required: float, needed: int) -> None:
    claim = _guarded(required)
    assert verdict_on(vendor(spread(needed)), claim).verdict == "supported"
    short = verdict_on(vendor(spread(needed - 1)), claim)
    assert short.verdict == "inconclusive"
    assert short.endpoints[0].result == "noninferior", "the mean holds, the tail does not"
    assert f"0 of {needed - 1} patients lie beyond 0.03" in short.reasons[0]


def test_one_catastrophic_patient_blocks() -> None:
    differences = spread(36)
    differences[7] = -0.035
    claim = _guarded(0.9)
    verdict = verdict_on(vendor(differences), claim)
    assert (verdict.verdict, verdict.endpoints[0].result) == ("inconclusive", "noninferior")
    assert verdict.endpoints[0].tail is not None
    assert verdict.endpoints[0].tail["failed"] == 1
    assert verdict.endpoints[0].tail["passed"] is False
    assert verdict_on(vendor(differences), CLAIM).verdict == "supported", "nothing but the tail blocks"


def test_a_tail_that_is_not_required_is_reported() -> None:
    differences = spread(36)
    differences[7] = -0.035
    verdict = verdict_on(vendor(differences), _guarded(None))
    assert verdict.verdict == "supported"
    assert verdict.endpoints[0].tail is not None
    assert (verdict.endpoints[0].tail["failed"], verdict.endpoints[0].tail["passed"]) == (1, None)


def test_the_tail_looks_at_patients_not_at_volumes() -> None:
    """One bad volume of four is averaged away in its patient before anybody counts."""
    rows = vendor(spread(36))
    bad = rows[36 + 7]
    for index in range(3):
        rows += [replace(row, volume=f"{row.volume}-{index}") for row in (rows[7], bad)]
    rows[36 + 7] = replace(bad, metrics={SSIM: (bad.metrics[SSIM] or 0.0) - 0.04})
    assert verdict_on(rows, _guarded(0.9)).verdict == "supported"


# Several claims ------------------------------------------------------------------------------------------------------------


def with_p(p_value: float, patients: int = 40) -> np.ndarray:
    """Differences whose one-sided t test against −margin gives this p."""
    distance = float(stats.t.isf(p_value, patients - 1)) / math.sqrt(patients)
    return spread(patients, distance * 0.01 - 0.01, 0.01)


def _several(first: float, second: float) -> tuple[list[ClaimSpec], list[Row]]:
    """Two claims on two vendors, with these p-values."""
    claims = [replace(QUALITY, claim_id=name, candidate={"model": name}) for name in ("one", "two")]
    level = baseline(40)
    rows = arm(level.tolist())
    for name, p_value in (("one", first), ("two", second)):
        rows += arm((level + with_p(p_value)).tolist(), CANDIDATE, model=name)
    return claims, rows


def test_claims_judged_together_share_alpha() -> None:
    claims, rows = _several(0.018, 0.5)
    alone = judge(claims[:1], rows, registered(*claims), resamples=20_000)[0]
    assert alone.verdict == "supported"
    assert alone.endpoints[0].p_holm == alone.endpoints[0].p_threshold
    together, other = judge(claims, rows, registered(*claims), resamples=20_000)
    assert together.verdict == "inconclusive"
    assert "after Holm's adjustment" in together.reasons[0]
    assert together.endpoints[0].p_holm == pytest.approx(2 * (together.endpoints[0].p_threshold or 0.0))
    assert together.endpoints[0].result == "noninferior"
    assert other.endpoints[0].p_holm == pytest.approx(other.endpoints[0].p_threshold)


def test_two_clear_claims_both_hold() -> None:
    claims, rows = _several(0.001, 0.018)
    verdicts = judge(claims, rows, registered(*claims), resamples=20_000)
    assert [verdict.verdict for verdict in verdicts] == ["supported", "supported"]


def test_claims_that_are_not_judged_now_share_alpha_all_the_same() -> None:
    claims, rows = _several(0.018, 0.5)
    alone = judge(claims[:1], rows, registered(*claims), resamples=20_000, others=1)[0]
    assert alone.verdict == "inconclusive"
    assert alone.endpoints[0].p_holm == pytest.approx(2 * (alone.endpoints[0].p_threshold or 0.0))


def test_an_untestable_claim_costs_the_others_nothing() -> None:
    claims, rows = _several(0.018, 0.5)
    untestable = replace(QUALITY, claim_id="helium", endpoints=(), reference={}, candidate={}, untestable="a datasheet figure")
    verdicts = judge([claims[0], untestable], rows, registered(claims[0], untestable), resamples=20_000)
    assert [verdict.verdict for verdict in verdicts] == ["supported", "not_testable"]


# The ladder ----------------------------------------------------------------------------------------------------------------

LADDER = replace(QUALITY, claim_id="largest", candidate={"model": "unet"}, ladder=(8.0, 2.0, 4.0))


def ladder_rows(*means: float, deviation: float = 0.004) -> list[Row]:
    """A reference at R=2, and a network at R=2, 4 and 8 with these mean differences."""
    level = baseline(40)
    rows = arm(level.tolist())
    for rate, mean in zip((2, 4, 8), means, strict=True):
        seconds = {"scan_s": 120.0 / rate, "scan_low_s": 118.0 / rate, "scan_high_s": 124.0 / rate}
        scores = (level + spread(40, mean, deviation)).tolist()
        changes = {"nominal_acceleration": float(rate), "mask_hash": f"mask of R={rate}"}
        rows += arm(scores, CANDIDATE, **changes, **seconds)
    return rows


def test_the_largest_reduction_is_that_of_the_last_step_that_holds() -> None:
    verdict = verdict_on(ladder_rows(0.0, 0.0, -0.05), LADDER)
    assert verdict.verdict == "supported"
    assert [(step.acceleration, step.result) for step in verdict.ladder] == [
        (2.0, "supported"),
        (4.0, "supported"),
        (8.0, "refuted"),
    ]
    assert verdict.largest_reduction is not None
    assert verdict.largest_reduction.value == pytest.approx(1 - 30 / 60)
    assert verdict.largest_reduction == verdict.ladder[1].reduction
    assert verdict.time is not None
    assert verdict.time.candidate_s == verdict.ladder[1].seconds == 30.0
    assert "R=4" in str(verdict.candidate_protocol)
    assert all(reason.startswith("R=8: ") for reason in verdict.reasons)
    assert verdict.claim_sha256 == LADDER.sha256


def test_a_ladder_stops_at_its_first_failure() -> None:
    """R=8 would hold; nobody looks at it."""
    verdict = verdict_on(ladder_rows(0.0, -0.05, 0.0), LADDER)
    assert [step.acceleration for step in verdict.ladder] == [2.0, 4.0]
    assert verdict.largest_reduction is not None
    # R=2 holds, and takes as long as the reference's R=2: that supports no reduction.
    assert verdict.largest_reduction.value is None
    assert verdict.verdict == "inconclusive"
    assert "no shorter than the reference's" in verdict.reasons[0]


def test_a_ladder_to_its_top() -> None:
    verdict = verdict_on(ladder_rows(0.0, 0.0, 0.0), LADDER)
    assert len(verdict.ladder) == 3
    assert verdict.largest_reduction is not None
    assert verdict.largest_reduction.value == pytest.approx(1 - 15 / 60)


@pytest.mark.parametrize(("mean", "deviation", "word"), [(-0.05, 0.004, "refuted"), (0.0, 0.05, "inconclusive")])
def test_a_ladder_whose_first_step_fails_has_no_largest_reduction(mean: float, deviation: float, word: str) -> None:
    verdict = verdict_on(ladder_rows(mean, 0.0, 0.0, deviation=deviation), LADDER)
    assert verdict.verdict == word
    assert len(verdict.ladder) == 1
    assert verdict.largest_reduction is not None
    assert verdict.largest_reduction.value is None
    assert SSIM in str(verdict.largest_reduction.reason)


def test_a_ladder_is_capped_like_any_claim() -> None:
    verdict = verdict_on(ladder_rows(0.0, 0.0, 0.0), LADDER, Registration(hashes={}, started=STARTED))
    assert (verdict.verdict, verdict.uncapped, verdict.cap) == ("inconclusive", "supported", "exploratory")
    changed = replace(LADDER, ladder=(2.0, 4.0))
    with pytest.raises(HalfscanError, match="claim largest is not the one"):
        verdict_on(ladder_rows(0.0, 0.0, 0.0), changed, registered(LADDER))


def test_a_ladder_judged_with_another_claim_shares_alpha() -> None:
    level = baseline(40)
    other = replace(QUALITY, claim_id="other", candidate={"model": "other"})
    ladder = replace(LADDER, ladder=(4.0,))
    rows = arm(level.tolist()) + arm((level + with_p(0.018)).tolist(), CANDIDATE)
    rows += arm((level + with_p(0.5)).tolist(), CANDIDATE, model="other")
    assert judge([ladder], rows, registered(ladder), resamples=20_000)[0].verdict == "supported"
    together = judge([ladder, other], rows, registered(ladder, other), resamples=20_000)[0]
    assert (together.endpoints[0].p_holm or 0.0) > ladder.alpha
    assert together.verdict == "inconclusive"


def _ladder_and_another() -> tuple[list[ClaimSpec], list[Row]]:
    """A ladder that holds at R=2 beyond doubt and not at R=4, and a claim that holds with p = .018."""
    level = baseline(40)
    claims = [replace(LADDER, ladder=(2.0, 4.0)), replace(QUALITY, claim_id="other", candidate={"model": "other"})]
    rows = ladder_rows(0.02, -0.01, 0.0)
    return claims, rows + arm((level + with_p(0.018)).tolist(), CANDIDATE, model="other")


def test_a_ladder_that_stopped_hands_nothing_on() -> None:
    """Its α/2 went from R=2 to R=4 and was lost there; only a ladder that holds to its top leaves it to the other claims."""
    claims, rows = _ladder_and_another()
    ladder, other = judge(claims, rows, registered(*claims), resamples=20_000)
    assert [step.result for step in ladder.ladder] == ["supported", "inconclusive"]
    assert other.verdict == "inconclusive"
    # The 95 % interval may clear the threshold where α is less: then the reason is p, not the interval.
    step = ladder.ladder[1]
    assert any("above this claim's α of 0.0125" in reason for reason in step.reasons) or "does not lie above" in step.reasons[0]


def test_an_interval_is_one_of_95_percent_whatever_it_is_judged_with() -> None:
    claims, rows = _ladder_and_another()
    ladder = judge(claims, rows, registered(*claims), resamples=RESAMPLES)[0]
    half = float(stats.t.ppf(0.975, 39)) * 0.004 / math.sqrt(40)
    assert ladder.endpoints[0].t_interval == pytest.approx((0.02 - half, 0.02 + half))


# Time ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "result", "word"),
    [(0.5, "met", "supported"), (0.53, "inconclusive", "inconclusive"), (0.6, "not_met", "refuted")],
)
def test_the_time_leg_is_met_with_its_whole_range_or_not(target: float, result: str, word: str) -> None:
    verdict = verdict_on(vendor(spread(40)), replace(CLAIM, time_target=target))
    assert verdict.time is not None
    assert (verdict.time.result, verdict.verdict) == (result, word)
    found = verdict.time.reduction
    assert (found.low, found.value, found.high) == pytest.approx((1 - 30 / 62, 1 - 28 / 60, 1 - 27 / 59))
    assert [reason for reason in verdict.reasons if reason.startswith("scan time")] == list(verdict.reasons)


@pytest.mark.parametrize(
    ("baseline_name", "seconds", "found"),
    [
        ("reference", 60.0, (1 - 30 / 62, 1 - 28 / 60, 1 - 27 / 59)),
        ("full", 112.0, (0.73, 0.75, 0.76)),
        ("clinical", 61.0, (0.51, 0.53, 0.54)),
    ],
)
def test_the_time_leg_s_baselines(baseline_name: Any, seconds: float, found: tuple[float, float, float]) -> None:
    rows = vendor(spread(40), clinical_s=61.0)
    time = verdict_on(rows, replace(CLAIM, time_baseline=baseline_name)).time
    assert time is not None
    assert (time.reference_s, time.candidate_s, time.baseline) == pytest.approx((seconds, 28.0, baseline_name), abs=0)
    assert (time.reduction.low, time.reduction.value, time.reduction.high) == pytest.approx(found)


def test_up_to_is_shown_by_contrast() -> None:
    rows = vendor(spread(40))
    rows = [replace(row, contrast="T1" if index % 40 < 10 else "T2") for index, row in enumerate(rows)]
    rows = [replace(row, scan_s=42.0) if row.contrast == "T2" and row.model == "unet" else row for row in rows]
    time = verdict_on(rows).time
    assert time is not None
    assert time.by_contrast == pytest.approx({"T1": 1 - 28 / 60, "T2": 1 - 42 / 60})
    assert time.reduction.value == pytest.approx(1 - (0.25 * 28 + 0.75 * 42) / 60)


def test_a_claim_on_quality_alone_shows_the_seconds() -> None:
    verdict = verdict_on(vendor(spread(40), scan_s=90.0, scan_low_s=90.0, scan_high_s=90.0), QUALITY)
    assert verdict.verdict == "supported"
    assert verdict.time is not None
    assert verdict.time.reduction.value == pytest.approx(-0.5)


def test_a_claim_on_time_alone() -> None:
    claim = replace(CLAIM, endpoints=())
    assert verdict_on(vendor(spread(40, -0.5)), claim).verdict == "supported"
    assert verdict_on(vendor(spread(40), scan_s=59.0, scan_low_s=59.0, scan_high_s=59.0), claim).verdict == "refuted"
    assert verdict_on(vendor(spread(10)), claim).verdict == "inconclusive"


# Scope -----------------------------------------------------------------------------------------------------------------------

METHOD = replace(QUALITY, scope="method")


def _trainings(seeds: int, effect: float = 0.0, of_seed: float = 0.001) -> list[Row]:
    level = baseline(30)
    rows = arm(level.tolist())
    noise = np.random.default_rng(5).standard_normal((seeds, 30)) * 0.001
    for seed in range(seeds):
        shift = effect + of_seed * (seed - (seeds - 1) / 2)
        rows += arm((level + spread(30) + noise[seed] + shift).tolist(), CANDIDATE, train_seed=seed)
    return rows


def test_one_checkpoint_with_several_seeds_is_refused() -> None:
    with pytest.raises(HalfscanError, match=r"one checkpoint is its scope; the candidate arm has 2 .*candidate\.train_seed"):
        verdict_on(_trainings(2), QUALITY)


def test_one_checkpoint_may_be_named() -> None:
    named = replace(QUALITY, candidate={**QUALITY.candidate, "train_seed": 1})
    verdict = verdict_on(_trainings(3), named)
    assert (verdict.verdict, verdict.seeds) == ("supported", 1)


@pytest.mark.parametrize("seeds", [1, 2, 4])
@pytest.mark.parametrize("effect", [0.0, -0.05])
def test_a_method_of_few_seeds_is_inconclusive(seeds: int, effect: float) -> None:
    verdict = verdict_on(_trainings(seeds, effect), METHOD)
    assert verdict.verdict == "inconclusive"
    assert verdict.reasons[0] == f"{seeds} training seeds: a claim on the method needs 5"


def test_a_method_of_five_seeds_is_judged() -> None:
    for effect, word in ((0.0, "supported"), (-0.05, "refuted")):
        verdict = verdict_on(_trainings(5, effect), METHOD)
        assert (verdict.verdict, verdict.seeds, verdict.endpoints[0].seeds) == (word, 5, 5)


def test_seeds_that_scatter_widen_the_interval() -> None:
    steady, scattered = (verdict_on(_trainings(5, 0.0, of_seed), METHOD).endpoints[0] for of_seed in (0.0, 0.01))
    widths = [one.t_interval[1] - one.t_interval[0] for one in (steady, scattered) if one.t_interval]
    assert widths[1] > 5 * widths[0]
    assert scattered.result == "inconclusive"


def test_a_trained_reference_is_paired_seed_by_seed() -> None:
    """What a seed does to both arms alike cancels."""
    rows = []
    level = baseline(30)
    for seed in range(5):
        both = level + 0.05 * seed
        rows += arm(both.tolist(), REFERENCE, train_seed=seed)
        rows += arm((both + spread(30)).tolist(), CANDIDATE, train_seed=seed)
    verdict = verdict_on(rows, METHOD)
    assert verdict.verdict == "supported"
    assert verdict.endpoints[0].t_interval == pytest.approx(tuple(stats.t.interval(0.95, 29, 0.0, 0.004 / math.sqrt(30))))
    with pytest.raises(HalfscanError, match="several training seeds, and not the candidate's"):
        verdict_on([row for row in rows if row.model == "sense" or row.train_seed], METHOD)


# Invariances -----------------------------------------------------------------------------------------------------------------


def _key_figures(verdict: Verdict) -> list[Any]:
    return [
        verdict.verdict,
        *(
            (one.result, one.effect.value, one.effect.low, one.effect.high, one.p_threshold, one.p_superior, one.tail)
            for one in verdict.endpoints
        ),
    ]


@pytest.mark.parametrize("mean", [0.0, -0.009, -0.05])
def test_the_order_of_rows_does_not_matter(mean: float) -> None:
    rows = vendor(spread(36, mean))
    shuffled = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    claim = _guarded(0.9)
    assert verdict_on(shuffled, claim) == verdict_on(rows, claim)


@pytest.mark.parametrize("mean", [0.0, -0.009, -0.05])
@pytest.mark.parametrize("factor", [1000.0, 1e-6])
def test_units_do_not_matter(factor: float, mean: float) -> None:
    """A metric in other units, its margins with it: the same decision and the same p-values."""
    rows = vendor(spread(36, mean))
    scaled = [replace(row, metrics={SSIM: factor * (row.metrics[SSIM] or 0.0)}) for row in rows]
    endpoint = replace(ENDPOINT, tail_margin=0.03, tail_required=0.9)
    wide = replace(endpoint, margin=0.01 * factor, tail_margin=0.03 * factor)
    before = verdict_on(rows, replace(CLAIM, endpoints=(endpoint,)))
    after = verdict_on(scaled, replace(CLAIM, endpoints=(wide,)))
    assert after.verdict == before.verdict
    one, other = before.endpoints[0], after.endpoints[0]
    assert (other.p_threshold, other.p_superior) == pytest.approx((one.p_threshold, one.p_superior), rel=1e-6)
    assert (other.effect.low, other.effect.high) == pytest.approx((factor * one.effect.low, factor * one.effect.high))
    assert (other.tail or {})["lower_bound"] == (one.tail or {})["lower_bound"]


@pytest.mark.parametrize("mean", [0.0, -0.009, -0.05])
def test_duplicated_volumes_change_nothing(mean: float) -> None:
    rows = vendor(spread(30, mean))
    doubled = [replace(row, volume=f"{row.volume}-{copy}", slices=row.slices * 2) for row in rows for copy in range(2)]
    before, after = verdict_on(rows), verdict_on(doubled)
    assert _key_figures(after) == _key_figures(before)
    assert after.endpoints[0].volumes == 2 * before.endpoints[0].volumes


def test_swapping_the_arms_flips_the_effect() -> None:
    rows = vendor(spread(30, -0.004) ** 3 * 1e4)
    swapped = replace(QUALITY, reference=QUALITY.candidate, candidate=QUALITY.reference)
    one, other = (verdict_on(rows, claim).endpoints[0] for claim in (QUALITY, swapped))
    assert other.effect.value == pytest.approx(-(one.effect.value or 0.0), rel=1e-9)
    assert other.t_interval == pytest.approx(tuple(-end for end in reversed(one.t_interval or ())))
    assert other.bootstrap_interval == pytest.approx(tuple(-end for end in reversed(one.bootstrap_interval or ())))


def test_lower_is_better_flips_it_too() -> None:
    rows = vendor(spread(30, -0.004))
    lower = replace(QUALITY, endpoints=(replace(ENDPOINT, higher_is_better=False),))
    one, other = (verdict_on(rows, claim).endpoints[0].effect for claim in (QUALITY, lower))
    assert other.value == pytest.approx(-(one.value or 0.0))


# Ratios ----------------------------------------------------------------------------------------------------------------------


def _nmse_pair(gain_db: np.ndarray) -> list[Row]:
    """NMSE and the PSNR that belongs to it, for a candidate that gains so much."""
    level = np.random.default_rng(1).uniform(0.001, 0.01, len(gain_db))
    rows = []
    for nmse, side in ((level, REFERENCE), (level * 10 ** (-gain_db / 10), CANDIDATE)):
        rows += arm({"nmse@mvue": nmse.tolist(), "psnr@mvue": (20 - 10 * np.log10(nmse)).tolist()}, side)
    return rows


@pytest.mark.parametrize("mean_db", [0.0, -0.2, -0.45, -0.55, -2.0, 1.0])
def test_psnr_and_nmse_are_one_endpoint(mean_db: float) -> None:
    """ΔPSNR = −10·log10 of the NMSE ratio, so that both decide alike."""
    margin_db = 0.5
    psnr = Endpoint(metric="psnr@mvue", margin=margin_db, margin_rationale="-")
    nmse = Endpoint(
        metric="nmse@mvue",
        margin=10 ** (margin_db / 10) - 1,
        margin_rationale="-",
        scale="log_ratio",
        higher_is_better=False,
    )
    rows = _nmse_pair(spread(40, mean_db, 0.5))
    in_db, as_ratio = (verdict_on(rows, replace(CLAIM, endpoints=(endpoint,))) for endpoint in (psnr, nmse))
    assert in_db.verdict == as_ratio.verdict
    one, other = in_db.endpoints[0], as_ratio.endpoints[0]
    assert one.result == other.result
    assert one.effect.value == pytest.approx(10 / math.log(10) * (other.effect.value or 0.0), abs=1e-9)
    assert (one.p_threshold, one.p_superior) == pytest.approx((other.p_threshold, other.p_superior), rel=1e-6)


@pytest.mark.parametrize(("ratio", "result", "word"), [(2.6, "met", "supported"), (1.5, "not_met", "refuted")])
def test_half_the_error_is_claimed_as_a_factor(ratio: float, result: str, word: str) -> None:
    half = Endpoint(metric="nmse@mvue", at_least=2.0, scale="log_ratio", higher_is_better=False)
    verdict = verdict_on(_nmse_pair(10 * np.log10(ratio) + spread(40, 0.0, 0.3)), replace(CLAIM, endpoints=(half,)))
    assert (verdict.endpoints[0].result, verdict.verdict) == (result, word)
    assert math.exp(verdict.endpoints[0].effect.value or 0.0) == pytest.approx(ratio)
    assert verdict.endpoints[0].equivalent is None


def test_ssim_as_a_ratio_of_distances_from_1() -> None:
    """1 − SSIM halved is a factor of 2, whatever the level it starts from."""
    bounded = Endpoint(metric=SSIM, at_least=1.9, scale="log_ratio", bounded_by=1.0)
    level = baseline(40)
    gain = np.exp(spread(40, math.log(2.0), 0.02))
    rows = arm(level.tolist()) + arm((1 - (1 - level) / gain).tolist(), CANDIDATE)
    verdict = verdict_on(rows, replace(CLAIM, endpoints=(bounded,)))
    assert verdict.verdict == "supported"
    assert math.exp(verdict.endpoints[0].effect.value or 0.0) == pytest.approx(2.0)
    worse = arm((1 - (1 - level) / gain).tolist()) + arm(level.tolist(), CANDIDATE)
    margin = Endpoint(metric=SSIM, margin=0.5, margin_rationale="-", scale="log_ratio", bounded_by=1.0)
    verdict = verdict_on(worse, replace(CLAIM, endpoints=(margin,)))
    assert verdict.verdict == "refuted"
    assert verdict.endpoints[0].threshold == pytest.approx(-math.log(1.5))


@pytest.mark.parametrize(("ours", "theirs", "bounded_by"), [(0.0, 0.9, None), (-0.1, 0.9, None), (0.9, 1.0, 1.0)])
def test_a_ratio_without_a_logarithm_is_refused_by_name(ours: float, theirs: float, bounded_by: float | None) -> None:
    endpoint = replace(ENDPOINT, scale="log_ratio", bounded_by=bounded_by)
    rows = arm([ours]) + arm([theirs], CANDIDATE)
    with pytest.raises(HalfscanError, match=r"ssim@mvue: a ratio of .* has no logarithm"):
        verdict_on(rows, replace(CLAIM, endpoints=(endpoint,)))
