"""The quality leg of a claim: every endpoint's paired effect, tested over the same resampled patients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from ..quantity import Quantity
from .paired import Effect, effects
from .pairing import ArmRows, Paired, pair
from .power import power_t
from .seeds import crossed_error
from .tail import tail
from .types import ClaimSpec, Endpoint, EndpointResult, Result


def quality_leg(claim: ClaimSpec, reference: ArmRows, candidate: ArmRows, resamples: int) -> tuple[EndpointResult, ...]:
    paired = {endpoint.metric: pair(reference, candidate, endpoint) for endpoint in claim.endpoints}
    tested = [endpoint for endpoint in claim.endpoints if isinstance(paired[endpoint.metric], Paired)]
    judged = dict(zip((endpoint.metric for endpoint in tested), _effects(claim, tested, paired, resamples), strict=True))
    results = []
    for endpoint in claim.endpoints:
        values = paired[endpoint.metric]
        if isinstance(values, str):
            results.append(_unmeasured(endpoint, values))
        elif len(values.patients) < 2:
            results.append(_unmeasured(endpoint, "one patient: no confidence interval"))
        else:
            results.append(_result(claim, endpoint, values, judged[endpoint.metric]))
    return tuple(results)


def _effects(claim: ClaimSpec, endpoints: Sequence[Endpoint], paired: Mapping[str, Paired | str], resamples: int) -> list[Effect]:
    """All endpoints' effects over the same resampled patients."""
    values = [one for endpoint in endpoints if isinstance(one := paired[endpoint.metric], Paired)]
    if not values or len(values[0].patients) < 2:
        return [_NO_EFFECT] * len(values)
    errors = None
    if claim.scope == "method" and values[0].values.shape[1] > 1:
        errors = [crossed_error(one.values) for one in values]
    return effects(
        np.stack([one.by_patient for one in values], axis=1),
        [-endpoint.threshold for endpoint in endpoints],
        resamples=resamples,
        standard_errors=errors,
    )


_NO_EFFECT = Effect(
    patients=0,
    mean=0.0,
    standard_error=0.0,
    t_interval=(0.0, 0.0),
    bootstrap_interval=(0.0, 0.0),
    p_noninferior=1.0,
    p_superior=1.0,
)


def _unmeasured(endpoint: Endpoint, reason: str) -> EndpointResult:
    return EndpointResult(
        metric=endpoint.metric,
        scale=endpoint.scale,
        effect=Quantity.unmeasured("1", reason),
        threshold=endpoint.threshold,
        margin=endpoint.margin,
        at_least=endpoint.at_least,
        margin_rationale=endpoint.margin_rationale,
        result="not_testable",
    )


def _result(claim: ClaimSpec, endpoint: Endpoint, paired: Paired, effect: Effect) -> EndpointResult:
    low, high = effect.interval
    found = None
    if endpoint.tail_threshold is not None:
        found = tail(endpoint.metric, paired.by_patient, endpoint.tail_threshold, endpoint.tail_required, claim.alpha)
    spread = effect.standard_error * math.sqrt(effect.patients)
    return EndpointResult(
        metric=endpoint.metric,
        scale=endpoint.scale,
        effect=Quantity(value=effect.mean, unit="1", method="measured", low=low, high=high),
        threshold=endpoint.threshold,
        margin=endpoint.margin,
        at_least=endpoint.at_least,
        margin_rationale=endpoint.margin_rationale,
        result=_word(claim, endpoint, effect),
        p_threshold=effect.p_noninferior,
        p_superior=effect.p_superior,
        equivalent=None if endpoint.margin is None else low > endpoint.threshold and high < -endpoint.threshold,
        t_interval=effect.t_interval,
        bootstrap_interval=effect.bootstrap_interval,
        patients=effect.patients,
        volumes=paired.volumes,
        seeds=paired.values.shape[1],
        power=None if endpoint.margin is None else power_t(-endpoint.threshold, spread, effect.patients, claim.alpha),
        tail=None if found is None else {**asdict(found), "passed": found.passed},
    )


def _word(claim: ClaimSpec, endpoint: Endpoint, effect: Effect) -> Result:
    low, high = effect.interval
    holds = low > endpoint.threshold and effect.p_noninferior <= claim.alpha
    if endpoint.at_least is not None:
        return "met" if holds else "not_met" if high < endpoint.threshold else "inconclusive"
    if holds:
        # Fixed sequence: superiority is looked at only after non-inferiority, and costs no α.
        return "superior" if low > 0 and effect.p_superior <= claim.alpha else "noninferior"
    return "inferior" if high < endpoint.threshold else "inconclusive"
