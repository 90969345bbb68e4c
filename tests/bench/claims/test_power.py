"""The planner: power against the noncentral t and against simulated trials, patients against both."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from halfscan.bench.claims.power import Gate, joint_power, patients_needed, power_t
from halfscan.bench.claims.tail import allowed_failures
from halfscan.bench.claims.types import PATIENTS_NEEDED
from halfscan.bench.cli import main


def _gate(size: float, **changes: Any) -> Gate:
    """An endpoint whose true effect is 0 and whose margin is so many standard deviations wide."""
    return Gate(**{"metric": "ssim@mvue", "distance": size, "spread": 1.0, "effect": 0.0, **changes})


# One endpoint ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patients", [5, 20, 63])
@pytest.mark.parametrize("size", [0.0, 0.3, 0.8])
def test_power_is_the_noncentral_t_s(size: float, patients: int) -> None:
    """Written out: a normal mean above the critical value times a chi-distributed spread."""
    freedom = patients - 1
    critical = stats.t.ppf(0.975, freedom)

    def at_spread(spread: float) -> float:
        return float(stats.norm.sf(critical * spread - size * math.sqrt(patients)) * stats.chi.pdf(spread, freedom, scale=scale))

    scale = 1 / math.sqrt(freedom)
    expected, _ = integrate.quad(at_spread, 0, 4)
    assert power_t(size * 0.01, 0.01, patients) == pytest.approx(expected, abs=1e-6)


def test_power_at_the_margin_itself_is_alpha() -> None:
    assert power_t(0.0, 1.0, 20, 0.05) == pytest.approx(0.05)


def test_34_patients_see_half_a_standard_deviation() -> None:
    """The textbook's figure for 80 % at one-sided .025."""
    assert power_t(0.5, 1.0, 33) < 0.8 <= power_t(0.5, 1.0, 34)


@pytest.mark.parametrize(("size", "patients"), [(0.3, 60), (0.5, 34)])
def test_power_is_the_share_of_trials_that_hold(size: float, patients: int) -> None:
    trials = 20_000
    values = np.random.default_rng(0).standard_normal((trials, patients)) + size
    held = stats.ttest_1samp(values, 0.0, axis=1, alternative="greater").pvalue <= 0.025
    assert held.mean() == pytest.approx(power_t(size, 1.0, patients), abs=4 * math.sqrt(0.25 / trials))


def test_without_spread_the_side_decides() -> None:
    assert (power_t(0.01, 0.0, 20), power_t(-0.01, 0.0, 20), power_t(0.0, 0.0, 20)) == (1.0, 0.0, 0.0)


def test_a_spread_of_rounding_alone_gives_a_power() -> None:
    assert power_t(0.01, 1e-17, 20) == 1.0


def test_power_grows_with_patients_and_margin() -> None:
    over_patients = [power_t(0.3, 1.0, patients) for patients in range(3, 200, 7)]
    over_margins = [power_t(margin, 1.0, 30) for margin in np.linspace(0, 1, 20)]
    assert over_patients == sorted(over_patients)
    assert over_margins == sorted(over_margins)


# Several gates ---------------------------------------------------------------------------------------------------------


def test_one_gate_s_joint_power_is_its_own() -> None:
    assert joint_power([_gate(0.5)], 34) == pytest.approx(power_t(0.5, 1.0, 34), abs=0.012)


def test_independent_gates_multiply() -> None:
    assert joint_power([_gate(0.5), _gate(0.4)], 40) == pytest.approx(power_t(0.5, 1.0, 40) * power_t(0.4, 1.0, 40), abs=0.014)


