"""ESPIRiT, SENSE and l1-wavelet side by side with BART and SigPy: seconds, error, memory, and what is asked of us.

    apt install bart                          # Debian, Ubuntu; elsewhere see https://mrirecon.github.io/bart
    pip install "halfscan[sigpy]"
    python scripts/compare_peers.py --json peers.json                      # a simulated head, 1x8x230x180
    python scripts/compare_peers.py --data head.npz --json peers.json      # `kspace`, if known noise-free `truth`
    python scripts/compare_peers.py --scaling                              # how our time grows

All get the same samples, mask, maps, weights and threads in one run; maps are ours. The contestants take turns, round by
round, and a median counts, after one call each to warm up. A call waits until the machine is quiet, and is repeated if it
did not stay so; `disturbed` is the share of a core that other processes took during the worst. BART works through files,
which are written before the clock starts; its start-up (`bart version`) is taken off every call. Its threads sleep while
they wait for one another, with which it is faster. BART and SigPy go slice by slice.

The race is to equal quality, since every solver is faster when it stops sooner. SENSE: 30 CG steps with theirs (BART's
default); of ours that row is judged which comes `as near` to the solution as the nearer of them, by the loosest tolerance
that does (`from_converged`: the distance to the solution in double precision). Wavelets: BART takes the number of FISTA steps
at which its error is lowest, SigPy as many; judged is ours `as good`, the fewest steps whose error is no higher. Ours as we
ship it stands beside. BART has its random shifts and has none, and each the wavelet it has by default; all have one weight,
in standard deviations of the noise as ours sees it, which was tuned for ours (--wavelet-weights shows the error by weight).

Memory is what the resident memory of a fresh process grows by in its first call, over the bytes of the input: k-space, and
maps where they are given. Of it `code` is the libraries' own, which the first call to a function brings in from their files:
some 10 MB, however small the input.

Error: of the image against the noise-free (else the fully sampled) data combined by the maps, within their support,
without rescaling. For ESPIRiT: what of those coil images the maps can't explain, within the support common to all.
BART's `ecalib -t` is compared with squared singular values, ours and SigPy's threshold with singular values: it gets 0.02².
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from halfscan.bench.errors import HalfscanError
from halfscan.bench.maps import Espirit
from halfscan.bench.noise import noise_level
from halfscan.bench.operators import adjoint, combine, expand, forward, sample, to_image
from halfscan.bench.reconstruction import ReconInput
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.sampling.pattern import Sampling
from halfscan.bench.sampling.poisson_disc import PoissonDisc
from halfscan.bench.sampling.variable_density import VariableDensity
from halfscan.datasets.atlas import load_atlas
from halfscan.datasets.coils import ring_sensitivities
from halfscan.datasets.digital_brains import FIELD_OF_VIEW_MM, DigitalBrains, tissue_fractions
from halfscan.datasets.simulation import FINER, coloured_noise, noise_covariance, render, smooth_phase
from halfscan.datasets.tissue import signal, tissues_at
from halfscan.models.bart import Bart, read_cfl, run_bart, write_cfl, write_slice
from halfscan.models.sense import Sense
from halfscan.models.sigpy import SigPy
from halfscan.models.wavelet import Wavelet

PATTERNS: dict[str, type[Sampling]] = {
    "equispaced": Equispaced,
    "variable_density": VariableDensity,
    "poisson_disc": PoissonDisc,
}
METHODS = ("espirit", "sense", "wavelet")
KERNEL, CALIBRATION, THRESHOLD, CROP = 6, 24, 0.02, 0.8
SENSE_STEPS = 30
TOLERANCES = (1e-4, 5e-5, 3e-5, 2e-5, 1.5e-5, 1e-5, 5e-6, 2e-6, 1e-6)
WAVELET_STEPS = (8, 12, 16, 20, 24, 28, 32, 36, 40, 50, 60, 80, 100)
JUDGED = {"sense": "halfscan, as near", "wavelet": "halfscan, as good"}
"""Which of ours races, where it is not the one we ship."""
FASTER = {("espirit", "bart"): 3, ("espirit", "sigpy"): 10, ("sense", "bart"): 4, ("sense", "sigpy"): 4, ("wavelet", "bart"): 4}
"""At least this many times as fast as the peer."""
MEMORY = 4
"""At most this many times the input."""
EQUAL = 1.005
"""Errors that differ by less are equal: BART may take its calibration samples from one position further."""
QUIET = 0.1
"""Others take less than this share of a core: the machine is quiet."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """What all contestants get."""

    data: ReconInput
    truth: Tensor
    """(slice, coil, ky, kx) k-space, noise-free where that is known."""
    sense_weight: float
    wavelet_weight: float

    @property
    def maps(self) -> Tensor:
        assert self.data.maps is not None
        return self.data.maps

    @property
    def peaks(self) -> list[float]:
        """Largest magnitude of Aᴴy of each slice."""
        return adjoint(self.data.kspace, self.maps, self.data.mask).abs().amax((-2, -1)).tolist()

    @property
    def thresholds(self) -> list[float]:
        """Weight of each slice's wavelets, on the scale of the data."""
        return (self.wavelet_weight * noise_level(self.data.kspace, None)).tolist()

    @property
    def target(self) -> Tensor:
        """(slice, ky, kx) truth combined by the maps."""
        return combine(to_image(self.truth), self.maps)


