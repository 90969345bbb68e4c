"""Data flows one way: nothing imports what stands to its right in the story of a cell."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ORDER = [
    ["errors"],
    ["quantity", "identity", "sources", "progress", "files", "scores"],
    ["shelf"],
    ["image_room"],
    ["acquisition", "splits"],
    ["sampling"],
    ["operators", "wavelets", "convolution", "noise", "coils", "scan_time"],
    ["maps", "g_factor", "reconstruction", "energy", "flops"],
    ["encoding", "network", "audit", "exchange"],
    ["pipeline", "processes", "metrics"],
    ["training"],
    ["images", "truth"],
    ["qa", "reconstruction_energy"],
    ["rows"],
    ["claims", "ledger"],
    ["configuration"],
    ["training_plan", "books"],
    ["cell", "pair"],
    ["benchmark"],
    ["manifest", "pictures", "workers"],
    ["privacy", "run_summary"],
    ["tracking"],
    ["registry"],
    ["keeping"],
    ["table", "job", "sweep", "doctor"],
    ["forest"],
    ["verdict_page"],
    ["verify"],
    ["report"],
    ["closing", "compare"],
    ["data_check"],
    ["task"],
    ["run_command"],
    [
        "table_command",
        "train_command",
        "weights_command",
        "ledger_command",
        "status_command",
        "time_command",
        "data_command",
        "exchange_command",
        "pair_command",
        "verify_command",
        "report_command",
        "compare_command",
    ],
    ["commands"],
    ["cli"],
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
# What a folder may take from `bench`.
ALLOWED = {
    "models": {
        *("errors", "acquisition", "sampling", "operators", "wavelets", "noise", "maps", "reconstruction", "encoding"),
        *("network", "training", "exchange"),
    },
    "datasets": {"errors", "files", "sources", "identity", "acquisition", "splits", "operators"},
    "configs": set(),
}


def _modules(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if path.name != "__init__.py")


def _package_imports(path: Path) -> list[str]:
    """Dotted names inside the package that a module imports, such as `bench.maps`."""
    package = [*path.relative_to(ROOT).parts[:-1]]
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            found.append(".".join([*base, *(node.module or "").split(".")]).strip("."))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not any(name.split(".")[0] == "halfscan" for name in names), f"{path}: imports inside are relative"
    return found


@pytest.mark.parametrize("path", _modules("bench"), ids=lambda path: str(path.relative_to(ROOT)))
def test_bench_imports_leftwards(path: Path) -> None:
    own = path.relative_to(ROOT / "bench").parts[0].removesuffix(".py")
    assert own in RANK, f"{own} has no place in the story: add it to ORDER"
    for name in _package_imports(path):
        parts = name.split(".")
        if parts[0] == "bench" and len(parts) > 1 and parts[1] != own:
            assert RANK[parts[1]] < RANK[own], f"{path.name} imports {name}, which stands to its right"
        if parts[0] in ("models", "datasets"):
            assert own == "doctor", f"{path.name} imports {name}: bench knows no single model or data set"


@pytest.mark.parametrize("folder", ALLOWED)
def test_folders_take_only_what_they_may(folder: str) -> None:
    for path in _modules(folder):
        for name in _package_imports(path):
            parts = name.split(".")
            if parts[0] == "bench":
                assert parts[1] in ALLOWED[folder], f"{path.name} imports {name}"
            else:
                assert parts[0] == folder, f"{path.name} imports {name}"


def test_mlflow_is_touched_in_tracking_alone() -> None:
    for folder in ("bench", "models", "datasets", "configs"):
        for path in _modules(folder):
            assert path.name == "tracking.py" or "import mlflow" not in path.read_text("utf-8"), path
            assert path.name == "tracking.py" or "from mlflow" not in path.read_text("utf-8"), path
