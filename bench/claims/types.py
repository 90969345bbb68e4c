"""What a claim states and what a verdict answers."""

from __future__ import annotations

import hashlib
import json
import math
import re
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


Scale = Literal["difference", "log_ratio"]
Scope = Literal["checkpoint", "method"]
VerdictWord = Literal["supported", "refuted", "inconclusive", "not_testable"]
Cap = Literal["none", "demonstration", "exploratory"]
Result = Literal["superior", "noninferior", "met", "inconclusive", "inferior", "not_met", "not_testable"]

PATIENTS_NEEDED = 20
"""Below, a verdict is inconclusive whatever the numbers say."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One quality measure that a claim rests on: not worse than the reference by a margin, or better by a factor.

    Raises:
        HalfscanError: a margin that is not positive, or neither or both of margin and `at_least`.
    """

    metric: str
    """`metric@profile`."""
    margin: float | None = None
    """Δ > 0 by which the candidate may be worse: in the metric's unit, on `log_ratio` as a share (0.05: 5% worse)."""
    margin_rationale: str = ""
    """Where the margin comes from."""
    at_least: float | None = None
    """Instead of a margin, the improvement that is claimed: in the metric's unit, on `log_ratio` as a factor (2: doubled)."""
    scale: Scale = "difference"
    higher_is_better: bool = True
    bounded_by: float | None = None
    """On `log_ratio`, the ratio is that of the distances from this best value (1 for SSIM)."""
    tail_margin: float | None = None
    """A wider margin for single patients, on the same scale; None: the tail is not looked at."""
    tail_required: float | None = None
    """Share of patients that must stay within it; None: reported, not gating."""

    def __post_init__(self) -> None:
        where = f"claim endpoint {self.metric}"
        if "@" not in self.metric:
            raise HalfscanError(f"{where}: name the metric with its profile, such as ssim@mvue")
        if (self.margin is None) == (self.at_least is None):
            raise HalfscanError(f"{where}: state a margin (not worse) or at_least (better by), one of the two")
        if self.scale not in ("difference", "log_ratio"):
            raise HalfscanError(f"{where}: scale={self.scale} must be difference or log_ratio")
        for name in ("margin", "at_least", "tail_margin"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise HalfscanError(f"{where}: {name}={value} must be positive")
        if self.scale == "log_ratio" and self.at_least is not None and self.at_least <= 1:
            raise HalfscanError(f"{where}: at_least={self.at_least} is a factor on the log_ratio scale and must be above 1")
        if self.margin is not None and not self.margin_rationale:
            raise HalfscanError(f"{where}: a margin needs its rationale (margin_rationale)")
        if self.tail_required is not None and not 0 < self.tail_required < 1:
            raise HalfscanError(f"{where}: tail_required={self.tail_required} must lie between 0 and 1")
        if self.tail_margin is None and self.tail_required is not None:
            raise HalfscanError(f"{where}: tail_required needs a tail_margin")
        if self.tail_margin is not None and self.margin is not None and self.tail_margin <= self.margin:
            raise HalfscanError(f"{where}: tail_margin={self.tail_margin} must be wider than the mean's margin {self.margin}")

    @property
    def threshold(self) -> float:
        """What the mean difference must lie above: −Δ, or the claimed improvement; on the scale of the test."""
        if self.at_least is not None:
            return math.log(self.at_least) if self.scale == "log_ratio" else self.at_least
        margin = self.margin or 0.0
        return -math.log1p(margin) if self.scale == "log_ratio" else -margin

    @property
    def tail_threshold(self) -> float | None:
        """How far below the reference a patient fails, above 0, on the scale of the test."""
        if self.tail_margin is None:
            return None
        return math.log1p(self.tail_margin) if self.scale == "log_ratio" else self.tail_margin


@dataclass(frozen=True, kw_only=True)
class ClaimSpec:
    """A claim as registered before its sweep starts.

    Raises:
        HalfscanError: what can't be a claim, by name.
    """

    claim_id: str
    statement: str
    source: str
    reference: dict[str, Any]
    """Columns of the rows and their values that pick the reference arm."""
    candidate: dict[str, Any]
    time_target: float | None
    """Reduction of scan seconds that is claimed [1]; None for a claim on quality alone."""
    time_baseline: Literal["reference", "full", "clinical"] = "reference"
    """What the reduction is measured against."""
    endpoints: tuple[Endpoint, ...]
    scope: Scope = "checkpoint"
    """`checkpoint`: one set of weights; `method`: over training seeds."""
    alpha: float = 0.025
    """One-sided."""
    ladder: tuple[float, ...] = ()
    """Nominal accelerations of the candidate, to be climbed from the smallest up: the largest that holds is the answer."""
    untestable: str | None = None
    """What the claim would need that a benchmark of reconstructions can't measure; None where it can."""

    def __post_init__(self) -> None:
        where = f"claim {self.claim_id}"
        # A configuration brings lists.
        for name in ("endpoints", "ladder"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not re.fullmatch(r"[\w-]+", self.claim_id):
            raise HalfscanError(f"{where}: its claim_id must be of letters, digits, - and _")
        if self.scope not in ("checkpoint", "method"):
            raise HalfscanError(f"{where}: scope={self.scope} must be checkpoint or method")
        if self.time_baseline not in ("reference", "full", "clinical"):
            raise HalfscanError(f"{where}: time_baseline={self.time_baseline} must be reference, full or clinical")
        if not 0 < self.alpha < 0.5:
            raise HalfscanError(f"{where}: alpha={self.alpha} must lie between 0 and 0.5")
        if self.time_target is not None and not 0 < self.time_target < 1:
            raise HalfscanError(f"{where}: time_target={self.time_target} must be a share between 0 and 1")
        if self.ladder and (self.time_target is not None or len(set(self.ladder)) < len(self.ladder) or min(self.ladder) < 1):
            raise HalfscanError(f"{where}: a ladder takes accelerations of at least 1, each once, and no time_target")
        metrics = [endpoint.metric for endpoint in self.endpoints]
        if len(set(metrics)) < len(metrics):
            raise HalfscanError(f"{where}: an endpoint stands twice")
        for profile in {metric.partition("@")[2] for metric in metrics}:
            if {f"psnr@{profile}", f"nmse@{profile}"} <= set(metrics):
                raise HalfscanError(
                    f"{where}: psnr@{profile} and nmse@{profile} are one endpoint (ΔPSNR = −10·log10 of the ratio)"
                )
        if self.untestable is None and not self.endpoints and self.time_target is None:
            raise HalfscanError(f"{where}: it claims neither time nor quality")
        if self.untestable is None and (not self.reference or not self.candidate):
            raise HalfscanError(
                f"{where}: name the rows of both arms, such as reference: {{model: sense, nominal_acceleration: 2}}"
            )

    @property
    def sha256(self) -> str:
        """Over everything stated: a claim whose margin changed is another claim."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class TimeResult:
    """The time leg."""

    reference_s: float | None
    candidate_s: float | None
    """Null, as the reduction, where one of the volumes has no seconds."""
    reduction: Quantity
    """[1], its range that of the timing assumptions: seconds are deterministic given mask and protocol."""
    target: float | None
    baseline: str
    by_contrast: dict[str, float] = field(default_factory=dict)
    """Contrast → reduction, for claims of "up to"."""

    @property
    def recorded(self) -> bool:
        """Whether the scanner recorded the seconds, and no model made them."""
        return self.reduction.method == "measured"

    @property
    def uncertain(self) -> str:
        """What the range of the reduction is that of."""
        return "all pairs and their seconds' rounding" if self.recorded else "the timing assumptions"

    @property
    def result(self) -> Result:
        low, high = self.reduction.low, self.reduction.high
        if self.target is None:
            return "met"
        if low is None or high is None:
            return "not_testable"
        return "met" if low >= self.target else "not_met" if high < self.target else "inconclusive"


@dataclass(frozen=True, kw_only=True)
class EndpointResult:
    """What one endpoint showed."""

    metric: str
    scale: Scale
    effect: Quantity
    """Mean paired effect, higher is better, on the scale of the test, with the interval that both tests agree on."""
    threshold: float
    """What the effect must lie above."""
    margin: float | None
    at_least: float | None
    margin_rationale: str
    result: Result
    p_threshold: float | None = None
    """One-sided, of "the effect lies at or below the threshold"; the larger of both tests."""
    p_superior: float | None = None
    p_holm: float | None = None
    """Adjusted for the claims that were judged together."""
    equivalent: bool | None = None
    """Two one-sided tests: the whole interval lies within ±margin."""
    t_interval: tuple[float, float] | None = None
    bootstrap_interval: tuple[float, float] | None = None
    patients: int = 0
    volumes: int = 0
    seeds: int = 0
    power: float | None = None
    """To meet the threshold had the candidate been equal to the reference, at the spread seen."""
    tail: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One acceleration of a ladder."""

    acceleration: float
    """Nominal."""
    seconds: float
    """Of the candidate's scan."""
    reduction: Quantity
    """[1], with the range of the timing assumptions."""
    result: VerdictWord
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to a claim. A cap leaves the result under it visible."""

    claim_id: str
    claim_text: str
    claim_source: str
    claim_sha256: str
    registered_at: str | None
    """When the sweep that carries the claim started; None: the sweep does not carry it."""
    scope: Scope
    verdict: VerdictWord = "not_testable"
    """Never `supported` under a cap."""
    uncapped: VerdictWord = "not_testable"
    """What the numbers alone say."""
    cap: Cap = "none"
    reasons: tuple[str, ...] = ()
    evidence: str | None = None
    reference_protocol: str | None = None
    candidate_protocol: str | None = None
    ground_truth: str | None = None
    patients: int = 0
    seeds: int = 0
    time: TimeResult | None = None
    endpoints: tuple[EndpointResult, ...] = ()
    ladder: tuple[Step, ...] = ()
    """The steps that were tested, up to the first that does not hold."""
    largest_reduction: Quantity | None = None
    """Of a ladder: the reduction of scan seconds at its last step that holds [1]."""
    caveats: tuple[str, ...] = ()
    """What limits the data, whatever the verdict."""
    run_ids: tuple[str, ...] = ()
    schema_version: int = field(default=1)

    @property
    def words(self) -> str:
        """The verdict as it may be quoted: never without its cap."""
        if self.cap == "none" or self.uncapped == "not_testable":
            return self.verdict.replace("_", " ")
        return f"{self.cap} only; the numbers alone say: {self.uncapped.replace('_', ' ')}"
