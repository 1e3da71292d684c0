"""Growth: exponents of what grows as it is known to, and images that show the same in other voxels."""

import json
from pathlib import Path

import numpy as np
import pytest
from LungDeepRegLib.geometry import apply, corner_indices
from LungDeepRegLib.volume import Volume

from training import benchmark
from training.performance import growth, network_batch
from training.performance.growth import at_size, exponent, tables
from training.performance.processes import Timed


def smooth():
    """A plane wave on anisotropic, oblique voxels, in HU."""
    matrix = np.array([[2.0, 0.3, 0, -50], [-0.3, 2.0, 0, 20], [0, 0, 3.0, 100], [0, 0, 0, 1]])
    k, j, i = np.indices((30, 40, 50))
    return Volume(np.rint(500 * np.sin(i / 9 + j / 11 + k / 8)).astype(np.int16), matrix, "wave")


@pytest.mark.parametrize("voxels", [10_000, 60_000, 300_000])
def test_the_same_field_of_view_in_other_voxels(voxels):
    image = smooth()
    found = at_size(image, voxels)
    assert found.array.size == pytest.approx(voxels, rel=0.1)
    assert found.array.dtype == np.int16
    corners = [apply(one.ijk_to_ras, corner_indices(one.array.shape, outer=True)) for one in (image, found)]
    assert corners[0] == pytest.approx(corners[1])
    middle = tuple(n // 2 for n in found.array.shape)
    index = apply(image.lattice.ras_to_ijk, apply(found.ijk_to_ras, np.array(middle[::-1], float)))
    wanted = 500 * np.sin(index[0] / 9 + index[1] / 11 + index[2] / 8)
    assert found.array[middle] == pytest.approx(wanted, abs=15)


def test_exponents_are_those_of_powers():
    lines = [{"voxels": n, "seconds": 3 * n**1.5, "peak_memory_mb": None} for n in (10, 20, 70)]
    assert exponent(lines, "voxels", "seconds") == pytest.approx(1.5)
    assert exponent(lines[:1], "voxels", "seconds") is None
    assert exponent(lines, "voxels", "peak_memory_mb") is None


def test_tables_say_the_exponents_and_the_budget():
    registrations = [
        {"voxels": n * 10**6, "seconds": 5.0 * n, "registering": n**0.5, "peak_memory_mb": 300.0 * n} for n in (1, 2, 4)
    ]
    (found,) = tables(registrations, [], ["About."])
    text = found.markdown()
    assert "seconds 1.00, registering 0.50, peak memory mb 1.00" in text
    assert "at most 5 million voxels" in text
    assert "| 4 | 20 | 2 | 1200 |" in text.replace(".0", "")


def test_the_command_measures_processes_and_draws(tmp_path, monkeypatch):
    def pretend(words, threads):
        out = Path(words[words.index("--out") + 1])
        if "--batch" in words:
            batch = int(words[words.index("--batch") + 1])
            out.write_text(json.dumps({"seconds": 0.5 * batch, "peak_memory_mb": 100.0 + batch}))
            return Timed(9.0, 999.0)
        size = Path(words[words.index("--fixed") + 1]).stat().st_size
        out.mkdir()
        (out / "summary.json").write_text('{"seconds": {"align": 1, "network": 1, "refine": 2}}')
        return Timed(size / 1000, 400.0)

    monkeypatch.setattr(growth, "timed_process", pretend)
    monkeypatch.setattr(growth, "base_images", lambda pair: [smooth(), smooth()])
    words = [
        "growth",
        "--sizes",
        "0.02",
        "0.05",
        "0.1",
        "--batches",
        "1",
        "2",
        "--threads",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert benchmark.main(words) == 0
    values = json.loads((tmp_path / "growth.json").read_text())
    assert [line["voxels"] / 1e6 for line in values["registrations"]] == pytest.approx([0.02, 0.05, 0.1], rel=0.1)
    assert [line["registering"] for line in values["registrations"]] == [4, 4, 4]
    assert np.diff([line["seconds"] for line in values["registrations"]]).min() > 0
    assert [line["seconds"] for line in values["networks"]] == [0.5, 1.0]
    assert "seconds 1.00" in (tmp_path / "growth_batch.md").read_text()
    assert len((tmp_path / "growth.csv").read_text().splitlines()) == 4
    assert (tmp_path / "growth.png").stat().st_size > 20_000


def test_the_network_is_measured_on_batches(tmp_path):
    assert network_batch.main(["--batch", "2", "--threads", "1", "--out", str(tmp_path / "times.json")]) == 0
    times = json.loads((tmp_path / "times.json").read_text())
    assert times["seconds"] > 0
    assert times["peak_memory_mb"] is None or times["peak_memory_mb"] > 100


def test_a_synthetic_pair_is_the_default(monkeypatch):
    monkeypatch.setattr(growth, "PHANTOM_SPACING_MM", 12.0)
    fixed, moving = growth.base_images(None)
    assert fixed.array.shape == moving.array.shape
    assert np.abs(fixed.array - moving.array).max() > 200
