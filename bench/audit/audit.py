"""The audit of one volume: all findings, in a fixed order, from a few central slices."""

from __future__ import annotations

from dataclasses import replace

from ..acquisition import ENCODED, Acquisition
from .background import find_background, profile
from .borders import judge_padding, judge_partial_fourier
from .filled_lines import find_pattern, judge_filled
from .findings import CRIMES, Crime, Finding
from .floor import judge_interference, judge_noise, shape_of_noise, spectrum
from .samples import Samples, take_samples
from .symmetry import judge_hermitian, judge_magnitude

_HOLES = 0.02
"""Share of the samples inside that may be exactly zero in all coils; more is undersampling."""


def audit(acquisition: Acquisition) -> tuple[Finding, ...]:
    """Looks for traces of processing in the k-space of a volume, in the order of `CRIMES`.

    A finding is `found` where the samples can hardly be explained otherwise, `unknown` wherever they can't tell. Reads at
    most eight central slices; deterministic.

    Raises:
        HalfscanError: the k-space can't be read, or has axes that are not handled.
    """
    kspace = acquisition.kspace
    if image := [axis for axis in ENCODED if axis in kspace.axes and kspace.domains.get(axis) == "image"]:
        return _all_unknown(f"{image[0]} is an image axis already: these are no samples of k-space")
    samples = take_samples(acquisition)
    if not samples.peak:
        return _all_unknown("the central slices are empty")
    if samples.holes > _HOLES:
        found = {"zero_padded": judge_padding(samples)}
        return _all_unknown(f"{samples.holes:.0%} of the samples inside are missing: undersampled", found)
    return _audit(samples)


def _audit(samples: Samples) -> tuple[Finding, ...]:
    background = find_background(samples)
    profiles = {
        axis: None if background is None or background.masked else profile(samples, background, index)
        for axis, index in (("ky", -2), ("kx", -1))
    }
    spectra = {axis: spectrum(samples, background, index) for axis, index in (("y", -2), ("x", -1))}
    shape = shape_of_noise(samples, background)
    magnitude, hermitian = judge_magnitude(samples, background), judge_hermitian(samples)
    filled = judge_filled(samples, background, profiles["ky"], find_pattern(samples, profiles["ky"]))
    # A combined image that was masked has noise of any distribution.
    partial = judge_partial_fourier(samples, background, profiles, None if filled.state == "found" else shape)
    if partial.state == "found" and (real := next((one for one in (hermitian, magnitude) if one.state == "found"), None)):
        why = f"{real.name.replace('_', ' ')}: k-space is its own mirror image, however much of it was sampled"
        partial = replace(partial, state="unknown", evidence=why)
    # Each of these changes the noise; what they explain is no second finding.
    explained: dict[str, Crime] = {}
    for one, what in ((filled, ("ky", "shape")), (partial, ("ky", "shape")), (hermitian, ("shape",)), (magnitude, ("shape",))):
        if one.state == "found" and not (one is partial and samples.ky.one_sided):
            explained |= dict.fromkeys(what, one.name)
    lines = {axis: None if axis in explained else one for axis, one in profiles.items()}
    found = {
        one.name: one
        for one in (
            magnitude,
            hermitian,
            filled,
            partial,
            judge_noise(background, profiles, shape, explained),
            judge_padding(samples),
            judge_interference(background, lines, spectra),
        )
    }
    return tuple(found[name] for name in CRIMES)


def _all_unknown(reason: str, but: dict[str, Finding] | None = None) -> tuple[Finding, ...]:
    return tuple((but or {}).get(name, Finding(name=name, state="unknown", evidence=reason)) for name in CRIMES)
