"""The command line. Everything heavy is imported inside the command that needs it: help must not wait for torch."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from .. import __version__
from .errors import HalfscanError, one_line

DEFAULT_OUT = "outputs"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 done, 1 some cell or check failed, 2 bad input (one line on standard error), 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["run"]:
            # Hydra reads these words itself: its grammar is not argparse's.
            return _run(words[1:])
        if words[:1] == ["train"] and words[1:2] not in (["-h"], ["--help"]):
            from .train_command import run_train

            return run_train(words[1:])
        if words[:1] == ["score"]:
            from .exchange_command import score_words

            return _run(score_words(_score_parser().parse_intermixed_args(words[1:])))
        if words[:1] == ["time"]:
            from .time_command import run_time

            return run_time(_time_parser().parse_intermixed_args(words[1:]))
        if words[:1] in (["verify"], ["plan"]):
            from .verify_command import run_plan, run_verify

            chosen = _claims_parser(words[0]).parse_intermixed_args(words[1:])
            return run_verify(chosen) if words[0] == "verify" else run_plan(chosen)
        if words[:1] == ["export-inputs"]:
            from .exchange_command import run_export

            return run_export(_export_parser().parse_intermixed_args(words[1:]))
        if words[:1] == ["pair"]:
            return _pair(_pair_parser().parse_intermixed_args(words[1:]))
        if words[:1] == ["data"] and words[1:2] not in (["-h"], ["--help"]):
            from .data_command import run_data

            return run_data(_data_parser("".join(words[1:2])).parse_intermixed_args(words[2:]))
        if words[:1] == ["report"]:
            from .report_command import run_report

            return run_report(_report_parser().parse_intermixed_args(words[1:]))
        if words[:1] == ["ledger"]:
            from .ledger_command import run_ledger

            return run_ledger(_ledger_parser().parse_intermixed_args(words[1:]))
        if words[:1] == ["weights"] and words[1:2] not in (["-h"], ["--help"]):
            from .weights_command import run_weights

            return run_weights(_weights_parser("".join(words[1:2])).parse_args(words[2:]))
        options = _parser().parse_args(words)
        return int(options.command(options))
    except HalfscanError as error:
        print(f"halfscan: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("halfscan: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has left; nothing is wrong. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"halfscan: {error.strerror}{where}: make room or name another folder; the same command goes on", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise HalfscanError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="halfscan", description="Half the scan, the same image? Prove it. Benchmarks AI MRI reconstruction.")
    parser.add_argument("--version", action="version", version=f"halfscan {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run a sweep: halfscan run model=zero_filled,sense sampling.acceleration=2,4 (halfscan run --help: more)",
    )
    run.add_argument("overrides", nargs="*")

    train = commands.add_parser("train", help="train a network: halfscan train model=modl device=cuda trainer.steps=2000")
    train.add_argument("overrides", nargs="*", help="of configs/train.yaml, as Hydra writes them")

    table = commands.add_parser("table", help="the cells of a sweep: scan seconds, reductions, quality, energy")
    table.add_argument("sweep", nargs="?", help="id of the sweep or its beginning; default: the latest")
    table.add_argument("--json", action="store_true", help="one object a cell")
    table.add_argument("--profile", help="metric profile to show; default: the one that fits the images")
    table.set_defaults(command=_table)

    compare = commands.add_parser("compare", help="two sweeps, models or vendors: paired differences of patients")
    for side in ("a", "b"):
        compare.add_argument(side, help="SWEEP, MODEL, COLUMN=VALUE,... or SWEEP:COLUMN=VALUE,...; without a sweep: the latest")
    compare.add_argument("--metric", action="append", default=[], metavar="METRIC@PROFILE", help="default: those of the table")
    compare.add_argument("--json", action="store_true", help="for programs")
    compare.set_defaults(command=_compare)

    time = commands.add_parser("time", help="scan seconds, term by term: halfscan time protocol=tse_knee sampling.acceleration=4")
    time.add_argument("overrides", nargs="*")

    for name, words in (
        ("data", "check files before they are believed, split patients: halfscan data check PATH, halfscan data split"),
        ("export-inputs", "the sampled lines alone, for a vendor: halfscan export-inputs dataset=... --out FOLDER"),
        ("score", "a vendor's finished images: halfscan score IMAGES dataset=... sampling=..."),
        ("weights", "published weights as safetensors, weights in the registry: halfscan weights convert, weights register"),
        ("report", "the page of a sweep, one HTML file: halfscan report [SWEEP] grid=de --out page.html"),
        ("ledger", "kWh and CO2e an exam: halfscan ledger [SWEEP] grid=de, or a site's own power logs"),
        ("pair", "series that were really scanned, long and short: halfscan pair PAIRS.csv claim=..."),
    ):
        commands.add_parser(name, help=words).add_argument("words", nargs="*")

    status = commands.add_parser("status", help="how far a sweep is, what failed and why, and about how long the rest takes")
    status.add_argument("sweep", nargs="?", help="id of the sweep, its beginning or its folder; default: the latest")
    status.add_argument("--out", default=DEFAULT_OUT, help="output folder of the sweep (default: %(default)s)")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(command=_status)

    finish = commands.add_parser("finish", help="close a sweep whose launcher was lost, and name what is missing")
    finish.add_argument("sweep", nargs="?", help="id of the sweep, its beginning or its folder; default: the latest")
    finish.add_argument("--out", default=DEFAULT_OUT, help="output folder of the sweep (default: %(default)s)")
    finish.set_defaults(command=_finish)

    sync = commands.add_parser("sync", help="give the store the cells that it missed while it was away, and close their sweeps")
    sync.add_argument("sweep", nargs="?", help="id of the sweep, its beginning or its folder; default: all under --out")
    sync.add_argument("--out", default=DEFAULT_OUT, help="output folder of the sweeps (default: %(default)s)")
    sync.set_defaults(command=_sync)

    for name, words in (
        ("verify", "judge claims over a sweep: halfscan verify claim=half_time [SWEEP]"),
        ("plan", "the patients that a claim needs: halfscan plan claim=half_time [PILOT SWEEP]"),
    ):
        commands.add_parser(name, help=words).add_argument("words", nargs="*")

    doctor = commands.add_parser("doctor", help="what this machine has, and the mend for what is missing")
    doctor.add_argument("--out", default=DEFAULT_OUT, help="output folder to look at (default: %(default)s)")
    doctor.set_defaults(command=_doctor)

    for command in (table, compare, doctor):
        command.add_argument("--store", help="MLflow tracking URI; default: MLFLOW_TRACKING_URI, else ./mlflow.db")
    for command in (table, compare):
        command.add_argument("--experiment", default="halfscan", help="MLflow experiment (default: %(default)s)")
    return parser


def _export_parser() -> argparse.ArgumentParser:
    """Of `halfscan export-inputs` alone."""
    parser = _Parser(
        prog="halfscan export-inputs",
        description="Writes the sampled lines of a data set's volumes, and nothing else, for a method that can't run here.",
    )
    parser.add_argument("overrides", nargs="+", help="as of `halfscan run`: dataset=..., sampling=..., mask_replicate=...")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new folder of the inputs")
    return parser


def _score_parser() -> argparse.ArgumentParser:
    """Of `halfscan score` alone."""
    parser = _Parser(
        prog="halfscan score",
        description="Scores images that were made elsewhere from the inputs of `halfscan export-inputs`: seconds and quality are "
        "judged, energy and reconstruction time are null.",
    )
    parser.add_argument("images", type=Path, help="folder of NAME.npy images beside their inputs.json")
    parser.add_argument("overrides", nargs="*", help="as of `halfscan run`: the dataset and sampling of the export, claims")
    parser.add_argument("--name", default="finished", help="what tables call them (default: %(default)s)")
    parser.add_argument("--combination", choices=("rss", "mvue"), default="rss", help="of their coils (default: %(default)s)")
    return parser


def _pair_parser() -> argparse.ArgumentParser:
    """Of `halfscan pair` alone."""
    parser = _Parser(
        prog="halfscan pair",
        description="Compares two series of each patient, a reference and a shorter scan: recorded seconds, SNR and CNR in "
        "regions, blur, readers' scores. Prospective evidence, for which no raw data and no truth are needed.",
    )
    parser.add_argument("pairs", type=Path, metavar="PAIRS.csv", help="pair, reference, candidate[, reference_series, ...]")
    parser.add_argument("overrides", nargs="*", help="as of `halfscan run`: claim=..., dataset.contrast=..., out=...")
    parser.add_argument("--regions", type=Path, metavar="CSV", help="pair, region, slice, row, column, height, width[, against]")
    parser.add_argument("--readers", type=Path, metavar="CSV", help="pair, arm, reader, score[, item]")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="only draw the regions in both series; they show patients: keep them here"
    )
    return parser


def _data_parser(what: str) -> argparse.ArgumentParser:
    """Of `halfscan data check` or `halfscan data split`."""
    parser = _Parser(prog=f"halfscan data {what}")
    parser.set_defaults(what=what)
    if what == "split":
        parser.description = "Draws who is learned from and who is scored: a manifest for dataset.splits."
        parser.add_argument("overrides", nargs="+", help="dataset=NAME dataset.path=PATH ...")
        parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
        parser.add_argument(
            "--shares", type=_shares, default=(0.7, 0.1, 0.2), help="train,validation,test (default: 0.7,0.1,0.2)"
        )
        parser.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
        parser.add_argument("--force", action="store_true", help="write over a manifest: patients may change sides")
        return parser
    if what == "check":
        parser.description = "What files hold: format, shape, noise, timing found or missing, and what was done to their samples."
        parser.add_argument("paths", nargs="+", type=Path, help="files, or folders of them")
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="a PNG a volume; they show patients: keep them here")
        return parser
    raise HalfscanError(f"halfscan data {what[:40]}: there are data check and data split")


def _weights_parser(what: str) -> argparse.ArgumentParser:
    """Of `halfscan weights convert` or `halfscan weights register`."""
    parser = _Parser(prog=f"halfscan weights {what}")
    parser.set_defaults(what=what)
    parser.add_argument("file", type=Path, metavar="FILE")
    if what == "convert":
        parser.description = "Published weights (.pt) as safetensors; only tensors are unpickled, no code is run."
        parser.add_argument("--model", default="varnet_fastmri", help="whose weights they are (default: %(default)s)")
        parser.add_argument("--out", type=Path, metavar="FILE", help="default: FILE.safetensors")
        return parser
    if what == "register":
        parser.description = "Safetensors, and the record beside them, into the tracking store's registry of models."
        parser.add_argument("--name", required=True, help="of the model; its version is counted")
        parser.add_argument("--store", help="MLflow tracking URI; default: MLFLOW_TRACKING_URI, else ./mlflow.db")
        parser.add_argument("--experiment", default="halfscan", help="MLflow experiment (default: %(default)s)")
        return parser
    raise HalfscanError(f"halfscan weights {what[:40]}: there are weights convert and weights register")


def _ledger_parser() -> argparse.ArgumentParser:
    """Of `halfscan ledger` alone."""
    parser = _Parser(
        prog="halfscan ledger",
        description="Energy of an exam: what the shorter scan saves at the scanner, less reconstruction and its share of the "
        "training; without one of them there is no net.",
    )
    parser.add_argument(
        "words", nargs="*", help="a sweep (default: the latest); scanner=, grid=, grid@computer=, service.exams=..."
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--power-log", type=Path, metavar="FILE.csv", help="time,kW of the site's own scanner, in place of scanner="
    )
    parser.add_argument(
        "--states",
        type=lambda text: tuple(text.split(",")),
        help="that the log shows, in the order of their power (default: idle,prepared,scan)",
    )
    parser.add_argument(
        "--off-peak", type=Path, nargs=2, metavar=("BEFORE.csv", "AFTER.csv"), help="only test what a feature saves off-peak"
    )
    parser.add_argument("--claimed", type=float, help="share that --off-peak is said to save (default: 0.3)")
    parser.add_argument("--zone", help="time zone of the site, such as Europe/Berlin, for --off-peak with logs in UTC")
    parser.add_argument("--store", help="MLflow tracking URI; default: MLFLOW_TRACKING_URI, else ./mlflow.db")
    parser.add_argument("--experiment", help="MLflow experiment (default: halfscan)")
    return parser


def _report_parser() -> argparse.ArgumentParser:
    """Of `halfscan report` alone."""
    parser = _Parser(prog="halfscan report", description="The page of a sweep, one HTML file, from the store alone.")
    parser.add_argument(
        "words",
        nargs="*",
        metavar="SWEEP | grid=...",
        help="id of the sweep or its beginning (default: the latest); scanner=, grid=, service.exams=... of its ledger of energy",
    )
    parser.add_argument("--out", type=Path, help="the HTML file (default: halfscan-SWEEP.html)")
    parser.add_argument("--store", help="MLflow tracking URI; default: MLFLOW_TRACKING_URI, else ./mlflow.db")
    parser.add_argument("--experiment", default="halfscan", help="MLflow experiment (default: %(default)s)")
    return parser


def _shares(text: str) -> tuple[float, float, float]:
    train, validation, test = (float(part) for part in text.split(","))
    return train, validation, test


def _time_parser() -> argparse.ArgumentParser:
    """Of `halfscan time` alone: a command of its own, since argparse lets only those mix overrides and options freely."""
    parser = _Parser(
        prog="halfscan time",
        description="Scan seconds of a mask under a protocol, beside full sampling and a clinical protocol, with all that they "
        "assume. Lines and timing come from the data where dataset=... is given.",
    )
    parser.add_argument("overrides", nargs="*", help="as of `halfscan run`: protocol=..., sampling=..., dataset=...")
    parser.add_argument("--lines", type=int, help="phase-encode lines of the full scan, without dataset=... (default: 368)")
    parser.add_argument(
        "--check", type=Path, metavar="FILE.json", help="protocols and the times that consoles printed: the errors"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--seq", type=Path, metavar="FILE.seq", help="seconds of a Pulseq file")
    parser.add_argument("--write-seq", type=Path, metavar="FILE.seq", help="write the mask as a TSE or GRE Pulseq file")
    parser.add_argument("--fov-mm", type=float, help="field of view of --write-seq along phase (default: the data's, else 256)")
    parser.add_argument("--slice-mm", type=float, help="slice thickness of --write-seq (default: the data's, else 5)")
    parser.add_argument("--page", type=Path, metavar="FILE.html", help="write one offline page that times console protocols")
    return parser


def _claims_parser(name: str) -> argparse.ArgumentParser:
    """Of `halfscan verify` and `halfscan plan`, which mix overrides and options likewise."""
    parser = _Parser(prog=f"halfscan {name}")
    parser.add_argument("words", nargs="*", help="claim=NAME, or its settings; a sweep (default: the latest)")
    parser.add_argument("--json", action="store_true", help="one object a claim")
    parser.add_argument("--store", help="MLflow tracking URI; default: MLFLOW_TRACKING_URI, else ./mlflow.db")
    parser.add_argument("--experiment", default="halfscan", help="MLflow experiment (default: %(default)s)")
    if name == "plan":
        parser.add_argument(
            "--sd", action="append", default=[], metavar="METRIC=NUMBER", help="spread of the patients' differences"
        )
        parser.add_argument("--power", type=float, default=0.8, help="joint, of all endpoints and tails (default: %(default)s)")
        parser.add_argument("--correlation", type=float, default=0.0, help="between endpoints (default: 0, the cautious one)")
    return parser


def _run(words: Sequence[str]) -> int:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from ..configs.schema import register
    from .task import task
    from .workers import register_resolvers

    register()
    register_resolvers()
    # Hydra would print a traceback and exit by itself; this makes it hand the error on, to be said in one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["halfscan run", *words]
    app = hydra.main(version_base="1.3", config_path="pkg://halfscan.configs", config_name="run")(task)
    try:
        with _sigterm_interrupts():
            app()
    except BaseException as error:
        # Whatever ended the launch: what was planned is closed, so that nothing stays RUNNING in the store.
        _finish_planned()
        if not isinstance(error, HydraException | OmegaConfBaseException):
            raise
        cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else None
        message = one_line(error) + (f" {one_line(cause)}" if cause and one_line(cause) not in one_line(error) else "")
        raise HalfscanError(message) from error
    return _finish_planned()


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM, as from a queue or a container that stops, ends a sweep as Ctrl-C does: recorded, and with nothing left RUNNING. A
    second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _pair(options: argparse.Namespace) -> int:
    from .pair_command import run_pair

    try:
        run_pair(options)
    except BaseException:
        _finish_planned()
        raise
    return _finish_planned()


def _finish_planned() -> int:
    """Closes the sweep that this process ran; without one (`--cfg`, `--help`) there is nothing to do."""
    sweep = sys.modules.get(f"{__package__}.sweep")
    if sweep is None or not sweep.planned:
        return 0
    from .errors import StoreError

    manifest = sweep.planned.pop()
    try:
        return _close(manifest)
    except StoreError as error:
        kept = sum(manifest.status(entry).state in ("finished", "kept") for entry in manifest.cells)
        raise HalfscanError(
            f"{one_line(error)}; the rows of {kept} of {len(manifest.cells)} cells are safe in {manifest.folder}: once the store "
            "answers, `halfscan sync` brings in what it lacks and closes the sweep"
        ) from error


def _close(manifest: object) -> int:
    from .closing import close_sweep
    from .manifest import SweepManifest
    from .table import print_table
    from .verdict_page import in_words

    assert isinstance(manifest, SweepManifest)
    closed = close_sweep(manifest)
    print_table(closed.record.manifest, closed.record.cells)
    print(f"Page: {closed.page}")
    for verdict in closed.verdicts:
        print("\n".join(["", *in_words(verdict)]))
    print(f"Sweep {manifest.sweep_id} in {manifest.folder}; MLflow: mlflow ui --backend-store-uri {manifest.tracking_uri}")
    for name, reason in closed.record.unjudged.items():
        print(f"halfscan: claim {name} is not judged: {reason}", file=sys.stderr)
    for cell, reason in closed.outcome.failures.items():
        print(f"halfscan: cell {cell} has no result: {reason}", file=sys.stderr)
    return 0 if closed.outcome.complete else 1


def _compare(options: argparse.Namespace) -> int:
    from .compare_command import run_compare

    return run_compare(options)


def _table(options: argparse.Namespace) -> int:
    from .table import print_table, read_cells, to_json
    from .tracking import Store, tracking_uri

    manifest, cells = read_cells(Store(tracking_uri(options.store), options.experiment), options.sweep)
    profiles = {name.partition("@")[2] for cell in cells for name in cell.first.metrics}
    if options.profile and cells and options.profile not in profiles:
        raise HalfscanError(f"--profile {options.profile}: this sweep was scored in {', '.join(sorted(profiles))}")
    if options.json:
        print(to_json(cells))
    else:
        print_table(manifest, cells, options.profile)
    return 0


def _status(options: argparse.Namespace) -> int:
    from .status_command import run_status

    return run_status(options)


def _finish(options: argparse.Namespace) -> int:
    from .sweep import find_manifest

    return _close(find_manifest(options.sweep, Path(options.out)))


def _sync(options: argparse.Namespace) -> int:
    from .sweep import find_manifest, unsynced

    found = [find_manifest(options.sweep, Path(options.out))] if options.sweep else unsynced(Path(options.out))
    if not found:
        print("Nothing waits for the store.")
    return max((_close(manifest) for manifest in found), default=0)


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import examine, print_findings
    from .tracking import tracking_uri

    findings = list(examine(tracking_uri(options.store), Path(options.out)))
    print_findings(findings)
    return 1 if any(finding.state == "broken" for finding in findings) else 0
