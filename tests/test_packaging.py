"""A wheel holds all four folders, YAML and cards included, and runs from an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "tests", "build", "dist", "*.egg-info", "outputs", "mlartifacts", "mlflow.db*")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources, folder = tmp_path_factory.mktemp("sources") / "halfscan", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, sources, ignore=LEFT_OUT)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(sources)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return next(folder.glob("halfscan-*.whl"))


def test_holds_every_module_yaml_and_card(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("bench", "models", "datasets", "configs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".yaml", ".md"):
                assert f"halfscan/{path.relative_to(ROOT)}" in names
    assert "hydra_plugins/halfscan_sweeper.py" in names
    assert "hydra_plugins/__init__.py" not in names, "a namespace: other plug-ins live in it"
    tops = {name.split("/")[0] for name in names}
    assert not tops & {"models", "datasets", "bench", "configs", "tests"}
    assert "halfscan/setup.py" not in names


def test_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    program = "import halfscan, sys; print(halfscan.__file__); from halfscan.bench.cli import main; sys.exit(main())"
    words = ["run", "dataset.slices=1", "dataset.coils=2", "model=zero_filled_rss"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
