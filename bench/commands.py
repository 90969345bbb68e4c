"""The words that every command takes, and what does it. Nothing heavy is imported here: help must not wait for torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .errors import HalfscanError


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise HalfscanError(f"{message} (see {self.prog} --help)")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command, or one of two words such as `data check`."""

    does: str
    """MODULE:FUNCTION in this package that does it and returns the exit code."""
    help: str
    """Its line in the list of all."""
    takes: Callable[[Parser], None] | None = None
    """Adds what it takes; None: its words go to the function as they are."""
    about: str | None = None
    """The first paragraph of its own help; default: `help`."""

    def parser(self, name: str) -> Parser:
        """Of the command alone: argparse lets only such a one mix overrides and options freely."""
        parser = Parser(prog=f"halfscan {name}", description=self.about or self.help)
        if self.takes is not None:
            self.takes(parser)
        return parser


def _takes_table(parser: Parser) -> None:
    parser.add_argument("sweep", nargs="?", help="id of the sweep or its beginning; default: the latest")
    parser.add_argument("--json", action="store_true", help="one object a cell")
    parser.add_argument("--profile", help="metric profile to show; default: the one that fits the images")
    _takes_store(parser)


def _takes_compare(parser: Parser) -> None:
    for side in ("a", "b"):
        parser.add_argument(side, help="SWEEP, MODEL, COLUMN=VALUE,... or SWEEP:COLUMN=VALUE,...; without a sweep: the latest")
    parser.add_argument("--metric", action="append", default=[], metavar="METRIC@PROFILE", help="default: those of the table")
    parser.add_argument("--json", action="store_true", help="for programs")
    _takes_store(parser)


def _takes_status(parser: Parser) -> None:
    _takes_sweep(parser, "the latest")
    parser.add_argument("--json", action="store_true", help="for programs")


def _takes_finish(parser: Parser) -> None:
    _takes_sweep(parser, "the latest")


def _takes_sync(parser: Parser) -> None:
    _takes_sweep(parser, "all under --out")


def _takes_doctor(parser: Parser) -> None:
    _takes_out(parser)
    _takes_uri(parser)


def _takes_export(parser: Parser) -> None:
    parser.add_argument("overrides", nargs="+", help="as of `halfscan run`: dataset=..., sampling=..., mask_replicate=...")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new folder of the inputs")


def _takes_score(parser: Parser) -> None:
    parser.add_argument("images", type=Path, help="folder of NAME.npy images beside their inputs.json")
    parser.add_argument("overrides", nargs="*", help="as of `halfscan run`: the dataset and sampling of the export, claims")
    parser.add_argument("--name", default="finished", help="what tables call them (default: %(default)s)")
    parser.add_argument("--combination", choices=("rss", "mvue"), default="rss", help="of their coils (default: %(default)s)")


def _takes_pair(parser: Parser) -> None:
    parser.add_argument("pairs", type=Path, metavar="PAIRS.csv", help="pair, reference, candidate[, reference_series, ...]")
    parser.add_argument("overrides", nargs="*", help="as of `halfscan run`: claim=..., dataset.contrast=..., out=...")
    parser.add_argument("--regions", type=Path, metavar="CSV", help="pair, region, slice, row, column, height, width[, against]")
    parser.add_argument("--readers", type=Path, metavar="CSV", help="pair, arm, reader, score[, item]")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="only draw the regions in both series; they show patients: keep them here"
    )


def _takes_data_check(parser: Parser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, help="files, or folders of them")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="a PNG a volume; they show patients: keep them here")


def _takes_data_split(parser: Parser) -> None:
    parser.add_argument("overrides", nargs="+", help="dataset=NAME dataset.path=PATH ...")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--shares", type=_shares, default=(0.7, 0.1, 0.2), help="train,validation,test (default: 0.7,0.1,0.2)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="write over a manifest: patients may change sides")


def _shares(text: str) -> tuple[float, float, float]:
    train, validation, test = (float(part) for part in text.split(","))
    return train, validation, test


