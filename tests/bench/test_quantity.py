"""Unmeasured is None with a reason, never 0 and never NaN."""

import pytest

from halfscan.bench.quantity import Quantity


def test_unmeasured_is_none_with_its_reason() -> None:
    nothing = Quantity.unmeasured("J", "no counter")
    assert nothing.value is None
    assert nothing.as_dict()["reason"] == "no counter"


@pytest.mark.parametrize(
    "fields",
    [
        {"value": None},
        {"value": float("nan")},
        {"value": float("inf")},
        {"value": 1.0, "low": 2.0},
        {"value": 1.0, "high": 0.5},
        {"value": 1.0, "low": float("nan")},
    ],
)
def test_refuses_what_is_no_quantity(fields: dict[str, float | None]) -> None:
    with pytest.raises(ValueError, match=r"needs a reason|is finite|does not hold"):
        Quantity(**{"unit": "s", "method": "measured", **fields})
