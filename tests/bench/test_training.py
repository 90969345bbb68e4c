"""Training: resumed is unbroken, seeded, shared between cells, and every trap of complex k-space right or refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from halfscan.bench.energy.meter import Unmetered
from halfscan.bench.errors import HalfscanError
from halfscan.bench.maps import Espirit
from halfscan.bench.operators import combine, to_image, to_kspace
from halfscan.bench.pipeline import (
    Batches,
    RandFlipd,
    ReadSliced,
    Samplings,
    SeededSlices,
    calibration_mask,
    mirrored,
    prepare_batch,
)
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.sampling.poisson_disc import PoissonDisc
from halfscan.bench.training import run as module
from halfscan.bench.training.trainer import Trainer
from halfscan.bench.training.training import Training
from halfscan.bench.training.weights import CHECKPOINT, RECORD, WEIGHTS, load_weights
from halfscan.datasets.digital_brains import DigitalBrains
from halfscan.models.unet import UNet

pytest.importorskip("nilearn")

COHORT = DigitalBrains(train=3, validation=2, test=1, slices=1, matrix=32, coils=3)
TRAINER = Trainer(steps=8, batch_size=2, accelerations=(2.0, 4.0), validate_every=4, checkpoint_every=3)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def training(seed: int = 0, trainer: Trainer = TRAINER, cohort: DigitalBrains = COHORT, acs_lines: int = 12) -> Training:
    return Training(
        trainer=trainer,
        model=UNet(features=4),
        train=cohort.of_split("train").acquisitions(),
        validation=cohort.of_split("validation").acquisitions(),
        sampling=Equispaced(acceleration=4, acs_lines=acs_lines),
        maps=Espirit(calibration=12, kernel=4),
        meter=Unmetered("no GPU, no counter"),
        train_seed=seed,
        device="cpu",
        digest="d",
    )


def weights(root: Path) -> dict[str, torch.Tensor]:
    # Copied: safetensors maps the file, and a test may overwrite it.
    return {name: value.clone() for name, value in load_file(root / "d" / WEIGHTS).items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_learns_and_records_how(tmp_path: Path) -> None:
    model, record = training(trainer=replace(TRAINER, steps=80, validate_every=16)).run(tmp_path)
    losses = [entry["train_loss"] for entry in record["history"]]
    assert np.mean(losses[-2:]) < np.mean(losses[:2])
    assert [entry["step"] for entry in record["history"]] == [16, 32, 48, 64, 80]
    assert all({"validation_loss", "ssim", "psnr", "nmse"} <= set(entry) for entry in record["history"])
    assert record["seconds"] > 0
    assert record["energy"]["value"] is None
    assert "no GPU" in record["energy"]["reason"]
    assert model.network is not None
    assert not (tmp_path / "d" / CHECKPOINT).exists()


def test_the_weights_that_validate_best_are_kept(tmp_path: Path) -> None:
    _, record = training(trainer=replace(TRAINER, steps=16)).run(tmp_path)
    validated = {entry["step"]: entry["validation_loss"] for entry in record["history"]}
    assert record["best_step"] == min(validated, key=lambda epoch: validated[epoch])


def test_same_seed_same_weights_other_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        training(seed).run(tmp_path / name)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


EVERYTHING = replace(TRAINER, warm_up=2, decay=True, clip=0.5, average=0.9, loss="log_nmse", augment=True)


@pytest.mark.parametrize("trainer", [TRAINER, EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("step", [3, 4, 6])
def test_broken_off_and_resumed_is_unbroken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, trainer: Trainer) -> None:
    _, unbroken = training(trainer=trainer).run(tmp_path / "unbroken")
    save = module.Run._save

    def break_off(run: module.Run) -> None:
        save(run)
        if run._step == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.Run, "_save", break_off)
        with pytest.raises(KeyboardInterrupt):
            training(trainer=trainer).run(tmp_path / "broken")
    assert (tmp_path / "broken" / "d" / CHECKPOINT).exists()
    _, resumed = training(trainer=trainer).run(tmp_path / "broken")
    assert same(weights(tmp_path / "unbroken"), weights(tmp_path / "broken"))
    assert resumed["history"] == unbroken["history"]
    assert "resumed" in resumed["energy"]["reason"]


@pytest.mark.parametrize("step", [5, TRAINER.steps])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_step_and_saves_it(
    number: signal.Signals, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training().run(tmp_path / "unbroken")
    end = module.Run._end_step

    def asked(run: module.Run, loss: torch.Tensor) -> None:
        if run._step == step:
            os.kill(os.getpid(), number)
        end(run, loss)

    # Where tests run in the background the shell has SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(module.Run, "_end_step", asked)
            with pytest.raises(KeyboardInterrupt):
                training().run(tmp_path / "broken")
    finally:
        signal.signal(signal.SIGINT, before)
    assert torch.load(tmp_path / "broken" / "d" / CHECKPOINT, weights_only=True)["step"] == step
    training().run(tmp_path / "broken")
    assert same(weights(tmp_path / "unbroken"), weights(tmp_path / "broken"))


def test_a_second_ctrl_c_does_not_wait_and_a_queue_s_warning_outlasts_its_last_word() -> None:
    warning = module._Warning()
    warning.note(signal.SIGUSR2, None)
    warning.note(signal.SIGTERM, None)
    assert warning.number == signal.SIGUSR2
    with pytest.raises(KeyboardInterrupt):
        warning.note(signal.SIGINT, None)


def test_a_queue_s_warning_is_obeyed_once_the_step_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As submitit's handler, which queues the job again and ends it."""
    training().run(tmp_path / "unbroken")
    end = module.Run._end_step
    saved: list[int] = []

    def warned(run: module.Run, loss: torch.Tensor) -> None:
        if run._step == 5:
            os.kill(os.getpid(), signal.SIGUSR2)
        end(run, loss)

    def queue_again(number: int, frame: object) -> None:
        saved.append(torch.load(tmp_path / "broken" / "d" / CHECKPOINT, weights_only=True)["step"])
        raise SystemExit(3)

    before = signal.signal(signal.SIGUSR2, queue_again)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(module.Run, "_end_step", warned)
            with pytest.raises(SystemExit):
                training().run(tmp_path / "broken")
        assert signal.getsignal(signal.SIGUSR2) is queue_again
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert saved == [5]
    training().run(tmp_path / "broken")
    assert same(weights(tmp_path / "unbroken"), weights(tmp_path / "broken"))


