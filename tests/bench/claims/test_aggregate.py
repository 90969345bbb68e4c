"""Patients are the samples: slices and volumes never are."""

import numpy as np
import pytest
from scipy import stats

from halfscan.bench.claims.aggregate import mean_interval, patient_means, summarise


def test_interval_is_students_over_patients() -> None:
    values = [0.81, 0.86, 0.84, 0.9]
    interval = mean_interval(values, "1")
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (interval.low, interval.value, interval.high) == pytest.approx((low, np.mean(values), high))


def test_duplicated_volumes_do_not_narrow_the_interval() -> None:
    once = [("a", 1.0), ("b", 2.0), ("c", 4.0)]
    assert summarise(once * 5, "1") == summarise(once, "1")


def test_order_does_not_matter() -> None:
    rows = [("b", 0.1), ("a", 0.2), ("b", 0.3), ("c", 0.7)]
    assert summarise(rows, "1") == summarise(rows[::-1], "1")
    assert patient_means(rows) == {"a": 0.2, "b": pytest.approx(0.2), "c": 0.7}


def test_one_patient_has_a_mean_and_no_interval() -> None:
    only = summarise([("a", 1.0), ("a", 3.0)], "dB")
    assert (only.value, only.low, only.high) == (2.0, None, None)
    assert only.reason == "one patient: no confidence interval"


def test_a_missing_value_makes_the_mean_null() -> None:
    missing = summarise([("a", 1.0), ("b", None)], "dB", "PSNR is infinite")
    assert missing.value is None
    assert missing.reason == "1 of 2 volumes have no value: PSNR is infinite"


def test_no_patient_at_all() -> None:
    assert mean_interval([], "1").value is None
