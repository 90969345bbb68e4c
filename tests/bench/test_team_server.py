"""The team's server as `scripts/server/start.sh` starts it: a password, named hosts, artifacts through it, on PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .running import halfscan
from .servers import free_port, needs_postgres, postgres

START = Path(__file__).parents[2] / "scripts" / "server" / "start.sh"
PASSWORD = "a long password of 100%"


@contextmanager
def started(folder: Path, database: str) -> Iterator[str]:
    port = free_port()
    settings = {"DATABASE": database, "ADMIN_PASSWORD": PASSWORD, "FOLDER": str(folder), "ALLOWED_HOSTS": "localhost:*"}
    settings["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (folder.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", str(START), "--port", str(port), "--workers", "1"],
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    uri = f"http://localhost:{port}"
    try:
        end = time.monotonic() + 90
        while status(uri) is None:
            assert time.monotonic() < end, (folder.parent / "server.log").read_text()[-2000:]
            time.sleep(0.3)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_password_that_mlflow_would_refuse_is_refused_before_it_is_kept(tmp_path: Path) -> None:
    settings = {"DATABASE": "postgresql://nobody@localhost/none", "ADMIN_PASSWORD": "short", "FOLDER": str(tmp_path)}
    done = subprocess.run(["bash", str(START)], env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ADMIN_PASSWORD has 5 characters and needs 12 or more" in done.stderr
    assert not (tmp_path / "basic_auth.ini").exists()


def status(uri: str, host: str | None = None) -> int | None:
    request = urllib.request.Request(
        f"{uri}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": host} if host else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@pytest.mark.services
@pytest.mark.usefixtures("work")
@needs_postgres
def test_a_sweep_on_the_teams_server(small: list[str], work: Path) -> None:
    with postgres() as database, started(work / "server", database.uri) as uri:
        assert status(uri) == 401
        assert status(uri, "elsewhere.example.org") == 403
        named = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_TRACKING_USERNAME": "admin"}
        with halfscan("run", *small, MLFLOW_TRACKING_PASSWORD="wrong", **named) as process:
            _, said = process.communicate(timeout=200)
        assert process.returncode == 2
        assert "401" in said
        for command in (["run", *small], ["table", "--json"], ["report"]):
            with halfscan(*command, MLFLOW_TRACKING_PASSWORD=PASSWORD, **named) as process:
                _, said = process.communicate(timeout=200)
            assert process.returncode == 0, said
        assert list((work / "server" / "artifacts").rglob("rows.parquet"))
        assert not (work / "mlartifacts").exists()
        assert oct((work / "server").stat().st_mode)[-3:] == "700"
        assert PASSWORD.replace("%", "%%") in (work / "server" / "basic_auth.ini").read_text()
        assert oct((work / "server" / "basic_auth.ini").stat().st_mode)[-3:] == "600"
