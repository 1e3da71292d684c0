"""Methods to compare: the pair that all of them get, and that each finds a motion that is known, the right way round.

The peers' own libraries are in no environment of continuous integration: `pip install -c constraints-benchmark.txt
-e .[train,benchmark]` has them, and then they are tested here as well.
"""

import dataclasses
import importlib.util
import json
import pickle
import sys

import numpy as np
import pytest
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.metrics import folded_percent
from LungDeepRegLib.volume import Volume
from scipy.spatial.transform import Rotation

from Testing.training.smooth_chest import ras_of
from training.methods import METHODS, MethodError, aligned_pair, own_methods
from training.methods.free_form import Stage
from training.methods.method import field_of_voxels

MATRIX = np.eye(4)
MATRIX[:3, :3] = Rotation.from_euler("xyz", [4, -3, 6], degrees=True).as_matrix() * 1.04
MATRIX[:3, 3] = [9.0, -14.0, 22.0]
"""The alignment: the moving image lies elsewhere."""
MODULES = {"syn": "ants", "elastix": "itk", "convexadam": "convexAdam"}
LEFT, RIGHT = np.array([-52.0, 0.0, 0.0]), np.array([52.0, 4.0, -3.0])


def lattice(shape, spacing, turn):
    """Oblique, unequal spacing, left-handed, axes in another order than R, A, S; the world's origin in its middle."""
    axes = Rotation.from_euler("zyx", turn, degrees=True).as_matrix()[:, [0, 2, 1]]
    matrix = np.eye(4)
    matrix[:3, :3] = axes * spacing
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Lattice(shape, matrix)


FIXED = lattice((30, 58, 66), (4.0, 3.6, 6.0), (8, -5, 6))
MOVING = lattice((34, 66, 62), (4.3, 3.4, 5.6), (-4, 7, 3))


def motion(x):
    """v, ``(..., 3)`` mm: at most 10 mm, without folds."""
    centre = np.array([-10.0, 5.0, -20.0])
    return np.array([5.0, -4.0, 8.0]) * np.exp(-((x - centre) ** 2).sum(-1, keepdims=True) / (2 * 55.0**2))


def tissue(x):
    """Signal of 0 to 1300 at points ``(..., 3)``: a body, two dark lungs, round vessels in and around them."""
    random = np.random.default_rng(3)
    signal = 700.0 - 450.0 * sum(1 / (1 + np.exp(12 * (depth(x, at) - 1))) for at in (LEFT, RIGHT))
    for at, width in zip(
        random.uniform([-95, -75, -85], [95, 75, 85], (70, 3)), random.uniform(6, 10, 70), strict=True
    ):
        signal = signal + 220 * np.exp(-((x - at) ** 2).sum(-1) / (2 * width**2))
    return np.clip(signal, 0, 1300)


def depth(x, at):
    """Below 1 in the lung around a point."""
    return np.sqrt((((x - at) / [38.0, 55.0, 68.0]) ** 2).sum(-1))


def lungs(x):
    return (depth(x, LEFT) < 1) | (depth(x, RIGHT) < 1)


@pytest.fixture(scope="module")
def scans():
    """Fixed and moving image, and their lungs: ``fixed(x) = moving(MATRIX @ (x + motion(x)))``."""
    deformed = ras_of(FIXED) + motion(ras_of(FIXED))
    there = apply(np.linalg.inv(MATRIX), ras_of(MOVING))
    fixed, moving = Volume(tissue(deformed), FIXED.ijk_to_ras), Volume(tissue(there), MOVING.ijk_to_ras)
    return fixed, moving, lungs(deformed), lungs(there)


@pytest.fixture(scope="module")
def pair(scans):
    return aligned_pair(*scans, MATRIX, "paper")


def share_left(method, pair):
    """What a method leaves of the motion in the lungs: its mean error by the mean motion."""
    method.ready()
    v = method(pair, 1)
    assert folded_percent(v) < 1
    x = ras_of(pair.lattice)[pair.fixed_lungs]
    return np.linalg.norm(v(x) - x - motion(x), axis=1).mean() / np.linalg.norm(motion(x), axis=1).mean()


