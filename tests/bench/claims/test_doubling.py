"""The claim of doubled quality, end to end on measured QA: a vendor who truly halves the noise, and those who cheat."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from scipy import ndimage

from halfscan.bench.claims.judge import judge
from halfscan.bench.claims.types import ClaimSpec, Verdict
from halfscan.bench.claims.word import Registration
from halfscan.bench.configuration import build_claims, compose_run, to_plain
from halfscan.bench.operators import combine, to_image, to_kspace
from halfscan.bench.qa.quality import Quality, Volume
from halfscan.bench.reconstruction import ReconInput
from halfscan.bench.rows import Row

from ...conftest import phantom
from ..test_rows import ROW

PATIENTS = 20
QUALITY = Quality(replicas=24, sites=3)
Finish = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Image as it was reconstructed, and the object as it is → what a vendor shows."""


def _honest(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return image


def _blurred(image: torch.Tensor, truth: torch.Tensor, sigma: float = 0.6) -> torch.Tensor:
    found = image.numpy()
    parts = [ndimage.gaussian_filter(part, (0, sigma, sigma), mode="wrap") for part in (found.real, found.imag)]
    return torch.from_numpy(parts[0] + 1j * parts[1])


def _brightened(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return image + torch.sgn(image) * 1.1 * truth.abs().max()


def _darkened(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Half the noise, and half of everything else."""
    return image / 2


def _attenuated(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Fine detail at less than half its height, the width of a point all but kept, and a gain that hides the loss of contrast."""
    along = (torch.arange(64) - 32) / 64
    radius = torch.hypot(along[:, None], along[None, :])
    return to_image(to_kspace(image) * torch.where(radius < 0.14, 1.05, 0.45))


def _left(share: float, image: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.where(torch.arange(64) < share * 64, other, image)


def _remembered(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """A part of the object as it always looks, whatever the patient has there."""
    return _left(0.35, image, truth)


def _mostly_blurred(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return _left(0.65, image, _blurred(image, truth, 7.0))


def _ghosted(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return image + torch.roll(image, 32, 1)


def _faintly_ghosted(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return image + 0.05 * torch.roll(image, 32, 1)


def _patient(number: int, noise: float, finish: Finish) -> dict[str, float | None]:
    image, maps, kspace = phantom(slices=1, coils=2, height=64, width=64)
    strength = 1 + 0.05 * number

    def reconstruct(data: torch.Tensor) -> torch.Tensor:
        return finish(combine(to_image(data), maps.repeat(data.shape[0], 1, 1, 1)), image * strength)

    volume = Volume(
        data=ReconInput(
            kspace=kspace * strength,
            mask=torch.ones(64, 1, dtype=torch.bool),
            acs=None,
            maps=maps,
            noise_cov=torch.eye(2) * noise**2,
            field_of_view=(64, 64),
        ),
        reconstruct=reconstruct,
        object_image=image * strength,
        object_maps=maps,
        digest=f"patient {number}",
    )
    return {name: value.value for name, value in QUALITY.measure(volume).items()}


def _arm(model: str, acceleration: float, noise: float, finish: Finish = _honest) -> list[Row]:
    from dataclasses import replace

    return [
        replace(
            ROW,
            patient=str(number),
            volume=str(number),
            model=model,
            nominal_acceleration=acceleration,
            evidence="retrospective",
            metrics=_patient(number, noise, finish),
            reasons={},
        )
        for number in range(PATIENTS)
    ]


@pytest.fixture(scope="module")
def claim() -> ClaimSpec:
    return build_claims(to_plain(compose_run(["claim=double_snr"], ["claims"]))["claims"])[0]


@pytest.fixture(scope="module")
def reference() -> list[Row]:
    return _arm("sense", 2.0, 0.02)


def _verdict(claim: ClaimSpec, rows: Sequence[Row]) -> Verdict:
    registration = Registration(hashes={claim.claim_id: claim.sha256}, started="2026-01-01T00:00:00+00:00")
    return judge([claim], rows, registration, resamples=2000)[0]


def test_a_vendor_who_halves_the_noise_is_supported(claim: ClaimSpec, reference: list[Row]) -> None:
    verdict = _verdict(claim, [*reference, *_arm("unet", 4.0, 0.0095)])
    assert verdict.verdict == "supported", verdict.reasons
    assert {one.metric: one.result for one in verdict.endpoints}["snr@qa"] == "met"


def test_a_vendor_who_only_blurs_fails_on_the_width_by_name(claim: ClaimSpec, reference: list[Row]) -> None:
    verdict = _verdict(claim, [*reference, *_arm("unet", 4.0, 0.0095, _blurred)])
    results = {one.metric: one.result for one in verdict.endpoints}
    assert results["snr@qa"] == "met"
    assert results["fwhm@qa"] == "inferior"
    assert verdict.verdict == "refuted"
    assert any(reason.startswith("fwhm@qa") for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("noise", "finish", "metric"),
    [
        (0.02, _brightened, "bias@qa"),
        (0.02, _darkened, "bias@qa"),
        (0.02, _attenuated, "point_contrast@qa"),
        (0.0095, _remembered, "lesion_missed@qa"),
        (0.0095, _ghosted, "off_target@qa"),
        (0.0095, _faintly_ghosted, "off_target@qa"),
        (0.0095, _mostly_blurred, "lesion_missed@qa"),
    ],
)
def test_a_vendor_who_cheats_is_refuted_by_name(
    claim: ClaimSpec, reference: list[Row], noise: float, finish: Finish, metric: str
) -> None:
    verdict = _verdict(claim, [*reference, *_arm("unet", 4.0, noise, finish)])
    results = {one.metric: one.result for one in verdict.endpoints}
    assert results[metric] == "inferior", results
    assert verdict.verdict == "refuted"


def test_a_vendor_who_shows_what_he_remembers_is_refuted_though_nothing_has_a_logarithm(
    claim: ClaimSpec, reference: list[Row]
) -> None:
    verdict = _verdict(claim, [*reference, *_arm("unet", 4.0, 0.02, lambda image, truth: truth.expand_as(image))])
    assert verdict.verdict == "refuted"
    results = {one.metric: one.result for one in verdict.endpoints}
    assert results["lesion_dprime@qa"] == results["lesion_missed@qa"] == "inferior"
