"""Masks: fastMRI's own as goldens, and the laws that every pattern keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfscan.bench.errors import HalfscanError
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.sampling.equispaced_fraction import EquispacedFraction
from halfscan.bench.sampling.partial_fourier import PartialFourier
from halfscan.bench.sampling.pattern import LineSampling, Sampling
from halfscan.bench.sampling.poisson_disc import PoissonDisc, throw_darts
from halfscan.bench.sampling.random import Random
from halfscan.bench.sampling.variable_density import VariableDensity

PATTERNS = (Random, Equispaced, EquispacedFraction, VariableDensity)
FILE_SEED = (102, 105, 108, 101)

# (pattern, lines, center_fraction, R, packed mask) as fastMRI 0.3.0 draws them with seed (102, 105, 108, 101).
FASTMRI = [
    (Random, 368, 0.08, 4, "2183120000204c00080420c10001c85104160004003ffffffe008008000008880610c10810d10089281010312001"),
    (Random, 368, 0.04, 8, "0003020000200c00000020000000c0500406000000117fff0a000008000000800400410810910001201010300000"),
    (Random, 45, 0.08, 3, "318357800020"),
    (Random, 128, 0.1875, 4, "0001020000200ffffff000000000c050"),
    (Equispaced, 368, 0.08, 4, "1111111111111111111111111111111111111111113fffffff111111111111111111111111111111111111111111"),
    (Equispaced, 368, 0.04, 8, "101010101010101010101010101010101010101010107fff10101010101010101010101010101010101010101010"),
    (Equispaced, 45, 0.08, 3, "24924fa49248"),
    (Equispaced, 128, 0.1875, 4, "1111111111111ffffff1111111111111"),
    (
        EquispacedFraction,
        368,
        0.08,
        4,
        "1082104210421042084208420841084108210821083ffffffe210420842084108410841082108210821042104208",
    ),
    (
        EquispacedFraction,
        368,
        0.04,
        8,
        "100200200400400801001002004004008008010020027fff04008010010020020040080080100200200400400800",
    ),
    (EquispacedFraction, 45, 0.08, 3, "112227c44480"),
    (EquispacedFraction, 128, 0.1875, 4, "0010008004002ffffff8004002001000"),
]


@pytest.mark.parametrize(("pattern", "n", "fraction", "acceleration", "packed"), FASTMRI)
def test_agrees_with_fastmri(pattern: type[LineSampling], n: int, fraction: float, acceleration: int, packed: str) -> None:
    spec = pattern(acceleration=acceleration, center_fraction=fraction)
    count = spec.central_lines(n)
    kept = spec.lines(n, count, np.random.RandomState(FILE_SEED))
    start = (n - count + 1) // 2
    kept[start : start + count] = True
    assert np.packbits(kept).tobytes().hex() == packed


def _draw(pattern: type[LineSampling], acceleration: float, acs: int, n: int = 128, digest: str = "d", replicate: int = 0):
    return pattern(acceleration=acceleration, acs_lines=acs).draw(np.ones(n, dtype=bool), digest, replicate)


@given(
    pattern=st.sampled_from(PATTERNS),
    n=st.integers(1, 200),
    acceleration=st.integers(1, 8),
    acs=st.integers(0, 200),
    digest=st.text(max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_any_mask_is_right_or_refused(pattern: type[LineSampling], n: int, acceleration: int, acs: int, digest: str) -> None:
    try:
        mask = _draw(pattern, acceleration, acs, n, digest)
    except HalfscanError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a refusal is one of the two right answers
        return
    assert mask.acs_lines == acs
    if mask.acs:
        assert mask.sampled[slice(*mask.acs)].all()
        assert mask.acs[0] <= n // 2 < mask.acs[1] or acs == 1
    assert mask.acceleration == n / mask.sampled.sum()
    assert 1 <= mask.acceleration <= n
    assert acceleration > 1 or mask.sampled.all()


@pytest.mark.parametrize(
    ("center_fraction", "acceleration", "lines"),
    # Of 368: the offset decides how many regular lines fall into the centre.
    [(0.08, 4, {113, 114}), (0.04, 8, {59, 60})],
)
def test_equispaced_achieves_less_than_its_nominal_acceleration(
    center_fraction: float, acceleration: int, lines: set[int]
) -> None:
    spec = Equispaced(acceleration=acceleration, center_fraction=center_fraction)
    masks = [spec.draw(np.ones(368, dtype=bool), "volume", replicate) for replicate in range(60)]
    assert {mask.lines_sampled for mask in masks} == lines
    assert all(mask.acceleration == 368 / mask.lines_sampled < mask.nominal for mask in masks)


def test_equispaced_fraction_achieves_its_acceleration() -> None:
    assert _draw(EquispacedFraction, 4, 24).acceleration == pytest.approx(4, rel=0.05)


def test_random_achieves_its_acceleration_on_average() -> None:
    lines = [_draw(Random, 4, 10, replicate=replicate).lines_sampled for replicate in range(300)]
    assert np.mean(lines) == pytest.approx(128 / 4, rel=0.02)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_centre_is_a_mask_too(pattern: type[LineSampling]) -> None:
    mask = _draw(pattern, 4, 0)
    assert mask.acs is None
    assert mask.acs_lines == 0
    assert mask.sampled.any()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_seeded_by_content_spec_and_replicate(pattern: type[LineSampling]) -> None:
    base = _draw(pattern, 4, 8)
    assert _draw(pattern, 4, 8).hash == base.hash
    others = [_draw(pattern, 4, 8, digest=f"other {index}").hash for index in range(12)]
    replicates = [_draw(pattern, 4, 8, replicate=index).hash for index in range(1, 13)]
    assert set(others) != {base.hash}
    assert set(replicates) != {base.hash}


def test_padding_is_neither_sampled_nor_counted() -> None:
    acquired = np.zeros(128, dtype=bool)
    acquired[14:114] = True
    mask = Equispaced(acceleration=2, acs_lines=24).draw(acquired, "d")
    assert not mask.sampled[~acquired].any()
    assert mask.lines_acquired == 100
    assert mask.acceleration == 100 / mask.sampled.sum()


def test_calibration_lines_end_where_partial_fourier_does() -> None:
    acquired = np.arange(128) >= 60
    mask = Equispaced(acceleration=2, acs_lines=24).draw(acquired, "d")
    assert mask.acs == (60, 76)


def test_a_mask_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        _draw(Random, 4, 8).sampled[0] = True


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"acceleration": 0.5, "acs_lines": 4}, "sampling.acceleration=0.5 must be at least 1"),
        ({"acceleration": float("nan"), "acs_lines": 4}, "must be at least 1"),
        ({"acceleration": float("inf"), "acs_lines": 4}, "must be at least 1"),
        ({"acceleration": 4, "acs_lines": 4, "center_fraction": 0.1}, "give one of the two"),
        ({"acceleration": 4}, "give one of the two"),
        ({"acceleration": 4, "acs_lines": -1}, "must not be negative"),
        ({"acceleration": 4, "center_fraction": 1.5}, "between 0 and 1"),
    ],
)
def test_impossible_settings_are_refused(settings_: dict[str, float], message: str) -> None:
    with pytest.raises(HalfscanError, match=message):
        Random(**settings_)


def test_more_calibration_lines_than_lines_are_refused() -> None:
    with pytest.raises(HalfscanError, match="acs_lines=200 is larger than the 128 lines"):
        _draw(Equispaced, 4, 200)


@pytest.mark.parametrize("pattern", [Random, EquispacedFraction])
def test_an_acceleration_that_the_centre_forbids_is_refused(pattern: type[LineSampling]) -> None:
    with pytest.raises(HalfscanError, match="24 ACS lines alone are more than 1/8 of 128 lines"):
        _draw(pattern, 8, 24)


def test_equispaced_needs_a_whole_number() -> None:
    with pytest.raises(HalfscanError, match="use sampling=equispaced_fraction"):
        _draw(Equispaced, 2.5, 8)


def test_variable_density_has_exactly_its_lines_and_is_denser_at_the_centre() -> None:
    masks = [_draw(VariableDensity, 4, 8, replicate=replicate) for replicate in range(200)]
    assert {mask.lines_sampled for mask in masks} == {32}
    density = np.mean([mask.sampled for mask in masks], axis=0)
    distance = np.abs(np.arange(128) - 64) / 65
    outer = distance > 0.08
    expected = (1 - distance[outer]) ** 2
    assert np.corrcoef(density[outer], expected)[0, 1] > 0.95
    uniform = [VariableDensity(acceleration=4, acs_lines=0, power=0).draw(np.ones(128, dtype=bool), "d", r) for r in range(200)]
    assert np.std(np.mean([mask.sampled for mask in uniform], axis=0)) < 0.05


def test_partial_fourier_keeps_one_side_and_the_centre() -> None:
    full = PartialFourier(acceleration=1, acs_lines=24, fraction=0.75).draw(np.ones(128, dtype=bool), "d")
    assert full.sampled[:96].all()
    assert not full.sampled[96:].any()
    assert full.acceleration == full.nominal == pytest.approx(4 / 3)
    half = PartialFourier(acceleration=2, acs_lines=24, fraction=0.75).draw(np.ones(128, dtype=bool), "d")
    assert half.sampled[slice(*half.acs)].all()
    assert not half.sampled[96:].any()
    assert half.nominal == pytest.approx(8 / 3)
    with pytest.raises(HalfscanError, match="cut through the 60 ACS lines"):
        PartialFourier(acceleration=1, acs_lines=60, fraction=0.6).draw(np.ones(128, dtype=bool), "d")
    with pytest.raises(HalfscanError, match=r"fraction=0.5 must be above"):
        PartialFourier(acceleration=1, acs_lines=0, fraction=0.5)


def _disc(acceleration: float, acs: int, n: int = 64, readout: int = 56, **others: float):
    spec = PoissonDisc(acceleration=acceleration, acs_lines=acs, **others)
    return spec.draw(np.ones(n, dtype=bool), "d", readout=readout)


@pytest.mark.parametrize(("acceleration", "acs"), [(2, 0), (4, 12), (8, 16), (1, 0)])
def test_poisson_disc_achieves_its_acceleration_exactly(acceleration: float, acs: int) -> None:
    mask = _disc(acceleration, acs)
    assert mask.sampled.sum() == round(64 * 56 / acceleration)
    assert mask.acceleration == pytest.approx(acceleration, rel=1e-3)
    if acs:
        assert mask.sampled[slice(*mask.acs), slice(*mask.acs_readout)].all()
        assert mask.acs[1] - mask.acs[0] == mask.acs_readout[1] - mask.acs_readout[0] == acs


def test_darts_keep_their_distance() -> None:
    shape = (40, 36)
    radius = 1.5 + 2 * PoissonDisc.distance(shape)
    taken = throw_darts(np.random.RandomState(0).permutation(40 * 36), radius, shape)
    points = np.argwhere(taken)
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1) + np.where(np.eye(len(points)), np.inf, 0)
    own = radius[taken]
    assert (gaps >= np.minimum(own[:, None], own[None])).all()
    assert len(points) > 50


def test_poisson_disc_on_a_2d_scan_saves_no_lines() -> None:
    mask = _disc(4, 12, slope=0)
    assert mask.lines_sampled == mask.lines_acquired == 64


def test_poisson_disc_refuses_what_can_not_be() -> None:
    with pytest.raises(HalfscanError, match="alone is more than 1/8"):
        _disc(8, 40)
    with pytest.raises(HalfscanError, match="larger than the 20 samples along kx"):
        _disc(2, 24, readout=20)
    with pytest.raises(HalfscanError, match=r"sampling\.slope"):
        _disc(2, 8, slope=-1)


@pytest.mark.parametrize(("pattern", "n", "fraction", "acceleration", "packed"), [FASTMRI[0], FASTMRI[6], FASTMRI[11]])
def test_seeded_by_file_name_as_fastmri(
    pattern: type[LineSampling], n: int, fraction: float, acceleration: int, packed: str
) -> None:
    spec = pattern(acceleration=acceleration, center_fraction=fraction, seed="fastmri")
    mask = spec.draw(np.ones(n, dtype=bool), "any digest", file_name="".join(map(chr, FILE_SEED)))
    assert np.packbits(mask.sampled).tobytes().hex() == packed


def test_a_seed_by_file_name_needs_a_file_and_has_one_draw() -> None:
    spec: Sampling = Random(acceleration=4, acs_lines=8, seed="fastmri")
    for settings_ in ({}, {"file_name": "a.h5", "replicate": 1}):
        with pytest.raises(HalfscanError, match="seed=fastmri seeds by the file's name"):
            spec.draw(np.ones(128, dtype=bool), "d", **settings_)
    with pytest.raises(HalfscanError, match=r"sampling.seed=numpy is unknown"):
        Random(acceleration=4, acs_lines=8, seed="numpy")