def test_workers_and_a_cache_change_no_number(tmp_path: Path) -> None:
    training().run(tmp_path / "alone")
    trainer = replace(TRAINER, workers=2, cache=str(tmp_path / "cache"))
    for name in ("fills", "finds"):
        training(trainer=trainer).run(tmp_path / name)
        assert same(weights(tmp_path / "alone"), weights(tmp_path / name))
    assert len(list((tmp_path / "cache").glob("*.pt"))) == 5


def test_patience_ends_a_training_that_gets_no_better(tmp_path: Path) -> None:
    trainer = replace(TRAINER, steps=400, validate_every=1, patience=3, learning_rate=0.5)
    _, record = training(trainer=trainer).run(tmp_path)
    assert record["steps"] == record["best_step"] + 3 < 400


def test_two_processes_give_the_loss_curve_of_one_and_stop_together(tmp_path: Path) -> None:
    """Over gloo, as `torchrun` starts them, at the same batch in all; the second alone is told to stop."""
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import torch
from dataclasses import replace
from tests.bench import test_training as t
from pathlib import Path
torch.set_num_threads(1)
end = t.module.Run._end_step
def asked(run, loss):
    if run._step == int(sys.argv[2]) and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)
    end(run, loss)
t.module.Run._end_step = asked
t.training(trainer=replace(t.TRAINER, steps=16)).run(Path(sys.argv[1]))
"""
    training(trainer=replace(TRAINER, steps=16)).run(tmp_path / "one")
    script = tmp_path / "program.py"
    script.write_text(program)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    for stop_at, code in ((7, 1), (99, 0)):
        words = [*command, str(tmp_path / "two"), str(stop_at)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == code, done.stderr[-3000:]
        if code:
            assert torch.load(tmp_path / "two" / "d" / CHECKPOINT, weights_only=True)["step"] == 7
    one, two = (json.loads((tmp_path / name / "d" / RECORD).read_text())["history"] for name in ("one", "two"))
    for here, there in zip(one, two, strict=True):
        assert here == pytest.approx(there, rel=1e-4)


def test_begins_from_given_weights(tmp_path: Path) -> None:
    training().run(tmp_path / "first")
    path = tmp_path / "first" / "d" / WEIGHTS
    _, record = training(trainer=replace(TRAINER, start=str(path), learning_rate=1e-9)).run(tmp_path / "second")
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)
    assert record["trainer"]["start"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_killed_anywhere_and_resumed_is_unbroken(tmp_path: Path) -> None:
    """A SIGKILL in the middle of an epoch, in a process of its own."""
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import torch
from tests.bench import test_training as t
from pathlib import Path
torch.set_num_threads(2)
from monai.engines import SupervisedTrainer
count = 0
iteration = SupervisedTrainer._iteration
def counted(self, engine, batch):
    global count
    count += 1
    if count == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return iteration(self, engine, batch)
SupervisedTrainer._iteration = counted
t.training().run(Path(sys.argv[2]))
"""
    for name, count in (("unbroken", 999), ("killed", 7)):
        command = [sys.executable, "-c", program, str(count), str(tmp_path / name)]
        done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == (-signal.SIGKILL if name == "killed" else 0), done.stderr
    again = [sys.executable, "-c", program, "999", str(tmp_path / "killed")]
    assert subprocess.run(again, env=dict(os.environ), capture_output=True, timeout=120, check=False).returncode == 0
    assert same(weights(tmp_path / "unbroken"), weights(tmp_path / "killed"))


