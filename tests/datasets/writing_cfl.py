"""Writes k-space as BART does: .cfl, .hdr with the history that BART leaves there, and our sidecar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def write(
    folder: Path,
    kspace: np.ndarray,
    name: str = "scan",
    phi: str | None = None,
    *,
    sizes: dict[int, int] | None = None,
    sidecar: dict[str, Any] | None = None,
) -> Path:
    """(slice, coil, ky, kx), or (average, slice, coil, ky, kx); `sizes` overrides what the .hdr says of a dimension."""
    folder.mkdir(parents=True, exist_ok=True)
    averaged = kspace.reshape((-1, *kspace.shape[-4:]))
    averages, slices, coils, ky, kx = averaged.shape
    dimensions = {0: kx, 1: ky, 3: coils, 13: slices, 14: averages} | (sizes or {})
    np.ascontiguousarray(averaged, "<c8").tofile(folder / f"{name}.cfl")
    text = phi or "none"
    (folder / f"{name}.hdr").write_text(
        f"# Dimensions\n{' '.join(str(dimensions.get(index, 1)) for index in range(16))} \n"
        f"# Command\ntwixread -A {text}.dat {name} \n# Files\n >{text} <{text} \n# Creator\nBART v0.8.00 {text}\n",
        encoding="utf-8",
    )
    stated = dict(sidecar or {})
    if phi:
        stated |= {"patient": phi, "comment": phi, "TR_ms": phi, "institution": phi, "source_paths": [phi]}
    if stated:
        (folder / f"{name}.json").write_text(json.dumps(stated), encoding="utf-8")
    return folder / f"{name}.cfl"


def stored(kspace: np.ndarray) -> np.ndarray:
    """What such a file holds of the k-space: all of it."""
    return kspace
