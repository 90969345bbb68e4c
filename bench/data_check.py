"""What files hold, before they are believed: format, shape, coils, noise, timing, and what was done to their samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from .acquisition import Acquisition
from .audit import Finding, audit, picture
from .audit.label import as_found
from .errors import HalfscanError, one_line
from .files import whole_file
from .noise import noise_level
from .operators import root_sum_of_squares, to_image
from .quantity import Quantity

TIMED = {
    "sequence": "sequence",
    "tr_s": "TR",
    "te_s": "TE",
    "echo_train_length": "echo train",
    "echo_spacing_s": "echo spacing",
    "averages": "averages",
    "concatenations": "concatenations",
    "total_s": "recorded duration",
}
"""What of a header's timing the seconds of a scan rest on, in words."""


@runtime_checkable
class Recognising(Protocol):
    """A data set in files that knows its own kind."""

    path: str
    name: str

    def recognises(self, path: Path) -> bool:
        """Whether a path is of this kind, by its name and first bytes."""
        ...

    def volumes(self) -> Sequence[Acquisition]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckedVolume:
    """One volume as it was found; nothing in it names a patient."""

    patient: str
    volume: str
    provenance: str
    """What the samples count as, after their audit."""
    shape: dict[str, int]
    image: tuple[int, int]
    """(ky, kx) of the image after oversampling is cut off."""
    acquired_lines: int
    voxel_mm: tuple[float, float, float] | None
    field_strength_t: float | None
    contrast: str | None
    noise: Quantity
    """Standard deviation of the noise in a real or imaginary part of a sample, on the file's scale."""
    snr: Quantity
    """Peak of the root-sum-of-squares image over that noise."""
    timing: dict[str, Any]
    """What the header states."""
    missing: tuple[str, ...]
    """What it does not, and a protocol must."""
    truth: str
    digest: str
    caveat: str | None
    findings: tuple[Finding, ...]
    picture: str | None = None
    """PNG file, where one was asked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Checked:
    """One path as it was found."""

    path: str
    format: str | None
    volumes: tuple[CheckedVolume, ...] = ()
    refused: str | None = None
    """Why it can't be used."""

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def expand(paths: Sequence[Path], formats: Sequence[Recognising]) -> Iterator[Path]:
    """The paths; in place of a folder its own files, unless it is of one kind as a whole."""
    for path in paths:
        if not path.is_dir() or any(one.recognises(path) for one in formats):
            yield path
            continue
        inside = sorted(one for one in path.iterdir() if not one.name.startswith("."))
        known = [one for one in inside if any(kind.recognises(one) for kind in formats)]
        # Beside data sidecars and notes may lie; where nothing is data, the folder is named.
        yield from known or [path]


def check_path(path: Path, formats: Sequence[Recognising], pictures: Path | None = None) -> Checked:
    """Opens a path as what it is, and looks at each of its volumes.

    Args:
        path: a file, or a folder that is one volume or series.
        formats: the kinds that are known.
        pictures: folder for a PNG a volume.
    """
    kind = None
    try:
        if not path.exists():
            raise HalfscanError(f"{path}: no such file or folder")
        kind = next((one for one in formats if one.recognises(path)), None)
        if kind is None:
            raise HalfscanError(f"{path}: is none of {', '.join(one.name for one in formats)}")
        opened = replace(kind, path=str(path)).volumes()  # type: ignore[type-var]
        return Checked(path=str(path), format=kind.name, volumes=tuple(_check(one, pictures) for one in opened))
    except HalfscanError as error:
        return Checked(path=str(path), format=None if kind is None else kind.name, refused=one_line(error))


