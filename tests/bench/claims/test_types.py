"""What a claim states, and what evidence an arm may claim for itself."""

from dataclasses import replace

import pytest

from halfscan.bench.acquisition import Provenance
from halfscan.bench.claims.types import Arm, ClaimSpec, Endpoint, Evidence, retrospective_evidence
from halfscan.bench.errors import HalfscanError

ENDPOINT = Endpoint(metric="ssim@fastmri", margin=0.01, margin_rationale="a quarter of the loss from R=2 to R=4")


@pytest.mark.parametrize("provenance", [Provenance.SIMULATED, Provenance.PROCESSED])
def test_only_measured_data_can_be_retrospective_evidence(provenance: Provenance) -> None:
    assert retrospective_evidence(provenance) is Evidence.SIMULATED
    with pytest.raises(HalfscanError, match="a retrospective arm must be measured"):
        Arm(dataset="d", sampling="s", protocol="p", model="m", evidence=Evidence.RETROSPECTIVE, provenance=provenance)


def test_prospective_pairs_may_be_processed_images() -> None:
    Arm(dataset="d", sampling="s", protocol="p", model="m", evidence=Evidence.PROSPECTIVE, provenance=Provenance.PROCESSED)
    assert retrospective_evidence(Provenance.MEASURED) is Evidence.RETROSPECTIVE


def test_a_changed_margin_is_another_claim() -> None:
    claim = ClaimSpec(
        claim_id="half_time",
        statement="half the scan",
        source="-",
        reference={"model": "sense", "nominal_acceleration": 2.0},
        candidate={"model": "unet", "nominal_acceleration": 4.0},
        time_target=0.5,
        endpoints=(ENDPOINT,),
    )
    assert replace(claim).sha256 == claim.sha256
    assert replace(claim, endpoints=(replace(ENDPOINT, margin=0.02),)).sha256 != claim.sha256


def test_a_margin_is_positive() -> None:
    with pytest.raises(HalfscanError, match="must be positive"):
        replace(ENDPOINT, margin=0.0)
