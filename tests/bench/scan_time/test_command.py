"""`halfscan time`: the breakdown for people and for programs, lines and timing from the data, and refusals in one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from halfscan.bench.cli import main

from ..running import halfscan


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    capsys.readouterr()
    assert main(["time", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_breakdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["time", "protocol=tse_knee", "sampling.acceleration=4"]) == 0
    said = capsys.readouterr().out
    for words in (
        "lines along ky                                   110               368               196",
        "TR 3 s · shots                                42.0 s           138.0 s            75.0 s",
        "R = 4 promises -75 %; it achieves R = 3.35",
        "-67 % against full sampling",
        "-42 % against SENSE R=2",
        "tr_s 3 s, echo_train_length 8",
        "Assumed: dummies 1 TR a concatenation without data, 1 to 2; preparation 1.5 s, 0 to 5.6",
        "not room time",
    ):
        assert words in said, said


@pytest.mark.parametrize(("acceleration", "share", "achieved"), [(4, 0.08, 3.23), (8, 0.04, 6.13)])
def test_fastmri_s_equispaced_masks(acceleration: int, share: float, achieved: float, capsys: pytest.CaptureFixture[str]) -> None:
    """At N = 368; their random offset decides between neighbours, so one of a few draws must give the published number."""
    words = ("sampling=equispaced", f"sampling.acceleration={acceleration}", "sampling.acs_lines=null")
    found = {
        round(_json(capsys, *words, f"sampling.center_fraction={share}", f"mask_replicate={draw}")["acceleration"]["achieved"], 2)
        for draw in range(10)
    }
    assert achieved in found
    assert max(found) - min(found) < 0.12


def test_json_says_every_term(capsys: pytest.CaptureFixture[str]) -> None:
    content = _json(capsys, "protocol=tse_brain", "--lines", "320", "sampling.acceleration=2")
    terms = content["candidate"]
    total = terms["shots_s"] + sum(terms[name]["value"] for name in ("dummies", "reference", "preparation"))
    assert total == pytest.approx(terms["seconds"]["value"])
    assert content["reduction_nominal"] == 0.5
    assert content["reduction_full"]["value"] == pytest.approx(1 - total / content["full"]["seconds"]["value"])
    assert content["full_recorded"]["value"] is None
    assert content["full_recorded"]["reason"]
    assert content["timing"]["tr_s"] == {"value": 4.0, "from": "protocol tse_brain"}
    assert set(content["assumptions"]) == {"dummies", "preparation"}


def test_lines_and_timing_of_the_data(write_kspace: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    sidecar = {"axes": ["slice", "coil", "ky", "kx"], "TR_ms": 2500, "echo_train_length": 4, "scan_time_s": 40.0}
    data = ["dataset=array", f"dataset.path={write_kspace(sidecar=sidecar, height=48)}", "sampling.acs_lines=10"]
    content = _json(capsys, *data)
    assert content["full"]["lines"] == 48
    assert content["timing"]["tr_s"] == {"value": 2.5, "from": "header instead of 4"}
    assert content["residual"]["value"] == pytest.approx(2.5 * 13 + 1.5 - 40.0)
    assert _json(capsys, *data, "protocol.timing=protocol")["full"]["shots_s"] == 4.0 * 4
    assert main(["time", *data]) == 0
    assert "The scanner recorded 40.0 s for the full scan: the model is off by -6.0 s." in capsys.readouterr().out


@pytest.mark.parametrize("protocol", ["mprage", "epi", "flash"])
def test_every_protocol_prints(protocol: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["time", f"protocol={protocol}", "--lines", "128"]) == 0
    said = capsys.readouterr().out
    assert ("EPI steps evenly" in said) == (protocol == "epi")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["sampling.acceleration=2,4"], "an override has several values"),
        (["sampling.acceleration=999"], "sampling.acceleration=999 is larger than the 368 lines"),
        (["protocol.echo_train_length=200", "protocol.tr_s=9"], "longer than the 110 sampled lines"),
        (["protocol.tr_s=0.05"], "protocol.tr_s=0.05 is shorter than 1 echo train of 12 echoes 10 ms apart"),
        (["protocol.tr=1"], "protocol.tr"),
        (["protocol=nonsense"], "nonsense"),
        (["protocol.dummies=7"], "protocol.assumed.dummies=null"),
        (["--lines", "0"], "--lines 0 must be at least 1"),
        (["--lines", "64", "dataset=sample"], "--lines contradicts dataset"),
        (["dataset=array", "dataset.path=absent"], "no such file"),
        (["--check", "absent.json"], "absent.json"),
        (["--check", "a.json", "--page", "b.html"], "--check and --page are two commands"),
        (["--seq", "a.seq", "sampling.acceleration=4"], "--seq takes no overrides"),
        (["--page", "p.html", "--json"], "--json does not go with --page"),
        (["--page", "/proc/nowhere/p.html"], "can't be written"),
        (["--page", "."], "can't be written"),
        (["--page", "p" * 300], "can't be written"),
        (["--seq", "p" * 300], "can't be read"),
        (["--page", "p.html", "--slice-mm", "3"], "--fov-mm and --slice-mm are of --write-seq"),
        (["--lines", "many"], "argument --lines: invalid int value: 'many'"),
        (["--lines", "9" * 30], "--lines"),
        (["protocol.tr_s=1e308"], "protocol.tr_s=1e+308 must be above 0, and at most 3600 s"),
        (["protocol.averages=" + "9" * 320], "protocol.averages"),
        (["sampling._target_=builtins.dict"], "halfscan's own kinds"),
        (["protocol.slices=2", "protocol.concatenations=30"], "protocol.concatenations=30 are more than the 2"),
        (["protocol=mprage", "protocol.slices=30"], "protocol.dimension=3 contradicts slices"),
        (
            ["protocol.clinical.acceleration=64", "protocol.clinical.acs_lines=0"],
            "the clinical baseline SENSE R=2: ",
        ),
        (["sampling=poisson_disc", "--lines", "64", "protocol=flash", "--write-seq", "x.seq"], "reads whole lines"),
        (["protocol=flash", "protocol.averages=100000", "--write-seq", "x.seq"], "blocks"),
        (["--write-seq", "x.seq", "--fov-mm", "nan"], "fov_mm=nan must be above 0"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    words: list[str], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["time", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert error in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_breakdown_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from halfscan.bench.cli import main; main(['time', 'protocol=tse_knee'])\n"
        "assert not {'torch', 'mlflow', 'monai', 'pypulseq'} & set(sys.modules)"
    )
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_help_names_the_options() -> None:
    out, _ = halfscan("time", "--help").communicate(timeout=60)
    for option in ("--check", "--json", "--page", "--seq", "--write-seq", "--lines"):
        assert option in out
