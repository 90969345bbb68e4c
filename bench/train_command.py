"""What `halfscan train` does: one training, its weights and record on disk, its curves in the store."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from .configuration import build, check_device, compose_run, to_plain, without_name
from .errors import HalfscanError
from .network import Trainable
from .training.weights import RECORD, SHIPPED, WEIGHTS, WEIGHTS_FOLDER
from .training_plan import plan_training

_PARTS = ("dataset", "sampling", "model", "maps", "trainer", "energy", "train_seed", "device", "threads", "out", "tracking")

_HELP = """usage: halfscan train [--config-dir FOLDER] [OVERRIDE ...]

Trains a network: weights and a record of them on disk, curves in the store. The same command goes on where it was broken off.
Overrides are of configs/train.yaml, as Hydra writes them: model=modl dataset=varied_brains device=cuda trainer.steps=2000"""


def run_train(overrides: Sequence[str]) -> int:
    """Trains, or goes on where the same command was broken off.

    Raises:
        HalfscanError: bad input, in one line.
    """
    if overrides[:1] in (["-h"], ["--help"]):
        print(_HELP)
        return 0
    import torch

    first = os.environ.get("RANK", "0") == "0"
    config = compose_run(overrides, _PARTS, primary="train")
    plain = to_plain(config)
    check_device(plain["device"])
    if plain["model"].get("weights") == SHIPPED:  # a training makes its own
        plain["model"]["weights"] = None
    model = build(without_name(plain["model"]), "model")
    name = plain["model"].get("name") or plain["model"]["_target_"]
    if not isinstance(model, Trainable):
        raise HalfscanError(f"model={name} has nothing to train: choose model=modl, varnet or unet")
    if model.weights is not None:
        raise HalfscanError(f"model.weights={model.weights} are finished: train with model.weights=null")
    if plain["device"] == "cuda" and "LOCAL_RANK" in os.environ:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # each process its own GPU
    # cuBLAS is deterministic only with a fixed workspace, and torch refuses it otherwise.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(plain["threads"])
    torch.use_deterministic_algorithms(True, warn_only=plain["device"].startswith("cuda"))
    dataset = build(plain["dataset"], "dataset")
    training = plan_training(
        plain,
        dataset,
        model,
        build(plain["sampling"], "sampling"),
        build(plain["maps"], "maps"),
        build(plain["energy"], "energy"),
    )
    root = Path(plain["out"]) / WEIGHTS_FOLDER
    with _curves_shown() if first else nullcontext():
        _, record = training.run(root)
    folder = root / training.digest
    if not first:
        return 0
    if plain["tracking"]["uri"] != "none":
        from .tracking import Store, tracking_uri

        store = Store(tracking_uri(plain["tracking"]["uri"]), plain["tracking"]["experiment"])
        store.log_training(training.digest, name, config=plain, record=record, weights=folder / WEIGHTS)
    best = next(entry for entry in record["history"] if entry["step"] == record["best_step"])
    scores = ", ".join(f"{key} {value:.4g}" for key, value in best.items() if key != "step")
    print(f"{folder / WEIGHTS}: best of {len(record['history'])} validations at step {record['best_step']}: {scores}")
    print(f"SHA-256 {record['weights_sha256']}; record {folder / RECORD}")
    return 0


@contextmanager
def _curves_shown() -> Iterator[None]:
    """Learning curves on standard error while they grow."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("halfscan.bench.training.run")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
