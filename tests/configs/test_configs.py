"""Every choice composes, instantiates, and says every setting of what it makes; nothing is declared in vain."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from halfscan.bench.configuration import build_claims
from halfscan.bench.scan_time.protocol import Assumed
from halfscan.configs import schema

CONFIGS = Path(schema.__file__).parent
GROUPS = ("dataset", "sampling", "protocol", "model", "trainer", "maps", "metrics", "qa", "energy")


SAMPLES = {"path": "x", "kwh": "0.1"}


def _needed(group: str, choice: str) -> list[str]:
    """What a choice has no default for."""
    missing = re.findall(r"(?m)^(\w+): \?\?\?", (CONFIGS / group / f"{choice}.yaml").read_text("utf-8"))
    return [f"{group}.{name}={SAMPLES.get(name, '1200')}" for name in missing]


CHOICES = [(group, path.stem) for group in GROUPS for path in sorted((CONFIGS / group).glob("*.yaml"))]


@pytest.fixture(autouse=True)
def _hydra():
    schema.register()
    with initialize_config_module("halfscan.configs", version_base="1.3"):
        yield


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_and_instantiates(group: str, choice: str) -> None:
    node = compose("run", [f"{group}={choice}", *_needed(group, choice)])[group]
    if group == "metrics":
        assert all(profile.truth for profile in node.values() if profile)
        return
    plain = OmegaConf.to_container(node, resolve=True)
    if group == "model":
        plain.pop("name")
    made = instantiate(plain, _convert_="all")
    target = get_class(node._target_) if group != "energy" else None
    if target is not None:
        assert isinstance(made, target)
        settings = {item.name for item in dataclasses.fields(target) if item.repr}
        assert set(plain) - {"_target_"} == settings, "every setting stands in the YAML, and nothing else"


@pytest.mark.parametrize("path", sorted((CONFIGS / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_composes(path: Path) -> None:
    config = compose("run", [f"experiment={path.stem}"], return_hydra_config=True)
    assert config.hydra.sweeper.params


def test_every_yaml_says_what_it_is_for() -> None:
    for path in CONFIGS.rglob("*.yaml"):
        assert path.read_text("utf-8").startswith("#"), f"{path}: the first line says what it is for"


@pytest.mark.parametrize(
    ("group", "choice"),
    [(group, path.stem) for group in ("scanner", "grid", "service") for path in (CONFIGS / group).glob("*.yaml")],
)
def test_every_choice_of_the_ledger_instantiates(group: str, choice: str) -> None:
    node = compose("ledger", [f"{group}={choice}"])[group]
    made = instantiate(OmegaConf.to_container(node, resolve=True), _convert_="all")
    assert isinstance(made, get_class(node._target_))


CLAIMS = sorted(path.stem for path in (CONFIGS / "claim").glob("*.yaml"))


@pytest.mark.parametrize("choice", CLAIMS)
def test_every_claim_composes_under_its_own_name(choice: str) -> None:
    nodes = OmegaConf.to_container(compose("run", [f"claim={choice}"]).claims, resolve=True)
    (claim,) = build_claims(nodes)
    assert claim.claim_id == choice
    assert set(nodes[choice]) - {"_target_"} == {item.name for item in dataclasses.fields(claim)}
    assert claim.untestable or claim.endpoints
    assert (CONFIGS.parent / "docs" / "claims.md").read_text("utf-8").count(f"`{choice}`") >= 1


def test_claims_may_stand_together() -> None:
    assert list(compose("run", ["claim=[half_time,double_snr]"]).claims) == ["half_time", "double_snr"]


# Choices that are another one with other settings.
VARIANTS = {
    "zero_filled_rss",
    "bart_wavelet",
    "sigpy_wavelet",
    "recipe",
    "unet_fresh",
    "modl_fresh",
    "varnet_fresh",
    "modl_denoising",
}
# Defaults that a file is there to choose; of the rest it says what the code says.
OWN = {"acs_lines", "dimension", "echo_train_length", "echo_spacing_s", "partitions", "dummies", "assumed", "clinical", "weights"}
OWN |= {"keep_samples", "calibrate"}  # what finished weights are best used with


@pytest.mark.parametrize("choice", [choice for group, choice in CHOICES if group == "protocol"])
def test_fitted_times_of_protocols_are_those_of_the_code(choice: str) -> None:
    assumed = compose("run", [f"protocol={choice}"]).protocol.assumed
    for name in ("preparation_s", "reference_line_s", "sms_reference_s"):
        assert assumed[name] == list(getattr(Assumed(), name))


def test_defaults_of_yaml_and_code_agree() -> None:
    """Plain library calls get the settings that the configuration documents."""
    for group, choice in CHOICES:
        if group in ("metrics", "energy"):
            continue
        node = compose("run", [f"{group}={choice}", *_needed(group, choice)])[group]
        for name, parameter in inspect.signature(get_class(node._target_)).parameters.items():
            own = choice in VARIANTS or name in OWN
            if parameter.default is not inspect.Parameter.empty and not own and name in node:
                default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
                assert node[name] == default, f"{group}/{choice}: {name}"


@pytest.mark.parametrize(
    "override",
    ["sampling.acceleration=fast", "threads=two", "nonsense=1", "sampling.accelaration=4", "model=nonsense", "protocol.tr=1"],
)
def test_a_wrong_override_is_refused(override: str) -> None:
    with pytest.raises(HydraException):
        compose("run", [override])


@pytest.mark.parametrize("model", ["modl", "varnet", "unet"])
def test_the_training_configuration_plans_a_training(model: str) -> None:
    from halfscan.bench.configuration import build, to_plain, without_name
    from halfscan.bench.training_plan import plan_training

    plain = to_plain(compose("train", [f"model={model}", "dataset.train=3", "dataset.validation=1"]))
    built = {name: build(plain[name], name) for name in ("dataset", "sampling", "maps", "energy")}
    training = plan_training(
        plain, built["dataset"], build(without_name(plain["model"]), "model"), built["sampling"], built["maps"], built["energy"]
    )
    assert len(training.samplings()) == len(plain["trainer"]["samplings"])
