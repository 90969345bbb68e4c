"""Rows → two arms that may be compared: whatever makes them incomparable is refused by name."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from halfscan.bench.claims.pairing import NOTHING, Paired, check_arms, choose_arm, pair
from halfscan.bench.claims.types import Endpoint
from halfscan.bench.errors import HalfscanError
from halfscan.bench.rows import Row

from .test_judge import CANDIDATE, CLAIM, ENDPOINT, REFERENCE, SSIM, arm, spread, vendor, verdict_on


def _arms(rows: list[Row]) -> tuple[Any, Any]:
    return choose_arm(rows, "reference", CLAIM.reference), choose_arm(rows, "candidate", CLAIM.candidate)


def _refused(rows: list[Row], match: str) -> None:
    """By the pairing, and by the judge that must use it."""
    with pytest.raises(HalfscanError, match=match):
        check_arms(*_arms(rows))
    with pytest.raises(HalfscanError, match=match):
        verdict_on(rows)


def _candidates(rows: list[Row], **changes: Any) -> list[Row]:
    return [replace(row, **changes) if row.model == "unet" else row for row in rows]


# One arm ---------------------------------------------------------------------------------------------------------------


def test_a_missing_arm_names_what_the_sweep_holds() -> None:
    rows = arm([0.9, 0.8]) + arm([0.9, 0.8], CANDIDATE, nominal_acceleration=3.0)
    found = (
        r"candidate arm \(model=unet, nominal_acceleration=4.0\) is missing: the sweep holds "
        r"model=sense, nominal_acceleration=2.0; model=unet, nominal_acceleration=3.0"
    )
    with pytest.raises(HalfscanError, match=found):
        verdict_on(rows)
    with pytest.raises(HalfscanError, match=r"reference arm .* is missing: the sweep holds no rows"):
        verdict_on([])


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(HalfscanError, match="rows have no column 'acceleratoin'"):
        choose_arm(vendor([0.0, 0.0]), "candidate", {"acceleratoin": 4})


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("dataset", "brains"),
        ("sampling", "random"),
        ("protocol", "tse_brain"),
        ("mask_replicate", 1),
        ("combination", "rss"),
        ("provenance", "processed"),
        ("evidence", "prospective"),
    ],
)
def test_an_arm_of_mixed_specifications_is_refused_by_name(column: str, other: Any) -> None:
    rows = vendor([0.0] * 4)
    rows[-1] = replace(rows[-1], **{column: other})
    _refused(rows, rf"candidate arm .* mixes {column}=.*{other}")


def test_an_arm_of_several_accelerations_is_refused_by_name() -> None:
    rows = vendor([0.0] * 4) + arm([0.9] * 4, CANDIDATE, nominal_acceleration=8.0)
    with pytest.raises(HalfscanError, match=r"candidate arm \(model=unet\) mixes nominal_acceleration=4.0, 8.0: name one"):
        choose_arm(rows, "candidate", {"model": "unet"})


def test_a_volume_that_stands_twice_is_refused() -> None:
    rows = vendor([0.0] * 4)
    _refused([*rows, replace(rows[-1], mask_hash="of another cell")], "a patient's volume stands in it twice")
    _refused([rows[0], *rows], "reference arm .* a patient's volume stands in it twice")


def test_several_volumes_of_a_patient_are_welcome() -> None:
    rows = vendor([0.0, 0.02]) + [replace(row, volume="again") for row in vendor([0.04, 0.06])]
    paired = pair(*_arms(rows), ENDPOINT)
    assert isinstance(paired, Paired)
    assert paired.patients == ("p000", "p001")
    assert paired.volumes == 4
    assert paired.by_patient == pytest.approx([0.02, 0.04])


# Two arms --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("dataset", "brains"),
        ("mask_replicate", 1),
        ("provenance", "processed"),
        ("evidence", "prospective"),
        ("truth_source", "noise_free"),
    ],
)
def test_arms_that_differ_are_refused_by_name(column: str, other: Any) -> None:
    _refused(_candidates(vendor([0.0] * 4), **{column: other}), rf"the arms differ in {column}: reference .*, candidate {other}")


def test_arms_scored_in_other_profiles_are_refused() -> None:
    for combinations in ({"mvue": "rss"}, {"mvue": "mvue", "fastmri": "rss"}):
        _refused(
            _candidates(vendor([0.0] * 4), truth_combinations=combinations), "different profiles or against different truths"
        )


def test_arms_of_other_patients_are_refused() -> None:
    rows = vendor([0.0] * 4)
    _refused(rows[:-1], "do not share their patients: 1 volumes stand in one of them only")
    _refused([*rows[:-1], replace(rows[-1], patient="stranger")], "do not share their patients: 2 volumes")


def test_the_same_patients_of_other_volumes_are_refused() -> None:
    rows = vendor([0.0] * 4)
    _refused([*rows[:-1], replace(rows[-1], volume="other")], "do not share their patients: 2 volumes")


def test_seeds_that_scored_other_volumes_are_refused() -> None:
    rows = vendor([0.0] * 4) + arm([0.9] * 3, CANDIDATE, train_seed=1)
    _refused(rows, "candidate arm: its training seeds 0, 1 scored different volumes")


def test_a_reference_at_r_2_and_a_candidate_at_r_4_differ_in_their_masks_of_course() -> None:
    rows = vendor(spread(20))
    assert {row.mask_hash for row in rows} == {"mask of R=2", "mask of R=4"}
    assert verdict_on(rows).verdict == "supported"


def test_models_at_one_specification_must_share_their_masks() -> None:
    same = {"nominal_acceleration": 4.0, "lines_sampled": 73, "mask_hash": "mask of R=4"}
    claim = replace(CLAIM, reference={"model": "sense"}, time_target=None)
    reference, candidate = arm([0.9] * 20, {**REFERENCE, **same}), arm([0.9] * 20, CANDIDATE)
    assert verdict_on(reference + candidate, claim).verdict == "supported"
    candidate[3] = replace(candidate[3], mask_hash="another draw")
    with pytest.raises(HalfscanError, match="share a sampling spec and 1 volumes have different masks"):
        verdict_on(reference + candidate, claim)


def test_all_training_seeds_must_share_the_masks() -> None:
    same = {"nominal_acceleration": 4.0, "mask_hash": "mask of R=4"}
    claim = replace(CLAIM, reference={"model": "sense"}, time_target=None, scope="method")
    rows = arm([0.9] * 20, {**REFERENCE, **same})
    for seed in range(5):
        rows += arm([0.9] * 20, CANDIDATE, train_seed=seed, mask_hash="another draw" if seed == 3 else "mask of R=4")
    with pytest.raises(HalfscanError, match="different masks"):
        verdict_on(rows, claim)


@pytest.mark.parametrize("changes", [{"truth_source": "noise_free"}, {"truth_combinations": {"mvue": "rss"}}])
def test_every_volume_must_share_its_truth(changes: dict[str, Any]) -> None:
    """Not the first one alone: the refusal must not hang on the order of rows."""
    rows = vendor([0.0] * 20)
    rows[-1] = replace(rows[-1], **changes)
    with pytest.raises(HalfscanError, match="differ"):
        verdict_on(rows)


def test_an_arm_combined_otherwise_than_its_truth_is_refused() -> None:
    """MoDL at R=4: SSIM 0.951 against MVUE, 0.775 against RSS; the combination of truth and candidate must match."""
    with pytest.raises(HalfscanError, match="combin"):
        verdict_on(vendor(spread(20), combination="rss"))


# Scores ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_a_score_that_is_no_number_is_refused_by_name(side: str, value: float) -> None:
    rows = vendor([0.0] * 20)
    index = 5 if side == "reference" else 25
    rows[index] = replace(rows[index], metrics={SSIM: value})
    with pytest.raises(HalfscanError, match=rf"{side} arm: ssim@mvue is {value} for volume v005: nothing is judged on it"):
        verdict_on(rows)


def test_other_metrics_may_be_what_they_are() -> None:
    scores = {SSIM: [0.9] * 20, "psnr@mvue": [math.nan] * 20}
    assert verdict_on(arm(scores) + arm(scores, CANDIDATE)).verdict == "supported"


def test_what_is_null_says_why() -> None:
    rows = vendor([0.0] * 4)
    rows[1] = replace(rows[1], metrics={SSIM: None}, reasons={SSIM: "the image is smaller than the window"})
    found = pair(*_arms(rows), ENDPOINT)
    assert found == "ssim@mvue is null in 1 of 4 volumes of the reference arm: the image is smaller than the window"


def test_differences_are_of_patients_in_order() -> None:
    rows = arm([0.5, 0.6, 0.7]) + arm([0.6, 0.5, 0.7], CANDIDATE)
    paired = pair(*_arms(rows[::-1]), ENDPOINT)
    assert isinstance(paired, Paired)
    assert paired.patients == ("p000", "p001", "p002")
    assert paired.by_patient == pytest.approx([0.1, -0.1, 0.0])
    lower = pair(*_arms(rows), replace(ENDPOINT, higher_is_better=False))
    assert isinstance(lower, Paired)
    assert lower.by_patient == pytest.approx([-0.1, 0.1, 0.0])


DPRIME = Endpoint(metric=SSIM, scale="log_ratio", margin=0.05, margin_rationale="-")


@pytest.mark.parametrize("nothing", [0.0, -0.2, 1e-9])
def test_a_candidate_that_detects_nothing_is_refuted_and_not_lost(nothing: float) -> None:
    verdict = verdict_on(arm([9.0] * 20) + arm([nothing] * 20, CANDIDATE), replace(CLAIM, endpoints=(DPRIME,), time_target=None))
    assert verdict.endpoints[0].effect.value == pytest.approx(math.log(NOTHING))
    assert verdict.endpoints[0].result == "inferior"
    assert verdict.verdict == "refuted"


@pytest.mark.parametrize(
    ("reference", "candidate", "endpoint"),
    [(0.0, 9.0, DPRIME), (9.0, 0.0, replace(DPRIME, higher_is_better=False)), (0.5, 1.0, replace(DPRIME, bounded_by=1.0))],
)
def test_a_ratio_that_would_flatter_the_candidate_is_refused(reference: float, candidate: float, endpoint: Endpoint) -> None:
    with pytest.raises(HalfscanError, match="has no logarithm"):
        pair(*_arms(arm([reference] * 4) + arm([candidate] * 4, CANDIDATE)), endpoint)


def test_a_fully_sampled_reference_is_a_ceiling_and_no_comparator() -> None:
    rows = vendor([0.0] * 20)
    full = [replace(row, lines_sampled=row.lines_acquired, truth_shares_noise=True) for row in rows[:20]]
    with pytest.raises(HalfscanError, match="a ceiling, not a comparator"):
        verdict_on([*full, *rows[20:]])


def test_an_arm_is_not_compared_with_itself() -> None:
    with pytest.raises(HalfscanError, match="both arms are the same rows"):
        verdict_on(vendor([0.0] * 20), replace(CLAIM, candidate=CLAIM.reference))
