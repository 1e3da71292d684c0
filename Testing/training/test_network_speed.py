"""The network's benchmark: variants that do what they say, and a table of what they took."""

import json
import os

import pytest
import torch
from LungDeepRegLib.network import NetworkConfig, RegistrationNetwork

from training import benchmark
from training.pairs import Pair
from training.performance import network_pass
from training.performance.network_pass import VARIANTS, available, measured
from training.performance.network_precision import apart, chest, taught
from training.performance.network_speed import isa_limit, lines_of

TINY = NetworkConfig((4,), (1,), (4,), squeeze_reduction=2)
SHAPE = (6, 8, 8)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_pass_is_measured(monkeypatch, name):
    built = []
    monkeypatch.setattr(
        network_pass, "RegistrationNetwork", lambda: built.append(RegistrationNetwork(TINY)) or built[0]
    )
    found = measured(VARIANTS[name], SHAPE, torch.device("cpu"))
    assert found["seconds"] > 0
    learnt = [parameter.grad is not None for parameter in built[0].parameters()]
    assert all(learnt) if "step" in name else not any(learnt)


def test_half_precision_is_left_out_where_the_device_lacks_it(monkeypatch):
    monkeypatch.setattr(network_pass, "fastest_dtype", lambda device: torch.float32)
    assert available(torch.device("cpu")) == ["plain", "fast", "step"]
    monkeypatch.setattr(network_pass, "fastest_dtype", lambda device: torch.bfloat16)
    assert available(torch.device("cpu")) == list(VARIANTS)


def test_lines_are_medians_and_ratios_to_the_peer():
    times = {"plain": (9.0, 30.0, 10.0), "fast": (5.0, 4.0, 8.0), "autocast-step": (1.0,)}
    runs = [
        {"variant": name, "seconds": s, "peak_memory_mb": 100 * s, "load": 0.0} for name in times for s in times[name]
    ]
    plain, fast, step = lines_of(runs)
    assert (plain["seconds"], plain["times_faster"], plain["peak_memory_mb"]) == (10.0, 1.0, 3000.0)
    assert (fast["seconds"], fast["least"], fast["most"], fast["times_faster"]) == (5.0, 4.0, 8.0, 2.0)
    assert step["times_faster"] is None


def test_the_command_runs_processes_and_writes_what_they_took(tmp_path):
    words = [
        "speed",
        "--network",
        "--variants",
        "fast",
        "--repeats",
        "1",
        "--threads",
        "1",
        "--shape",
        "4",
        "6",
        "5",
    ]
    assert benchmark.main([*words, "--max-isa", "AVX512_CORE", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "network_speed.json").read_text())
    assert [run["variant"] for run in report["runs"]] == ["fast"]
    assert report["isa_limit"] == "AVX512_CORE"
    text = (tmp_path / "network_speed.md").read_text()
    assert "AVX512_CORE" in text
    assert VARIANTS["fast"].title in text


def test_the_limit_is_lifted_again(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    with isa_limit("AVX512_CORE"):
        assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE"
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    with isa_limit(None):
        assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX2"


def moved_pair():
    generator = torch.Generator().manual_seed(0)
    fixed, moving = torch.rand(2, 1, 1, *SHAPE, generator=generator)
    displacement = torch.linspace(0, 2, SHAPE[2]).expand(1, 3, *SHAPE)
    nowhere = torch.zeros_like(fixed)
    return Pair(fixed, moving, nowhere, nowhere, displacement, torch.ones_like(fixed), torch.zeros(1, 0, 2, 3))


def test_the_distance_to_the_plain_network_is_in_voxels():
    network = taught(3, moved_pair(), TINY)
    full, half = apart(network, moved_pair())
    assert (full["dtype"], half["dtype"]) == ("float32", "bfloat16")
    assert full["moved"] > 0.01
    assert full["most"] < 1e-3 * full["moved"]
    assert full["most"] < half["mean"] <= half["p95"] <= half["most"] < full["moved"]


def test_the_chest_has_as_many_voxels_as_are_asked_for():
    assert chest((12, 36, 35)).shape == (12, 36, 35)
