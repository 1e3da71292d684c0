"""Pairs with known motion: the map is the map, whatever chest, lattice and looks."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from LungDeepRegLib.deformation import displacement_grid
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.warp import warp

from Testing.training.smooth_chest import ALIGNED, ALIKE, COARSE, EVEN, UNEVEN, ras_of, smooth_chest
from training.augmentation import Augmentation
from training.synthesis import AnatomyError, Motion, SynthesisError, SyntheticPairs, Variety
from training.synthesis.anatomy import Chest, phantom_anatomy
from training.synthesis.motion import jacobian
from training.synthesis.pairs import affine_fit
from training.synthesis.scene import View

AS_IT_IS = Augmentation(gamma=1, bias=0, noise=0, blur=0)
PLAIN = {"contrast": 0.0, "cropped": 0.0, "density": 0.0}
LARGE = Motion(base_mm=60.0, coarse_mm=20.0)
LATTICES = pytest.mark.parametrize("lattice", [EVEN, UNEVEN], ids=["even", "uneven"])


@pytest.fixture(scope="module")
def smooth():
    return smooth_chest()


@pytest.fixture(scope="module")
def phantom():
    """A CT-like chest at 5 mm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.synthesis.anatomy.SPACING_MM", 5.0)
        return phantom_anatomy(99_999)


def source(*chests, ct=(), motion=None, augmentation=AS_IT_IS, ct_share=0.35, **variety):
    """A source of given chests."""
    pairs = SyntheticPairs(
        len(chests), motion=motion, variety=Variety(**variety), augmentation=augmentation, ct_share=ct_share,
        ct=[Path("unread.nii")] * len(ct),
    )  # fmt: skip
    pairs.phantoms = [Chest({}, [chest].pop, None) for chest in chests]
    pairs.ct = [Chest({}, [chest].pop, None) for chest in ct]
    return pairs


def drawn(pairs, lattice=EVEN, number=0):
    return pairs.draw(lattice, np.random.default_rng(number))


def equal(a, b):
    return all(torch.equal(first, second) for first, second in zip(a, b, strict=True))


def warped(image, pair):
    return warp(image[None], displacement_grid(pair.displacement[None]))[0]


def dice(first, second):
    return float(2 * torch.minimum(first, second).sum() / (first + second).sum())


class TestTheMap:
    @LATTICES
    def test_warps_the_moving_image_onto_the_fixed_one(self, smooth, lattice):
        pairs = source(smooth, motion=LARGE, **PLAIN)
        found = []
        for number in range(5):
            pair = drawn(pairs, lattice, number)
            lungs = (pair.fixed_lungs > 0.9) & (pair.certainty > 0)
            assert float(lungs.float().mean()) > 0.02
            found.append(
                [float((pair.fixed - image).abs()[lungs].mean()) for image in (pair.moving, warped(pair.moving, pair))]
            )
            assert found[-1][1] < 0.004
        before, after = np.mean(found, axis=0)
        assert after < 0.25 * before

    @LATTICES
    def test_holds_for_a_chest_with_vessels(self, phantom, lattice):
        pairs = source(phantom, motion=LARGE, **PLAIN)
        found = []
        for number in range(5):
            pair = drawn(pairs, lattice, number)
            near = (pair.fixed_lungs > 0.05) & (pair.certainty > 0)
            found.append(
                [float((pair.fixed - image).abs()[near].mean()) for image in (pair.moving, warped(pair.moving, pair))]
            )
        before, after = np.mean(found, axis=0)
        assert after < 0.04
        assert after < 0.6 * before

    @LATTICES
    def test_takes_the_lungs_onto_each_other(self, smooth, lattice):
        pairs = source(smooth, motion=LARGE, **PLAIN)
        overlaps = []
        for number in range(5):
            pair = drawn(pairs, lattice, number)
            overlaps.append(
                [dice(mask, pair.fixed_lungs) for mask in (pair.moving_lungs, warped(pair.moving_lungs, pair))]
            )
            assert overlaps[-1][1] > 0.9
        assert np.mean(overlaps, axis=0)[1] > np.mean(overlaps, axis=0)[0] + 0.01

    def test_does_not_depend_on_looks(self, smooth):
        plain = [drawn(source(smooth, **PLAIN), number=n) for n in range(3)]
        other = source(smooth, augmentation=Augmentation(), **{**PLAIN, "contrast": 1.0, "density": 1.2})
        for number, pair in enumerate(plain):
            looks = drawn(other, number=number)
            assert equal(looks[2:], pair[2:])
            assert not torch.equal(looks.fixed, pair.fixed)
            assert 0 <= float(looks.fixed.min()) <= float(looks.fixed.max()) <= 1

    def test_that_is_an_affine_map_is_taken_off_by_the_alignment(self, smooth, monkeypatch):
        def stretched(self, lungs, spacing_mm, random):
            at = torch.from_numpy(ras_of(EVEN) - EVEN.centre_ras).float().movedim(-1, 0)
            return (torch.tensor([0.05, -0.04, 0.08]).reshape(3, 1, 1, 1) * at + 9)[None]

        monkeypatch.setattr(Motion, "sample", stretched)
        pair = drawn(source(smooth, **PLAIN, **ALIGNED))
        assert float(pair.displacement.abs().max()) < 1e-3
        assert float((pair.fixed - pair.moving).abs().max()) < 1e-3
        moved = drawn(source(smooth, **PLAIN, misalignment=0.0, misalignment_mm=5.0)).displacement
        assert float(moved.abs().max()) > 0.1
        assert float(moved.std((1, 2, 3)).max()) < 1e-3  # an offset

    def test_of_an_aligned_pair_has_no_affine_part_left(self, smooth):
        for number in range(3):
            pair = drawn(source(smooth, **PLAIN, **ALIGNED, motion=LARGE), number=number)
            at = torch.from_numpy(ras_of(EVEN) - EVEN.centre_ras).float()[None]
            left = affine_fit(8.0 * pair.displacement[None], at, pair.fixed_lungs[None])
            assert np.abs(left[:3, :3] - np.eye(3)).max() < 0.01
            assert np.abs(left[:3, 3]).max() < 1.0
            assert float(pair.displacement.norm(dim=0)[pair.fixed_lungs[0] > 0.5].mean()) > 0.1


