"""Workers side by side on one machine: each takes a GPU of its own, and waits where all are taken."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from halfscan.bench.workers import own_gpu, register_resolvers, room, visible_gpus

JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
PROGRAM = """
import os, sys, time
from pathlib import Path
from halfscan.bench.workers import own_gpu
for cell in range(2):
    with own_gpu("cuda", sys.argv[1], Path(sys.argv[2])):
        begun = time.monotonic()
        time.sleep(0.6)
        print(os.environ["CUDA_VISIBLE_DEVICES"], begun, time.monotonic(), flush=True)
"""


def test_three_workers_and_two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    command = [sys.executable, "-c", PROGRAM, JOBLIB, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = [process.communicate(timeout=60)[0].split("\n")[:2] for process in started]
    held = [(gpu, float(begin), float(end)) for lines in found for gpu, begin, end in map(str.split, lines)]
    assert len(held) == 6
    for lines in found:
        assert len({line.split()[0] for line in lines}) == 1, "CUDA looks at its environment once"
    for gpu in ("GPU-a", "GPU-b"):
        times = sorted((begin, end) for name, begin, end in held if name == gpu)
        assert times, "both are used"
        assert all(end <= begin for (_, end), (begin, _) in pairwise(times)), "one cell at a time"


@pytest.mark.parametrize(
    ("device", "launcher"), [("cpu", JOBLIB), ("cuda:1", JOBLIB), ("cuda", "SlurmLauncher"), ("cuda", "BasicLauncher")]
)
def test_who_takes_none(device: str, launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with own_gpu(device, launcher, tmp_path / "locks"):
        assert visible_gpus() == ["0", "1"]
    assert not (tmp_path / "locks").exists()


def test_no_gpu_is_torch_s_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with own_gpu("cuda", JOBLIB, tmp_path):
        pass


def test_room_and_resolvers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert room(1) >= room(2) >= room(10**6) == 1
    register_resolvers()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    config = OmegaConf.create({"threads": 2, "workers": "${halfscan.workers:${threads}}", "gpus": "${halfscan.gpus:}"})
    assert (config.workers, config.gpus) == (room(2), 3)
