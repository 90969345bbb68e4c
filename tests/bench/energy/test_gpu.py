"""The meter on a true GPU; skipped by name where there is none."""

from __future__ import annotations

import time

import pytest
import torch

from halfscan.bench.energy.meter import Counters, uuid_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU on this machine")


def test_a_busy_gpu_takes_more_than_an_idle_one_and_less_than_its_limit() -> None:
    meter, matrix = Counters(), torch.randn(4096, 4096, device="cuda")

    def busy() -> None:
        for _ in range(20):
            matrix @ matrix
        torch.cuda.synchronize()

    busy()
    with meter.window("cuda") as idle:
        time.sleep(10.5)
    with meter.window("cuda") as working:
        end = time.monotonic() + 10.5
        while time.monotonic() < end:
            busy()
    quiet, loud = idle.record, working.record
    assert quiet.parts["gpu"].value is not None, quiet.parts["gpu"].reason
    watts = [record.parts["gpu"].value / window.seconds for record, window in ((quiet, idle), (loud, working))]
    print(f"\nidle {watts[0]:.1f} W, busy {watts[1]:.1f} W\n{loud.as_dict()}")
    assert loud.parts["gpu"].method == "measured_counter"
    assert 1 < watts[0] < watts[1] < 1.1 * float(loud.state["power limit [W]"])
    # Counter and added power tell the same story.
    assert float(loud.state["added power [J]"]) == pytest.approx(loud.parts["gpu"].value, rel=0.1)
    assert not [flag for flag in loud.flags if "apart" in flag]


def test_torch_and_nvml_mean_the_same_gpu() -> None:
    import pynvml

    pynvml.nvmlInit()
    try:
        name = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByUUID(uuid_of("cuda:0")))
    finally:
        pynvml.nvmlShutdown()
    assert name == torch.cuda.get_device_name(0)