class TestDensity:
    def test_follows_the_volume_by_one_power(self, smooth):
        powers = []
        for number in range(4):
            settings = {**PLAIN, **ALIGNED}
            plain = drawn(source(smooth, **settings, motion=LARGE), number=number)
            dense = drawn(source(smooth, **{**settings, "density": 1.2}, motion=LARGE), number=number)
            assert torch.equal(plain.moving, dense.moving)
            growth = jacobian(8.0 * plain.displacement[None], torch.full((3,), 8.0))  # but for the alignment's own
            unclamped = (growth > 0.6) & (growth < 1.6) & (dense.fixed < 0.99) & (plain.fixed_lungs > 0.99)
            x = growth[unclamped].log().numpy()
            y = (dense.fixed / plain.fixed)[unclamped].log().numpy()
            slope, offset = np.polyfit(x, y, 1)
            assert np.abs(y - slope * x - offset).max() < 0.02
            powers.append(slope)
            outside = plain.fixed_lungs == 0
            torch.testing.assert_close(dense.fixed[outside], plain.fixed[outside])
        assert 0 <= min(powers) < max(powers) <= 1.25


@dataclass(frozen=True)
class Boxed(Variety):
    """The same box for every image: a quarter of the lattice left out at the top."""

    def view(self, half_mm, random):
        super().view(half_mm, random)
        return View(-2 * half_mm, half_mm * torch.tensor([2.0, 2.0, 0.5]))


class TestFieldsOfView:
    def boxed(self, smooth):
        pairs = source(smooth, motion=LARGE)
        pairs.variety = Boxed(**{**PLAIN, "density": 1.2, **ALIKE, **ALIGNED})
        return drawn(pairs)

    def test_an_image_goes_on_at_its_border_value(self, smooth):
        """Also with the density that follows the motion out there, which nobody has seen."""
        pair = self.boxed(smooth)
        top = 26  # planes from (33 / 2) * 1.5 = 24.75 are left out; the first ones are mixed
        for image in (pair.fixed, pair.moving):
            assert float(image[:, :24].diff(dim=1).abs().mean()) > 1e-3
        assert float(pair.fixed[:, top:].diff(dim=1).abs().max()) < 1e-6

    def test_nothing_beyond_is_known(self, smooth):
        pair = self.boxed(smooth)
        assert float(pair.certainty[:, 25:].max()) == 0
        assert float(pair.fixed_lungs[:, 25:].max()) == 0
        assert float(pair.certainty[:, :10].mean()) > 0.95

    def test_what_moved_out_of_the_moving_image_is_uncertain(self, smooth, monkeypatch):
        z = torch.from_numpy(ras_of(EVEN) - EVEN.centre_ras)[..., 2].float()
        u = torch.zeros(1, 3, *EVEN.shape)
        u[0, 2] = 30 * torch.sin(torch.arange(36) / 5)
        monkeypatch.setattr(Motion, "sample", lambda *_: u)
        top = 0.5 * 33 / 2 * 8.0
        expected = (z <= top) & (z + u[0, 2] <= top)
        assert torch.equal(self.boxed(smooth).certainty[0] > 0, expected)

    def test_some_images_are_cropped(self, smooth):
        for share, whole in ((0.0, True), (1.0, False)):
            pairs = source(smooth, **{**PLAIN, "cropped": share})
            assert all(bool((drawn(pairs, COARSE, n).certainty == 1).all()) == whole for n in range(4))


