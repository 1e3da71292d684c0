"""Pairs of scans from files: which there are, what they hold, and what is refused."""

import json
import pickle
import shutil
from itertools import permutations
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.phantom import PhantomConfig

from training.augmentation import Augmentation
from training.cohort_pairs import CohortPairs
from training.cohorts import CohortError, Scan
from training.phantom_cohort import PhantomCohort, write_phantom_cohort

LATTICE = Lattice((11, 9, 12), np.diag([30.0, 28.0, 26.0, 1.0]))
MARKS = 8
PATIENTS = ("P001", "P002", "P003")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    """Three patients with two scans each, 14 mm."""
    cohort = PhantomCohort(3, 1, 14.0, PhantomConfig(motion_mm=25.0, landmarks=MARKS))
    return write_phantom_cohort(tmp_path_factory.mktemp("phantoms") / "cohort", cohort)


@pytest.fixture
def copy(phantoms, tmp_path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(phantoms.parent, tmp_path / "cohort")) / "manifest.csv"


def source(manifest, **settings):
    return CohortPairs(manifest, **{"alignment": "none", **settings})


def equal(a, b):
    return all(torch.equal(first, second) for first, second in zip(a, b, strict=True))


def random(number=0):
    return np.random.default_rng(number)


class TestWhichPairs:
    def test_all_patient_and_named(self, phantoms):
        pairs = source(phantoms, pairing="all")
        assert pairs.pairs == tuple(permutations(range(6), 2))
        assert len(pairs) == 30
        assert source(phantoms).pairs == ((0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4))
        with pytest.raises(CohortError, match=r"manifest.csv: found no pair of the kind 'named' among 6 scans"):
            source(phantoms, pairing="named")

    def test_those_that_a_learn2reg_dataset_names(self, phantoms, tmp_path):
        (tmp_path / "imagesTr").mkdir()
        for patient in (1, 2):
            for n, phase in enumerate(("exhale", "inhale")):
                name = f"Lung_{patient:04}_{n:04}.nii.gz"
                shutil.copy(phantoms.parent / f"P{patient:03}_{phase}.nii.gz", tmp_path / "imagesTr" / name)
        images = [f"./imagesTr/Lung_{patient:04}_{n:04}.nii.gz" for patient in (1, 2) for n in (0, 1)]
        pair = {"fixed": images[2], "moving": images[3]}
        content = {"training": [{"image": image} for image in images], "training_paired_images": [pair]}
        (tmp_path / "L_dataset.json").write_text(json.dumps(content))
        pairs = source(tmp_path / "L_dataset.json", pairing="named", modality="ct")
        assert pairs.pairs == ((2, 3),)
        assert equal(pairs.draw(LATTICE, random(0)), pairs.draw(LATTICE, random(1)))

    def test_patients_train_or_validate_and_always_the_same(self, phantoms, copy):
        parts = {part: source(phantoms, part=part, validation=1).cohort for part in ("train", "validation", "all")}
        assert [len(cohort.patients) for cohort in parts.values()] == [2, 1, 3]
        assert set(parts["train"].patients).isdisjoint(parts["validation"].patients)
        lines = copy.read_text().splitlines()
        copy.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
        assert set(source(copy, part="train", validation=1).cohort.patients) == set(parts["train"].patients)
        assert source(phantoms, part="validation", validation=1 / 3).cohort.patients == parts["validation"].patients
        chosen = {
            source(phantoms, part="validation", validation=1, split_seed=seed).cohort.patients for seed in range(12)
        }
        assert chosen == {(patient,) for patient in PATIENTS}

    def test_pairs_between_patients_stay_in_their_part(self, phantoms):
        train = source(phantoms, part="train", validation=1, pairing="all")
        assert len(train) == 12
        assert len(source(phantoms, part="validation", validation=1, pairing="all")) == 2


