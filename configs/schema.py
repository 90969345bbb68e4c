"""Types of the configuration, so that a wrong override is refused by name before anything runs.

Values live in the YAML files; here stand the fields and their types. An outside model or data set brings a YAML file of
its own without a schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class Tracking:
    uri: str | None = None
    experiment: str = MISSING


@dataclass
class Run:
    """The whole configuration of one cell."""

    dataset: Any = MISSING
    sampling: Any = MISSING
    protocol: Any = MISSING
    model: Any = MISSING
    maps: Any = MISSING
    metrics: Any = MISSING
    qa: Any = MISSING
    energy: Any = MISSING
    trainer: Any = MISSING
    claims: dict[str, Any] = field(default_factory=dict)
    mask_replicate: int = MISSING
    train_seed: int = MISSING
    device: str = MISSING
    threads: int = MISSING
    pack: int = MISSING
    shares: int = MISSING
    share: int | None = None
    images_gb: float = MISSING
    references_gb: float = MISSING
    out: str = MISSING
    tracking: Tracking = field(default_factory=Tracking)


@dataclass
class Ledger:
    """The whole configuration of a ledger."""

    scanner: Any = MISSING
    grid: Any = MISSING
    computer: Any = MISSING
    service: Any = MISSING
    against: str = MISSING


@dataclass
class Train:
    """The whole configuration of one training."""

    dataset: Any = MISSING
    sampling: Any = MISSING
    model: Any = MISSING
    maps: Any = MISSING
    energy: Any = MISSING
    trainer: Any = MISSING
    train_seed: int = MISSING
    device: str = MISSING
    threads: int = MISSING
    out: str = MISSING
    tracking: Tracking = field(default_factory=Tracking)


@dataclass
class Target:
    _target_: str = MISSING


@dataclass
class SourceDataset(Target):
    name: str = MISSING
    path: str = MISSING
    patient_pattern: str | None = None
    max_slices: int | None = None
    splits: str | None = None
    split: str = MISSING


@dataclass
class ArrayDataset(SourceDataset):
    axes: list[str] | None = None
    provenance: str | None = None


@dataclass
class Cfl(SourceDataset):
    pass


@dataclass
class Nifti(SourceDataset):
    phase_axis: str | None = None


@dataclass
class Dicom(SourceDataset):
    series: list[int] | None = None
    phase_axis: str | None = None
    contrast: str | None = None
    public_dataset: str | None = None


@dataclass
class Twix(SourceDataset):
    provenance: str | None = None
    public_dataset: str | None = None


@dataclass
class Mrd(SourceDataset):
    provenance: str | None = None
    public_dataset: str | None = None
    contrast: str | None = None


@dataclass
class FastMri(SourceDataset):
    padding: str = MISSING


@dataclass
class M4Raw(SourceDataset):
    repetition: int = MISSING


@dataclass
class SampleDataset(Target):
    name: str = MISSING
    coils: int = MISSING
    snr: float = MISSING
    noise_correlation: float = MISSING
    slices: int = MISSING
    data_seed: int = MISSING


@dataclass
class DigitalBrains(Target):
    name: str = MISSING
    split: str = MISSING
    train: int = MISSING
    validation: int = MISSING
    test: int = MISSING
    contrasts: list[str] = MISSING
    slices: int = MISSING
    matrix: int = MISSING
    coils: int = MISSING
    field_strength_t: float = MISSING
    snr: float = MISSING
    noise_correlation: float = MISSING
    deformation_mm: float = MISSING
    tissue_spread: float = MISSING
    lesion_share: float = MISSING
    data_seed: int = MISSING
    cache: str | None = None


@dataclass
class VariedBrains(Target):
    name: str = MISSING
    split: str = MISSING
    train: int = MISSING
    validation: int = MISSING
    test: int = MISSING
    slices: int = MISSING
    generic_share: float = MISSING
    snr: list[float] = MISSING
    single_coil_snr: list[float] = MISSING
    data_seed: int = MISSING


@dataclass
class LineSampling(Target):
    acceleration: float = MISSING
    acs_lines: int | None = None
    center_fraction: float | None = None
    seed: str = MISSING


@dataclass
class VariableDensity(LineSampling):
    power: float = MISSING


@dataclass
class PartialFourier(LineSampling):
    fraction: float = MISSING


@dataclass
class PoissonDisc(LineSampling):
    slope: float = MISSING


@dataclass
class ClinicalProtocol(Target):
    name: str = MISSING
    acceleration: float = MISSING
    acs_lines: int = MISSING


@dataclass
class Assumed(Target):
    dummies: list[float] | None = None
    preparation_s: list[float] | None = None
    reference_line_s: list[float] | None = None
    sms_reference_s: list[float] | None = None


@dataclass
class Protocol(Target):
    name: str = MISSING
    sequence: str = MISSING
    dimension: int = MISSING
    timing: str = MISSING
    tr_s: float = MISSING
    echo_train_length: int = MISSING
    echo_spacing_s: float | None = None
    averages: int = MISSING
    volumes: int = MISSING
    slices: int | None = None
    sms_factor: int = MISSING
    concatenations: int | None = None
    slices_per_tr: int | None = None
    partitions: int = MISSING
    elliptical: bool = MISSING
    segments: int = MISSING
    dummies: int = MISSING
    reference: str = MISSING
    reference_lines: int | None = None
    reference_line_s: float = MISSING
    sms_reference_s: float = MISSING
    preparation_s: float = MISSING
    assumed: Assumed = field(default_factory=Assumed)
    clinical: ClinicalProtocol = field(default_factory=ClinicalProtocol)


@dataclass
class Model(Target):
    name: str = MISSING


@dataclass
class ZeroFilled(Model):
    combination: str = MISSING


@dataclass
class ParallelImaging(Model):
    map_sets: int = MISSING
    prewhiten: bool = MISSING
    virtual_coils: int | None = None


@dataclass
class Sense(ParallelImaging):
    regularisation: float = MISSING
    iterations: int = MISSING
    tolerance: float = MISSING


@dataclass
class Wavelet(Sense):
    levels: int = MISSING
    spin: bool = MISSING


@dataclass
class TotalVariation(Sense):
    inner_iterations: int = MISSING


@dataclass
class Denoised(ParallelImaging):
    strength: float = MISSING
    levels: int = MISSING
    shifts: int = MISSING


@dataclass
class Grappa(Model):
    kernel_readout: int = MISSING
    kernel_lines: int = MISSING
    regularisation: float = MISSING
    combination: str = MISSING


@dataclass
class Homodyne(Model):
    weighting: str = MISSING
    combination: str = MISSING


@dataclass
class Pocs(Model):
    iterations: int = MISSING
    tolerance: float = MISSING
    combination: str = MISSING


@dataclass
class Outside(Model):
    method: str = MISSING
    regularisation: float = MISSING
    iterations: int = MISSING


@dataclass
class Finished(Model):
    path: str = MISSING
    combination: str = MISSING


@dataclass
class Learned(Model):
    weights: str | None = None
    keep_samples: bool = MISSING
    turns: int = 1


@dataclass
class UNet(Learned):
    features: int = MISSING


@dataclass
class VarNet(Learned):
    cascades: int = MISSING
    features: int = MISSING
    map_features: int = MISSING
    combination: str = MISSING


@dataclass
class VarNetFastMri(VarNet):
    pools: int = MISSING
    map_pools: int = MISSING


@dataclass
class Modl(Learned):
    calibrate: bool = False
    features: int = MISSING
    iterations: int = MISSING


@dataclass
class OwnNetwork(Learned):
    module: Any = MISSING
    input: str = MISSING
    residual: bool = MISSING
    multiple: int = MISSING


@dataclass
class Trainer(Target):
    steps: int = MISSING
    batch_size: int = MISSING
    learning_rate: float = MISSING
    warm_up: int = MISSING
    decay: bool = MISSING
    clip: float | None = None
    average: float | None = None
    loss: str = MISSING
    accelerations: list[float] = MISSING
    samplings: list[Any] | None = None
    augment: bool = MISSING
    start: str | None = None
    validate_every: int = MISSING
    patience: int | None = None
    checkpoint_every: int = MISSING
    workers: int = MISSING
    cache: str | None = None
    mixed_precision: bool = MISSING


@dataclass
class Espirit(Target):
    calibration: int = MISSING
    kernel: int = MISSING
    threshold: float = MISSING
    crop: float = MISSING
    iterations: int = MISSING


@dataclass
class Quality(Target):
    replicas: int = MISSING
    sites: int = MISSING
    spacing: int = MISSING
    point_amplitude: float = MISSING
    lesion_contrast: float = MISSING
    lesion_radius: float = MISSING


@dataclass
class Profile:
    truth: str = MISSING


@dataclass
class Profiles:
    fastmri: Profile | None = None
    mvue: Profile | None = None


@dataclass
class Claim(Target):
    claim_id: str = MISSING
    statement: str = MISSING
    source: str = MISSING
    reference: dict[str, Any] = field(default_factory=dict)
    candidate: dict[str, Any] = field(default_factory=dict)
    time_target: float | None = None
    time_baseline: str = MISSING
    scope: str = MISSING
    alpha: float = MISSING
    ladder: list[float] = MISSING
    untestable: str | None = None
    endpoints: list[Any] = MISSING


SCHEMAS: dict[str, dict[str, type]] = {
    "dataset": {
        "array": ArrayDataset,
        "cfl": Cfl,
        "dicom": Dicom,
        "fastmri": FastMri,
        "m4raw": M4Raw,
        "mrd": Mrd,
        "nifti": Nifti,
        "twix": Twix,
        "digital_brains": DigitalBrains,
        "varied_brains": VariedBrains,
        "sample": SampleDataset,
    },
    "sampling": {
        "lines": LineSampling,
        "variable_density": VariableDensity,
        "partial_fourier": PartialFourier,
        "poisson_disc": PoissonDisc,
    },
    "protocol": {"cartesian": Protocol},
    "model": {
        "zero_filled": ZeroFilled,
        "sense": Sense,
        "wavelet": Wavelet,
        "total_variation": TotalVariation,
        "denoised": Denoised,
        "grappa": Grappa,
        "homodyne": Homodyne,
        "pocs": Pocs,
        "outside": Outside,
        "finished": Finished,
        "unet": UNet,
        "own_network": OwnNetwork,
        "modl": Modl,
        "varnet": VarNet,
        "varnet_fastmri": VarNetFastMri,
    },
    "trainer": {"trainer": Trainer},
    "maps": {"espirit": Espirit},
    "metrics": {"profiles": Profiles},
    "qa": {"quality": Quality, "skipped": Target},
    "claim": {"claim": Claim},
}


def register() -> None:
    """Makes the schemas known to Hydra, under groups of their own so that they are no choice of the real groups."""
    store = ConfigStore.instance()
    store.store(name="run_schema", node=Run)
    store.store(name="train_schema", node=Train)
    store.store(name="ledger_schema", node=Ledger)
    for group, schemas in SCHEMAS.items():
        for name, node in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=node)