class Contestant(Protocol):
    def __call__(self, problem: Problem) -> tuple[float, Tensor]:
        """Seconds and what was found: maps for ESPIRiT, else images."""
        ...


# --- the contestants


def ours(work: Callable[[Problem], Tensor]) -> Contestant:
    def call(problem: Problem) -> tuple[float, Tensor]:
        with torch.inference_mode():
            begin = time.perf_counter()
            found = work(problem)
            return time.perf_counter() - begin, found

    return call


def our_maps(problem: Problem) -> Tensor:
    espirit = Espirit(calibration=CALIBRATION, kernel=KERNEL, threshold=THRESHOLD, crop=CROP)
    return espirit(problem.data.kspace, problem.data.acs, problem.data.acs_readout)


def our_sense(problem: Problem, **settings: Any) -> Tensor:
    return Sense(regularisation=problem.sense_weight, **settings)(problem.data).image


def our_wavelet(problem: Problem, **settings: Any) -> Tensor:
    return Wavelet(regularisation=problem.wavelet_weight, **settings)(problem.data).image


OURS: dict[str, Callable[[Problem], Tensor]] = {"espirit": our_maps, "sense": our_sense, "wavelet": our_wavelet}


def sigpy(method: str, steps: int) -> Contestant:
    from sigpy.mri.app import EspiritCalib, L1WaveletRecon, SenseRecon

    def one(problem: Problem, index: int, weights: Any, threshold: float) -> Any:
        kspace, maps = problem.data.kspace[index].numpy(), problem.maps[index].numpy()
        if method == "espirit":
            limits: dict[str, Any] = {"thresh": THRESHOLD, "kernel_width": KERNEL, "crop": CROP}
            return EspiritCalib(kspace, calib_width=CALIBRATION, show_pbar=False, **limits).run()
        settings = {"weights": weights, "show_pbar": False}
        if method == "sense":
            return SenseRecon(kspace, maps, lamda=problem.sense_weight, max_iter=steps, **settings).run()
        # The step is known for maps of unit norm; estimating it would take SigPy another 30 applications of AᴴA.
        return L1WaveletRecon(kspace, maps, threshold, max_iter=steps, alpha=1, **settings).run()

    def call(problem: Problem) -> tuple[float, Tensor]:
        weights = problem.data.mask.expand(problem.data.kspace.shape[-2:]).numpy().astype(np.float32)
        thresholds = problem.thresholds
        begin = time.perf_counter()
        found = [one(problem, index, weights, threshold) for index, threshold in enumerate(thresholds)]
        return time.perf_counter() - begin, torch.from_numpy(np.stack(found))

    return call


