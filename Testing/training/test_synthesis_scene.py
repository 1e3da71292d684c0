"""What is seen of a chest from the network's lattice, and how one chest becomes many."""

import nibabel
import numpy as np
import pytest
import torch
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.network_stage import on_lattice
from LungDeepRegLib.volume import Volume
from scipy import ndimage

from Testing.training.smooth_chest import ALIGNED, ALIKE, COARSE, EVEN, UNEVEN, ras_of, smooth_chest
from training.synthesis import SynthesisError, Variety
from training.synthesis.anatomy import phantom_anatomy
from training.synthesis.appearance import KNOTS, random_contrast, replaced
from training.synthesis.scene import Scene, View, transformed

LATTICES = pytest.mark.parametrize("lattice", [EVEN, UNEVEN, COARSE], ids=["even", "uneven", "coarse"])


@pytest.fixture(scope="module")
def smooth():
    return smooth_chest()


@pytest.fixture(scope="module")
def phantom():
    """A CT-like chest at 5 mm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.synthesis.anatomy.SPACING_MM", 5.0)
        return phantom_anatomy(99_999)


class TestScene:
    @LATTICES
    def test_shows_what_the_network_sees_in_a_registration(self, phantom, lattice):
        """Both average over voxels before they sample; coarse ones hold several of the chest's."""
        matrix = np.array(lattice.ijk_to_ras)
        matrix[:3, 3] = phantom.lattice.centre_ras - matrix[:3, :3] @ ((np.array(lattice.shape[::-1]) - 1) / 2)
        there = Lattice(lattice.shape, matrix)
        pose = np.eye(4)
        pose[:3, 3] = there.centre_ras
        scene = Scene(phantom, lattice, pose, torch.zeros(1, 3, *lattice.shape))
        expected = on_lattice(Volume(phantom.image, phantom.lattice.ijk_to_ras), there).array
        assert scene.picture(scene.positions)[0, 0].numpy() == pytest.approx(expected, abs=1e-5)

    def test_positions_are_mm_from_the_middle(self, smooth):
        scene = Scene(smooth, UNEVEN, np.eye(4), torch.zeros(1, 3, *UNEVEN.shape))
        assert scene.positions[0].numpy() == pytest.approx(ras_of(UNEVEN) - UNEVEN.centre_ras, abs=1e-3)
        u = torch.zeros(1, 3, *UNEVEN.shape)
        u[0, 1] = 5.0
        moved = scene.moved(u, scene.positions) - scene.positions
        torch.testing.assert_close(moved, torch.tensor([0.0, 5, 0]).expand_as(moved))

    def test_pose_and_shape_say_what_is_seen_where(self, smooth):
        pose = np.array([[0, -1.1, 0.1, 5], [0.9, 0, 0, 20], [0, 0.1, 1.05, 180], [0, 0, 0, 1.0]])
        shape = torch.tensor([4.0, -6, 8]).reshape(1, 3, 1, 1, 1).expand(1, 3, *EVEN.shape)
        scene = Scene(smooth, EVEN, pose, shape)
        x = ras_of(EVEN) - EVEN.centre_ras + [4, -6, 8]
        at = nibabel.affines.apply_affine(smooth.lattice.ras_to_ijk @ pose, x)
        arrays = smooth.image.astype(float), smooth.lungs.astype(float)
        image, lungs = (
            ndimage.map_coordinates(a, at[..., ::-1].reshape(-1, 3).T, order=1, mode="nearest") for a in arrays
        )
        assert scene.lungs_at(scene.positions)[0, 0].numpy().ravel() == pytest.approx(lungs, abs=1e-3)
        assert scene.picture(scene.positions)[0, 0].numpy().ravel() == pytest.approx(image, abs=0.02)

    def test_matrices_act_on_positions(self):
        matrix = np.array([[1, 2, 0, 3], [0, 1, 0, -1], [0, 0, 2, 0], [0, 0, 0, 1.0]])
        points = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
        assert transformed(matrix, torch.from_numpy(points)).numpy() == pytest.approx(apply(matrix, points), abs=1e-5)