@pytest.mark.trials
def test_killed_at_twenty_random_steps_and_resumed_is_unbroken(tmp_path: Path) -> None:
    program = f"""
import os, random, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import torch
from dataclasses import replace
from tests.bench import test_training as t
from pathlib import Path
torch.set_num_threads(2)
from monai.engines import SupervisedTrainer
left = int(sys.argv[1])
iteration = SupervisedTrainer._iteration
def counted(self, engine, batch):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return iteration(self, engine, batch)
SupervisedTrainer._iteration = counted
t.training(trainer=replace(t.EVERYTHING, steps=120, checkpoint_every=4, validate_every=40)).run(Path(sys.argv[2]))
"""

    def run(kill_at: int, name: str) -> int:
        command = [sys.executable, "-c", program, str(kill_at), str(tmp_path / name)]
        return subprocess.run(command, env=dict(os.environ), capture_output=True, timeout=300, check=False).returncode

    assert run(-1, "unbroken") == 0
    rng = random.Random(0)
    kills = 0
    while kills < 20:
        # Short of a checkpoint now and then: that work is done again.
        assert run(rng.randint(2, 9), "killed") == -signal.SIGKILL
        kills += 1
    assert run(-1, "killed") == 0
    assert same(weights(tmp_path / "unbroken"), weights(tmp_path / "killed"))


def test_a_checkpoint_cut_short_starts_anew(tmp_path: Path) -> None:
    training().run(tmp_path / "whole")
    (tmp_path / "cut" / "d").mkdir(parents=True)
    (tmp_path / "cut" / "d" / CHECKPOINT).write_bytes(b"PK\x03\x04 cut")
    training().run(tmp_path / "cut")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    assert (tmp_path / "cut" / "d" / f"{CHECKPOINT}.damaged").exists()


def test_a_checkpoint_that_can_not_be_read_now_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "d" / CHECKPOINT).mkdir(parents=True)  # as a file server that hiccups
    with pytest.raises(HalfscanError, match="try again, or delete it"):
        training().run(tmp_path)
    assert (tmp_path / "d" / CHECKPOINT).exists()


def test_damaged_weights_are_trained_again(tmp_path: Path) -> None:
    training().run(tmp_path)
    first = weights(tmp_path)
    for damage in (b"", b"cut"):
        (tmp_path / "d" / WEIGHTS).write_bytes(damage)
        training().run(tmp_path)
        assert same(weights(tmp_path), first)


def test_trained_once_and_shared(tmp_path: Path) -> None:
    training().run(tmp_path)
    stamp = (tmp_path / "d" / WEIGHTS).stat().st_mtime_ns
    training().run(tmp_path)
    assert (tmp_path / "d" / WEIGHTS).stat().st_mtime_ns == stamp


