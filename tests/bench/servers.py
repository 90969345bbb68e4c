"""An MLflow server of its own, on sqlite or on a PostgreSQL that is started for it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Server:
    """`mlflow server`, as docs/sweeps.md starts it."""

    backend: str
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """And waits until it answers."""
        self.launch()
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.3)
        raise TimeoutError((self.folder / "server.log").read_text()[-2000:])

    def launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.backend, "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1", "--artifacts-destination", str(self.folder / "artifacts")]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **quiet}, start_new_session=True)

    def kill(self) -> None:
        """Without a word, and its workers too."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def server(folder: Path, backend: str | None = None) -> Iterator[Server]:
    one = Server(backend or f"sqlite:///{folder}/server.db", folder)
    one.start()
    try:
        yield one
    finally:
        one.kill()


def postgres_bin() -> Path | None:
    """Where PostgreSQL's programs lie; None where there are none, or nobody to run them as."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    return Path(named).parent if named else found[-1].parent if found else None


@dataclass
class Postgres:
    """A cluster of its own in a folder."""

    folder: Path
    port: int = field(default_factory=free_port)

    def _run(self, *words: str) -> None:
        program = str((postgres_bin() or Path()) / words[0])
        # PostgreSQL refuses to run as root.
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        subprocess.run([program, *words[1:]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", **user)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def uri(self) -> str:
        return f"postgresql://halfscan@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "-D", str(self.data), "-U", "halfscan", "--auth=trust", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        end = time.monotonic() + 60
        while True:
            try:
                return self._run("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-w", "-o", options, "start")
            except subprocess.CalledProcessError as error:
                # It refuses as long as a process of the one that was killed holds its shared memory.
                if time.monotonic() > end:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from error
                time.sleep(0.5)

    def kill(self) -> None:
        """Every process of it, as when the machine's memory runs out."""
        pid = self.data / "postmaster.pid"
        if pid.exists():
            leader = int(pid.read_text().split()[0])
            children = subprocess.run(["pgrep", "-P", str(leader)], capture_output=True, text=True).stdout.split()
            for one in (leader, *map(int, children)):
                try:
                    os.kill(one, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.2)


@contextmanager
def postgres() -> Iterator[Postgres]:
    # Not under pytest's own folder, which only its user may enter.
    with tempfile.TemporaryDirectory(prefix="halfscan-postgres-", ignore_cleanup_errors=True) as folder:
        one = Postgres(Path(folder))
        one.make()
        try:
            yield one
        finally:
            one.kill()


needs_postgres = pytest.mark.skipif(
    postgres_bin() is None or (os.getuid() == 0 and not Path("/var/lib/postgresql").exists()), reason="no PostgreSQL here"
)