def test_correlated_gates_lie_between_the_product_and_the_weaker() -> None:
    found = [joint_power([_gate(0.4), _gate(0.4)], 40, correlation) for correlation in (0.0, 0.5, 0.9, 0.9999)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(power_t(0.4, 1.0, 40), abs=0.02)


@pytest.mark.parametrize("patients", [35, 36, 60])
def test_a_tail_s_power_is_binomial(patients: int) -> None:
    """The mean can't fail here; a patient fails with the normal's share beyond the tail margin."""
    gate = _gate(10.0, tail_margin=2.0, tail_required=0.9)
    expected = stats.binom.cdf(allowed_failures(patients, 0.9), patients, stats.norm.cdf(-2.0))
    assert joint_power([gate], patients) == pytest.approx(expected, abs=0.014)


def test_a_tail_that_is_not_required_costs_no_power() -> None:
    assert joint_power([_gate(0.5, tail_margin=2.0)], 34) == joint_power([_gate(0.5)], 34)


def test_the_same_seed_plans_the_same() -> None:
    assert joint_power([_gate(0.4)], 40, seed=1) == joint_power([_gate(0.4)], 40, seed=1)
    assert joint_power([_gate(0.5, spread=0.0)], 30) == 1.0
    assert joint_power([_gate(-0.5, spread=0.0)], 30) == 0.0


# Patients needed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.3, 0.5])
def test_patients_are_those_of_the_formula(size: float) -> None:
    exact = next(patients for patients in range(3, 1000) if power_t(size, 1.0, patients) >= 0.8)
    assert patients_needed([_gate(size)]) == pytest.approx(exact, abs=max(1, 0.03 * exact))


def test_a_wider_margin_needs_fewer_patients() -> None:
    found = [patients_needed([_gate(margin)]) for margin in (0.2, 0.3, 0.4, 0.5, 0.6)]
    assert None not in found
    assert found == sorted(found, key=lambda patients: -(patients or 0))
    assert len(set(found)) == len(found)


def test_more_power_needs_more_patients() -> None:
    few, many = (patients_needed([_gate(0.5)], power) for power in (0.5, 0.95))
    assert few is not None
    assert many is not None
    assert few < many


@pytest.mark.parametrize(("required", "needed"), [(0.9, 36), (0.95, 72)])
def test_a_required_tail_needs_its_patients(required: float, needed: int) -> None:
    assert patients_needed([_gate(5.0, tail_margin=6.0, tail_required=required)]) == needed


def test_what_no_number_reaches_is_none() -> None:
    assert patients_needed([_gate(0.01)], most=500) is None
    assert patients_needed([_gate(5.0, tail_margin=0.5, tail_required=0.9)], most=500) is None


def test_the_most_patients_are_asked_too() -> None:
    exact = next(patients for patients in range(3, 1000) if power_t(0.3, 1.0, patients) >= 0.8)
    assert 64 < exact < 100
    assert joint_power([_gate(0.3)], 100) >= 0.8
    assert patients_needed([_gate(0.3)], most=100) == pytest.approx(exact, abs=3)


# The command -----------------------------------------------------------------------------------------------------------

WORDS = ["plan", "claim=half_time", "--sd", "ssim@mvue=0.01", "--sd", "psnr@mvue=1"]


def test_plan_in_words_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(WORDS) == 0
    assert "36 patients (joint power" in capsys.readouterr().out
    assert main([*WORDS, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)[0]
    assert (plan["claim"], plan["patients"]) == ("half_time", 36)
    assert plan["joint_power"] >= plan["power"]
    assert [one["sd_from"] for one in plan["endpoints"]] == ["stated", "stated"]


def test_a_plan_that_no_number_of_patients_meets_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS[:-1], "psnr@mvue=100"]) == 1
    assert "no number of patients up to 5000 reaches it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["plan"], "plan needs a claim"),
        (["plan", "claim=half_time", "--sd", "ssim@mvue=0.01"], "plan needs the spread of psnr@mvue"),
        (["plan", "claim=half_time", "--sd", "ssim=x"], "--sd ssim=x: write METRIC@PROFILE=NUMBER"),
        (["plan", "claim=half_time", "--sd", "ssim@mvue=-1"], "--sd ssim@mvue=-1: write METRIC@PROFILE=NUMBER"),
        (["plan", "claim=off_peak_energy", "--sd", "ssim@mvue=1"], "claim off_peak_energy can't be tested: it needs a power log"),
        ([*WORDS, "--power", "1"], "--power 1.0 must lie between 0 and 1"),
        ([*WORDS, "--correlation", "1"], "--correlation 1.0 from 0 to below 1"),
    ],
)
def test_a_plan_that_lacks_something_is_refused_in_one_line(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1


def test_a_plan_names_no_number_at_which_nothing_can_be_concluded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "claim=double_nmse", "--sd", "nmse@mvue=0.01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["patients"] >= PATIENTS_NEEDED


def test_a_claim_on_time_alone_can_be_planned() -> None:
    assert main(["plan", "claim=half_time", "claims.half_time.endpoints=[]", "--sd", "ssim@mvue=1"]) == 0