def test_samples_depend_on_seed_epoch_and_slice_alone() -> None:
    one = training()
    slices = SeededSlices(one.train, one.samplings(), one.maps, 0, augment=True)
    first = slices[4]["kspace"]
    for index in (0, 5, 2):
        slices[index]
    assert torch.equal(slices[4]["kspace"], first)
    assert not torch.equal(slices[4 + 3 * 5]["kspace"], first)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_folder_is_filled_volume_by_volume_and_once(tmp_path: Path, workers: int) -> None:
    one = training()
    cached = SeededSlices(one.train, one.samplings(), one.maps, 0, cache=tmp_path)
    shares = [cached.prepare(workers, rank, 2) for rank in (0, 1)]
    assert sum(map(len, shares)) == len(one.train)
    state = torch.get_rng_state()
    for share in shares:
        list(share)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(list(tmp_path.glob("*.pt"))) == len(cached)
    assert len(cached.prepare()) == 0
    plain = SeededSlices(one.train, one.samplings(), one.maps, 0)
    assert len(plain.prepare()) == 0
    assert torch.equal(cached[1]["kspace"], plain[1]["kspace"])
    # As a process leaves it that was killed while MONAI moved it there.
    for path, left in zip(sorted(tmp_path.glob("*.pt")), (0, 1000, -10), strict=False):
        path.write_bytes(path.read_bytes()[:left])
    for index in range(len(cached)):
        assert all(torch.equal(cached[index][name], plain[index][name]) for name in ("kspace", "maps", "target"))
    # A folder that takes no more costs time and nothing else.
    full = SeededSlices(one.train, one.samplings(), one.maps, 0, cache=tmp_path / "full")
    (tmp_path / "full").rmdir()
    (tmp_path / "full").touch()
    assert torch.equal(full[0]["kspace"], plain[0]["kspace"])


def test_batches_do_not_depend_on_where_a_training_begins() -> None:
    shapes = [(3, 32, 32)] * 7 + [(2, 32, 32)] * 5 + [(1, 8, 8)]
    unbroken, resumed = Batches(shapes, 2, 0, 40), Batches(shapes, 2, 0, 40, first=13)
    batches = list(unbroken)
    assert batches[13:] == list(resumed)
    assert len(batches) == len(unbroken) == 40
    for batch in batches:
        assert len({shapes[index % len(shapes)] for index in batch}) == 1
    parts = [list(Batches(shapes[:12], 2, 0, 40, rank=rank, world=2)) for rank in (0, 1)]
    whole = list(Batches(shapes[:12], 2, 0, 40))
    assert [sorted(a + b) for a, b in zip(*parts, strict=True)] == [sorted(batch) for batch in whole]
    assert {index % len(shapes) for batch in batches for index in batch} == set(range(len(shapes)))


def test_a_batch_that_can_not_be_shared_evenly_is_refused() -> None:
    with pytest.raises(HalfscanError, match=r"3 slices of shape .* shared evenly by 2"):
        Batches([(1, 8, 8)] * 4 + [(2, 8, 8)] * 3, 4, 0, 10, world=2)