def _check(acquisition: Acquisition, pictures: Path | None) -> CheckedVolume:
    kspace = acquisition.kspace
    findings = audit(acquisition)
    labelled = as_found(acquisition)
    noise, snr = _noise(acquisition)
    timing = {name: value for name in TIMED if (value := getattr(acquisition.timing, name)) is not None}
    png = None
    if pictures is not None:
        png = pictures / f"{acquisition.patient}_{acquisition.volume}.png"
        with whole_file(png) as draft:
            draft.write_bytes(picture(acquisition, findings))
    return CheckedVolume(
        patient=acquisition.patient,
        volume=acquisition.volume,
        provenance=str(labelled.provenance),
        shape={axis: kspace.size(axis) for axis in kspace.axes},
        image=acquisition.field_of_view,
        acquired_lines=int(acquisition.acquired.sum()),
        voxel_mm=acquisition.voxel_mm,
        field_strength_t=acquisition.field_strength_t,
        contrast=acquisition.contrast,
        noise=noise,
        snr=snr,
        timing=timing,
        missing=tuple(words for name, words in TIMED.items() if name not in timing),
        truth="full k-space" if acquisition.truth is None else acquisition.truth_kind.replace("_", " "),
        digest=acquisition.digest,
        caveat=labelled.caveat,
        findings=findings,
        picture=None if png is None else str(png),
    )


def _noise(acquisition: Acquisition) -> tuple[Quantity, Quantity]:
    """Of the middle slice: measured where the data bring a covariance, else estimated from the ends of the readout."""
    middle = acquisition.slices // 2
    kspace = torch.from_numpy(acquisition.kspace.read_stack(middle, middle + 1).copy())
    measured = acquisition.noise_cov
    level = float(noise_level(kspace, None if measured is None else torch.from_numpy(measured))[0])
    if not level:
        reason = "the ends of the readout hold no noise to estimate it from"
        return Quantity.unmeasured("1", reason), Quantity.unmeasured("1", reason)
    peak = float(root_sum_of_squares(to_image(kspace)).max())
    method = "measured" if measured is not None else "estimated"
    return Quantity(value=level, unit="1", method=method), Quantity(value=peak / level, unit="1", method=method)


def in_words(checked: Checked) -> list[str]:
    """Lines for people."""
    if checked.refused:
        return [f"REFUSED {checked.refused}"]
    lines = [f"{checked.path}: {checked.format}, {len(checked.volumes)} volume{'s' if len(checked.volumes) != 1 else ''}"]
    for one in checked.volumes:
        lines += ["", f"  volume {one.volume} of patient {one.patient}: {one.provenance}"]
        lines += [f"    {name:<9} {said}" for name, said in _said(one)]
        lines += [f"    {mark(finding):<9} {finding.evidence}" for finding in one.findings]
    return lines


def mark(finding: Finding) -> str:
    """`FOUND`, `no` or `unknown`, with the finding's name."""
    state = {"found": "FOUND", "not_found": "no", "unknown": "unknown"}[finding.state]
    return f"{state} {finding.name.replace('_', ' ')}:"


def _said(one: CheckedVolume) -> Iterator[tuple[str, str]]:
    lines = one.shape.get("ky", 1)
    padded = "" if one.acquired_lines == lines else f" of {lines}"
    yield (
        "k-space",
        f"{' × '.join(f'{size} {axis}' for axis, size in one.shape.items())}; {one.acquired_lines}{padded} lines acquired",
    )
    yield "image", f"{one.image[0]} × {one.image[1]}{_voxel(one)}{_field(one)}; truth: {one.truth}"
    if one.noise.value is None:
        yield "noise", f"unknown: {one.noise.reason}"
    else:
        yield "noise", f"{one.noise.value:.3g} ({one.noise.method}); peak SNR {one.snr.value:.3g}"
    yield "timing", ", ".join(f"{TIMED[name]} {_number(value)}" for name, value in one.timing.items()) or "none in the header"
    if one.missing:
        yield "missing", f"{', '.join(one.missing)}: a protocol must state them"
    yield "digest", one.digest
    if one.caveat:
        yield "caveat", one.caveat


def _voxel(one: CheckedVolume) -> str:
    return "" if one.voxel_mm is None else f", voxel {' × '.join(f'{size:.3g}' for size in one.voxel_mm)} mm (slice, ky, kx)"


def _field(one: CheckedVolume) -> str:
    return "" if one.field_strength_t is None else f", {one.field_strength_t:.3g} T"


def _number(value: object) -> str:
    return f"{value:.4g} s" if isinstance(value, float) else str(value)