def bart(method: str, steps: int, *extra: str) -> Contestant:
    def command(weight: float) -> tuple[str, ...]:
        if method == "espirit":
            # Hard crop, one set of maps, no soft weighting: -S, -W and -I are off.
            return ("ecalib", "-m1", f"-k{KERNEL}", f"-r{CALIBRATION}", f"-t{THRESHOLD**2:g}", f"-c{CROP:g}", "kspace", "found")
        head, *rest = Bart(method="sense" if method == "sense" else "wavelet", iterations=steps).command(weight)
        return (head, *extra, *rest)

    def call(problem: Problem) -> tuple[float, Tensor]:
        seconds, found = 0.0, []
        mask = problem.data.mask.expand(problem.data.kspace.shape[-2:]).numpy().astype(np.complex64)
        for index, (peak, threshold) in enumerate(zip(problem.peaks, problem.thresholds, strict=True)):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                kspace = (problem.data.kspace[index] / peak).numpy()
                write_slice(folder, kspace, problem.maps[index].numpy(), mask)
                if method == "espirit":
                    write_cfl(folder / "kspace", kspace[:, None])
                weight = problem.sense_weight if method == "sense" else threshold / peak
                begin = time.perf_counter()
                run_bart(*command(weight), folder=folder)
                seconds += time.perf_counter() - begin
                image = torch.from_numpy(read_cfl(folder / ("found" if method == "espirit" else "image")))
            shape = problem.truth.shape[1:] if method == "espirit" else problem.truth.shape[2:]
            found.append(image.reshape(shape) * (1 if method == "espirit" else peak))
        return seconds, torch.stack(found)

    return call


def bart_start() -> float:
    """Seconds of a call that does nothing."""
    with tempfile.TemporaryDirectory() as name:
        begin = time.perf_counter()
        run_bart("version", folder=Path(name))
        return time.perf_counter() - begin


def contestants(problem: Problem, method: str, peers: list[str]) -> tuple[dict[str, Contestant], dict[str, float]]:
    """All that take part, and the effort at which they do."""
    found: dict[str, Contestant] = {"halfscan": ours(OURS[method])}
    effort: dict[str, float] = {}
    steps = SENSE_STEPS
    if method == "wavelet" and "bart" in peers:
        errors = {number: image_quality(problem, bart(method, number)(problem)[1])["nrmse"] for number in WAVELET_STEPS}
        steps = min(errors, key=lambda number: errors[number])
        fewest = as_good(problem, errors[steps])
        found[JUDGED[method]] = ours(partial(our_wavelet, iterations=fewest))
        effort = {"steps of ours": fewest}
    theirs: dict[str, Contestant] = {}
    if "bart" in peers:
        theirs["bart"] = bart(method, steps)
        if method == "wavelet":
            theirs["bart, no shifts"] = bart(method, steps, "-n")
    if "sigpy" in peers:
        theirs["sigpy"] = sigpy(method, steps)
    if method == "sense" and theirs:
        tolerance = as_near(problem, list(theirs.values()))
        found[JUDGED[method]] = ours(partial(our_sense, tolerance=tolerance, iterations=100))
        effort = {"tolerance of ours": tolerance}
    return found | theirs, effort if method == "espirit" else {"steps of theirs": steps, **effort}


def as_good(problem: Problem, error: float) -> int:
    """The fewest of our steps that have no larger error, or those with the least."""
    errors: dict[int, float] = {}
    for steps in range(4, 101):
        errors[steps] = image_quality(problem, ours(partial(our_wavelet, iterations=steps))(problem)[1])["nrmse"]
        if errors[steps] <= error:
            return steps
    return min(errors, key=lambda steps: errors[steps])


def as_near(problem: Problem, theirs: list[Contestant]) -> float:
    """The loosest of our tolerances that comes as near to the solution as the nearest of others."""
    solution = converged_sense(problem)

    def distance(contestant: Contestant) -> float:
        return relative(contestant(problem)[1].to(torch.complex128), solution)

    nearest = min(distance(one) for one in theirs)
    candidates = (one for one in TOLERANCES if distance(ours(partial(our_sense, tolerance=one, iterations=100))) <= nearest)
    return next(candidates, TOLERANCES[-1])


# --- data