@pytest.mark.parametrize("size", [8, 9])
def test_a_mirrored_scan_is_the_scan_of_a_mirrored_head(size: int) -> None:
    image = torch.randn(2, size, size, dtype=torch.complex64, generator=torch.manual_seed(0))
    for axes in ([-2], [-1], [-2, -1]):
        torch.testing.assert_close(to_image(mirrored(to_kspace(image), axes)), mirrored(image, axes), rtol=1e-4, atol=1e-5)
        assert torch.equal(mirrored(image, axes)[:, size // 2, size // 2], image[:, size // 2, size // 2])


def test_augmented_k_space_still_fits_its_maps_and_target() -> None:
    cohort = replace(COHORT, snr=1e6)
    one = training(cohort=cohort)
    slices = SeededSlices(one.train, one.samplings(), one.maps, 0)
    read = slices._read[0]
    flip = RandFlipd()
    for seed in range(6):
        flip.set_random_state(seed)
        moved = flip(read)
        torch.testing.assert_close(combine(to_image(moved["kspace"]), moved["maps"]), moved["target"], rtol=1e-3, atol=1e-4)


def test_a_batch_has_a_mask_a_sample_and_a_noise_free_target() -> None:
    """MONAI's own masks can't do this: one mask serves a batch, or it crashes."""
    one = training()
    slices = SeededSlices(one.train, one.samplings(), one.maps, 0)
    batch = {name: torch.stack([slices[index][name] for index in range(3)]) for name in slices[0]}
    given, label = prepare_batch(batch)
    assert not torch.equal(given.mask[0], given.mask[1])
    assert torch.equal(given.zero_filled.abs().amax((1, 2)), torch.ones(3)) or torch.allclose(
        given.zero_filled.abs().amax((1, 2)), torch.ones(3), atol=1e-5
    )
    assert ((given.kspace != 0).any(1).any(-1) <= given.mask[..., 0]).all()
    acquisition = one.train[0]
    truth = torch.from_numpy(acquisition.truth.read_stack())
    kspace = torch.from_numpy(acquisition.kspace.read_stack())
    maps = one.maps(kspace, one.sampling.draw(acquisition.acquired, "x").calibration)
    torch.testing.assert_close(label[0] * given.scale[0], combine(to_image(truth), maps)[0], rtol=1e-4, atol=1e-5)


def test_slices_keep_their_acs_lines_and_share_all_samplings_of_that_width() -> None:
    samplings = Samplings([Equispaced(acceleration=2, acs_lines=n) for n in (8, 12)] + [Equispaced(acceleration=3, acs_lines=8)])
    widths = [{one.central_lines(32) for one in samplings.of("digest", index, 32)} for index in range(40)]
    assert all(len(width) == 1 for width in widths)
    assert {next(iter(width)) for width in widths} == {8, 12}
    assert samplings.of("digest", 3, 32) == samplings.of("digest", 3, 32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acs_lines": 0}, "sensitivity maps need at least 4 ACS lines and there are 0"),
        ({"acs_lines": 40}, "larger than the 32 lines"),
        ({"trainer": replace(TRAINER, accelerations=(2.5,))}, r"trainer.accelerations=\[2.5\]: .*need a whole number"),
        ({"trainer": replace(TRAINER, accelerations=(0.5,))}, "must be at least 1"),
    ],
)
def test_what_training_can_not_have_is_refused_before_it_starts(change: dict, message: str) -> None:
    with pytest.raises(HalfscanError, match=message):
        training(**change).check()


def test_volumes_of_different_shapes_train_in_batches_of_one_shape(tmp_path: Path) -> None:
    one = training()
    other = replace(COHORT, matrix=40, coils=2).of_split("train").acquisitions()
    _, record = replace(one, train=[*one.train, *other]).run(tmp_path)
    assert record["train_slices"] == 6


@pytest.mark.parametrize("coils", [1, 3])
def test_one_coil_and_odd_sizes_train(tmp_path: Path, coils: int) -> None:
    odd = replace(COHORT, matrix=33, coils=coils)
    _, record = training(cohort=odd, trainer=replace(TRAINER, steps=1)).run(tmp_path)
    assert np.isfinite(record["history"][0]["train_loss"])


def test_divergence_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.LOSSES, "l1", lambda image, target: (image.abs() * float("nan")).mean())
    with pytest.raises(HalfscanError, match="training diverged by step 3: lower"):
        training().run(tmp_path)


def test_a_validation_that_is_not_finite_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Run, "_validate", lambda self: {"validation_loss": float("nan")})
    with pytest.raises(HalfscanError, match="training diverged by step 4"):
        training().run(tmp_path)


@pytest.mark.parametrize(
    "setting",
    [
        *({"steps": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"accelerations": ()}, {"validate_every": 0}),
        *({"checkpoint_every": 0}, {"warm_up": -1}, {"workers": -1}, {"clip": 0.0}, {"average": 1.0}, {"loss": "l3"}),
        *({"patience": 0}, {"start": "nowhere"}),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict) -> None:
    with pytest.raises(HalfscanError, match=next(iter(setting))):
        Trainer(**setting)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    training().run(tmp_path)
    path = tmp_path / "d" / WEIGHTS
    with pytest.raises(HalfscanError, match="are those of another network"):
        load_weights(UNet(features=8).build(0), path)
    path.write_bytes(b"no safetensors")
    with pytest.raises(HalfscanError, match="they were damaged or replaced"):
        load_weights(UNet(features=4).build(0), path)
    path.with_name("training.json").unlink()
    with pytest.raises(HalfscanError, match="can't be read"):
        load_weights(UNet(features=4).build(0), path)
    with pytest.raises(HalfscanError, match=r"model.weights=.*no such file"):
        UNet(weights=str(tmp_path / "nothing"))


def test_training_maps_see_the_sampled_square_alone() -> None:
    one = training()
    acquisition = one.train[0]
    samplings = Samplings([PoissonDisc(acceleration=2, acs_lines=8)])
    mask = calibration_mask(acquisition, 0, samplings)
    read = ReadSliced(one.maps, samplings)({"acquisition": acquisition, "slice": 0})
    sampled = torch.where(torch.from_numpy(mask.sampled.copy()), read["kspace"], 0)
    assert torch.equal(read["maps"], one.maps(sampled[None], mask.calibration, mask.acs_readout)[0])
