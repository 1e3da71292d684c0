"""Scans made ready for pairing, and the files that keep them."""

import os
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from LungDeepRegLib.image_io import read_landmarks, read_volume
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.volume import Volume
from scipy import ndimage

from training.cohorts import CohortError, LoadedScan, Scan
from training.prepared_scans import Preparation, ReadyScan, arrays_of, ready_of

AFFINE = np.array([[0.5, -3.9, 0, 40], [-3, -0.6, 0, 60], [0, 0, 5, -50], [0, 0, 0, 1.0]])  # oblique, left-handed
SIZE = (22, 20, 16)  # (i, j, k)
READ_AGAIN = pytest.fail


@pytest.fixture
def folder(tmp_path) -> Path:
    """One patient with two scans: MRI-like images, masks and landmarks."""
    for n, phase in enumerate(("exhale", "inhale")):
        noise = ndimage.gaussian_filter(np.random.default_rng(n).normal(size=SIZE), 2)
        image = (300 + 2500 * noise).clip(0).astype(np.int16)
        mask = np.zeros(SIZE, np.uint8)
        mask[4 + 2 * n : 16 + 2 * n, 5:15, 3:12] = 1
        for name, array in ((phase, image), (f"{phase}_lungs", mask)):
            nibabel.save(nibabel.Nifti1Image(array, AFFINE), tmp_path / f"{name}.nii.gz")
        points = nibabel.affines.apply_affine(AFFINE, [[6, 7, 8], [10, 9, 6]])
        lines = [",".join([f"p{m}", *map(str, point)]) for m, point in enumerate(points)]
        (tmp_path / f"{phase}.csv").write_text("\n".join(["label,r,a,s", *lines]) + "\n")
    return tmp_path


def scan(folder, phase="exhale", *, mask=True, landmarks=True):
    return Scan(
        "P1", phase, f"cohort.csv, {phase}", partial(read_volume, folder / f"{phase}.nii.gz"),
        partial(read_volume, folder / f"{phase}_lungs.nii.gz") if mask else None,
        partial(read_landmarks, folder / f"{phase}.csv") if landmarks else None, file=folder / f"{phase}.nii.gz",
    )  # fmt: skip


def preparation(cache=None, modality="mri", spacing_mm=6.0):
    return Preparation(modality, spacing_mm, cache)


def same(a: ReadyScan, b: ReadyScan) -> bool:
    lungs = (a.scan.lungs is None) == (b.scan.lungs is None)
    if a.scan.lungs is not None and b.scan.lungs is not None:
        lungs = np.array_equal(a.scan.lungs.array, b.scan.lungs.array)
    points = (a.landmarks is None) == (b.landmarks is None)
    if a.landmarks is not None and b.landmarks is not None:
        points = (
            np.array_equal(a.landmarks.points_ras, b.landmarks.points_ras) and a.landmarks.labels == b.landmarks.labels
        )
    image = np.array_equal(a.scan.image.array, b.scan.image.array)
    return image and lungs and points and a.scan.intensity == b.scan.intensity


def rewrite(path, change):
    stored = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(change(np.asarray(stored.dataobj).copy()), stored.affine), path)


def test_a_scan_is_averaged_and_upright_and_keeps_its_place(folder):
    ready = preparation().scan(scan(folder))
    # Voxels of 3.04, 3.95 and 5 mm are averaged by twos, but along the last axis; i lies nearest to A, j to R.
    assert ready.scan.image.array.shape == (16, 11, 10)
    assert ready.scan.image.lattice.spacing_mm == pytest.approx([2 * np.hypot(3.9, 0.6), 2 * np.hypot(0.5, 3), 5])
    stored = np.asarray(nibabel.load(folder / "exhale.nii.gz").dataobj).astype(float)
    low, high = ready.scan.intensity.low, ready.scan.intensity.high
    scaled = ((stored - low) / (high - low)).clip(0, 1)
    for i, j, k in ((0, 0, 0), (5, 3, 4), (9, 9, 15)):
        block = scaled[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, k].mean()
        x = nibabel.affines.apply_affine(AFFINE, [2 * i + 0.5, 2 * j + 0.5, k])
        index = np.round(nibabel.affines.apply_affine(ready.scan.image.lattice.ras_to_ijk, x), 3).astype(int)
        assert ready.scan.image.array[tuple(index[::-1])] == pytest.approx(block, abs=1e-3)
    assert ready.scan.lungs.array.sum() * 4 == 12 * 10 * 9
    assert ready.landmarks.points_ras == pytest.approx(nibabel.affines.apply_affine(AFFINE, [[6, 7, 8], [10, 9, 6]]))


@pytest.mark.parametrize("with_lungs", [True, False])
@pytest.mark.parametrize("with_landmarks", [True, False])
def test_arrays_hold_all_of_a_scan(folder, with_lungs, with_landmarks):
    one = scan(folder, mask=with_lungs, landmarks=with_landmarks)
    ready = preparation().scan(one)
    assert (ready.scan.lungs is None, ready.landmarks is None) == (not with_lungs, not with_landmarks)
    again = ready_of(arrays_of(ready), one)
    assert same(again, ready)
    assert again.scan.image.lattice == ready.scan.image.lattice
    assert again.scan.image.name == "P1 exhale"


def test_a_kept_scan_is_read_from_its_file(folder, monkeypatch):
    cache = folder / "cache"
    first = preparation(cache).scan(scan(folder))
    assert same(first, preparation(None).scan(scan(folder)))
    monkeypatch.setattr(Scan, "load", READ_AGAIN)
    assert same(preparation(cache).scan(scan(folder)), first)
    assert len(list(cache.iterdir())) == 1