class TestAlignedPair:
    def test_both_images_show_what_the_alignment_brings_together(self, pair):
        x = ras_of(pair.lattice)
        near = pair.near_lungs(pair.fixed_lungs, 10.0)
        for image, at in ((pair.fixed, x + motion(x)), (pair.moving, x)):
            assert np.abs(image.array - tissue(at))[near].mean() < 12
        for mask, at in ((pair.fixed_lungs, x + motion(x)), (pair.moving_lungs, x)):
            assert (mask != lungs(at)).mean() < 0.01

    def test_lies_on_the_fixed_images_voxels_around_both_lungs_in_canonical_axes(self, pair):
        index = apply(FIXED.ras_to_ijk, ras_of(pair.lattice).reshape(-1, 3))
        np.testing.assert_allclose(index, index.round(), atol=1e-6)
        assert (np.diag(pair.lattice.ijk_to_ras)[:3] > 0.9 * pair.lattice.spacing_mm).all()
        assert pair.lattice.contains(apply(np.linalg.inv(MATRIX), ras_of(MOVING)[lungs_of_moving()])).all()

    def test_without_masks_is_the_whole_fixed_image(self, scans):
        fixed, moving, *_ = scans
        whole = aligned_pair(fixed, moving, None, None, MATRIX, "paper")
        assert whole.fixed.array.size == fixed.array.size
        assert whole.fixed_lungs is None
        assert whole.near_lungs(None, 5.0) is None

    def test_values_lie_in_the_window_of_the_kind_of_image(self, scans):
        fixed, moving, *masks = scans
        hounsfield = [image.with_array(image.array * 1.5 - 1100) for image in (fixed, moving)]
        for images, modality, kind, window in (
            ((fixed, moving), "paper", "paper", (0, 1300)),
            ((fixed, moving), "mri", "paper", (0, 1300)),
            (hounsfield, "ct", "ct", (-1000, 300)),
        ):
            found = aligned_pair(*images, *masks, MATRIX, modality)
            assert found.modality == kind
            assert window[0] <= found.fixed.array.min() < found.fixed.array.max() <= window[1]
            low, high = (np.array([array.min(), array.max()]) for array in found.normalised())
            assert min(low[0], high[0]) >= 0
            assert max(low[1], high[1]) <= 1

    def test_reach_beyond_lungs_is_in_mm(self):
        axis = Volume(np.arange(9 * 9 * 9, dtype=np.float32).reshape(9, 9, 9), np.diag([2.0, 3.0, 5.0, 1.0]))
        mask = np.zeros((9, 9, 9), bool)
        mask[4, 4, 4] = True
        found = aligned_pair(axis, axis, None, None, np.eye(4), "paper").near_lungs(mask, 6.0)
        assert [found[4, 4].sum(), found[4, :, 4].sum(), found[:, 4, 4].sum()] == [7, 5, 3]

    def test_displacement_in_voxels_becomes_mm_along_the_lattices_axes(self):
        voxels = np.zeros((*FIXED.shape, 3))
        voxels[..., 1] = 2.0
        found = field_of_voxels(voxels, FIXED)
        np.testing.assert_allclose(found.vectors[3, 4, 5], 2 * FIXED.ijk_to_ras[:3, 1], rtol=1e-5)


def lungs_of_moving():
    return lungs(apply(np.linalg.inv(MATRIX), ras_of(MOVING)))


class TestOwnMethods:
    @pytest.mark.parametrize("name", ["refine", "network+linear+refine"])
    def test_refinement_finds_the_motion(self, name, pair):
        assert share_left(METHODS[name], pair) < 0.25

    @pytest.mark.parametrize("name", ["network", "network+linear"])
    def test_network_alone_leaves_no_more_than_nothing_would(self, name, pair):
        assert share_left(METHODS[name], pair) < 1.05

    def test_rows_differ_in_what_they_say(self):
        rows = {name: METHODS[name].settings for name in ("network", "network+linear", "network+refine", "refine")}
        assert not rows["network"]["linear_branch"]
        assert rows["network+linear"]["linear_branch"]
        assert (rows["network"]["refine"], rows["network+refine"]["refine"]) == ("off", "fast")
        assert rows["refine"]["weights_sha256"] is None
        assert len({json.dumps(row) for row in rows.values()}) == 4

    def test_other_weights_make_other_settings(self, tmp_path):
        (tmp_path / "own.pt").write_bytes(b"other")
        own = {method.name: method.settings for method in own_methods(tmp_path / "own.pt")}
        assert own["network"]["weights_sha256"] != METHODS["network"].settings["weights_sha256"]
        assert own["refine"] == METHODS["refine"].settings


class TestFreeForm:
    @pytest.mark.parametrize("name", ["ffd-ncc", "ffd-dwm", "ffd-mi", "ffd-all"])
    def test_finds_the_motion(self, name, pair):
        quick = dataclasses.replace(METHODS[name], stages=(Stage(16.0, 64.0, 30), Stage(8.0, 32.0, 30)))
        assert share_left(quick, pair) < 0.4

    def test_works_without_masks(self, scans):
        fixed, moving, *_ = scans
        quick = dataclasses.replace(METHODS["ffd-ncc"], stages=(Stage(12.0, 48.0, 40),))
        whole = aligned_pair(fixed, moving, None, None, MATRIX, "paper")
        assert quick(whole, 1).lattice == whole.lattice

    def test_more_smoothness_bends_less(self, pair):
        stages = (Stage(12.0, 48.0, 30),)
        plain = dataclasses.replace(METHODS["ffd-ncc"], stages=stages)
        stiff = dataclasses.replace(plain, smoothness=100 * plain.smoothness)
        spreads = [method(pair, 1).vectors.std(axis=(0, 1, 2)).max() for method in (stiff, plain)]
        assert spreads[0] < 0.3 * spreads[1]


class TestPeers:
    @pytest.mark.parametrize("name", MODULES)
    def test_finds_the_motion_where_its_library_is_installed(self, name, pair):
        method = METHODS[name]
        if importlib.util.find_spec(MODULES[name]) is None:
            with pytest.raises(MethodError, match="found no"):
                method.ready()
            return
        if name == "elastix":  # the published number of steps takes minutes
            method = dataclasses.replace(method, options={**method.options, "MaximumNumberOfIterations": 100})
        assert share_left(method, pair) < 0.45

    @pytest.mark.parametrize("name", MODULES)
    def test_missing_library_says_how_to_get_it(self, name, monkeypatch):
        module = MODULES[name]
        for loaded in [other for other in sys.modules if other.split(".")[0] == module]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MethodError, match=r"pip install .*benchmark"):
            METHODS[name].ready()


def test_registry_is_what_tables_and_processes_need():
    assert list(METHODS) == [
        "syn", "elastix", "convexadam", "ffd-ncc", "ffd-dwm", "ffd-mi", "ffd-all",
        "network", "network+linear", "network+refine", "network+linear+refine", "refine",
    ]  # fmt: skip
    assert {name for name, method in METHODS.items() if method.costly} == {"syn", "elastix", "convexadam"}
    for name, method in METHODS.items():
        assert name == method.name
        assert json.loads(json.dumps(method.settings)) == json.loads(
            json.dumps(pickle.loads(pickle.dumps(method)).settings)
        )
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
