"""What all tests share: small k-space with a known truth, real data where they lie beside the project, a clean site key."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from halfscan.bench import identity
from halfscan.bench.audit import label
from halfscan.bench.operators import expand, to_kspace
from halfscan.datasets import survey
from halfscan.datasets.coils import ring_sensitivities

REAL_DATA = Path(os.environ.get("HALFSCAN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(identity.KEY_VARIABLE, "a test site's secret")
    monkeypatch.setattr(survey, "surveys_folder", lambda: tmp_path / "surveys")
    monkeypatch.setattr(label, "audits_folder", lambda: tmp_path / "audits")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # Beside other workers one thread each is the quickest: threads that wait for a core spin.
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables and nothing in them: MLflow takes seconds to make one."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """A working directory with an empty store."""
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def real() -> Callable[[str], Path]:
    """Path of a real k-space file; the test is skipped by name where the data do not lie beside the project."""

    def find(name: str) -> Path:
        path = REAL_DATA / "kspace" / f"{name}.npz"
        if not path.exists():
            pytest.skip(f"real data {name} are not beside the project (HALFSCAN_TEST_DATA)")
        return path

    return find


def discs(height: int, width: int) -> torch.Tensor:
    """(ky, kx) complex image of a few smooth discs, zero near the border."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    image = torch.zeros(height, width)
    for cy, cx, radius, value in ((0, 0, 0.75, 1.0), (0.2, -0.3, 0.25, 0.6), (-0.3, 0.2, 0.15, -0.5)):
        image = image + value * torch.sigmoid(30 * (radius - torch.hypot(y - cy, x - cx)))
    return image * torch.exp(0.5j * (x + y))


def phantom(
    slices: int = 2, coils: int = 6, height: int = 48, width: int = 40
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(image, unit-norm maps, noise-free k-space) of a simple object seen by a ring of coils."""
    image = torch.stack([discs(height, width) * (1 + 0.2 * index) for index in range(slices)])
    one = (
        torch.from_numpy(ring_sensitivities(coils, (height, width), (220.0, 220.0)))
        if coils > 1
        else torch.ones(1, height, width)
    )
    maps = (one / torch.linalg.vector_norm(one, dim=0)).to(torch.complex64).expand(slices, -1, -1, -1).contiguous()
    return image, maps, to_kspace(expand(image, maps))


@pytest.fixture
def write_kspace(tmp_path: Path) -> Callable[..., Path]:
    """Writes an array data set's volume with its sidecar and returns the path of the array."""

    def write(name: str = "scan", sidecar: dict[str, Any] | None = None, kspace: Any = None, **shape: int) -> Path:
        data = phantom(**shape)[2].numpy() if kspace is None else kspace
        path = tmp_path / "data" / f"{name}.npz"
        path.parent.mkdir(exist_ok=True)
        np.savez(path, kspace=data)
        stated = {"axes": ["slice", "coil", "ky", "kx"]} if sidecar is None else sidecar
        path.with_suffix(".json").write_text(json.dumps(stated), encoding="utf-8")
        return path

    return write
