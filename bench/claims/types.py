"""What a claim states and what a verdict answers; the judgement itself comes with `halfscan verify`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from ..acquisition import Provenance
from ..errors import HalfscanError
from ..quantity import Quantity


class Evidence(StrEnum):
    """What a comparison is."""

    PROSPECTIVE = "prospective"
    """Really scanned so."""
    RETROSPECTIVE = "retrospective"
    """Undersampled afterwards, from measured k-space."""
    SIMULATED = "simulated"
    """From k-space that no scanner measured; never supports a scan-time claim."""


def retrospective_evidence(provenance: Provenance) -> Evidence:
    """The evidence that undersampling afterwards can give.

    Simulated and processed k-space give no more than a simulation: filled, padded or cleaned data score better than
    what a scanner delivers (Shimron et al., PNAS 119:e2117203119, 2022).
    """
    return Evidence.RETROSPECTIVE if provenance is Provenance.MEASURED else Evidence.SIMULATED


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One side of a comparison: dataset × sampling × protocol × model.

    Raises:
        HalfscanError: retrospective evidence from k-space that is not measured.
    """

    dataset: str
    sampling: str
    protocol: str
    model: str
    evidence: Evidence
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.evidence is Evidence.RETROSPECTIVE and self.provenance is not Provenance.MEASURED:
            raise HalfscanError(f"{self.dataset} is {self.provenance}: a retrospective arm must be measured")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One quality measure that a claim rests on.

    Raises:
        HalfscanError: a margin that is not positive.
    """

    metric: str
    """`metric@profile`."""
    margin: float
    """Non-inferiority margin Δ > 0 on `scale`."""
    margin_rationale: str
    scale: Literal["difference", "log_ratio"] = "difference"
    higher_is_better: bool = True
    tail_margin: float | None = None
    """A wider margin for single patients; None: reported, not gating."""

    def __post_init__(self) -> None:
        if self.margin <= 0:
            raise HalfscanError(f"claim endpoint {self.metric}: margin={self.margin} must be positive")


@dataclass(frozen=True, kw_only=True)
class ClaimSpec:
    """A claim as registered before its sweep starts."""

    claim_id: str
    statement: str
    source: str
    reference: dict[str, Any]
    """Settings that pick the reference arm's rows."""
    candidate: dict[str, Any]
    time_target: float | None
    """Reduction of scan seconds that is claimed [1]; None for a claim on quality alone."""
    endpoints: tuple[Endpoint, ...]
    scope: Literal["checkpoint", "method"] = "checkpoint"
    alpha: float = 0.025
    """One-sided."""

    @property
    def sha256(self) -> str:
        """Over everything stated: a claim whose margin changed is another claim."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


VerdictWord = Literal["supported", "refuted", "inconclusive", "not_testable"]
Cap = Literal["none", "demonstration", "exploratory"]


@dataclass(frozen=True, kw_only=True)
class EndpointResult:
    """What one endpoint showed."""

    metric: str
    effect: Quantity
    """Mean paired effect with its 95% interval."""
    margin: float
    result: Literal["superior", "noninferior", "inconclusive", "inferior", "not_testable"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to a claim. A cap leaves the result under it visible."""

    claim_id: str
    claim_sha256: str
    evidence: Evidence
    time_reduction: Quantity
    endpoints: tuple[EndpointResult, ...]
    verdict: VerdictWord
    cap: Cap = "none"
    reasons: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    schema_version: int = field(default=1)
