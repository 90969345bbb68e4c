"""The audit of k-space: planted crimes are found, clean data are left in peace, and what can't be told is called unknown."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from halfscan.bench.acquisition import Acquisition, ComplexArray, KSpace, Provenance
from halfscan.bench.audit import CRIMES, Crime, Finding, audit, picture, strongest
from halfscan.bench.maps import Espirit
from halfscan.bench.operators import centre_crop, root_sum_of_squares, to_image, to_kspace
from halfscan.bench.reconstruction import ReconInput, Reconstructor
from halfscan.datasets.coils import ring_sensitivities
from halfscan.datasets.simulation import smooth_phase
from halfscan.models.denoised import Denoised
from halfscan.models.grappa import Grappa
from halfscan.models.homodyne import Homodyne
from halfscan.models.pocs import Pocs
from halfscan.models.sense import Sense

from ..conftest import discs

SIZE = 96


def acquired(kspace: Tensor | ComplexArray, lines: Sequence[bool] | None = None) -> Acquisition:
    samples = np.ascontiguousarray(kspace, dtype=np.complex64)
    return Acquisition(
        kspace=KSpace(axes=("slice", "coil", "ky", "kx"), shape=samples.shape, load=lambda part: samples[part]),
        patient="patient",
        volume="volume",
        digest="digest",
        provenance=Provenance.MEASURED,
        acquired=np.ones(samples.shape[2], dtype=bool) if lines is None else np.array(lines),
    )


def found(acquisition: Acquisition) -> set[Crime]:
    return {one.name for one in audit(acquisition) if one.state == "found"}


def states(acquisition: Acquisition) -> dict[str, str]:
    return {one.name: one.state for one in audit(acquisition)}


def scan(coils: int = 8, snr: float = 50, seed: int = 0, size: int = SIZE, slices: int = 2) -> Tensor:
    """Noisy k-space of a few discs with a phase, rendered on a finer grid and seen by a ring of coils."""
    maps = torch.from_numpy(ring_sensitivities(coils, (2 * size, 2 * size), (240.0, 240.0))).to(torch.complex64)
    if coils == 1:
        maps = torch.ones_like(maps)
    object_ = discs(2 * size, 2 * size) * torch.from_numpy(smooth_phase((2 * size, 2 * size), 0.3, -0.2, 0.4))
    stack = torch.stack([maps * object_ * (1 + 0.2 * index) for index in range(slices)])
    kspace = centre_crop(to_kspace(stack), (size, size)) / 2
    level = float(root_sum_of_squares(to_image(kspace)).max()) / snr
    return kspace + level * torch.randn(kspace.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def each_coil(model: Reconstructor, kspace: Tensor, mask: Tensor, acs: tuple[int, int]) -> Tensor:
    """k-space of every coil as a method completes it: maps that see one coil alone give that coil's image."""
    completed = []
    for coil in range(kspace.shape[1]):
        maps = torch.zeros_like(kspace)
        maps[:, coil] = 1
        data = ReconInput(
            kspace=kspace * mask, mask=mask, acs=acs, maps=maps, noise_cov=None, field_of_view=(kspace.shape[2], kspace.shape[3])
        )
        completed.append(to_kspace(model(data).image))
    return torch.stack(completed, 1)


def undersampled(lines: int, step: int, acs: int = 24) -> tuple[Tensor, tuple[int, int]]:
    mask = torch.zeros(lines, 1, dtype=torch.bool)
    mask[::step] = True
    region = lines // 2 - acs // 2, lines // 2 + acs // 2
    mask[slice(*region)] = True
    return mask, region


def grappa(kspace: Tensor, step: int) -> Tensor:
    mask, acs = undersampled(kspace.shape[2], step)
    return torch.where(mask, kspace, each_coil(Grappa(), kspace, mask, acs))


