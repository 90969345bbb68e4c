"""MLflow, and nothing but MLflow: a parent run a sweep, a child a cell; reports and claims read back from here.

Only `MlflowClient` with explicit run ids is used: no active run, no environment variable that a child process inherits.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import HalfscanError, StoreError, one_line
from .files import why_unwritable, write_json
from .manifest import FILE_NAME as MANIFEST
from .manifest import Entry, SweepManifest, read_manifest
from .privacy import redact, without_paths
from .rows import CellRows, Row, read_cells, write_cells, write_rows
from .run_summary import metrics, parameters

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# Before anything imports MLflow, as MONAI does too. No telemetry; and where no server answers, MLflow's own seven retries
# with growing pauses would keep silent for minutes; and a fresh store logs its migrations line by line.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # with tqdm about, it would write on stderr
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

DEFAULT_URI = "sqlite:///mlflow.db"
ROWS = "rows.parquet"
CLAIMS = "claims.json"
VERDICTS = "verdicts"
"""Folder of the parent run's artifacts with one folder a claim."""
_KIND, _KEY, _SWEEP = "halfscan.kind", "halfscan.key", "halfscan.sweep"
_NOTE = "mlflow.note.content"
_TRIES = 3
_MARKS_A_TAG = 200
"""Marks are of some twenty characters, and a tag holds 5,000."""
_PARAMS_A_CALL, _METRICS_A_CALL, _TAGS_A_CALL, _PARAM_LENGTH = 100, 800, 100, 6000
"""MLflow takes 100 parameters, 100 tags and 1,000 entries of any kind a call."""


def tracking_uri(configured: str | None = None) -> str:
    """The store: the configured one, else `MLFLOW_TRACKING_URI`, else `mlflow.db` in the working directory, absolute."""
    uri = configured or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    path = sqlite_path(uri)
    return uri if path is None else f"sqlite:///{path.absolute()}"


def sqlite_path(uri: str) -> Path | None:
    """The file of a sqlite store, None for any other store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


@dataclass(frozen=True)
class Child:
    """A cell's run."""

    run_id: str
    status: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Opened:
    """A cell's run that is open now."""

    run_id: str
    resumed: bool
    """Whether an earlier try left it behind: it may hold parameters already, and MLflow takes no others in their place."""


