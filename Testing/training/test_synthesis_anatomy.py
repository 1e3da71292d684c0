"""Chests to make pairs of: random phantoms, CT files, and the files that keep them. At 7 mm, for speed."""

import os
import pickle

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair

from training.kept_arrays import CacheWarning
from training.synthesis import AnatomyError, SynthesisError
from training.synthesis.anatomy import Chest, ct_anatomy, phantom_anatomy, random_look

SPACING_MM = 7.0
SEEDS = {"ct": 3, "mri": 4, "random": 5}


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr("training.synthesis.anatomy.SPACING_MM", SPACING_MM)


@pytest.fixture(scope="module")
def phantoms():
    """One of each look."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.synthesis.anatomy.SPACING_MM", SPACING_MM)
        return {look: phantom_anatomy(seed) for look, seed in SEEDS.items()}


@pytest.fixture(scope="module")
def ct():
    """A coarse chest CT of 82 x 60 x 62 voxels and its lungs."""
    lattice = chest_lattice((4.6, 4.6, 5.0))
    pair = make_pair(PhantomConfig(seed=2, landmarks=2), lattice, chest_lattice(20.0))
    return pair.fixed, pair.fixed_mask


def write_nifti(path, volume, order=(0, 1, 2), flips=()):
    """A volume with its axes in another order and sign, at the same place in space."""
    image = nibabel.Nifti1Image(volume.array.T, volume.ijk_to_ras)
    wanted = np.array([[axis, -1 if axis in flips else 1] for axis in order])
    nibabel.save(image.as_reoriented(wanted), path)
    return path


def same(a, b):
    images = np.array_equal(a.image, b.image) and np.array_equal(a.lungs, b.lungs)
    return images and a.lattice == b.lattice


class TestPhantoms:
    @pytest.mark.parametrize("look", SEEDS)
    def test_show_dark_lungs_in_a_brighter_body(self, phantoms, look):
        chest = phantoms[look]
        assert chest.image.dtype == chest.lungs.dtype == np.float16
        assert chest.image.shape == chest.lungs.shape == chest.lattice.shape
        assert 0 <= chest.image.min() < chest.image.max() <= 1
        inside = chest.lungs > 0.99
        assert 1.5 < inside.sum() * (SPACING_MM / 100) ** 3 < 8  # litres
        body = chest.image[(chest.lungs == 0) & (chest.image > 0.1)]
        assert chest.image[inside].astype(float).mean() < 0.6 * body.astype(float).mean()

    def test_are_functions_of_their_seed(self, phantoms):
        assert same(phantom_anatomy(SEEDS["ct"]), phantoms["ct"])
        assert not same(phantom_anatomy(SEEDS["ct"] + 3), phantoms["ct"])

    def test_of_three_looks(self):
        random = np.random.default_rng(0)
        for _ in range(20):
            ct, mri, other = (random_look(look, random) for look in ("ct", "mri", "random"))
            assert ct.keys() == mri.keys() == other.keys()
            assert ct["lung"] < -600 < -300 < ct["muscle"]
            assert min(mri.values()) >= 0
            assert max(other["air"], other["airway"], other["gas"], other["table"]) <= 0.1
            assert other["lung"] + 0.2 <= other["vessel"] <= 1
            assert 0 <= min(other.values()) <= max(other.values()) <= 1


class TestCt:
    @pytest.mark.parametrize(("order", "flips"), [((0, 1, 2), ()), ((2, 0, 1), (0,)), ((1, 2, 0), (1, 2))])
    def test_is_averaged_and_upright_however_it_is_stored(self, ct, tmp_path, order, flips):
        image, mask = ct
        chest = ct_anatomy(write_nifti(tmp_path / "chest.nii.gz", image, order, flips))
        assert chest.lattice.ijk_to_ras == pytest.approx(np.diag([9.2, 9.2, 5.0, 1]))
        hu = image.array.clip(-1000, 300).reshape(62, 30, 2, 41, 2).mean(axis=(2, 4))
        assert chest.image == pytest.approx((hu + 1000) / 1300, abs=1e-3)
        lungs = (mask.array > 0).reshape(62, 30, 2, 41, 2).mean(axis=(2, 4))
        shared = 2 * np.minimum(lungs, chest.lungs.astype(float)).sum() / (lungs + chest.lungs.astype(float)).sum()
        assert shared > 0.93

    def test_without_lungs_is_refused_by_name(self, ct, tmp_path):
        solid = ct[0].with_array(np.where(ct[0].array < -300, 40, ct[0].array).astype(np.int16))
        path = write_nifti(tmp_path / "abdomen.nii.gz", solid)
        with pytest.raises(AnatomyError, match=r"abdomen.nii.gz: found no lung, expected a chest CT"):
            ct_anatomy(path)

    def test_that_is_an_mri_is_refused_by_name(self, tmp_path):
        image = sitk.GetImageFromArray(np.random.default_rng(0).uniform(0, 900, (9, 8, 7)).astype(np.float32))
        sitk.WriteImage(image, str(tmp_path / "mri.mha"))
        with pytest.raises(AnatomyError, match=r"mri.mha: found no lung"):
            ct_anatomy(tmp_path / "mri.mha")

    def test_that_cannot_be_used_is_refused_by_name(self, tmp_path):
        with pytest.raises(AnatomyError, match=r"none.nii.gz: found no image .*expected a chest CT .*no such file"):
            ct_anatomy(tmp_path / "none.nii.gz")
        (tmp_path / "text.nii.gz").write_text("no image")
        with pytest.raises(SynthesisError, match=r"text.nii.gz: .*can't be read as NIfTI"):
            ct_anatomy(tmp_path / "text.nii.gz")
        nan = sitk.GetImageFromArray(np.full((5, 6, 7), np.nan, np.float32))
        sitk.WriteImage(nan, str(tmp_path / "nan.nrrd"))
        with pytest.raises(AnatomyError, match=r"nan.nrrd: .*NaN"):
            ct_anatomy(tmp_path / "nan.nrrd")


class TestChest:
    def never(self, *_):
        pytest.fail("made although it is kept")

    def test_is_made_once_and_kept(self, phantoms, tmp_path):
        calls = []

        def make():
            calls.append(1)
            return phantoms["mri"]

        chest = Chest({"phantom": 1}, make, tmp_path / "cache")
        assert same(chest(), phantoms["mri"])
        assert chest() is chest()
        later = Chest({"phantom": 1}, self.never, tmp_path / "cache")
        assert same(later(), phantoms["mri"])
        assert later().image.dtype == np.float16
        assert len(calls) == 1

    def test_without_a_folder_is_kept_in_memory(self, phantoms, tmp_path):
        left = [phantoms["mri"]]
        chest = Chest({"phantom": 1}, left.pop, None)
        assert chest() is chest()

    def test_whose_file_is_broken_is_made_anew(self, phantoms, tmp_path):
        Chest({"phantom": 1}, lambda: phantoms["mri"], tmp_path)()
        (path,) = tmp_path.iterdir()
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.warns(CacheWarning, match=path.name):
            assert same(Chest({"phantom": 1}, lambda: phantoms["mri"], tmp_path)(), phantoms["mri"])
        assert same(Chest({"phantom": 1}, self.never, tmp_path)(), phantoms["mri"])

    def test_of_another_seed_is_another(self, phantoms, tmp_path):
        Chest({"phantom": 1}, lambda: phantoms["mri"], tmp_path)()
        assert same(Chest({"phantom": 2}, lambda: phantoms["ct"], tmp_path)(), phantoms["ct"])

    def test_of_a_ct_that_changed_is_made_anew(self, ct, tmp_path):
        path = write_nifti(tmp_path / "chest.nii", ct[0])
        first = Chest.of_ct(path, tmp_path / "cache")()
        brighter = ct[0].with_array(np.where(ct[0].array > -300, ct[0].array + 100, ct[0].array).astype(np.int16))
        write_nifti(path, brighter)
        os.utime(path, ns=(1, 1))
        second = Chest.of_ct(path, tmp_path / "cache")()
        assert second.image.astype(float).mean() > first.image.astype(float).mean() + 0.01

    def test_can_be_sent_to_worker_processes(self, phantoms):
        chest = pickle.loads(pickle.dumps(Chest.of_phantom(SEEDS["ct"], None)))
        assert same(chest(), phantoms["ct"])
        assert same(pickle.loads(pickle.dumps(chest))(), phantoms["ct"])