def completed_from_one_side(kspace: Tensor, model: Reconstructor, share: float = 5 / 8) -> Tensor:
    lines = kspace.shape[2]
    mask = torch.zeros(lines, 1, dtype=torch.bool)
    mask[lines - round(share * lines) :] = True
    return each_coil(model, kspace, mask, (lines // 2 - 8, lines // 2 + 8))


def combined(kspace: Tensor, model: Reconstructor, step: int) -> tuple[Tensor, Tensor]:
    """A model's image and the maps it used."""
    mask, acs = undersampled(kspace.shape[2], step)
    maps = Espirit()(kspace, acs)
    size = (kspace.shape[2], kspace.shape[3])
    data = ReconInput(kspace=kspace * mask, mask=mask, acs=acs, maps=maps, noise_cov=None, field_of_view=size)
    return model(data).image[:, None], maps


def magnitude(kspace: Tensor) -> Tensor:
    return root_sum_of_squares(to_image(kspace))[:, None]


def with_phase(kspace: Tensor, coils: int = 1) -> Tensor:
    image = magnitude(kspace) * torch.from_numpy(smooth_phase((kspace.shape[2], kspace.shape[3]), 0.7, -0.4, 0.5))
    if coils > 1:
        image = image * torch.from_numpy(ring_sensitivities(coils, (kspace.shape[2], kspace.shape[3]), (220.0, 220.0)))
    return to_kspace(image.to(torch.complex64))


def padded(kspace: Tensor, along: tuple[str, ...] = ("ky", "kx"), factor: float = 1.5) -> Tensor:
    """Cropped to four fifths, then padded with zeros."""
    for dim, axis in ((2, "ky"), (3, "kx")):
        if axis in along:
            size = kspace.shape[dim]
            inner = round(0.4 * size) * 2
            kspace = kspace.narrow(dim, size // 2 - inner // 2, inner)
            empty = round(inner * (factor - 1) / 2)
            kspace = torch.nn.functional.pad(kspace, (empty, empty) if dim == 3 else (0, 0, empty, empty))
    return kspace


def windowed(kspace: Tensor, window: Callable[[int], Tensor] = lambda size: torch.hann_window(size + 2)[1:-1]) -> Tensor:
    return kspace * window(kspace.shape[2])[:, None] * window(kspace.shape[3])


def interpolated(kspace: Tensor) -> Tensor:
    """The image enlarged by straight lines between its pixels, as viewers do."""
    image = to_image(kspace)
    parts = [torch.nn.functional.interpolate(part, scale_factor=1.5, mode="bilinear") for part in (image.real, image.imag)]
    return to_kspace(torch.complex(*parts))


def masked(kspace: Tensor) -> Tensor:
    image = to_image(kspace)
    bright = root_sum_of_squares(image)[:, None]
    near = torch.nn.functional.max_pool2d((bright > 0.2 * bright.max()).float(), 9, 1, 4) > 0
    return to_kspace(image * near)


def notched(kspace: Tensor) -> Tensor:
    """Three frequencies that interfered are taken out of every readout."""
    columns = to_image(kspace, (-1,))
    for share in (0.25, 0.45, 0.7):
        columns[..., round(share * columns.shape[-1])] *= 0.1
    return to_kspace(columns, (-1,))


def replaced_lines(kspace: Tensor) -> Tensor:
    cleaned = kspace.clone()
    for line in (20, 57, 70):
        cleaned[:, :, line] = (kspace[:, :, line - 1] + kspace[:, :, line + 1]) / 3
    return cleaned


PLANTED: dict[str, tuple[Crime, Callable[[Tensor], Tensor]]] = {
    "padded": ("zero_padded", padded),
    "padded along ky": ("zero_padded", lambda k: padded(k, ("ky",))),
    "padded along kx": ("zero_padded", lambda k: padded(k, ("kx",), 2.0)),
    "windowed, then padded": ("zero_padded", lambda k: padded(windowed(k))),
    "magnitude": ("hermitian", lambda k: to_kspace(magnitude(k).to(torch.complex64))),
    "magnitude, bare": ("magnitude_derived", lambda k: to_kspace(magnitude(k).to(torch.complex64))),
    "magnitude with a phase": ("magnitude_derived", with_phase),
    "magnitude with phase and maps": ("magnitude_derived", lambda k: with_phase(k, coils=8)),
    "one image times maps": ("parallel_imaging_filled", lambda k: with_phase(k, coils=8)),
    "GRAPPA, R = 2": ("parallel_imaging_filled", lambda k: grappa(k, 2)),
    "GRAPPA, R = 3": ("parallel_imaging_filled", lambda k: grappa(k, 3)),
    "SENSE": ("parallel_imaging_filled", lambda k: to_kspace(torch.mul(*combined(k, Sense(), 2)))),
    "homodyne": ("partial_fourier", lambda k: completed_from_one_side(k, Homodyne())),
    "homodyne, three quarters": ("partial_fourier", lambda k: completed_from_one_side(k, Homodyne(), 3 / 4)),
    "POCS": ("partial_fourier", lambda k: completed_from_one_side(k, Pocs())),
    "denoised": ("noise_removed", lambda k: to_kspace(combined(k, Denoised(), 1)[0])),
    "Hann window": ("noise_removed", windowed),
    "Hamming window": ("noise_removed", lambda k: windowed(k, lambda size: torch.hamming_window(size, periodic=False))),
    "interpolated image": ("noise_removed", interpolated),
    "masked background": ("noise_removed", masked),
    "notches": ("interference_removed", notched),
    "replaced lines": ("interference_removed", replaced_lines),
}


@pytest.mark.parametrize("crime", PLANTED)
def test_a_planted_crime_is_found(crime: str) -> None:
    name, plant = PLANTED[crime]
    # A notch takes more noise to be seen than four coils have.
    assert name in found(acquired(plant(scan(coils=8 if name == "interference_removed" else 4))))


@pytest.mark.parametrize("crime", [one for one in PLANTED if one not in ("interpolated image", "masked background")])
def test_a_crime_planted_on_a_measured_brain_is_found(real: Callable[[str], Path], crime: str) -> None:
    kspace = torch.from_numpy(np.load(real("pulseq_brain_head16"))["kspace"])[:, ::4].contiguous()
    name, plant = PLANTED[crime]
    assert name in found(acquired(plant(kspace)))


@pytest.mark.parametrize("coils", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("snr", [5, 10, 50, 200])
def test_clean_scans_are_left_in_peace(coils: int, snr: float) -> None:
    for seed in range(3):
        assert not found(acquired(scan(coils, snr, seed)))


def _receiver_filter(k: Tensor, noise: Tensor) -> Tensor:
    place = torch.linspace(-1, 1, SIZE).abs()
    columns = to_image(noise, (-1,)) * (1 - 0.7 * ((place - 0.7) / 0.3).clamp(0, 1))
    return k + to_kspace(columns, (-1,))


NATURAL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a receiver's filter": _receiver_filter,
    "odd and even lines of unlike strength": lambda k, n: k * torch.tensor([1.0, 1.15]).repeat(SIZE // 2)[:, None] + n,
    "odd and even lines of unlike phase": lambda k, n: k * torch.tensor([1, np.exp(0.2j)]).repeat(SIZE // 2)[:, None] + n,
    "four shots of unlike strength": lambda k, n: k * torch.tensor([0.9, 1.0, 1.1, 1.0]).repeat(SIZE // 4)[:, None] + n,
    "motion": lambda k, n: k * torch.exp(0.5j * torch.sin(torch.arange(SIZE) / 1.2))[:, None] + n,
    "signal that decays": lambda k, n: k * torch.exp(-(torch.arange(SIZE) - SIZE // 2).abs() / 30)[:, None] + n,
    "a dead coil": lambda k, n: (k + n) * torch.tensor([1, 1, 0, 1, 1, 1, 1, 1])[:, None, None],
    "a loud coil": lambda k, n: (k + n) * torch.tensor([1, 1, 30, 1, 1, 1, 1, 1])[:, None, None],
    "whole numbers": lambda k, n: torch.view_as_complex((torch.view_as_real(k + n) / float(n.abs().mean())).round()),
    "a shifted centre": lambda k, n: torch.roll(k, (3, -2), (2, 3)) + n,
    "an offset": lambda k, n: k + n + 0.5 * n.abs().mean(),
    "no object": lambda _, n: n,
}


@pytest.mark.parametrize("nature", NATURAL)
def test_what_scanners_do_by_themselves_is_no_crime(nature: str) -> None:
    clean = scan(snr=1e9)
    noise = scan(snr=50) - clean
    assert not found(acquired(NATURAL[nature](clean, noise)))


@pytest.mark.parametrize("coils", [2, 3, 4, 5])
def test_a_dead_coil_is_no_crime(coils: int) -> None:
    kspace = scan(coils)
    kspace[:, 1] = 0
    assert not found(acquired(kspace))


@pytest.mark.parametrize("correlation", [0.5, 0.8])
@pytest.mark.parametrize("coils", [2, 4, 16])
def test_noise_that_coils_share_is_no_crime(coils: int, correlation: float) -> None:
    clean = scan(coils, snr=1e9)
    noise = scan(coils, snr=50) - clean
    mixed = (1 - correlation) ** 0.5 * noise + correlation**0.5 * noise[:, :1]
    assert not found(acquired(clean + mixed))


@pytest.mark.parametrize(
    "name",
    [
        *("pulseq_brain_head16", "pulseq_brain_body2", "pulseq_phantom_head16", "pulseq_phantom_body2", "pulseq_sphere_head32"),
        *("ge_phantom_fruit8", "twixtools_phantom_gre2"),
        *("pulseqtut_grid_gre", "pulseqtut_structure_3echo", "pulseqtut_tubes_gre"),
        *("ulf_phantomS5_fisp", "ulf_volS5_fisp", "ulf_volS3A_flair_cage", "ulf_volS3B_flair_cage"),
    ],
)
def test_measured_scans_are_left_in_peace(real: Callable[[str], Path], name: str) -> None:
    assert not found(acquired(np.load(real(name))["kspace"]))


@pytest.mark.parametrize(
    ("name", "crimes"),
    [
        *((f"ulf_{one}_fse", {"noise_removed"}) for one in ("p6A", "p6B", "p7A", "implant8A", "implant8B")),
        *((f"ulf_volB_fse_{one}", {"noise_removed"}) for one in ("cor", "sag")),
        *((f"ulf_{one}_flair", {"noise_removed", "zero_padded"}) for one in ("p6A", "p6B", "p7A")),
        *((f"ulf_{one}", {"noise_removed", "partial_fourier"}) for one in ("p6A_gre", "p6B_gre", "p7A_gre")),
        *((f"ulf_volA_gre_{one}", {"noise_removed", "partial_fourier"}) for one in ("cor", "sag")),
    ],
)
def test_published_data_show_what_was_done_to_them(real: Callable[[str], Path], name: str, crimes: set[Crime]) -> None:
    """Windows along both axes in all, lines completed in the gradient echoes, nine lines of 1e-15 around the FLAIRs."""
    assert found(acquired(np.load(real(name))["kspace"])) == crimes


def test_interference_that_was_left_is_named_but_not_called_removed(real: Callable[[str], Path]) -> None:
    finding = {one.name: one for one in audit(acquired(np.load(real("ulf_volS3A_flair_cage"))["kspace"]))}["interference_removed"]
    assert finding.state == "unknown"
    assert "image x position 58" in finding.evidence


@pytest.mark.parametrize(
    ("crime", "kspace"),
    [
        ("parallel_imaging_filled", lambda: scan(coils=1)),
        ("parallel_imaging_filled", lambda: scan()[:, :, 36:60]),
        ("partial_fourier", lambda: scan()[:, :, 36:60]),
        ("partial_fourier", lambda: scan(snr=3000)),
        ("noise_removed", lambda: scan()[..., :12]),
        ("noise_removed", lambda: to_kspace(to_image(scan())[..., 24:72, 24:72])),
        ("interference_removed", lambda: scan(coils=1, slices=1)),
    ],
)
def test_what_cannot_be_told_is_unknown_and_says_why(crime: Crime, kspace: Callable[[], Tensor]) -> None:
    finding = {one.name: one for one in audit(acquired(kspace()))}[crime]
    assert finding.state == "unknown"
    assert finding.evidence


def test_undersampled_k_space_is_judged_by_its_border_alone(real: Callable[[str], Path]) -> None:
    kspace = scan()
    kspace[:, :, 1:-1:2] = 0
    for acquisition in (acquired(kspace), acquired(np.load(real("sigpy_brain8_R8"))["kspace"])):
        assert {name for name, state in states(acquisition).items() if state != "unknown"} == {"zero_padded"}


def test_images_and_empty_volumes_are_unknown() -> None:
    clean = acquired(scan())
    image = replace(clean, kspace=replace(clean.kspace, domains={"ky": "image", "kx": "k-space"}))
    for acquisition in (image, acquired(np.zeros((2, 3, 20, 20)))):
        assert set(states(acquisition).values()) == {"unknown"}


def test_one_side_of_zeros_is_partial_fourier_and_no_padding() -> None:
    kspace = scan()
    kspace[:, :, :24] = 0
    counted = {one.name: one for one in audit(acquired(kspace))}
    assert (counted["partial_fourier"].state, counted["zero_padded"].state) == ("found", "not_found")
    assert counted["partial_fourier"].value == pytest.approx(0.75, abs=0.01)
    # Line 0 of an even number has no mirror image that could stand for it.
    assert counted["partial_fourier"].evidence.startswith("23 lines below the centre of ky are empty")


def test_padding_on_unlike_sides_is_both() -> None:
    kspace = scan()
    kspace[:, :, :30] = 0
    kspace[:, :, -10:] = 0
    assert {"partial_fourier", "zero_padded"} <= found(acquired(kspace))


def test_a_border_far_below_the_noise_is_padding() -> None:
    rounding = torch.randn(2, 8, 144, 144, dtype=torch.complex64) * float(scan().abs().mean()) * 1e-6
    findings = audit(acquired(padded(scan(size=120)) + rounding))
    assert "dB below" in next(one.evidence for one in findings if one.name == "zero_padded" and one.state == "found")


def test_empty_lines_that_count_as_not_acquired_are_accounted_for() -> None:
    kspace = padded(scan(), ("ky",))
    lines = [bool(line) for line in (kspace != 0).any(3).any(1).any(0)]
    unknown, known = audit(acquired(kspace)), audit(acquired(kspace, lines))
    for findings, accounted in ((unknown, False), (known, True)):
        finding = next(one for one in findings if one.name == "zero_padded")
        assert (finding.state, finding.accounted) == ("found", accounted)
    assert "zero-padded along ky" in (strongest(unknown) or "")
    assert strongest(known) is None


def test_the_strongest_finding_stands_for_all() -> None:
    said = [
        Finding(name="zero_padded", state="found", evidence="k-space is padded"),
        Finding(name="noise_removed", state="found", evidence="the noise was removed"),
        Finding(name="hermitian", state="unknown", evidence="who knows"),
    ]
    assert strongest(said) == "the noise was removed; also zero padded"
    assert strongest(said[::-1]) == strongest(said)
    assert strongest(said[:1]) == "k-space is padded"
    assert strongest(said[2:]) is None
    assert strongest([]) is None


def test_findings_come_in_a_fixed_order_one_line_each_and_alike_every_time() -> None:
    for kspace in (scan(), grappa(scan(coils=4), 2)):
        first = audit(acquired(kspace))
        assert tuple(one.name for one in first) == CRIMES
        assert all(one.evidence and "\n" not in one.evidence for one in first)
        assert audit(acquired(kspace)) == first


@pytest.mark.parametrize("factor", [1e-20, 1e15])
def test_the_scale_of_the_samples_changes_nothing(factor: float) -> None:
    for kspace in (scan(), grappa(scan(coils=4), 2), windowed(scan())):
        assert states(acquired(kspace * factor)) == states(acquired(kspace))


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1, 1), (1, 1, 1, 40), (1, 1, 40, 1), (1, 2, 5, 7), (9, 3, 16, 16), (1, 5, 64, 8), (1, 40, 20, 20), (3, 2, 33, 129)],
)
def test_any_shape_will_do(shape: tuple[int, int, int, int]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((*shape, 2)) @ [1, 1j]
    for kspace in (noise, np.ones(shape), np.zeros(shape), noise * (np.arange(shape[2]) > shape[2] // 2)[:, None]):
        acquisition = acquired(kspace)
        findings = audit(acquisition)
        assert len(findings) == len(CRIMES)
        assert picture(acquisition, findings).startswith(b"\x89PNG")
    assert not found(acquired(noise))


def test_no_more_than_eight_central_slices_are_read() -> None:
    kspace = scan(coils=2, size=32, slices=20).numpy()
    parts: list[tuple[int | slice, ...]] = []

    def load(part: tuple[int | slice, ...]) -> ComplexArray:
        parts.append(part)
        return kspace[part]

    acquisition = acquired(kspace)
    audit(replace(acquisition, kspace=replace(acquisition.kspace, load=load)))
    assert [part[0] for part in parts] == [slice(6, 14)]


def _colours(png: bytes) -> set[tuple[int, int, int]]:
    with Image.open(io.BytesIO(png)) as image:
        assert image.mode == "RGB"
        return {colour for _, colour in image.getcolors(1 << 24)}


ORANGE, BLUE, GREY = (213, 94, 0), (0, 114, 178), (150, 150, 150)


def test_a_picture_marks_what_was_found_and_nothing_else() -> None:
    def marks(kspace: Tensor, lines: Sequence[bool] | None = None) -> set[tuple[int, int, int]]:
        acquisition = acquired(kspace, lines)
        # A grey of the magnitude itself may equal that of the marks.
        return _colours(picture(acquisition, audit(acquisition))) & {ORANGE, BLUE}

    assert marks(scan()) == set()
    assert marks(padded(scan())) == {ORANGE}
    assert marks(grappa(scan(coils=4), 3)) == {BLUE}


def test_a_picture_is_the_same_every_time() -> None:
    acquisition = acquired(scan())
    assert picture(acquisition, audit(acquisition)) == picture(acquisition, audit(acquisition))


@pytest.mark.trials
@pytest.mark.parametrize("coils", [1, 4, 8])
def test_rates_over_patients_and_noise(tmp_path: Path, coils: int) -> None:
    """Digital brains at five levels of noise: no clean volume is accused, and of the planted crimes few are missed."""
    pytest.importorskip("nilearn")
    from halfscan.datasets.digital_brains import DigitalBrains

    # Notches take more noise to be seen than one or four coils always have.
    left_out = {"notches", "replaced lines", *(("GRAPPA, R = 2", "GRAPPA, R = 3", "SENSE") if coils == 1 else ())}
    judged = [one for one in PLANTED if one not in left_out]
    missed: list[tuple[float, str]] = []
    volumes = 0
    for snr in (10, 20, 50, 100, 200):
        for volume in DigitalBrains(test=4, coils=coils, snr=snr, cache=str(tmp_path)).acquisitions():
            kspace = torch.from_numpy(volume.kspace.read().copy())
            assert not found(acquired(kspace)), (snr, volume.volume)
            volumes += 1
            missed += [(snr, one) for one in judged if PLANTED[one][0] not in found(acquired(PLANTED[one][1](kspace)))]
    assert len(missed) <= 0.03 * volumes * len(judged), missed
