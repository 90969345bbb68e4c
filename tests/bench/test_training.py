"""Training: resumed is unbroken, seeded, shared between cells, and every trap of complex k-space right or refused by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from halfscan.bench import training as module
from halfscan.bench.energy import Unmetered
from halfscan.bench.errors import HalfscanError
from halfscan.bench.maps import Espirit
from halfscan.bench.operators import combine, to_image
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.training import CHECKPOINT, WEIGHTS, Trainer, Training
from halfscan.datasets.digital_brains import DigitalBrains
from halfscan.models.unet import UNet

pytest.importorskip("nilearn")

COHORT = DigitalBrains(train=3, validation=2, test=1, slices=1, matrix=32, coils=3)
TRAINER = Trainer(epochs=4, batch_size=2, accelerations=(2.0, 4.0), validate_every=2)


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
        meter=Unmetered("no GPU", "no counter"),
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
    model, record = training(trainer=replace(TRAINER, epochs=12)).run(tmp_path)
    losses = [entry["train_loss"] for entry in record["history"]]
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert [entry["epoch"] for entry in record["history"] if "validation_loss" in entry] == [2, 4, 6, 8, 10, 12]
    assert record["energy"]["value"] is None
    assert "no GPU" in record["energy"]["reason"]
    assert model.network is not None
    assert not (tmp_path / "d" / CHECKPOINT).exists()


def test_the_weights_that_validate_best_are_kept(tmp_path: Path) -> None:
    _, record = training(trainer=replace(TRAINER, epochs=8)).run(tmp_path)
    validated = {entry["epoch"]: entry["validation_loss"] for entry in record["history"] if "validation_loss" in entry}
    assert record["best_epoch"] == min(validated, key=lambda epoch: validated[epoch])


def test_same_seed_same_weights_other_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        training(seed).run(tmp_path / name)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_broken_off_and_resumed_is_unbroken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    _, unbroken = training().run(tmp_path / "unbroken")
    save = module._Run._save

    def break_off(run: module._Run) -> None:
        save(run)
        if run._epoch == epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module._Run, "_save", break_off)
        with pytest.raises(KeyboardInterrupt):
            training().run(tmp_path / "broken")
    assert (tmp_path / "broken" / "d" / CHECKPOINT).exists()
    _, resumed = training().run(tmp_path / "broken")
    assert same(weights(tmp_path / "unbroken"), weights(tmp_path / "broken"))
    assert resumed["history"] == unbroken["history"]


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
    for name, count in (("unbroken", 999), ("killed", 6)):
        command = [sys.executable, "-c", program, str(count), str(tmp_path / name)]
        done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == (-signal.SIGKILL if name == "killed" else 0), done.stderr
    again = [sys.executable, "-c", program, "999", str(tmp_path / "killed")]
    assert subprocess.run(again, env=dict(os.environ), capture_output=True, timeout=120, check=False).returncode == 0
    assert same(weights(tmp_path / "unbroken"), weights(tmp_path / "killed"))


def test_a_checkpoint_cut_short_starts_anew(tmp_path: Path) -> None:
    training().run(tmp_path / "whole")
    (tmp_path / "cut" / "d").mkdir(parents=True)
    (tmp_path / "cut" / "d" / CHECKPOINT).write_bytes(b"PK\x03\x04 cut")
    training().run(tmp_path / "cut")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


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
    from halfscan.bench.pipeline import EpochSampler, SeededSlices

    one = training()
    slices = SeededSlices(one.train, one.samplings(), one.maps, 0)
    first = slices[4]["image"]
    for index in (0, 5, 2):
        slices[index]
    assert torch.equal(slices[4]["image"], first)
    assert not torch.equal(slices[4 + 3 * 5]["image"], first)
    unbroken, resumed = EpochSampler(3, seed=0), EpochSampler(3, seed=0, first_epoch=1)
    list(unbroken)
    assert list(unbroken) == list(resumed)


def test_a_batch_has_a_mask_a_sample_and_a_noise_free_target() -> None:
    """MONAI's own masks can't do this: one mask serves a batch, or it crashes."""
    from halfscan.bench.pipeline import SeededSlices, as_complex

    one = training()
    slices = SeededSlices(one.train, one.samplings(), one.maps, 0)
    batch = [slices[index] for index in range(3)]
    assert all(torch.isfinite(item["image"]).all() and item["image"].shape == (2, 32, 32) for item in batch)
    assert max(float(as_complex(item["image"]).abs().max()) for item in batch) == pytest.approx(1, abs=1e-5)
    acquisition = one.train[0]
    truth = torch.from_numpy(acquisition.truth.read_stack())
    kspace = torch.from_numpy(acquisition.kspace.read_stack())
    maps = one.maps(kspace, one.sampling.draw(acquisition.acquired, "x").calibration)
    target = as_complex(batch[0]["label"])
    expected = combine(to_image(truth), maps)[0]
    ratio = target.abs().max() / expected.abs().max()
    torch.testing.assert_close(target, expected * ratio, rtol=1e-4, atol=1e-5)


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


def test_volumes_of_different_shapes_are_refused_by_name() -> None:
    from halfscan.bench.pipeline import SeededSlices

    one = training()
    other = replace(COHORT, matrix=40).of_split("train").acquisitions()
    with pytest.raises(HalfscanError, match="2 different shapes, and a batch holds one"):
        SeededSlices([*one.train, *other], one.samplings(), one.maps, 0)


@pytest.mark.parametrize("coils", [1, 3])
def test_one_coil_and_odd_sizes_train(tmp_path: Path, coils: int) -> None:
    odd = replace(COHORT, matrix=33, coils=coils)
    _, record = training(cohort=odd, trainer=replace(TRAINER, epochs=1, validate_every=1)).run(tmp_path)
    assert np.isfinite(record["history"][0]["train_loss"])


def test_divergence_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.L1Loss, "forward", lambda self, output, target: (output * float("nan")).mean())
    with pytest.raises(HalfscanError, match="training diverged in epoch 1: lower"):
        training().run(tmp_path)


def test_a_validation_that_is_not_finite_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Run, "_validate", lambda self: float("nan"))
    with pytest.raises(HalfscanError, match="training diverged in epoch 2"):
        training().run(tmp_path)


@pytest.mark.parametrize(
    "setting", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"accelerations": ()}, {"validate_every": 0}]
)
def test_settings_out_of_range_are_refused(setting: dict) -> None:
    with pytest.raises(HalfscanError, match=next(iter(setting))):
        Trainer(**setting)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    training().run(tmp_path)
    path = tmp_path / "d" / WEIGHTS
    with pytest.raises(HalfscanError, match="are those of another network"):
        module.load_weights(UNet(features=8).build(0), path)
    path.write_bytes(b"no safetensors")
    with pytest.raises(HalfscanError, match="can't be read"):
        module.load_weights(UNet(features=4).build(0), path)
    with pytest.raises(HalfscanError, match=r"model.weights=.*no such file"):
        UNet(weights=str(tmp_path / "nothing"))


def test_training_maps_see_the_sampled_square_alone() -> None:
    from halfscan.bench.pipeline import ReadSliced
    from halfscan.bench.sampling.poisson_disc import PoissonDisc

    one = training()
    acquisition = one.train[0]
    mask = PoissonDisc(acceleration=2, acs_lines=8).draw(acquisition.acquired, "d", readout=32)
    read = ReadSliced(one.maps, {32: mask})({"acquisition": acquisition, "slice": 0})
    sampled = torch.where(torch.from_numpy(mask.sampled.copy()), read["kspace"], 0)
    assert torch.equal(read["maps"], one.maps(sampled[None], mask.calibration, mask.acs_readout)[0])
