"""Fetching samples, from a server of our own: resumed, checked, never half under its name."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from halfscan.scripts import fetch_samples

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Range", ""))
            first = int(asked[-1].removeprefix("bytes=").removesuffix("-") or 0)
            self.send_response(206 if asked[-1] else 200)
            self.send_header("Content-Length", str(len(CONTENT) - first))
            self.end_headers()
            # The first answer breaks off in the middle.
            self.wfile.write(CONTENT[first:] if len(asked) > 1 else CONTENT[: len(CONTENT) // 2])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/scan.dat", asked
        running.shutdown()


def _sample(url: str, digest: str | None) -> object:
    return fetch_samples.Sample(url=url, licence="CC0-1.0", shows="nothing", dataset="twix", sha256=digest)


def test_a_broken_download_goes_on_where_it_stopped(
    server: tuple[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, asked = server
    monkeypatch.setitem(fetch_samples.SAMPLES, "twix_gre", _sample(url, hashlib.sha256(CONTENT).hexdigest()))
    words = ["twix_gre", "--out", str(tmp_path)]
    assert fetch_samples.main(words) == 1
    assert "goes on where it stopped" in capsys.readouterr().err
    assert not (tmp_path / "scan.dat").exists()
    assert fetch_samples.main(words) == 0
    assert (tmp_path / "scan.dat").read_bytes() == CONTENT
    assert asked == ["", f"bytes={len(CONTENT) // 2}-"]
    assert fetch_samples.main(words) == 0
    assert len(asked) == 2


def test_other_bytes_than_the_published_ones_are_thrown_away(server: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = server
    asked.append("")
    with pytest.raises(ValueError, match="thrown away"):
        fetch_samples.fetch(_sample(url, "0" * 64), tmp_path / "scan.dat")
    assert not list(tmp_path.iterdir())


def test_without_a_name_nothing_is_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch_samples.main([]) == 0
    assert "twix_gre" in capsys.readouterr().out
