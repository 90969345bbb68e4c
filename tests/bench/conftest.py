"""Working directories, stores and data for tests that run whole sweeps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ..conftest import phantom
from .running import BRAINS, OUTSIDE


@pytest.fixture
def small(write_kspace: Callable[..., Path]) -> list[str]:
    """Overrides of a small data set of two volumes."""
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        clean = phantom(slices=2, coils=4, height=40, width=36)[2].numpy()
        noise = 0.02 * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))
        path = write_kspace(name, kspace=(clean + noise).astype(np.complex64))
    return [
        "dataset=array",
        f"dataset.path={path.parent}",
        "sampling.acs_lines=10",
        "maps.calibration=10",
        "maps.kernel=4",
        "protocol.echo_train_length=4",
    ]


@pytest.fixture
def brains(tmp_path: Path) -> list[str]:
    pytest.importorskip("nilearn")
    return [*BRAINS, f"dataset.cache={tmp_path}/cache"]


@pytest.fixture
def fragile(work: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An outside model that comes from YAML and PYTHONPATH alone."""
    (work / "outside.py").write_text(OUTSIDE)
    (work / "conf" / "model").mkdir(parents=True)
    (work / "conf" / "model" / "fragile.yaml").write_text("_target_: outside.Fragile\ncombination: mvue\n")
    monkeypatch.syspath_prepend(str(work))
    monkeypatch.setenv("PYTHONPATH", str(work))
    monkeypatch.delitem(sys.modules, "outside", raising=False)
    return ["--config-dir", "conf", "model=fragile", "sampling.acceleration=2,3"]