class TestViews:
    def test_boxes(self):
        box = View(torch.tensor([-1.0, -2, -3]), torch.tensor([1.0, 2, 3]))
        points = torch.tensor([[0.0, 0, 0], [1, 2, 3], [1.1, 0, 0], [0, -5, 9]])
        assert box.covers(points).tolist() == [True, True, False, False]
        assert box.clamped(points).tolist() == [[0, 0, 0], [1, 2, 3], [1, 0, 0], [0, -2, 3]]

    def test_random_boxes_leave_out_up_to_a_third(self):
        half = torch.tensor([100.0, 80.0, 120.0])
        views = [Variety(cropped=1.0).view(half, np.random.default_rng(n)) for n in range(60)]
        cuts = torch.stack([torch.cat([(view.low + half) / half, (half - view.high) / half]) for view in views])
        assert 0 <= float(cuts.min()) < 0.01 < 0.5 < float(cuts.max()) <= 0.65
        assert 0.25 < float((cuts == 0).float().mean()) < 0.5
        assert Variety(cropped=0.0).view(half, np.random.default_rng(0)).covers(1.9 * half)


class TestVariety:
    def test_of_none_looks_straight_at_the_lungs(self, smooth):
        found = {}
        for number in range(12):
            pose = Variety(**ALIKE).pose(smooth, np.random.default_rng(number))
            assert pose[:3, 3] == pytest.approx(
                nibabel.affines.apply_affine(smooth.lattice.ijk_to_ras, np.argwhere(smooth.lungs > 0.5)[:, ::-1]).mean(
                    0
                )
            )
            found[float(pose[0, 0])] = pose
            assert np.abs(pose[:3, :3]) == pytest.approx(np.eye(3))
        assert found.keys() == {-1.0, 1.0}  # mirrored, or not

    def test_sizes_and_turns_keep_to_their_spread(self, smooth):
        poses = [Variety(turn=0.0, scale=0.1).pose(smooth, np.random.default_rng(n)) for n in range(200)]
        logs = np.log(np.abs(np.array([np.diag(pose)[:3] for pose in poses])))
        assert logs.std() == pytest.approx(0.1, rel=0.15)
        turned = [Variety(scale=0.0, turn=0.1).pose(smooth, np.random.default_rng(n))[:3, :3] for n in range(50)]
        assert all(np.abs(matrix.T @ matrix - np.eye(3)).max() < 1e-9 for matrix in turned)

    def test_alignments_err_as_much_as_asked_for(self):
        error = [
            Variety(misalignment=0.02, misalignment_mm=3.0).misaligned(np.eye(4), np.random.default_rng(n))
            for n in range(300)
        ]
        linear, offset = (np.array(error)[:, :3, where] for where in (slice(3), 3))
        typical = np.sqrt(np.mean([0.3**2, 1, 4]))
        assert (linear - np.eye(3)).std() == pytest.approx(0.02 * typical, rel=0.15)
        assert offset.std() == pytest.approx(3.0 * typical, rel=0.15)
        none = Variety(**ALIGNED).misaligned(np.diag([2.0, 1, 1, 1]), np.random.default_rng(0))
        assert none == pytest.approx(np.diag([2.0, 1, 1, 1]))

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"cropped": 1.5}, "found cropped 1.5 in Variety, expected a number from 0 to 1"),
            ({"scale": -0.1}, "found scale -0.1 in Variety, expected a number of at least 0"),
        ],
    )
    def test_of_such_sizes_is_refused(self, settings, said):
        with pytest.raises(SynthesisError, match=said):
            Variety(**settings)


class TestContrast:
    def test_is_one_rising_curve_for_both_images(self):
        values = torch.linspace(0, 1, 101).reshape(1, 1, 1, 1, 101)
        for seed in range(10):
            fixed, moving = random_contrast(values, values.flip(4), np.random.default_rng(seed))
            assert torch.equal(fixed, moving.flip(4))
            assert float(fixed.diff(dim=4).min()) > 0
            assert [float(fixed[..., 0]), float(fixed[..., -1])] == pytest.approx([0, 1], abs=1e-6)

    def test_is_linear_between_its_knots(self):
        curve = torch.tensor([0.0, 0.5, 0.6, 0.62, 0.9, 1.0])
        assert len(curve) == KNOTS
        x = np.random.default_rng(0).random((4, 5)).astype(np.float32)
        assert replaced(torch.from_numpy(x), curve).numpy() == pytest.approx(
            np.interp(x, np.linspace(0, 1, 6), curve), abs=1e-5
        )
        torch.testing.assert_close(replaced(torch.tensor([0.0, 1.0]), curve), torch.tensor([0.0, 1.0]))
