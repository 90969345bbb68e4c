"""What a score's name means: its unit, how many decimals are shown, and which way is better. One home for all who show scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Score:
    """One kind of score."""

    unit: str = "1"
    digits: int = 4
    lower_is_better: bool | None = None
    """None: nobody has said, and nothing that hangs on it is answered."""
    as_ratio: bool = False
    """Whether two are compared as a ratio, since the size of a difference says nothing by itself."""


SCORES: Mapping[str, Score] = {
    "ssim": Score(digits=3, lower_is_better=False),
    "psnr": Score(unit="dB", digits=2, lower_is_better=False),
    "nmse": Score(digits=5, lower_is_better=True, as_ratio=True),
    "nmse_object": Score(digits=5, lower_is_better=True, as_ratio=True),
    "snr": Score(digits=1, lower_is_better=False, as_ratio=True),
    "fwhm": Score(unit="px", digits=3, lower_is_better=True, as_ratio=True),
    "point_contrast": Score(digits=3, lower_is_better=False),
    "lesion_contrast": Score(digits=3, lower_is_better=False),
    "lesion_missed": Score(digits=3, lower_is_better=True),
    "bias": Score(digits=3, lower_is_better=True),
    "off_target": Score(digits=3, lower_is_better=True),
    "lesion_dprime": Score(digits=1, lower_is_better=False, as_ratio=True),
    "cnr": Score(digits=2, lower_is_better=False, as_ratio=True),
    "blur": Score(digits=3, lower_is_better=True),
}
_READERS = Score(digits=2, lower_is_better=False)
"""Whatever readers score, more is better."""


def score_of(metric: str) -> Score:
    """Of a `metric@profile`; one that is not known here has no direction."""
    name = metric.partition("@")[0]
    return _READERS if name.startswith("reader_") else SCORES.get(name, Score())
