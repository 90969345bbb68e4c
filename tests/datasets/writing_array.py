"""Writes arrays with their sidecars."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def write(folder: Path, kspace: np.ndarray, name: str = "scan", phi: str | None = None) -> Path:
    """(slice, coil, ky, kx) as .npz, beside it what it does not say itself."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npz"
    np.savez(path, kspace=kspace)
    texts = dict.fromkeys(("patient", "description", "scanner", "institution", "TR_ms", "notes"), phi) if phi else {}
    sidecar = {"axes": ["slice", "coil", "ky", "kx"], "provenance": "measured", "field_strength_T": 3.0, **texts}
    path.with_suffix(".json").write_text(json.dumps(sidecar), encoding="utf-8")
    return path
