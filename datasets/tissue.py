"""Tissues of the head: relaxation times and proton densities by field strength, and the signal that a sequence makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..bench.errors import HalfscanError

TissueName: TypeAlias = Literal["grey", "white", "csf", "bone", "fat", "lesion"]
TISSUES: tuple[TissueName, ...] = ("grey", "white", "csf", "bone", "fat", "lesion")
Contrast: TypeAlias = Literal["t1", "t2", "flair"]


@dataclass(frozen=True)
class Tissue:
    """What a voxel full of one tissue does."""

    t1_s: float
    t2_s: float
    t2_star_s: float
    proton_density: float
    """Relative to water."""


# Grey and white matter: T1 and T2 of Stanisz et al., Magn Reson Med 54:507 (2005), T2* of Peters et al., Magn Reson
# Imaging 25:748 (2007). CSF: Rooney et al., Magn Reson Med 57:308 (2007). Fat: de Bazelaire et al., Radiology 230:652
# (2004). Bone gives almost no signal. Lesions lie between grey matter and CSF, as plaques do; assumed.
BY_FIELD: Mapping[float, Mapping[TissueName, Tissue]] = {
    1.5: {
        "grey": Tissue(1.124, 0.095, 0.084, 0.82),
        "white": Tissue(0.884, 0.072, 0.066, 0.70),
        "csf": Tissue(4.0, 2.0, 0.5, 1.0),
        "bone": Tissue(0.3, 0.004, 0.002, 0.05),
        "fat": Tissue(0.343, 0.058, 0.030, 0.90),
        "lesion": Tissue(1.35, 0.16, 0.11, 0.88),
    },
    3.0: {
        "grey": Tissue(1.820, 0.099, 0.066, 0.82),
        "white": Tissue(1.084, 0.069, 0.053, 0.70),
        "csf": Tissue(4.0, 2.0, 0.4, 1.0),
        "bone": Tissue(0.4, 0.004, 0.002, 0.05),
        "fat": Tissue(0.382, 0.068, 0.020, 0.90),
        "lesion": Tissue(1.95, 0.16, 0.09, 0.88),
    },
}


def tissues_at(field_strength_t: float) -> Mapping[TissueName, Tissue]:
    """Literature values at a field strength.

    Raises:
        HalfscanError: no values for that field.
    """
    if field_strength_t not in BY_FIELD:
        known = " or ".join(f"{field:g}" for field in BY_FIELD)
        raise HalfscanError(f"dataset.field_strength_t={field_strength_t:g}: tissue values are known at {known} T")
    return BY_FIELD[field_strength_t]


def spin_echo(tissue: Tissue, tr_s: float, te_s: float) -> float:
    """ρ (1 − e^(−TR/T1)) e^(−TE/T2)."""
    return tissue.proton_density * (1 - math.exp(-tr_s / tissue.t1_s)) * math.exp(-te_s / tissue.t2_s)


def spoiled_gradient_echo(tissue: Tissue, tr_s: float, te_s: float, flip_deg: float) -> float:
    """ρ sin α (1 − E1) / (1 − cos α E1) e^(−TE/T2*), E1 = e^(−TR/T1) (Ernst)."""
    e1 = math.exp(-tr_s / tissue.t1_s)
    alpha = math.radians(flip_deg)
    steady = math.sin(alpha) * (1 - e1) / (1 - math.cos(alpha) * e1)
    return tissue.proton_density * steady * math.exp(-te_s / tissue.t2_star_s)


def inversion_recovery(tissue: Tissue, tr_s: float, te_s: float, ti_s: float) -> float:
    """ρ |1 − 2 e^(−TI/T1) + e^(−TR/T1)| e^(−TE/T2), magnitude of an inversion-prepared spin echo."""
    longitudinal = 1 - 2 * math.exp(-ti_s / tissue.t1_s) + math.exp(-tr_s / tissue.t1_s)
    return tissue.proton_density * abs(longitudinal) * math.exp(-te_s / tissue.t2_s)


def signal(tissue: Tissue, contrast: Contrast) -> float:
    """Signal of a tissue in one of the contrasts: spoiled gradient echo (t1), spin echo (t2), inversion recovery (flair).

    Raises:
        HalfscanError: an unknown contrast.
    """
    if contrast == "t1":
        return spoiled_gradient_echo(tissue, tr_s=0.25, te_s=0.0025, flip_deg=70)
    if contrast == "t2":
        return spin_echo(tissue, tr_s=4.0, te_s=0.1)
    if contrast == "flair":
        return inversion_recovery(tissue, tr_s=9.0, te_s=0.12, ti_s=2.5)
    raise HalfscanError(f"dataset.contrasts: {contrast} is unknown: use t1, t2 or flair")
