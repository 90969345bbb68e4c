"""The hash of sources: it follows what can change an image and nothing else."""

from pathlib import Path

import pytest

from halfscan.bench.errors import HalfscanError
from halfscan.bench.sources import _closure, module_of, source_hash


def test_an_image_depends_on_operators_and_not_on_metrics_or_tables() -> None:
    closure = set(_closure(["halfscan.bench.images", "halfscan.models.sense", "halfscan.datasets.sample"]))
    assert {
        "halfscan.bench.operators",
        "halfscan.bench.maps",
        "halfscan.datasets.coils",
        "halfscan.bench.sampling.mask",
    } <= closure
    foreign = {"metrics", "table", "tracking", "scan_time.seconds"}
    assert not closure & {f"halfscan.bench.{name}" for name in foreign}


def test_rows_depend_on_metrics_and_scan_time() -> None:
    closure = set(_closure(["halfscan.bench.benchmark"]))
    assert {"halfscan.bench.metrics", "halfscan.bench.scan_time.seconds", "halfscan.bench.truth"} <= closure
    assert "halfscan.bench.table" not in closure


def test_the_hash_follows_an_outside_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "outside_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "layers.py").write_text("WIDTH = 1\n")
    (package / "net.py").write_text("from .layers import WIDTH\nfrom . import layers\nimport numpy\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert module_of("outside_model.net.Net") == "outside_model.net"
    source_hash.cache_clear()
    before = source_hash("outside_model.net")
    (package / "layers.py").write_text("WIDTH = 2\n")
    source_hash.cache_clear()
    assert source_hash("outside_model.net") != before


def test_an_unknown_target_is_named() -> None:
    with pytest.raises(HalfscanError, match=r"_target_=nowhere.at.All is in no module"):
        module_of("nowhere.at.All")


def test_nothing_is_imported_to_find_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "slow_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / "net.py").write_text("raise SystemExit('imported')\n")
    (package / "user.py").write_text("from .net import Net\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(_closure(["slow_package.user"])) == {"slow_package.user", "slow_package.net"}
    assert module_of("slow_package.net.Net") == "slow_package.net"