def simulate(slices: int, coils: int, height: int, width: int, snr: float) -> tuple[Tensor, Tensor]:
    """(slice, coil, ky, kx) noisy and noise-free k-space of heads, five slices a patient."""
    matrix = max(height, width)
    cohort = DigitalBrains(slices=min(slices, 5), matrix=matrix, coils=coils)
    atlas, n = load_atlas(), FINER * matrix
    signals = {name: np.float32(signal(tissue, "t2")) for name, tissue in tissues_at(cohort.field_strength_t).items()}
    receive = ring_sensitivities(coils, (n, n), (FIELD_OF_VIEW_MM, FIELD_OF_VIEW_MM), ring_radius_mm=170.0)
    receive *= smooth_phase((n, n), 0.3, -0.2, 0.4)
    clean = np.empty((slices, coils, height, width), dtype=np.complex64)
    for index in range(slices):
        fractions = tissue_fractions(cohort, index // 5, index % cohort.slices, atlas)
        image = sum((signals[name] * share for name, share in fractions.items()), np.zeros((n, n), dtype=np.float32))
        clean[index] = render(receive * image, (height, width))
    noise = coloured_noise(noise_covariance(clean, snr, 0.0), clean.shape, np.random.default_rng(0))
    return torch.from_numpy(clean + noise), torch.from_numpy(clean)


def pose(kspace: Tensor, truth: Tensor, options: argparse.Namespace) -> Problem:
    height, width = kspace.shape[-2:]
    spec = PATTERNS[options.pattern](acceleration=options.acceleration, acs_lines=options.acs)
    mask = spec.draw(np.ones(height, dtype=bool), "compare peers", readout=width)
    sampled = torch.from_numpy(mask.sampled.copy())
    positions = sampled[:, None] if sampled.ndim == 1 else sampled
    measured = sample(kspace, positions)
    with torch.inference_mode():
        maps = Espirit(calibration=CALIBRATION, kernel=KERNEL, threshold=THRESHOLD, crop=CROP)(
            measured, mask.calibration, mask.acs_readout
        )
    data = ReconInput(
        kspace=measured,
        mask=positions,
        acs=mask.calibration,
        acs_readout=mask.acs_readout,
        maps=maps.clone(),
        noise_cov=None,
        field_of_view=(height, width),
    )
    return Problem(data=data, truth=truth, sense_weight=options.sense_weight, wavelet_weight=options.wavelet_weight)


def load(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    if options.data is None:
        slices, coils, height, width = (int(size) for size in options.shape.split("x"))
        return simulate(slices, coils, height, width, options.snr)
    with np.load(options.data) as archive:
        kspace = archive["kspace"][: options.slices].astype(np.complex64)
        truth = archive["truth"][: options.slices].astype(np.complex64) if "truth" in archive else kspace
    return torch.from_numpy(kspace), torch.from_numpy(truth)


# --- quality


def relative(found: Tensor, wanted: Tensor) -> float:
    return float(torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted))


def image_quality(problem: Problem, found: Tensor) -> dict[str, float]:
    support = problem.maps.abs().amax(1) > 0
    image, target = found[support], problem.target[support]
    scale = torch.vdot(image, target) / torch.vdot(image, image)
    return {"nrmse": relative(image, target), "nrmse_rescaled": relative(scale * image, target)}


def converged_sense(problem: Problem, steps: int = 1000) -> Tensor:
    """The minimiser in double precision, by plain conjugate gradients."""
    maps, mask = problem.maps.to(torch.complex128), problem.data.mask
    found = []
    for kspace, own in zip(problem.data.kspace.to(torch.complex128), maps, strict=True):
        residual = adjoint(kspace, own, mask)
        image, direction, power = torch.zeros_like(residual), residual, residual.abs().square().sum()
        stop = 1e-20 * power
        for _ in range(steps):
            if power <= stop:
                break
            bent = adjoint(forward(direction, own, mask), own, mask) + problem.sense_weight * direction
            step = power / torch.vdot(direction.ravel(), bent.ravel()).real
            image, residual = image + step * direction, residual - step * bent
            fresh = residual.abs().square().sum()
            direction, power = residual + fresh / power * direction, fresh
        found.append(image)
    return torch.stack(found)


def map_quality(problem: Problem, found: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Residual of the projection of the truth on the maps, in the common support; agreement with each other contestant."""
    supports = {name: maps.abs().amax(1) > 0 for name, maps in found.items()}
    common = torch.stack(list(supports.values())).all(0)
    coil_images = to_image(problem.truth)
    energy = coil_images.abs().square().sum(1)
    quality: dict[str, dict[str, float]] = {}
    for name, maps in found.items():
        norm = maps.abs().square().sum(1).clamp(min=1e-30)
        explained = expand(combine(coil_images, maps) / norm, maps)
        missed = (coil_images - explained).abs().square().sum(1)
        quality[name] = {
            "residual": float((missed[common].sum() / energy[common].sum()).sqrt()),
            "support": float(supports[name].float().mean()),
            "energy_in_support": float(energy[supports[name]].sum() / energy.sum()),
        }
        for other in found:
            if other in ("bart", "sigpy") and other != name:
                overlap = combine(maps, found[other])
                turned = found[other] * torch.exp(1j * torch.angle(overlap)).unsqueeze(1)
                distance = torch.linalg.vector_norm(maps - turned, dim=1)[common]
                quality[name] |= {f"rms_from_{other}": float(distance.square().mean().sqrt())}
                quality[name] |= {f"max_from_{other}": float(distance.max())}
    return quality


# --- measuring


def others() -> float:
    """CPU seconds that processes other than this one and its finished children have used since the machine started."""
    ticks = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:4]]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def wait_for_quiet(patience_s: float = 60.0, window_s: float = 0.2) -> None:
    """Until others use next to nothing: threads that wait for one another lose far more than others take."""
    end = time.perf_counter() + patience_s
    while time.perf_counter() < end:
        begin, used = time.perf_counter(), others()
        time.sleep(window_s)
        if others() - used < QUIET * (time.perf_counter() - begin):
            return


def undisturbed(call: Callable[[], tuple[float, Tensor]], attempts: int = 3) -> tuple[float, float]:
    """Seconds of a call and the share of a core that others took meanwhile: the first they left alone, or the best."""
    tried: list[tuple[float, float]] = []
    for _ in range(attempts):
        wait_for_quiet()
        begin, used = time.perf_counter(), others()
        seconds, _ = call()
        tried.append(((others() - used) / (time.perf_counter() - begin), seconds))
        if tried[-1][0] < QUIET:
            break
    share, seconds = min(tried)
    return seconds, max(share, 0.0)


def race(problem: Problem, method: str, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    entrants, effort = contestants(problem, method, options.peers)
    Console(width=160).print(method, effort)
    found, seconds, starts = {}, {name: list[float]() for name in entrants}, list[float]()
    disturbed = dict.fromkeys(entrants, 0.0)
    for name, contestant in entrants.items():
        found[name] = contestant(problem)[1]
    for turn in range(options.repeats):
        names = list(entrants)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            once, share = undisturbed(partial(entrants[name], problem))
            seconds[name].append(once)
            disturbed[name] = max(disturbed[name], share)
        if "bart" in options.peers:
            starts += [bart_start() for _ in range(3)]
    rows: dict[str, dict[str, Any]] = {}
    reference = converged_sense(problem) if method == "sense" else None
    qualities = map_quality(problem, found) if method == "espirit" else {}
    for name, taken in seconds.items():
        raw = statistics.median(taken)
        start = statistics.median(starts) * len(problem.truth) if name.startswith("bart") else 0.0
        rows[name] = {"seconds": raw - start, "seconds_raw": raw, "fastest": min(taken), "slowest": max(taken)}
        rows[name]["disturbed"] = disturbed[name]
        rows[name] |= qualities[name] if method == "espirit" else image_quality(problem, found[name])
        if reference is not None:
            rows[name]["from_converged"] = relative(found[name].to(torch.complex128), reference)
    return rows


def weigh(problem: Problem, options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Error by weight, to see whether every contestant stands where it does well."""
    found: dict[str, list[dict[str, float]]] = {}
    for method, weights in (("sense", options.sense_weights), ("wavelet", options.wavelet_weights)):
        for weight in weights:
            posed = Problem(data=problem.data, truth=problem.truth, sense_weight=weight, wavelet_weight=weight)
            errors = {
                name: image_quality(posed, one(posed)[1])["nrmse"]
                for name, one in contestants(posed, method, options.peers)[0].items()
            }
            found.setdefault(method, []).append({"weight": weight, **errors})
    return found


def memory(problem: Problem, method: str, threads: int) -> dict[str, float]:
    """Growth of the resident memory while a method works, in a process of its own, over its input."""
    data = problem.data
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "problem.pt"
        torch.save({"kspace": data.kspace, "mask": data.mask, "maps": problem.maps, "acs": (data.acs, data.acs_readout)}, path)
        weights = json.dumps([problem.sense_weight, problem.wavelet_weight, threads])
        command = [sys.executable, __file__, "--child", method, str(path), weights]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        grown, code = (int(number) for number in printed.split()[-2:])
    bytes_in = data.kspace.nbytes + (0 if method == "espirit" else problem.maps.nbytes)
    return {"grown_bytes": grown, "input_bytes": bytes_in, "memory": grown / bytes_in, "code": code / bytes_in}


def child(method: str, path: str, weights: str) -> None:
    """One call in a fresh process: prints the bytes by which its peak grew, and those of them that came from files."""
    sense_weight, wavelet_weight, threads = json.loads(weights)
    torch.set_num_threads(threads)
    held = torch.load(path)
    height, width = held["kspace"].shape[-2:]
    data = ReconInput(
        kspace=held["kspace"],
        mask=held["mask"],
        acs=held["acs"][0],
        acs_readout=held["acs"][1],
        maps=held["maps"],
        noise_cov=None,
        field_of_view=(height, width),
    )
    problem = Problem(data=data, truth=held["kspace"], sense_weight=sense_weight, wavelet_weight=wavelet_weight)
    # What was freed but not given back would hide what the method takes.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    peak, files = own_bytes("VmHWM"), own_bytes("RssFile")
    ours(OURS[method])(problem)
    print(own_bytes("VmHWM") - peak, own_bytes("RssFile") - files)


def own_bytes(what: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return 1024 * int(line.split()[1])


def scaling(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Our seconds by slices, coils and pixels, and the exponent of a power law through them."""
    axes = {
        "slices": [(slices, (slices, 8, 192, 192)) for slices in (1, 2, 4, 8, 16)],
        "coils": [(coils, (1, coils, 192, 192)) for coils in (4, 8, 16, 32)],
        "pixels": [(n * n, (1, 8, n, n)) for n in (64, 128, 256, 512)],
    }
    found: dict[str, dict[str, Any]] = {method: {} for method in METHODS}
    for axis, steps in axes.items():
        problems = {size: pose(*simulate(*shape, options.snr), options) for size, shape in steps}
        for method in METHODS:
            contestant = ours(OURS[method])
            taken = {size: list[float]() for size in problems}
            for problem in problems.values():
                contestant(problem)
            for _ in range(options.repeats):
                for size, problem in problems.items():
                    taken[size].append(undisturbed(partial(contestant, problem))[0])
            medians = {size: statistics.median(one) for size, one in taken.items()}
            slope = np.polyfit(np.log(list(medians)), np.log(list(medians.values())), 1)[0]
            found[method][axis] = {"seconds": medians, "exponent": float(slope)}
    return found


# --- what is asked of us


def judge(rows: dict[str, dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    bars: list[dict[str, Any]] = []

    def bar(what: str, value: float, limit: float, passed: bool) -> None:
        bars.append({"bar": what, "value": value, "limit": limit, "passed": passed})

    for (method, peer), times in FASTER.items():
        own, other = rows[method].get(JUDGED.get(method, "halfscan")), rows[method].get(peer)
        if own and other:
            faster = other["seconds"] / own["seconds"]
            bar(f"{method}: times as fast as {peer}", faster, times, faster >= times)
            error = "residual" if method == "espirit" else "nrmse"
            bar(f"{method}: {error}, at most {peer}'s", own[error], other[error], own[error] <= EQUAL * other[error])
            if method == "sense":
                near, theirs = own["from_converged"], other["from_converged"]
                bar(f"sense: distance to the solution, at most {peer}'s", near, theirs, near <= theirs)
    for method in METHODS:
        if own := rows[method].get("halfscan"):
            bar(f"{method}: memory grown over input", own["memory"], MEMORY, own["memory"] <= MEMORY)
    return bars


def print_rows(console: Console, rows: dict[str, dict[str, dict[str, Any]]]) -> None:
    for method, contested in rows.items():
        columns = list(dict.fromkeys(key for row in contested.values() for key in row if not key.endswith("bytes")))
        table = Table(method, *columns)
        for name, row in contested.items():
            table.add_row(name, *(f"{row[column]:.4g}" if column in row else "" for column in columns))
        console.print(table)


def print_bars(console: Console, bars: list[dict[str, Any]]) -> None:
    table = Table("", "what is asked", "found", "limit")
    for one in bars:
        word = "[green]passed[/]" if one["passed"] else "[red]failed[/]"
        table.add_row(word, one["bar"], f"{one['value']:.4g}", f"{one['limit']:.4g}")
    console.print(table)


def surroundings(options: argparse.Namespace) -> dict[str, Any]:
    processors = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    versions = {name: importlib.metadata.version(name) for name in ("halfscan", "torch", "numpy")}
    if "sigpy" in options.peers:
        versions["sigpy"] = importlib.metadata.version("sigpy")
    if "bart" in options.peers:
        versions["bart"] = subprocess.run(["bart", "version"], check=True, capture_output=True, text=True).stdout.strip()
    return {
        "versions": {**versions, "python": platform.python_version()},
        "cpu": processors[0] if processors else platform.processor(),
        "cpus": os.cpu_count(),
        "threads": options.threads,
        "load": os.getloadavg()[0],
    }


def settle(threads: int) -> None:
    """Starts this script again where the environment sets other threads, or kernels of OpenBLAS, which numpy alone would obey."""
    wanted = {name: value for name, value in os.environ.items() if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    wanted |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)
    torch.set_num_threads(threads)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="npz with kspace (slice, coil, ky, kx), fully sampled, and maybe truth")
    parser.add_argument("--slices", type=int, help="only the first so many slices of --data")
    parser.add_argument("--shape", default="1x8x230x180", help="slices x coils x ky x kx to simulate without --data")
    parser.add_argument("--snr", type=float, default=120.0, help="of the simulation: peak over noise of one channel")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    parser.add_argument("--pattern", choices=list(PATTERNS), default="equispaced")
    parser.add_argument("--acceleration", type=float, default=4.0)
    parser.add_argument("--acs", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", nargs="*", choices=("bart", "sigpy"), default=["bart", "sigpy"])
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sense-weight", type=float, default=0.01)
    parser.add_argument("--wavelet-weight", type=float, default=0.3, help="in standard deviations of the noise")
    parser.add_argument("--sense-weights", type=float, nargs="*", default=[], help="print the error by weight instead of racing")
    parser.add_argument("--wavelet-weights", type=float, nargs="*", default=[])
    parser.add_argument(
        "--scaling", action="store_true", help="how our time grows with slices, coils and pixels, instead of racing"
    )
    return parser.parse_args()


def main() -> None:
    options, console = parse(), Console(width=160)
    settle(options.threads)
    try:
        for peer in options.peers:
            {"bart": Bart, "sigpy": SigPy}[peer]().find()
    except HalfscanError as reason:
        sys.exit(str(reason))
    result: dict[str, Any] = {"options": vars(options), **surroundings(options)}
    if options.scaling:
        result["scaling"] = scaling(options)
        for method, axes in result["scaling"].items():
            for axis, one in axes.items():
                sizes = ", ".join(f"{size}: {seconds * 1e3:.1f} ms" for size, seconds in one["seconds"].items())
                console.print(f"{method} by {axis}, exponent {one['exponent']:.2f}: {sizes}")
    else:
        problem = pose(*load(options), options)
        lines = problem.data.mask.float().mean()
        result |= {"shape": list(problem.truth.shape), "sampled": float(lines)}
        console.print(f"{' x '.join(map(str, problem.truth.shape))}, {lines:.1%} sampled, {options.threads} threads")
        if options.sense_weights or options.wavelet_weights:
            result["weights"] = weigh(problem, options)
            for method, tried in result["weights"].items():
                table = Table(method, *list(tried[0])[1:])
                for one in tried:
                    table.add_row(*(f"{value:.4g}" for value in one.values()))
                console.print(table)
        else:
            rows = {method: race(problem, method, options) for method in options.methods}
            for method in options.methods:
                if "halfscan" in rows[method]:
                    rows[method]["halfscan"] |= memory(problem, method, options.threads)
            bars = judge({method: rows.get(method, {}) for method in METHODS})
            result |= {"methods": rows, "bars": bars}
            print_rows(console, rows)
            print_bars(console, bars)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1, default=str) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
