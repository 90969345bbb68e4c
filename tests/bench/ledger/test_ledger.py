"""The worked bounds of the literature, nets that are null when a term is, intervals that hold what was drawn, units that fit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from halfscan.bench.errors import HalfscanError
from halfscan.bench.ledger.ledger import Exam, ledger
from halfscan.bench.ledger.site import Figure, Grid, Scanner, Service
from halfscan.bench.quantity import Quantity

WOOLEN = Scanner(
    name="woolen2023",
    power_kw={"off": (7.3, 9.7), "idle": (9.5, 14.5), "prepared": (17.3, 25.6), "scan": (28.6, 48.3)},
    source="Woolen et al., Radiology 2023",
    year=2023,
)
GERMANY = Grid(name="DE", intensity=381, year=2023, source="Ember")
NORWAY = Grid(name="NO", intensity=30, year=2023, source="Ember")


def joules(value: float | None, unit: str = "J", method: str = "measured_counter", width: float = 0.0) -> Quantity:
    if value is None:
        return Quantity.unmeasured(unit, "no counter")
    return Quantity(value=value, unit=unit, method=method, low=value - width, high=value + width)


def exam(
    minutes: float = 5, reconstruction: float | None = 7200.0, training: float | None = 3.6e9, baseline: float | None = 0.0
) -> Exam:
    return Exam(
        seconds_saved=Quantity(value=60 * minutes, unit="s", method="modelled", low=60 * minutes, high=60 * minutes),
        reconstruction=joules(reconstruction),
        baseline=joules(baseline),
        training=joules(training),
    )


def entries(**changes: object) -> dict[str, object]:
    return {entry.scenario: entry for entry in ledger(exam(**changes), WOOLEN, GERMANY, NORWAY, Service())}  # type: ignore[arg-type]


def test_the_worked_outer_bounds() -> None:
    """Five minutes: idle 1.2 to 3.2 kWh, prepared 0.25 to 2.6."""
    found = {entry.scenario: entry.bounds for entry in ledger(exam(), WOOLEN, GERMANY, NORWAY, Service())}
    assert (found["idle"].low, found["idle"].high) == (pytest.approx(1.175), pytest.approx(3.2333, rel=1e-4))
    assert (found["prepared"].low, found["prepared"].high) == (pytest.approx(0.25), pytest.approx(2.5833, rel=1e-4))
    assert (found["refilled"].low, found["refilled"].high) == (0.0, 0.0)


def test_intervals_lie_within_the_bounds_and_the_scenarios_are_ordered() -> None:
    found = {entry.scenario: entry for entry in ledger(exam(), WOOLEN, GERMANY, NORWAY, Service())}
    for entry in found.values():
        scanner = entry.terms["scanner"]
        assert entry.bounds.low <= scanner.low <= scanner.value <= scanner.high <= entry.bounds.high
    assert (
        found["refilled"].terms["scanner"].value
        == 0
        < found["prepared"].terms["scanner"].value
        < found["idle"].terms["scanner"].value
    )
    assert found["idle"].outer
    assert not found["refilled"].site


def test_the_sum_of_exact_terms() -> None:
    scanner = Scanner(
        name="mine",
        power_kw={"idle": (10, 10), "prepared": (20, 20), "scan": (40, 40)},
        source="log",
        method="measured_wall",
        several=False,
    )
    service = Service(series=2, exams=1000, pue=1.5, embodied_kg=100)
    (prepared, idle, refilled) = ledger(exam(6, 3.6e5, 3.6e8), scanner, GERMANY, NORWAY, service)
    # Two series of six minutes at 20 and 30 kW; 0.1 kWh a series and 100 kWh of training, times 1.5.
    assert prepared.terms["scanner"].value == pytest.approx(4.0)
    assert idle.terms["scanner"].value == pytest.approx(6.0)
    assert prepared.terms["reconstruction"].value == pytest.approx(-0.3)
    assert prepared.terms["training"].value == pytest.approx(-0.15)
    assert prepared.net.value == pytest.approx(4 - 0.3 - 0.15)
    assert prepared.carbon.value == pytest.approx((4 * 381 - 0.45 * 30) / 1000 - 0.1)
    assert prepared.break_even.value == pytest.approx(150 / 3.7)
    assert prepared.never == 0
    assert refilled.net.value == pytest.approx(-0.45)
    assert refilled.never == 1
    assert refilled.break_even.value is None
    assert "never" in (refilled.break_even.reason or "")


@pytest.mark.parametrize("missing", ["reconstruction", "training"])
def test_no_net_without_a_term(missing: str) -> None:
    for entry in ledger(exam(**{missing: None}), WOOLEN, GERMANY, NORWAY, Service()):  # type: ignore[arg-type]
        assert entry.net.value is None
        assert entry.net.reason == f"{missing}: no counter"
        assert entry.carbon.value is None
        assert entry.break_even.value is None
        assert entry.never is None
        assert entry.known.value is not None, "what is known stands beside it"


def test_an_unknown_baseline_counts_as_nothing_and_is_said() -> None:
    (with_none, *_) = ledger(exam(baseline=None), WOOLEN, GERMANY, NORWAY, Service())
    (without, *_) = ledger(exam(baseline=0.0), WOOLEN, GERMANY, NORWAY, Service())
    assert with_none.terms["reconstruction"].value == without.terms["reconstruction"].value
    assert with_none.terms["reconstruction"].method == "assumed"


def test_the_worst_method_is_inherited() -> None:
    (entry, *_) = ledger(exam(), WOOLEN, GERMANY, NORWAY, Service(training_kwh=500))
    assert entry.terms["training"].method == "assumed"
    assert entry.net.method == "assumed"
    assert ledger(exam(), WOOLEN, GERMANY, NORWAY, Service())[0].net.method == "literature"


def test_a_probability_of_never() -> None:
    scanner = replace(WOOLEN, power_kw={"idle": (5, 10), "prepared": (20, 30), "scan": (20, 30)})
    (prepared, idle, _) = ledger(exam(reconstruction=0.0), scanner, GERMANY, NORWAY, Service())
    assert prepared.never == pytest.approx(0.5, abs=0.02)
    assert idle.never == 0


def test_intervals_cover_what_was_drawn_from_the_ranges() -> None:
    """A check of the code, called that: the truths are drawn as the ledger draws."""
    rng = np.random.default_rng(11)
    uncertain = Exam(
        seconds_saved=Quantity(value=300, unit="s", method="modelled", low=200, high=400),
        reconstruction=joules(5e5, width=2e5),
        baseline=joules(1e5, width=5e4),
        training=joules(3.6e9, width=1e9),
    )
    entry = ledger(uncertain, WOOLEN, GERMANY, NORWAY, Service(exams=100))[1]
    trials, inside = 4000, 0
    for _ in range(trials):
        saved = (rng.uniform(28.6, 48.3) - rng.uniform(9.5, 14.5)) * rng.uniform(200, 400) / 3600
        spent = (rng.uniform(3e5, 7e5) - rng.uniform(5e4, 1.5e5)) / 3.6e6 + rng.uniform(2.6e9, 4.6e9) / 3.6e6 / 100
        inside += entry.net.low <= saved - spent <= entry.net.high
    assert inside / trials == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / trials))


def test_units_are_checked() -> None:
    with pytest.raises(HalfscanError, match="training is in kWh and must be in J"):
        replace(exam(), training=joules(10.0, unit="kWh"))
    with pytest.raises(HalfscanError, match="seconds_saved is in min"):
        replace(exam(), seconds_saved=joules(5.0, unit="min"))
    with pytest.raises(HalfscanError, match="powers are in kW, not W"):
        replace(WOOLEN, power_kw={"idle": (9500, 14500), "prepared": (17300, 25600), "scan": (28600, 48300)})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: replace(WOOLEN, power_kw={"idle": (9, 10)}), "missing"),
        (lambda: replace(WOOLEN, power_kw={**WOOLEN.power_kw, "standby": (1, 2)}), "unknown"),
        (lambda: replace(WOOLEN, power_kw={**WOOLEN.power_kw, "scan": (50, 40)}), "scan"),
        (lambda: replace(WOOLEN, cooling=(0.5, 1)), "cooling"),
        (lambda: Figure(low=1, high=2, unit="kW"), "name the source"),
        (lambda: Figure(low=2, high=1, unit="kW", source="x"), "is none"),
        (lambda: replace(GERMANY, intensity=0.0), "can't be"),
        (lambda: Service(pue=0.9), "pue"),
        (lambda: Service(exams=0), "exams"),
        (lambda: Service(training_kwh=-1), "training_kwh"),
    ],
)
def test_figures_that_can_not_be(build: object, message: str) -> None:
    with pytest.raises(HalfscanError, match=message):
        build()  # type: ignore[operator]


def test_what_the_sum_depends_on_most() -> None:
    """Five minutes at 9.85 kW on either side of the middle, of 5 minutes: 0.82 kWh each way."""
    idle = entries()["idle"]
    scan, after = idle.levers
    assert (scan.name, scan.low, scan.high, scan.unit) == ("scan power", 28.6, 48.3, "kW")
    assert scan.reach == pytest.approx((48.3 - 28.6) * 5 / 60)
    assert after.name == "power afterwards"
    assert after.at_low > after.at_high
    middle = (28.6 + 48.3) / 2 - (9.5 + 14.5) / 2
    assert scan.at_low + scan.at_high == pytest.approx(2 * (middle * 5 / 60 - 7200 / 3.6e6 - 0.1))
    # Both powers are one where another patient is scanned: nothing depends on them.
    assert entries()["refilled"].levers == ()


def test_a_wide_reconstruction_is_a_lever_and_an_unknown_one_is_none() -> None:
    wide = replace(exam(), reconstruction=joules(7.2e6, width=7.2e6))
    found = {entry.scenario: entry.levers for entry in ledger(wide, WOOLEN, GERMANY, NORWAY, Service())}
    assert found["idle"][0].name == "reconstruction"
    assert found["idle"][0].reach == pytest.approx(4)
    assert [lever.name for lever in found["refilled"]] == ["reconstruction"]
    assert {lever.name for lever in entries(reconstruction=None)["idle"].levers} == {"scan power", "power afterwards"}


def test_what_trains_nothing_is_charged_nothing_and_has_nothing_to_pay_back() -> None:
    costly = Service(training_kwh=300.0)
    untrained, trained = (
        {entry.scenario: entry for entry in ledger(exam(training=joules), WOOLEN, GERMANY, NORWAY, costly)}
        for joules in (0.0, 1.0)
    )
    for entry in untrained.values():
        assert entry.terms["training"].value == 0
        assert entry.break_even.value is None
        assert "nothing was trained" in (entry.break_even.reason or "")
        assert entry.never is None
    assert trained["idle"].terms["training"].value == pytest.approx(-300 / 10_000)
    assert trained["refilled"].never == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *(({"series": value}, "series=.* whole number") for value in (0, 1.5, True, math.nan, math.inf, 1e300, "abc")),
        *(({"exams": value}, "exams=") for value in (0, math.inf, math.nan)),
        *(({"training_kwh": value}, "training_kwh=") for value in (-1, math.inf, math.nan, 1e305)),
    ],
)
def test_services_that_can_not_be(settings: dict[str, float], message: str) -> None:
    with pytest.raises(HalfscanError, match=message):
        Service(**settings)  # type: ignore[arg-type]


def test_cooling_is_a_range_of_two() -> None:
    with pytest.raises(HalfscanError, match="cooling="):
        replace(WOOLEN, cooling=(1.0, 1.5, 2.0))  # type: ignore[arg-type]
