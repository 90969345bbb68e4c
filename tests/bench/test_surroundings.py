"""What surrounds a sweep fails: a full disk, a store that can't be written or that refuses, another server at its port, clocks
that disagree. One clear line, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .running import SWEEP, halfscan, rows_of, runs

pytestmark = pytest.mark.usefixtures("work")


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of its own, which only root can make."""
    folder.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(words, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def said_by(*words: str, **environment: str) -> tuple[int, str]:
    with halfscan(*words, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", **environment) as process:
        _, said = process.communicate(timeout=200)
    return process.returncode, "\n".join(line for line in said.splitlines() if line.startswith("halfscan:"))


def test_a_disk_that_fills_up_and_is_emptied(small: list[str], work: Path) -> None:
    command = ["run", *small, *SWEEP, "qa=none", "out=disk"]
    with small_disk(work / "disk", 64):
        code, said = said_by(*command)
        assert code != 0
        assert "No space left" in said
        subprocess.run(["mount", "-o", "remount,size=20m", str(work / "disk")], check=True)
        assert said_by(*command)[0] == 0
        assert len(rows_of(work, "disk")) == 4
        assert runs() == [("cell", "FINISHED")] * 4 + [("sweep", "FINISHED")]


def test_a_store_that_can_only_be_read(small: list[str], work: Path) -> None:
    with small_disk(work / "disk", 20_000):
        uri = f"sqlite:///{work}/disk/mlflow.db"
        assert said_by("run", *small, "qa=none", f"tracking.uri={uri}")[0] == 0
        subprocess.run(["mount", "-o", "remount,ro", str(work / "disk")], check=True)
        code, said = said_by("run", *small, *SWEEP, "qa=none", f"tracking.uri={uri}")
        assert code == 2
        assert said.count("\n") == 0
        assert "Read-only file system" in said


class Refusing(BaseHTTPRequestHandler):
    """Answers everything with one code, as a server of another kind or one that wants a password does."""

    code = 404

    def answer(self) -> None:
        self.send_response(self.code)
        self.end_headers()
        self.wfile.write(b"no")

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *words: object) -> None:
        pass


@pytest.mark.parametrize(("code", "message"), [(401, "401"), (403, "403"), (404, "404")])
def test_a_server_that_refuses(code: int, message: str, small: list[str], work: Path) -> None:
    handler = type("Handler", (Refusing,), {"code": code})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_address[1]}"
        found, said = said_by("run", *small, "qa=none", MLFLOW_TRACKING_URI=uri)
        server.shutdown()
    assert found == 2
    assert said.count("\n") == 0
    assert uri in said
    assert message in said
    assert not (work / "outputs" / "images").exists(), "nothing was computed for nobody"


def test_clocks_that_disagree(small: list[str], work: Path) -> None:
    """Files of a node that is two years ahead: what is finished stays finished, and what is not is done."""
    with halfscan("run", *small, "model=zero_filled", "sampling.acceleration=2", "qa=none") as process:
        assert process.wait(200) == 0
    for path in (work / "outputs").rglob("*"):
        os.utime(path, (2e9, 2e9))
    (rows,) = (work / "outputs").glob("sweeps/*/cells/*/rows.parquet")
    with halfscan("run", *small, "model=zero_filled", "sampling.acceleration=2", "qa=none") as process:
        assert process.wait(200) == 0
    assert rows.stat().st_mtime == 2e9, "it was not done again"
    assert said_by("run", *small, *SWEEP, "qa=none")[0] == 0
    assert len(rows_of(work)) == 5