class TestWhatAPairHolds:
    def test_images_masks_and_landmarks_lie_where_the_files_say(self, phantoms):
        pair = source(phantoms).numbered(LATTICE, 0)
        assert pair.landmarks.shape == (MARKS, 2, 3)
        mask = nibabel.load(phantoms.parent / "P001_exhale_lungs.nii.gz")
        lungs = np.asarray(mask.dataobj) > 0
        millilitres = float(pair.fixed_lungs.sum()) * np.prod(LATTICE.spacing_mm)
        assert millilitres == pytest.approx(lungs.sum() * 14.0**3, rel=0.03)
        centre = nibabel.affines.apply_affine(mask.affine, np.argwhere(lungs).mean(axis=0))
        for n, phase in enumerate(("exhale", "inhale")):
            content = json.loads((phantoms.parent / f"P001_{phase}.mrk.json").read_text())["markups"][0]
            points = np.array([point["position"] for point in content["controlPoints"]])
            points = points * ([1, 1, 1] if content["coordinateSystem"] == "RAS" else [-1, -1, 1])
            voxels = (points - centre) / LATTICE.spacing_mm + (np.array(LATTICE.shape[::-1]) - 1) / 2
            assert pair.landmarks[:, n].numpy() == pytest.approx(voxels, abs=0.01)
        assert float(pair.certainty.sum()) == 0

    def test_lung_is_dark_in_both_images(self, phantoms):
        pair = source(phantoms).numbered(LATTICE, 1)
        for image, lungs in ((pair.fixed, pair.fixed_lungs), (pair.moving, pair.moving_lungs)):
            assert float(image[lungs > 0.95].mean()) < 0.35 < float(image.max())

    def test_landmarks_of_two_patients_are_not_the_same_places(self, phantoms):
        pairs = source(phantoms, pairing="all")
        for number, (fixed, moving) in enumerate(pairs.pairs[:8]):
            count = len(pairs.numbered(LATTICE, number).landmarks)
            assert count == (MARKS if fixed // 2 == moving // 2 else 0)

    def test_an_alignment_brings_the_lungs_together(self, phantoms):
        def apart(alignment):
            pair = source(phantoms, pairing="all", alignment=alignment).numbered(LATTICE, 2)
            at = torch.stack(torch.meshgrid(*map(torch.arange, LATTICE.shape), indexing="ij")).flatten(1).float()
            weights = [lungs.flatten() / lungs.sum() for lungs in (pair.fixed_lungs, pair.moving_lungs)]
            return float(torch.linalg.vector_norm(at @ (weights[0] - weights[1])))

        assert apart("centre") < 0.05 < apart("none")

    def test_cubic_sampling_is_another_image(self, phantoms):
        mean, cubic = (source(phantoms, sampling=sampling).numbered(LATTICE, 0) for sampling in ("mean", "cubic"))
        assert float((mean.fixed - cubic.fixed).abs().max()) > 0.05
        assert torch.equal(mean.fixed_lungs, cubic.fixed_lungs)


class TestDrawing:
    def test_the_generator_alone_decides(self, phantoms):
        pairs, others = source(phantoms), source(phantoms)
        drawn = [pairs.draw(LATTICE, random(n)) for n in range(12)]
        assert all(equal(others.draw(LATTICE, random(n)), drawn[n]) for n in reversed(range(12)))
        numbered = [pairs.numbered(LATTICE, n) for n in range(len(pairs))]
        found = {next(n for n, pair in enumerate(numbered) if equal(pair, one)) for one in drawn}
        assert len(found) >= 4

    def test_only_training_images_are_augmented(self, phantoms):
        plain, noisy = source(phantoms), source(phantoms, augmentation=Augmentation(noise=0.2))
        pairs = [(plain.draw(LATTICE, random(n)), noisy.draw(LATTICE, random(n))) for n in range(6)]
        assert any(not torch.equal(a.fixed, b.fixed) for a, b in pairs)
        assert all(equal(a[2:], b[2:]) for a, b in pairs)
        assert equal(plain.numbered(LATTICE, 0), noisy.numbered(LATTICE, 0))

    def test_worker_processes_draw_the_same(self, phantoms):
        pairs = source(phantoms)
        assert equal(pickle.loads(pickle.dumps(pairs)).draw(LATTICE, random(3)), pairs.draw(LATTICE, random(3)))


class TestCache:
    def test_a_second_run_gives_the_same_without_reading_the_scans(self, phantoms, tmp_path, monkeypatch):
        settings = {"cache": tmp_path / "cache", "alignment": "centre"}
        first = [source(phantoms, **settings).numbered(LATTICE, n) for n in range(2)]
        assert all(equal(source(phantoms, alignment="centre").numbered(LATTICE, n), first[n]) for n in range(2))
        monkeypatch.setattr(Scan, "load", pytest.fail)
        assert all(equal(source(phantoms, **settings).numbered(LATTICE, n), first[n]) for n in range(2))

    def test_a_scan_that_changed_is_read_again(self, copy, tmp_path):
        before = source(copy, cache=tmp_path / "cache").numbered(LATTICE, 0)
        image = nibabel.load(copy.parent / "P001_exhale.nii.gz")
        turned = np.asarray(image.dataobj)[:, :, ::-1]
        nibabel.save(nibabel.Nifti1Image(turned, image.affine), copy.parent / "P001_exhale.nii.gz")
        after = source(copy, cache=tmp_path / "cache").numbered(LATTICE, 0)
        assert float((after.fixed - before.fixed).max()) > 0.1
        assert torch.equal(after.moving, before.moving)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"part": "test"}, "found part 'test', expected one of all, train, validation"),
            ({"pairing": "some"}, "found pairing 'some', expected one of all, patient, named"),
            ({"alignment": "rigid"}, "found alignment 'rigid', expected one of none, centre, affine"),
            ({"modality": "pet"}, "found modality 'pet', expected one of auto, ct, mri, paper"),
            ({"sampling": "linear"}, "found sampling 'linear', expected one of mean, cubic"),
            ({"spacing_mm": 0.0}, "found spacing_mm 0.0, expected a number of mm above 0"),
            ({"spacing_mm": float("nan")}, "found spacing_mm nan"),
            ({"part": "train", "validation": 3}, "manifest.csv: found no patient for train .*asked for 3"),
            ({"part": "train", "validation": 1.5}, "found validation 1.5, expected a number of patients"),
            ({"part": "train", "validation": float("inf")}, "found validation inf"),
            ({"part": "train", "validation": 0}, "found validation 0, expected a number of patients"),
        ],
    )
    def test_words_and_numbers(self, phantoms, settings, said):
        with pytest.raises(CohortError, match=said):
            source(phantoms, **settings)

    def test_a_manifest_that_is_not_there(self, tmp_path):
        with pytest.raises(CohortError, match=r"none.csv: no such file"):
            source(tmp_path / "none.csv")

    def test_a_patient_with_a_single_scan(self, copy):
        copy.write_text("\n".join(copy.read_text().splitlines()[:2]) + "\n")
        with pytest.raises(CohortError, match="found no pair of the kind 'patient' among 1 scans, expected one"):
            source(copy)

    def test_a_mask_of_another_shape_at_once(self, copy):
        path = copy.parent / "P002_inhale_lungs.nii.gz"
        mask = nibabel.load(path)
        nibabel.save(nibabel.Nifti1Image(np.asarray(mask.dataobj)[:-1], mask.affine), path)
        with pytest.raises(
            CohortError, match=r"manifest.csv, line 5, mask: .*P002_inhale_lungs.nii.gz: found a mask of"
        ):
            source(copy)

    def test_nan_voxels_by_the_check(self, copy, capsys):
        path = copy.parent / "P003_exhale.nii.gz"
        image = nibabel.load(path)
        array = np.asarray(image.dataobj).astype(np.float32)
        array[5, 5, 5] = np.nan
        nibabel.save(nibabel.Nifti1Image(array, image.affine), path)
        pairs = source(copy)
        with pytest.raises(CohortError, match=r"line 6, image of patient P003, phase exhale: P003_exhale.*found 1 NaN"):
            pairs.check()
        assert "scans" in capsys.readouterr().err

    def test_landmarks_that_cannot_be_paired_by_the_check(self, copy):
        (copy.parent / "few.csv").write_text("label,r,a,s\nvessel branching 1,0,0,0\n")
        copy.write_text(copy.read_text().replace("P002_inhale.mrk.json", "few.csv"))
        said = (
            r"line 4; manifest.csv, line 5, landmarks of patient P002: found 8 points in P002_exhale.*and 1 in few.csv"
        )
        with pytest.raises(CohortError, match=said):
            source(copy).check()
        assert len(source(copy, part="validation", validation=1).cohort.scans) == 2

    def test_nothing_of_a_good_cohort(self, phantoms):
        source(phantoms).check()
