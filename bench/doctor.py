"""`halfscan doctor`: what this machine has, and the mend for what is missing."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .energy.counter import Uncountable
from .energy.nvml import Gpu
from .energy.rapl import Rapl
from .errors import HalfscanError, one_line
from .files import why_unwritable
from .tracking import Store, sqlite_path, tracking_uri


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    state: Literal["ok", "absent", "broken"]
    """`absent` is a limit to know of; `broken` stops work."""
    detail: str
    mend: str = ""


EXTRAS = {
    "hydra_plugins.hydra_joblib_launcher": ("joblib launcher", "pip install hydra-joblib-launcher"),
    "hydra_plugins.hydra_submitit_launcher": ("submitit (Slurm) launcher", "pip install hydra-submitit-launcher"),
    "sigpy": ("SigPy, for model=sigpy", 'pip install "halfscan[sigpy]"'),
    "ismrmrd": ("ismrmrd, for dataset=mrd", 'pip install "halfscan[formats]"'),
    "twixtools": ("twixtools, for dataset=twix", 'pip install "halfscan[formats]"'),
    "pydicom": ("pydicom, for dataset=dicom", 'pip install "halfscan[formats]"'),
}


def run_doctor(options: argparse.Namespace) -> int:
    """Prints what was found.

    Returns:
        1 where something stops work.
    """
    findings = list(examine(tracking_uri(options.store), Path(options.out)))
    print_findings(findings)
    return 1 if any(finding.state == "broken" for finding in findings) else 0


def examine(store_uri: str, out: Path) -> Iterator[Finding]:
    """Looks at torch, GPU, energy counters, sample data, extras, and whether store and output folder can be written."""
    yield _torch()
    yield _gpu()
    for counter in (Gpu(), Rapl()):
        try:
            counter.check()
            yield Finding(f"energy: {counter.name}", "ok", "read")
        except Uncountable as reason:
            mend = "energy stays null with this reason; a GPU with its driver, or readable RAPL, would count it"
            yield Finding(f"energy: {counter.name}", "absent", str(reason), mend)
    yield _sample()
    for module, (name, mend) in EXTRAS.items():
        yield (Finding(name, "ok", "installed") if _importable(module) else Finding(name, "absent", "not installed", mend))
    bart = shutil.which("bart")
    yield Finding("BART, for model=bart", "ok" if bart else "absent", bart or "not on PATH", "" if bart else "apt install bart")
    yield _folder("output folder", out, "name another with out=")
    yield _store(store_uri)


def _torch() -> Finding:
    if not _importable("torch"):
        return Finding("torch", "broken", "not installed", "make setup, or pip install torch")
    import torch

    return Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")


def _gpu() -> Finding:
    if _importable("torch"):
        import torch

        if torch.cuda.is_available():
            return Finding("GPU", "ok", torch.cuda.get_device_name(0))
    return Finding(
        "GPU", "absent", "torch sees none", "runs use device=cpu; a CUDA build of torch and a driver bring device=cuda"
    )


def _sample() -> Finding:
    from ..datasets.sample import Sample

    try:
        Sample().acquisitions()
    except HalfscanError as error:
        return Finding("sample data", "absent", one_line(error), "pip install --force-reinstall nibabel")
    return Finding("sample data", "ok", f"nibabel {importlib.metadata.version('nibabel')}")


def _folder(name: str, folder: Path, mend: str) -> Finding:
    why = why_unwritable(folder)
    return Finding(name, "broken", f"can't be written ({why})", mend) if why else Finding(name, "ok", str(folder))


def _store(uri: str) -> Finding:
    mend = "set MLFLOW_TRACKING_URI to a store that can be written"
    if (path := sqlite_path(uri)) is not None:
        found = _folder("tracking store", path.parent, mend)
        if found.state == "ok" and path.exists():
            try:
                with closing(sqlite3.connect(path)) as connection:
                    connection.execute("pragma schema_version")
            except sqlite3.Error as error:
                return Finding("tracking store", "broken", f"{path}: {error}", mend)
        return Finding("tracking store", "ok", uri) if found.state == "ok" else found
    try:
        Store(uri, "halfscan").find_sweep("none")
    except HalfscanError as error:
        return Finding("tracking store", "broken", one_line(error), mend)
    return Finding("tracking store", "ok", uri)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def print_findings(findings: list[Finding]) -> None:
    """A table: state, what, detail, mend."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    style = {"ok": "green", "absent": "yellow", "broken": "red"}
    table = Table("", "what", "found", "mend")
    for finding in findings:
        table.add_row(f"[{style[finding.state]}]{finding.state}[/]", *map(escape, (finding.name, finding.detail, finding.mend)))
    Console().print(table)