@dataclass(frozen=True)
class Store:
    """One MLflow tracking store and the experiment in it."""

    uri: str
    experiment: str

    @cached_property
    def client(self) -> MlflowClient:
        """The client; importing MLflow takes seconds, so it is put off until here.

        Raises:
            HalfscanError: the store can't be reached or written.
        """
        path = sqlite_path(self.uri)
        # Asked first: MLflow would try for minutes to open a file that can't be made.
        if path is not None and (why := why_unwritable(path.parent)):
            raise _store_error(self.uri, why)
        import logging

        logging.getLogger("alembic").setLevel(logging.WARNING)
        from mlflow.tracking import MlflowClient

        # A fresh sqlite store gets its tables here, from one process at a time.
        with self.talking(), _lock(path):
            return MlflowClient(tracking_uri=self.uri)

    @cached_property
    def experiment_id(self) -> str:
        """The experiment's id; it is made by one process at a time."""
        path, client = sqlite_path(self.uri), self.client  # which takes the same lock
        with self.talking(), _lock(path):
            found = client.get_experiment_by_name(self.experiment)
            if found is not None:
                if found.lifecycle_stage != "active":
                    raise HalfscanError(
                        f"experiment {self.experiment!r} was deleted in {self.uri}: restore it, or name another with "
                        "tracking.experiment"
                    )
                return str(found.experiment_id)
            # The artifact root would otherwise follow the working directory of whoever logs.
            location = None if path is None else (path.absolute().parent / "mlartifacts").as_uri()
            return str(client.create_experiment(self.experiment, artifact_location=location))

    def talking(self) -> AbstractContextManager[None]:
        """A window in which whatever the store raises becomes one line that names it."""
        return _StoreErrors(self.uri)

    # A sweep -----------------------------------------------------------------------------------------------------

    def find_sweep(self, sweep_id: str) -> str | None:
        """The parent run of a sweep, None where the store has none."""
        with self.talking():
            found = self._search(f"tags.`{_KIND}` = 'sweep' and tags.`{_SWEEP}` = '{sweep_id}'")
            return self._parent(found).info.run_id if found else None

    def _parent(self, runs: Sequence[Run]) -> Run:
        """Of a sweep's parent runs the one that has cells: a request whose answer was lost has left another."""
        return runs[0] if len(runs) == 1 else max(runs, key=lambda run: len(self._cells(run.info.run_id)))

    def _cells(self, parent: str) -> list[Run]:
        """Runs of a sweep's cells, the latest first."""
        return self._search(f"tags.`mlflow.parentRunId` = '{parent}'")

    def parent_of(self, name: str | None, *, ended: bool = False) -> str:
        """The parent run of a sweep named by its id or the beginning of it; without a name of the latest one.

        Args:
            name: of the sweep.
            ended: look only at sweeps that are not running now.

        Raises:
            HalfscanError: none, or several that begin so.
        """
        path = sqlite_path(self.uri)
        if path is not None and not path.exists():
            raise HalfscanError(f"no store at {path}: start a sweep with `halfscan run`, or set MLFLOW_TRACKING_URI")
        with self.talking():
            runs = [run for run in self._search(f"tags.`{_KIND}` = 'sweep'") if not ended or run.info.status != "RUNNING"]
        sweeps: dict[str, list[Run]] = {}
        for run in runs:
            sweeps.setdefault(run.data.tags[_SWEEP], []).append(run)
        found = [sweep for sweep in sweeps if sweep.startswith(name or "")]
        if not found:
            known = ", ".join(list(sweeps)[:10]) or "none"
            raise HalfscanError(f"no sweep {name or ''} in {self.uri}, which holds {known}: start one with `halfscan run`")
        if name and len(found) > 1:
            raise HalfscanError(f"{len(found)} sweeps begin with {name}: {', '.join(found)}")
        with self.talking():
            return str(self._parent(sweeps[found[0]]).info.run_id)

    def holds_sweep(self, beginning: str) -> bool:
        """Whether some sweep's id begins so."""
        with self.talking():
            return any(run.data.tags[_SWEEP].startswith(beginning) for run in self._search(f"tags.`{_KIND}` = 'sweep'"))

    def start_sweep(self, sweep_id: str) -> str:
        """Makes the parent run."""
        with self.talking():
            run = self.client.create_run(
                self.experiment_id, run_name=f"sweep {sweep_id}", tags={_KIND: "sweep", _SWEEP: sweep_id}
            )
        return str(run.info.run_id)

    def resume(self, run_id: str) -> None:
        """Sets a run back to running."""
        with self.talking():
            self.client.update_run(run_id, status="RUNNING")

    def end(self, run_id: str, status: str) -> None:
        """Closes a run as FINISHED, FAILED or KILLED."""
        with self.talking():
            self.client.set_terminated(run_id, status)

    def finish_sweep(self, manifest: SweepManifest, rows: Mapping[str, CellRows], complete: bool) -> None:
        """Gives the parent the rows of all finished cells by their keys and the manifest, and closes it."""
        with self.talking(), tempfile.TemporaryDirectory() as folder:
            public = Path(folder) / MANIFEST
            write_json(public, without_paths(manifest))
            self.client.log_artifact(manifest.parent_run, str(public))
            write_cells(rows, Path(folder) / ROWS)
            self.client.log_artifact(manifest.parent_run, str(Path(folder) / ROWS))
            self.client.set_terminated(manifest.parent_run, "FINISHED" if complete else "FAILED")

    def describe_sweep(self, parent: str, *, name: str, note: str, metrics: Mapping[str, float]) -> None:
        """Names a sweep's parent run and gives it its note and metrics; those that it has no longer become NaN."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with self.talking():
            gone = set(self.client.get_run(parent).data.metrics) - set(metrics)
            logged = {**metrics, **dict.fromkeys(gone, math.nan)}
            self.client.update_run(parent, name=name)
            self.client.set_tag(parent, _NOTE, note)
            self.client.log_batch(parent, metrics=[Metric(key, value, now, 0) for key, value in logged.items()])

    def describe_cell(self, child: Child, note: str, role: str) -> None:
        """Gives a cell's run a note, and says what claims it takes part in; nothing is sent that is there already."""
        from mlflow.entities import RunTag

        tags = {_NOTE: note, "halfscan.role": role}
        changed = [RunTag(key, value) for key, value in tags.items() if child.tags.get(key, "") != value]
        if changed:
            with self.talking():
                self.client.log_batch(child.run_id, tags=changed)

    def log_file(self, run_id: str, path: Path) -> None:
        """Adds a file to a run."""
        with self.talking():
            self.client.log_artifact(run_id, str(path))

    def log_verdict(self, parent: str, claim_id: str, folder: Path, words: str) -> None:
        """Adds a claim's verdict, all files of a folder, to a sweep's parent."""
        with self.talking():
            self.client.log_artifacts(parent, str(folder), f"{VERDICTS}/{claim_id}")
            self.client.set_tag(parent, f"halfscan.verdict.{claim_id}", words)

    def verdict_tags(self, parent: str) -> dict[str, str]:
        """Claim → the words of its verdict, as the parent's tags have them."""
        prefix = "halfscan.verdict."
        with self.talking():
            tags = self.client.get_run(parent).data.tags
        return {name.removeprefix(prefix): words for name, words in tags.items() if name.startswith(prefix)}

    def read_claims(self, parent: str) -> list[dict[str, Any]]:
        """The claims that a sweep was started with, as stated then; none where it carries none."""
        with self.talking(), tempfile.TemporaryDirectory() as folder:
            if CLAIMS not in {item.path for item in self.client.list_artifacts(parent)}:
                return []
            stated: list[dict[str, Any]] = json.loads(
                Path(self.client.download_artifacts(parent, CLAIMS, folder)).read_text("utf-8")
            )
            return stated

    def finished_digests(self, digests: Iterable[str]) -> set[str]:
        """Which of these images some finished cell of the experiment was scored on."""
        with self.talking():
            return {
                digest
                for digest in digests
                if self._search(f"tags.`halfscan.digest` = '{digest}' and attributes.status = 'FINISHED'", 1)
            }

    def marks(self, name: str) -> set[str]:
        """What the experiment's cells were marked with under a name (`marked`)."""
        with self.talking():
            found = self._search(f"tags.`halfscan.{name}.0` LIKE '%'")
        prefix = f"halfscan.{name}."
        return {
            one for run in found for key, value in run.data.tags.items() if key.startswith(prefix) for one in value.split(",")
        }

    def children(self, parent: str) -> dict[str, tuple[str, str]]:
        """Key → (run id, status) of a sweep's cells."""
        return {key: (child.run_id, child.status) for key, child in self.describe_children(parent).items()}

    def read_verdicts(self, parent: str) -> dict[str, dict[str, bytes]]:
        """Claim → its files, by their names, as `log_verdict` was given them; in the order of the claims' ids."""
        with self.talking(), tempfile.TemporaryDirectory() as folder:
            if VERDICTS not in {item.path for item in self.client.list_artifacts(parent)}:
                return {}
            root = Path(self.client.download_artifacts(parent, VERDICTS, folder))
            return {one.name: {path.name: path.read_bytes() for path in one.iterdir()} for one in sorted(root.iterdir())}

    def holds(self, run_id: str, name: str) -> bool:
        """Whether a run has an artifact of that name."""
        with self.talking():
            return name in {item.path for item in self.client.list_artifacts(run_id)}

    def read_folder(self, run_id: str, name: str) -> dict[str, bytes]:
        """File name → content of a folder of artifacts; nothing where there is none."""
        with self.talking(), tempfile.TemporaryDirectory() as folder:
            if name not in {item.path for item in self.client.list_artifacts(run_id)}:
                return {}
            root = Path(self.client.download_artifacts(run_id, name, folder))
            return {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}

    def log_folder(self, run_id: str, folder: Path, name: str) -> None:
        """Adds all files of a folder to a run, under a folder of that name."""
        with self.talking():
            self.client.log_artifacts(run_id, str(folder), name)

    def drop_doubles(self, sweep_id: str, parent: str) -> None:
        """Leaves a sweep one parent run and its cells one run each, the finished one or else the latest: a request whose answer
        was lost is made again."""
        with self.talking():
            kept: dict[str, Run] = {}
            for run in _finished_first(self._cells(parent)):
                key = run.data.tags.get(_KEY)
                if key is not None and kept.setdefault(key, run) is not run:
                    self.client.delete_run(run.info.run_id)
            own = self.client.get_run(parent).info
            for run in self._search(f"tags.`{_KIND}` = 'sweep' and tags.`{_SWEEP}` = '{sweep_id}'"):
                # The same request has the same time. Another start of the same sweep, elsewhere and just now, has its own.
                twin = run.info.run_id != parent and run.info.start_time == own.start_time
                if twin and not self._cells(run.info.run_id):
                    self.client.delete_run(run.info.run_id)

    def describe_children(self, parent: str) -> dict[str, Child]:
        """Key → a sweep's cell as the store knows it, by its finished run or else the latest."""
        with self.talking():
            runs = _finished_first(self._cells(parent))
        found: dict[str, Child] = {}
        for run in runs:
            if (key := run.data.tags.get(_KEY)) is not None:
                found.setdefault(key, Child(run.info.run_id, run.info.status, dict(run.data.tags)))
        return found

    def read_sweep(self, parent: str) -> tuple[SweepManifest, dict[str, CellRows]]:
        """The manifest, and key → rows of the cells that were finished when it was closed, from the store alone.

        Raises:
            HalfscanError: the sweep was never finished, so its parent holds no manifest.
        """
        with self.talking(), tempfile.TemporaryDirectory() as folder:
            names = {item.path for item in self.client.list_artifacts(parent)}
            if not {MANIFEST, ROWS} <= names:
                sweep = self.client.get_run(parent).data.tags.get(_SWEEP, parent)
                raise HalfscanError(f"sweep {sweep} is not finished: run `halfscan finish {sweep}`")
            manifest = read_manifest(Path(self.client.download_artifacts(parent, MANIFEST, folder)).read_text("utf-8"))
            return manifest, read_cells(Path(self.client.download_artifacts(parent, ROWS, folder)))

    # A cell ------------------------------------------------------------------------------------------------------

    def start_cell(self, manifest: SweepManifest, entry: Entry, name: str) -> Opened:
        """Opens the cell's run under the sweep's parent: a new one, or the one that a killed or failed try left behind."""
        with self.talking():
            left = self._search(f"tags.`mlflow.parentRunId` = '{manifest.parent_run}' and tags.`{_KEY}` = '{entry.key}'")
        if left:
            # The finished one first, as `drop_doubles` keeps it.
            run_id = _finished_first(left)[0].info.run_id
            self.resume(run_id)
            return Opened(str(run_id), resumed=True)
        tags = {
            _KIND: "cell",
            _KEY: entry.key,
            _SWEEP: manifest.sweep_id,
            "halfscan.digest": entry.digest,
            "mlflow.parentRunId": manifest.parent_run,
        }
        with self.talking():
            run = self.client.create_run(self.experiment_id, run_name=name, tags=tags)
        return Opened(str(run.info.run_id), resumed=False)

    def log_training(
        self, digest: str, model: str, *, config: Mapping[str, Any], record: Mapping[str, Any], weights: Path
    ) -> None:
        """A run of its own for a training: settings, curves, record and weights; the same weights are logged once."""
        from mlflow.entities import Metric, Param

        kind = {_KIND: "training", _KEY: digest, "halfscan.weights_sha256": record["weights_sha256"]}
        with self.talking(), tempfile.TemporaryDirectory() as folder:
            before = self._search(f"tags.`{_KIND}` = 'training' and tags.`{_KEY}` = '{digest}'")
            if any(run.info.status == "FINISHED" for run in before):
                return
            for run in before:  # broken off while it was being logged
                self.client.set_terminated(run.info.run_id, "KILLED")
            run_id = self.client.create_run(self.experiment_id, run_name=f"training {model}", tags=kind).info.run_id
            now = int(time.time() * 1000)
            settings = parameters(redact(config))
            params = [Param(key, str(value)[:_PARAM_LENGTH]) for key, value in settings.items() if value is not None]
            for start in range(0, len(params), _PARAMS_A_CALL):
                self.client.log_batch(run_id, params=params[start : start + _PARAMS_A_CALL])
            logged = [Metric(*point, now, step) for *point, step in _curves(record)]
            logged += [Metric("training/seconds", record["seconds"], now, 0)]
            if record["energy"]["value"] is not None:
                logged.append(Metric("training/energy_j", record["energy"]["value"], now, 0))
            for start in range(0, len(logged), _METRICS_A_CALL):
                self.client.log_batch(run_id, metrics=logged[start : start + _METRICS_A_CALL])
            write_json(Path(folder) / "training.json", record)
            self.client.log_artifact(run_id, str(Path(folder) / "training.json"))
            self.client.log_artifact(run_id, str(weights))
            self.client.set_terminated(run_id, "FINISHED")

    def log_cell(
        self,
        run: Opened,
        *,
        config: Mapping[str, Any],
        rows: Sequence[Row],
        manifest_digest: str,
        training: Mapping[str, Any] | None,
        picture: Path | None,
        tags: Mapping[str, str],
    ) -> None:
        """Logs a finished cell: parameters, metrics and tags in one batch, the data set with its digest, rows, configuration."""
        from mlflow.entities import Metric, Param, RunTag

        run_id = run.run_id
        now = int(time.time() * 1000)
        params = [
            Param(key, str(value)[:_PARAM_LENGTH]) for key, value in parameters(redact(config)).items() if value is not None
        ]
        logged = [Metric(key, value, now, 0) for key, value in metrics(rows).items()]
        logged += [Metric(*point, now, step) for *point, step in _curves(training or {"history": []})]
        tagged = [RunTag(key, value) for key, value in {**tags, "halfscan.dataset_digest": manifest_digest}.items()]
        with self.talking(), tempfile.TemporaryDirectory() as folder:
            if run.resumed:
                known = self.client.get_run(run_id).data.params
                params = [param for param in params if param.key not in known]
            # As few calls as may be: most of what one takes is its own transaction.
            parts = max(len(params) / _PARAMS_A_CALL, len(logged) / _METRICS_A_CALL, len(tagged) / _TAGS_A_CALL)
            for part in range(math.ceil(parts)):
                self.client.log_batch(
                    run_id,
                    metrics=logged[part * _METRICS_A_CALL : (part + 1) * _METRICS_A_CALL],
                    params=params[part * _PARAMS_A_CALL : (part + 1) * _PARAMS_A_CALL],
                    tags=tagged[part * _TAGS_A_CALL : (part + 1) * _TAGS_A_CALL],
                )
            self._log_dataset(run_id, rows[0], manifest_digest)
            write_rows(rows, Path(folder) / ROWS)
            write_json(Path(folder) / "config.json", redact(config))
            if training is not None:
                write_json(Path(folder) / "training.json", training)
            if picture is not None:
                shutil.copy(picture, folder)
            self.client.log_artifacts(run_id, folder)

    @staticmethod
    def marked(name: str, values: Sequence[str]) -> dict[str, str]:
        """Tags that mark a cell with many short values: a tag holds a few thousand characters."""
        chunks = [values[start : start + _MARKS_A_TAG] for start in range(0, len(values), _MARKS_A_TAG)]
        return {f"halfscan.{name}.{number}": ",".join(chunk) for number, chunk in enumerate(chunks)}

    def _log_dataset(self, run_id: str, row: Row, digest: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        # MLflow keeps at most 36 characters of a digest; the whole hash stands in a tag of the run.
        dataset = Dataset(name=row.dataset, digest=digest[:36], source_type="local", source="{}")
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "evaluation")])]
        for attempt in range(_TRIES):
            try:
                self.client.log_inputs(run_id, inputs)
                break
            except MlflowException:
                # Two cells that log the same data set at once: the second one's insert fails, and its next try finds the row.
                if attempt == _TRIES - 1:
                    raise
                time.sleep(0.2)

    def _search(self, query: str, limit: int | None = None) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                query,
                order_by=["attributes.start_time DESC"],
                max_results=limit or 1000,
                page_token=token,
            )
            runs += page
            token = page.token
            if not token or (limit is not None and len(runs) >= limit):
                return runs


def _finished_first(runs: Sequence[Run]) -> list[Run]:
    """Otherwise in the order that they have."""
    return sorted(runs, key=lambda run: run.info.status != "FINISHED")


def _lock(path: Path | None) -> AbstractContextManager[Any]:
    if path is None:
        return nullcontext()
    from filelock import FileLock

    # Two processes that open a new sqlite file at once would both try to make its tables.
    return FileLock(str(path) + ".lock")


def _curves(record: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
    """(name, value, step) of all points of a training's curves."""
    for entry in record["history"]:
        yield from ((f"training/{name}", value, int(entry["step"])) for name, value in entry.items() if name != "step")


class _StoreErrors(AbstractContextManager[None]):
    """Turns whatever the store raises into one line that names it."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, HalfscanError) or not isinstance(error, Exception):
            return
        raise _store_error(self._uri, one_line(error)[:200]) from error


def _store_error(uri: str, why: str) -> StoreError:
    return StoreError(
        f"the tracking store {uri} failed ({why}); set MLFLOW_TRACKING_URI to one that can be written, see `halfscan doctor`"
    )