def _takes_weights_convert(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--model", default="varnet_fastmri", help="whose weights they are (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: FILE.safetensors")


def _takes_weights_register(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--name", required=True, help="of the model; its version is counted")
    _takes_store(parser)


def _takes_ledger(parser: Parser) -> None:
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
    _takes_uri(parser)
    # Without a default: an experiment that was named beside --off-peak is refused.
    parser.add_argument("--experiment", help="MLflow experiment (default: halfscan)")


def _takes_report(parser: Parser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="SWEEP | grid=...",
        help="id of the sweep or its beginning (default: the latest); scanner=, grid=, service.exams=... of its ledger of energy",
    )
    parser.add_argument("--out", type=Path, help="the HTML file (default: halfscan-SWEEP.html)")
    _takes_store(parser)


def _takes_time(parser: Parser) -> None:
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


def _takes_verify(parser: Parser) -> None:
    parser.add_argument("words", nargs="*", help="claim=NAME, or its settings; a sweep (default: the latest)")
    parser.add_argument("--json", action="store_true", help="one object a claim")
    _takes_store(parser)


def _takes_plan(parser: Parser) -> None:
    _takes_verify(parser)
    parser.add_argument("--sd", action="append", default=[], metavar="METRIC=NUMBER", help="spread of the patients' differences")
    parser.add_argument("--power", type=float, default=0.8, help="joint, of all endpoints and tails (default: %(default)s)")
    parser.add_argument("--correlation", type=float, default=0.0, help="between endpoints (default: 0, the cautious one)")


def _takes_sweep(parser: Parser, default: str) -> None:
    parser.add_argument("sweep", nargs="?", help=f"id of the sweep, its beginning or its folder; default: {default}")
    _takes_out(parser)


def _takes_out(parser: Parser) -> None:
    parser.add_argument("--out", default="outputs", help="folder of images and sweeps (default: %(default)s)")


def _takes_store(parser: Parser) -> None:
    _takes_uri(parser)
    parser.add_argument("--experiment", default="halfscan", help="MLflow experiment (default: %(default)s)")


def _takes_uri(parser: Parser) -> None:
    parser.add_argument("--store", help="MLflow tracking URI; default: MLFLOW_TRACKING_URI, else ./mlflow.db")


COMMANDS = {
    "run": Command(
        does="run_command:run_sweep",
        help="run a sweep: halfscan run model=zero_filled,sense sampling.acceleration=2,4 (halfscan run --help: more)",
    ),
    "train": Command(
        does="train_command:run_train",
        help="train a network: halfscan train model=modl device=cuda trainer.steps=2000 (configs/train.yaml)",
    ),
    "table": Command(
        does="table_command:run_table", help="the cells of a sweep: scan seconds, reductions, quality, energy", takes=_takes_table
    ),
    "compare": Command(
        does="compare_command:run_compare",
        help="two sweeps, models or vendors: paired differences of patients",
        takes=_takes_compare,
    ),
    "time": Command(
        does="time_command:run_time",
        help="scan seconds, term by term: halfscan time protocol=tse_knee sampling.acceleration=4",
        about="Scan seconds of a mask under a protocol, beside full sampling and a clinical protocol, with all that they "
        "assume. Lines and timing come from the data where dataset=... is given.",
        takes=_takes_time,
    ),
    "data check": Command(
        does="data_command:run_check",
        help="check files before they are believed: halfscan data check PATH",
        about="What files hold: format, shape, noise, timing found or missing, and what was done to their samples.",
        takes=_takes_data_check,
    ),
    "data split": Command(
        does="data_command:run_split",
        help="split patients: halfscan data split dataset=... --out FILE.json",
        about="Draws who is learned from and who is scored: a manifest for dataset.splits.",
        takes=_takes_data_split,
    ),
    "export-inputs": Command(
        does="exchange_command:run_export",
        help="the sampled lines alone, for a vendor: halfscan export-inputs dataset=... --out FOLDER",
        about="Writes the sampled lines of a data set's volumes, and nothing else, for a method that can't run here.",
        takes=_takes_export,
    ),
    "score": Command(
        does="exchange_command:run_score",
        help="a vendor's finished images: halfscan score IMAGES dataset=... sampling=...",
        about="Scores images that were made elsewhere from the inputs of `halfscan export-inputs`: seconds and quality are "
        "judged, energy and reconstruction time are null.",
        takes=_takes_score,
    ),
    "weights convert": Command(
        does="weights_command:run_convert",
        help="published weights as safetensors: halfscan weights convert FILE.pt",
        about="Published weights (.pt) as safetensors; only tensors are unpickled, no code is run.",
        takes=_takes_weights_convert,
    ),
    "weights register": Command(
        does="weights_command:run_register",
        help="weights in the registry: halfscan weights register FILE --name NAME",
        about="Safetensors, and the record beside them, into the tracking store's registry of models.",
        takes=_takes_weights_register,
    ),
    "report": Command(
        does="report_command:run_report",
        help="the page of a sweep, one HTML file: halfscan report [SWEEP] grid=de --out page.html",
        about="The page of a sweep, one HTML file, from the store alone.",
        takes=_takes_report,
    ),
    "ledger": Command(
        does="ledger_command:run_ledger",
        help="kWh and CO2e an exam: halfscan ledger [SWEEP] grid=de, or a site's own power logs",
        about="Energy of an exam: what the shorter scan saves at the scanner, less reconstruction and its share of the "
        "training; without one of them there is no net.",
        takes=_takes_ledger,
    ),
    "pair": Command(
        does="pair_command:run_pair",
        help="series that were really scanned, long and short: halfscan pair PAIRS.csv claim=...",
        about="Compares two series of each patient, a reference and a shorter scan: recorded seconds, SNR and CNR in "
        "regions, blur, readers' scores. Prospective evidence, for which no raw data and no truth are needed.",
        takes=_takes_pair,
    ),
    "status": Command(
        does="status_command:run_status",
        help="how far a sweep is, what failed and why, and about how long the rest takes",
        takes=_takes_status,
    ),
    "finish": Command(
        does="run_command:run_finish",
        help="close a sweep whose launcher was lost, and name what is missing",
        takes=_takes_finish,
    ),
    "sync": Command(
        does="run_command:run_sync",
        help="give the store the cells that it missed while it was away, and close their sweeps",
        takes=_takes_sync,
    ),
    "verify": Command(
        does="verify_command:run_verify",
        help="judge claims over a sweep: halfscan verify claim=half_time [SWEEP]",
        takes=_takes_verify,
    ),
    "plan": Command(
        does="verify_command:run_plan",
        help="the patients that a claim needs: halfscan plan claim=half_time [PILOT SWEEP]",
        takes=_takes_plan,
    ),
    "doctor": Command(
        does="doctor:run_doctor", help="what this machine has, and the mend for what is missing", takes=_takes_doctor
    ),
}