def test_where_a_scan_is_named_does_not_matter(folder, monkeypatch):
    cache = folder / "cache"
    preparation(cache).scan(scan(folder))
    monkeypatch.setattr(Scan, "load", READ_AGAIN)
    one = scan(folder)
    other = Scan("Patient 7", "T50", "other.csv, line 9", one.image, one.lungs, one.landmarks, file=one.file)
    assert preparation(cache).scan(other).scan.image.name == "Patient 7 T50"


def later(path):
    """Time passes, as it does between two edits of a file; some file systems don't count finer than seconds."""
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 2_000_000_000))


class TestWhatIsStale:
    def test_an_image_that_changed(self, folder):
        cache = folder / "cache"
        first = preparation(cache).scan(scan(folder))
        rewrite(folder / "exhale.nii.gz", lambda array: array[::-1])
        later(folder / "exhale.nii.gz")
        second = preparation(cache).scan(scan(folder))
        assert not same(second, first)
        assert same(second, preparation(None).scan(scan(folder)))

    def test_a_mask_that_changed(self, folder):
        cache = folder / "cache"
        first = preparation(cache).scan(scan(folder))
        rewrite(folder / "exhale_lungs.nii.gz", lambda array: array[::-1])
        later(folder / "exhale_lungs.nii.gz")
        second = preparation(cache).scan(scan(folder))
        assert not np.array_equal(second.scan.lungs.array, first.scan.lungs.array)

    def test_landmarks_that_changed(self, folder):
        cache = folder / "cache"
        preparation(cache).scan(scan(folder))
        (folder / "exhale.csv").write_text("label,r,a,s\nq,0,0,0\n")
        later(folder / "exhale.csv")
        assert preparation(cache).scan(scan(folder)).landmarks.labels == ("q",)

    def test_a_mask_that_came_or_went(self, folder):
        cache = folder / "cache"
        assert preparation(cache).scan(scan(folder)).scan.lungs is not None
        assert preparation(cache).scan(scan(folder, mask=False)).scan.lungs is None

    @pytest.mark.parametrize("other", [{"modality": "paper"}, {"spacing_mm": 9.0}])
    def test_other_settings(self, folder, other):
        cache = folder / "cache"
        first = preparation(cache).scan(scan(folder))
        assert not same(preparation(cache, **other).scan(scan(folder)), first)

    def test_an_alignment_of_scans_that_changed(self, folder):
        cache = folder / "cache"
        scans = scan(folder), scan(folder, "inhale")
        first = preparation(cache).alignment(*scans, "centre")
        rewrite(folder / "inhale_lungs.nii.gz", lambda array: np.roll(array, 2, axis=0))
        later(folder / "inhale_lungs.nii.gz")
        second = preparation(cache).alignment(*scans, "centre")
        assert second[:3, 3] - first[:3, 3] == pytest.approx(2 * AFFINE[:3, 0], abs=1e-3)


def test_an_alignment_is_kept_for_each_pair_and_mode(folder, monkeypatch):
    cache = folder / "cache"
    scans = scan(folder), scan(folder, "inhale")
    found = preparation(cache).alignment(*scans, "centre")
    centres = []
    for phase in ("exhale", "inhale"):
        mask = np.asarray(nibabel.load(folder / f"{phase}_lungs.nii.gz").dataobj)
        centres.append(nibabel.affines.apply_affine(AFFINE, np.argwhere(mask).mean(axis=0)))
    expected = np.eye(4)
    expected[:3, 3] = centres[1] - centres[0]
    assert found == pytest.approx(expected, abs=0.1)
    assert preparation(cache).alignment(*scans[::-1], "centre")[:3, 3] == pytest.approx(-expected[:3, 3], abs=0.1)
    assert np.array_equal(preparation(cache).alignment(*scans, "none"), np.eye(4))
    monkeypatch.setattr("training.prepared_scans.align", READ_AGAIN)
    assert np.array_equal(preparation(cache).alignment(*scans, "centre"), found)


def test_a_scan_without_files_goes_by_its_name(tmp_path):
    def reader(value):
        return lambda: Volume(np.random.default_rng(value).random((6, 5, 4)), np.eye(4))

    scans = [Scan("P1", f"T{n}", f"generated {n}", reader(n)) for n in range(2)]
    found = [preparation(tmp_path, "mri").scan(one) for one in scans]
    assert not same(*found)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_papers_window(folder):
    ready = preparation(modality="paper", spacing_mm=0.01).scan(scan(folder))
    stored = np.asarray(nibabel.load(folder / "exhale.nii.gz").dataobj).astype(float)
    assert np.sort(ready.scan.image.array, axis=None) == pytest.approx(
        np.sort((stored / 1300).clip(0, 1), axis=None), abs=1e-3
    )


def test_an_image_that_cannot_be_used_names_scan_and_file(folder):
    image = sitk.GetImageFromArray(np.full((6, 5, 4), np.nan, np.float32))
    sitk.WriteImage(image, str(folder / "broken.mha"))
    one = Scan("P2", "T00", "cohort.csv, line 4", partial(read_volume, folder / "broken.mha"))
    with pytest.raises(CohortError, match=r"cohort.csv, line 4, image of patient P2, phase T00: broken.mha.* NaN"):
        preparation(folder / "cache").scan(one)
    assert not (folder / "cache").exists() or list((folder / "cache").iterdir()) == []


def test_landmark_labels_survive_the_file(tmp_path):
    labels = ("vessel branching 1", "Ä, ö", "3")
    loaded = LoadedScan(
        Volume(np.random.default_rng(0).random((6, 5, 4)), np.eye(4)), None, Landmarks(np.ones((3, 3)), labels)
    )
    one = Scan("P1", "T00", "generated", lambda: loaded.image, landmarks=lambda: loaded.landmarks)
    assert preparation(tmp_path).scan(one).landmarks.labels == labels