class TestAffineFit:
    def test_recovers_an_affine_map_from_the_lungs_alone(self):
        matrix = np.array([[1.1, 0.05, 0, 4], [-0.1, 0.95, 0.02, -7], [0, 0.1, 1.02, 2], [0, 0, 0, 1.0]])
        x = torch.from_numpy(ras_of(UNEVEN)).float()[None]
        u = torch.from_numpy(apply(matrix, ras_of(UNEVEN)) - ras_of(UNEVEN)).float().movedim(-1, 0)[None]
        weights = torch.zeros(1, 1, *UNEVEN.shape)
        weights[..., 5:15, 8:20, 6:18] = 1
        assert affine_fit(u + 50 * (weights == 0), x, weights) == pytest.approx(matrix, abs=1e-3)

    def test_of_too_few_voxels_is_the_identity(self):
        weights = torch.zeros(1, 1, *UNEVEN.shape)
        weights[0, 0, 3, 4, 5:9] = 1
        x = torch.from_numpy(ras_of(UNEVEN)).float()[None]
        assert np.array_equal(affine_fit(x.movedim(-1, 1), x, weights), np.eye(4))


class TestDrawing:
    def test_the_generator_alone_decides(self, smooth, phantom):
        pairs = source(smooth, phantom, augmentation=Augmentation())
        first = [drawn(pairs, UNEVEN, n) for n in range(4)]
        torch.manual_seed(7)
        again = source(smooth, phantom, augmentation=Augmentation())
        assert all(equal(drawn(again, UNEVEN, n), first[n]) for n in (3, 1, 0, 2))
        assert not any(equal(a, b) for n, a in enumerate(first) for b in first[n + 1 :])

    def test_worker_processes_draw_the_same(self, smooth):
        pairs = source(smooth)
        drawn(pairs, UNEVEN)  # the chest is made, and goes along
        assert equal(drawn(pickle.loads(pickle.dumps(pairs)), UNEVEN, 5), drawn(pairs, UNEVEN, 5))
        fresh = SyntheticPairs(3, cache=None)
        assert [chest.key for chest in pickle.loads(pickle.dumps(fresh)).phantoms] == [
            {"phantom": seed} for seed in (100_000, 100_001, 100_002)
        ]

    def test_real_chests_take_their_share(self, smooth, phantom):
        def count(ct_share, phantoms=(phantom,)):
            pairs = source(*phantoms, ct=[smooth], ct_share=ct_share)
            pairs.pair_of = lambda anatomy, lattice, random: anatomy
            return sum(drawn(pairs, number=n) is smooth for n in range(200))

        assert [count(0.0), count(1.0), count(0.1, phantoms=())] == [0, 200, 200]
        assert 40 <= count(0.3) <= 80

    def test_contrast_takes_its_share_of_the_pairs(self, smooth):
        plain, other = source(smooth, **PLAIN), source(smooth, **{**PLAIN, "contrast": 0.5})
        changed = [not torch.equal(drawn(plain, COARSE, n).fixed, drawn(other, COARSE, n).fixed) for n in range(24)]
        assert 6 <= sum(changed) <= 18

    def test_a_second_source_reads_the_first_ones_chests(self, tmp_path, monkeypatch):
        monkeypatch.setattr("training.synthesis.anatomy.SPACING_MM", 10.0)
        first = SyntheticPairs(1, 99_999, cache=tmp_path)
        first.check()
        monkeypatch.setattr("training.synthesis.anatomy.phantom_anatomy", pytest.fail)
        second = SyntheticPairs(1, 99_999, cache=tmp_path)
        second.check()
        assert equal(drawn(first, UNEVEN), drawn(second, UNEVEN))

    def test_what_is_wrong_with_a_ct_is_said_by_the_check(self, tmp_path):
        nibabel.save(
            nibabel.Nifti1Image(np.arange(1000, dtype=np.int16).reshape(10, 10, 10), np.eye(4)), tmp_path / "ct.nii"
        )
        with pytest.raises(AnatomyError, match=r"ct.nii: found no lung, expected a chest CT"):
            SyntheticPairs(0, ct=[tmp_path / "ct.nii"]).check()
        with pytest.raises(AnatomyError, match=r"gone.nii: .*no such file"):
            SyntheticPairs(0, ct=[tmp_path / "gone.nii"]).check()

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"phantoms": 0}, "found 0 phantoms from seed 100000, 0 CTs .*expected at least one phantom or CT"),
            ({"phantoms": -1}, "found -1 phantoms"),
            ({"first_phantom": -5}, "from seed -5"),
            ({"ct_share": 1.5}, "ct_share 1.5, expected .*a share from 0 to 1"),
        ],
    )
    def test_settings_without_a_chest_are_refused(self, settings, said):
        with pytest.raises(SynthesisError, match=said):
            SyntheticPairs(**settings)
