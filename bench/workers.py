"""Workers side by side on one machine: how many it has room for, and a GPU for each where nobody else hands them out."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_SIDE_BY_SIDE = ("hydra_joblib_launcher", "LocalLauncher")
"""Launchers that start processes on one machine and give them nothing; Slurm and Ray give each job its own GPUs."""
_PAUSE_S = 0.2
_taken: list[str] = []
"""The GPU of this process: CUDA looks at its environment once, so that it is the same for all its cells."""


@contextmanager
def own_gpu(device: str, launcher: str, folder: Path | None = None) -> Iterator[None]:
    """Holds a GPU for one cell, so that no cell beside it uses the same; waits until one is free.

    Nothing is done on a CPU, for a GPU that was named (`cuda:1`), or under a launcher that hands GPUs out itself.

    Args:
        device: of the cell.
        launcher: the name of the launcher's class.
        folder: of the locks, one folder for all workers; default: this user's, in the machine's folder for temporary files.
    """
    if device != "cuda" or not any(name in launcher for name in _SIDE_BY_SIDE):
        yield
        return
    from filelock import FileLock, Timeout

    folder = folder or Path(tempfile.gettempdir()) / f"halfscan-gpus-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for gpu in _taken or visible_gpus():
            lock = FileLock(str(folder / f"{gpu}.lock"))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                _taken[:] = [gpu]
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                yield
            finally:
                lock.release()
            return
        if not visible_gpus():
            yield  # torch says so, in its own words
            return
        time.sleep(_PAUSE_S)


def register_resolvers() -> None:
    """What presets of launchers ask for: `${halfscan.workers:THREADS}` and `${halfscan.gpus:}`."""
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("halfscan.workers", room, replace=True)
    OmegaConf.register_new_resolver("halfscan.gpus", lambda: max(1, len(visible_gpus())), replace=True)


def room(threads: int) -> int:
    """Workers of so many threads each that this process's cores have room for."""
    return max(1, len(os.sched_getaffinity(0)) // max(1, threads))


def visible_gpus() -> Sequence[str]:
    """Names of the GPUs that this process may use, without waking CUDA, which would look at its environment then."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        # No library, no driver, no permission: there is no GPU to hand out.
        return []
    try:
        return [str(index) for index in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()
