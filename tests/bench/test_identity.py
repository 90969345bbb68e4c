"""Pseudonyms: pairable for public data, untestable without the key for private data."""

import stat
from pathlib import Path

import pytest

from halfscan.bench.errors import HalfscanError
from halfscan.bench.identity import KEY_VARIABLE, private_id, public_id, site_key


def test_public_ids_are_the_same_for_everyone_and_differ_between_data_sets() -> None:
    assert public_id("fastmri", "file1000001") == "74577f5f91da"
    assert public_id("a", "1") != public_id("b", "1")
    assert public_id("a", "1") == public_id("a", "1")


def test_private_ids_depend_on_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    one = private_id("Doe^John")
    monkeypatch.setenv(KEY_VARIABLE, "another site")
    assert private_id("Doe^John") != one
    assert "Doe" not in one


def test_a_key_is_made_once_and_only_its_owner_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    key = site_key()
    assert site_key() == key
    files = list((tmp_path / "halfscan").iterdir())
    assert [file.name for file in files] == ["site.key"]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_an_unusable_key_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    (tmp_path / "halfscan").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(HalfscanError, match=f"no site key at .*set {KEY_VARIABLE}"):
        site_key()
