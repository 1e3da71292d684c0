import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.image_io import FileError, ImageWarning, read_mask, read_volume, write_volume
from LungDeepRegLib.volume import Volume
from scipy.spatial.transform import Rotation

SHAPE = (5, 6, 7)
FORMATS = [".nii", ".nii.gz", ".nrrd", ".mha"]


def geometry(name):
    """An index-to-RAS matrix: rotated and anisotropic, its mirror image, coronal, or sheared as by gantry tilt."""
    spacing = np.array([0.7, 0.9, 2.5])
    axes = {
        "oblique": Rotation.from_euler("xyz", [20, -35, 10], degrees=True).as_matrix(),
        "left_handed": Rotation.from_euler("xyz", [5, 15, -160], degrees=True).as_matrix() * [1, 1, -1],
        "coronal": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
        "sheared": np.array([[1.0, 0, 0], [0, 1, np.sin(0.2)], [0, 0, np.cos(0.2)]]),
    }[name]
    matrix = np.eye(4)
    matrix[:3, :3] = axes * spacing
    matrix[:3, 3] = [-31.5, 12.25, 140]
    return matrix


def image(dtype=np.int16, name="oblique"):
    values = np.random.default_rng(0).integers(0, 100, SHAPE).astype(dtype)
    return Volume(values, geometry(name), "made up")


def mha(path, **changes):
    """A MetaImage of zeros, written by hand so that its header can be wrong."""
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "DimSize": "4 5 6",
        "ElementSpacing": "1 1 2",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementType": "MET_SHORT",
        "ElementDataFile": "LOCAL",
    }
    lines = [f"{key} = {value}\n" for key, value in {**header, **changes}.items()]
    path.write_bytes("".join(lines).encode() + bytes(4 * 5 * 6 * 2))
    return path


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", ["oblique", "left_handed", "coronal", "sheared"])
def test_round_trip_keeps_voxels_type_and_place(tmp_path, suffix, name):
    volume = image(name=name)
    write_volume(tmp_path / f"a{suffix}", volume)
    again = read_volume(tmp_path / f"a{suffix}")
    assert again.array.dtype == np.int16
    np.testing.assert_array_equal(again.array, volume.array)
    np.testing.assert_allclose(again.ijk_to_ras, volume.ijk_to_ras, atol=2e-5)
    assert again.lattice == volume.lattice
    assert again.name == f"a{suffix}"


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        (bool, np.uint8),
        (np.float64, np.float32),
        (np.float16, np.float32),
        (np.int64, np.int32),
        (np.uint16, np.uint16),
    ],
)
@pytest.mark.parametrize("suffix", FORMATS)
def test_types_are_stored_as_others_can_read_them(tmp_path, suffix, dtype, stored):
    volume = image(dtype)
    write_volume(tmp_path / f"a{suffix}", volume)
    again = read_volume(tmp_path / f"a{suffix}")
    assert again.array.dtype == stored
    np.testing.assert_array_equal(again.array, volume.array)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", ["oblique", "left_handed", "coronal"])
def test_simpleitk_finds_our_voxels_at_the_same_place(tmp_path, suffix, name):
    volume = image(name=name)
    write_volume(tmp_path / f"a{suffix}", volume)
    theirs = sitk.ReadImage(str(tmp_path / f"a{suffix}"))
    for i, j, k in [(0, 0, 0), (6, 5, 4), (3, 1, 2)]:
        assert theirs[i, j, k] == volume.array[k, j, i]
        lps = np.array(theirs.TransformIndexToPhysicalPoint((i, j, k)))
        np.testing.assert_allclose(lps * [-1, -1, 1], apply(volume.ijk_to_ras, np.array([i, j, k])), atol=2e-5)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"])
def test_we_find_simpleitks_voxels_at_the_same_place(tmp_path, suffix):
    theirs = sitk.GetImageFromArray(image().array)
    theirs.SetSpacing((0.7, 0.9, 2.5))
    theirs.SetOrigin((31.5, -12.25, 140))
    theirs.SetDirection(Rotation.from_euler("xyz", [20, -35, 190], degrees=True).as_matrix().ravel())
    sitk.WriteImage(theirs, str(tmp_path / f"a{suffix}"))
    volume = read_volume(tmp_path / f"a{suffix}")
    for i, j, k in [(0, 0, 0), (6, 5, 4), (3, 1, 2)]:
        lps = np.array(theirs.TransformIndexToPhysicalPoint((i, j, k)))
        np.testing.assert_allclose(apply(volume.ijk_to_ras, np.array([i, j, k])), lps * [-1, -1, 1], atol=2e-5)
        assert volume.array[k, j, i] == theirs[i, j, k]


def nifti(path, data, sform=None):
    """A NIfTI file by nibabel, its sform written by hand so that it can be wrong."""
    nibabel.save(nibabel.Nifti1Image(data, geometry("oblique")), path)
    if sform is not None:
        content = bytearray(path.read_bytes())
        content[280:328] = sform[:3].astype("<f4").tobytes()
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("stored", "slope", "intercept", "dtype"),
    [
        (np.uint16, 1.0, -1024.0, np.int16),
        (np.int16, 2.0, 0.0, np.int16),
        (np.uint16, 1000.0, 5.0, np.int32),
        (np.uint16, 1e6, 0.0, np.int64),
        (np.int32, 1e6, -7.0, np.int64),
        (np.uint16, 0.5, 0.25, np.float32),
        (np.int32, 0.5, 0.25, np.float64),
    ],
)
def test_nifti_slope_and_intercept_are_applied(tmp_path, stored, slope, intercept, dtype):
    raw = np.random.default_rng(0).integers(0, 4000, SHAPE[::-1]).astype(stored)
    made = nibabel.Nifti1Image(raw, np.eye(4))
    made.header.set_slope_inter(slope, intercept)
    nibabel.save(made, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[352:] = raw.tobytes(order="F")  # nibabel had divided by the slope
    (tmp_path / "a.nii").write_bytes(content)
    volume = read_volume(tmp_path / "a.nii")
    assert volume.array.dtype == dtype
    np.testing.assert_array_equal(volume.array, raw.T * slope + intercept)


def test_nifti_sform_comes_before_qform_and_qform_alone_counts(tmp_path):
    made = nibabel.Nifti1Image(image().array.T, None)
    made.set_qform(geometry("left_handed"), code=2)
    nibabel.save(made, tmp_path / "q.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "q.nii").ijk_to_ras, geometry("left_handed"), atol=2e-5)
    made.set_sform(geometry("sheared"), code=1)
    nibabel.save(made, tmp_path / "s.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "s.nii").ijk_to_ras, geometry("sheared"), atol=2e-5)


def test_nifti_is_written_so_that_no_reader_takes_a_wrong_matrix(tmp_path):
    write_volume(tmp_path / "a.nii", image(name="left_handed"))
    header = nibabel.load(tmp_path / "a.nii").header
    assert (header["sform_code"], header["qform_code"]) == (1, 1)
    np.testing.assert_allclose(header.get_qform(), geometry("left_handed"), atol=2e-5)
    write_volume(tmp_path / "b.nii", image(name="sheared"))
    header = nibabel.load(tmp_path / "b.nii").header
    assert (header["sform_code"], header["qform_code"]) == (1, 0)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(tmp_path / "b.nii"))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_volumes_are_compressed(tmp_path, suffix):
    write_volume(tmp_path / f"a{suffix}", Volume(np.zeros((40, 40, 40), np.int16), np.eye(4)))
    assert (tmp_path / f"a{suffix}").stat().st_size < 4000


@pytest.mark.parametrize("dtype", [bool, np.int16, np.float32])
def test_compressed_nifti_holds_what_the_plain_one_holds(tmp_path, dtype):
    for suffix in (".nii", ".nii.gz"):
        write_volume(tmp_path / f"a{suffix}", image(dtype))
    assert gzip.decompress((tmp_path / "a.nii.gz").read_bytes()) == (tmp_path / "a.nii").read_bytes()


def test_nifti_without_a_place_is_said(tmp_path):
    made = nibabel.Nifti1Image(image().array.T, None)
    nibabel.save(made, tmp_path / "nowhere.nii")
    with pytest.warns(ImageWarning, match=r"nowhere\.nii: neither sform nor qform is set"):
        read_volume(tmp_path / "nowhere.nii")


def test_nrrd_without_a_space_is_said(tmp_path):
    lines = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 5 6\nspacings: 1 1 2\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(lines.encode() + bytes(120))
    with pytest.warns(ImageWarning, match="names no space"):
        read_volume(tmp_path / "a.nrrd")


def test_big_endian_voxels_are_turned(tmp_path):
    made = nibabel.Nifti1Image(image().array.T, np.eye(4), nibabel.Nifti1Header(endianness=">"))
    nibabel.save(made, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert volume.array.dtype.isnative
    np.testing.assert_array_equal(volume.array, image().array)


def test_a_single_time_point_is_a_volume(tmp_path):
    data = image().array
    nifti(tmp_path / "a.nii", data.T[..., None])
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").array, data)
    made = sitk.GetImageFromArray(data[None].astype(np.int16), isVector=False)
    made.SetSpacing((0.7, 0.9, 2.5, 1))
    made.SetOrigin((31.5, -12.25, 140, 0))
    sitk.WriteImage(made, str(tmp_path / "a.nrrd"))
    with pytest.warns(ImageWarning, match="names no space"):  # ITK leaves it out in 4D
        volume = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.array, data)
    np.testing.assert_allclose(volume.ijk_to_ras[:3, 3], [-31.5, 12.25, 140])


def truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_volume(path, image())
    truncated(path)
    with pytest.raises(FileError, match=f"a{suffix}: can't be read"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [*FORMATS, ".nhdr", ".mhd"])
def test_files_that_are_something_else_are_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for content in (b"", b"just some text, nothing else\n" * 40, gzip.compress(b"zipped text" * 100)):
        path.write_bytes(content)
        with pytest.raises(FileError, match=f"a{suffix}: can't be read"):
            read_volume(path)


def bad_files(folder):
    """Files that aren't one scalar 3D image in space, and what must be said of them."""
    data = image().array.T
    flat = geometry("oblique")
    flat[:3, 2] = flat[:3, 1]
    colour = np.zeros(SHAPE[::-1], dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    vectors = sitk.GetImageFromArray(np.zeros((*SHAPE, 3), np.uint8), isVector=True)
    sitk.WriteImage(vectors, str(folder / "rgb.nrrd"))
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((5, 6), np.int16)), str(folder / "2d.mha"))
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 5, 6), np.int16), isVector=False), str(folder / "4d.nrrd"))
    (folder / "a.jpg").write_bytes(b"\xff\xd8")
    (folder / "noextension").write_bytes(b"a")
    return [
        (folder / "missing.nii.gz", "no such file"),
        (folder / "a.jpg", r"found \.jpg, expected one of \.nii"),
        (folder / "noextension", "found no extension"),
        (nifti(folder / "2d.nii", data[:, :, 0]), "found a 2D image"),
        (folder / "2d.mha", "found a 2D image"),
        (nifti(folder / "4d.nii.gz", np.stack([data] * 3, -1)), "found a 4D image"),
        (folder / "4d.nrrd", "found a 4D image"),
        (nifti(folder / "rgb.nii", colour), "colour image"),
        (folder / "rgb.nrrd", "3 values in each voxel"),
        (nifti(folder / "vector.nii", np.zeros((4, 5, 6, 1, 3), np.float32)), "3 values in each voxel"),
        (nifti(folder / "complex.nii", data.astype(np.complex64)), "type complex64"),
        (nifti(folder / "thin.nii", data[:, :, :1]), "at least 2 voxels"),
        (mha(folder / "thin.mha", DimSize="4 5 1"), "at least 2 voxels"),
        (nifti(folder / "flat.nii", data, flat), "not independent"),
        (nifti(folder / "zero.nii", data, np.diag([1, 0, 1, 1.0])), "voxel spacing of"),
        (nifti(folder / "nan.nii", data, np.diag([1, np.nan, 1, 1.0])), "finite numbers"),
        (nifti(folder / "huge.nii", data, np.diag([1, 1, 500, 1.0])), "voxel spacing of"),
        (nifti(folder / "tiny.nii", data, np.diag([1, 1, 0.001, 1.0])), "voxel spacing of"),
        (mha(folder / "zero.mha", ElementSpacing="0 1 1"), "spacing"),
        (mha(folder / "huge.mha", ElementSpacing="1 1 5000"), "voxel spacing of"),
        (mha(folder / "singular.mha", TransformMatrix="1 0 0 1 0 0 0 0 1"), "(?i)direction"),
    ]


def test_bad_files_are_refused_by_name_and_reason(tmp_path):
    for path, reason in bad_files(tmp_path):
        with pytest.raises(FileError, match=reason) as caught:
            read_volume(path)
        assert str(caught.value).startswith(str(path))


def test_a_series_can_only_be_chosen_of_dicom(tmp_path):
    write_volume(tmp_path / "a.nrrd", image())
    with pytest.raises(FileError, match="isn't a DICOM folder"):
        read_volume(tmp_path / "a.nrrd", series=1)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_is_said(tmp_path, suffix):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full to stand for a full disk")
    path = tmp_path / f"a{suffix}"
    path.symlink_to("/dev/full")
    volume = Volume(np.random.default_rng(0).normal(size=(40, 40, 40)), np.eye(4))
    with pytest.raises(FileError, match=f"a{suffix}: can't be written"):
        write_volume(path, volume)


def test_places_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(FileError, match="there is no folder"):
        write_volume(tmp_path / "no" / "a.nii.gz", image())
    for suffix in FORMATS:
        (tmp_path / f"b{suffix}").mkdir()
        with pytest.raises(FileError, match=f"b{suffix}: can't be written"):
            write_volume(tmp_path / f"b{suffix}", image())
    with pytest.raises(FileError, match=r"found \.png, expected one of"):
        write_volume(tmp_path / "a.png", image())
    with pytest.raises(FileError, match="at most 32 bits"):
        write_volume(tmp_path / "a.nii", image().with_array(np.full(SHAPE, 2**40)))


def test_a_mask_is_every_label(tmp_path):
    like = image()
    for dtype, suffix in ((np.uint8, ".nii.gz"), (np.float32, ".nrrd"), (np.int16, ".mha")):
        labels = np.zeros(SHAPE, dtype)
        labels[1:3, 2:4, 1:5], labels[3:, 5:, 6:] = 1, 20
        write_volume(tmp_path / f"m{suffix}", like.with_array(labels))
        mask = read_mask(tmp_path / f"m{suffix}", like)
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, labels > 0)


def test_a_mask_of_another_grid_is_refused_with_both(tmp_path):
    like = image()
    moved = np.array(like.ijk_to_ras)
    moved[0, 3] += 0.5
    path = tmp_path / "m.nii.gz"
    for other in (Volume(np.ones(SHAPE), moved), Volume(np.ones((5, 6, 8)), like.ijk_to_ras)):
        write_volume(path, other)
        with pytest.raises(FileError, match="made up") as caught:
            read_mask(path, like)
        assert "7 x 6 x 5 voxels of 0.7 0.9 2.5 mm" in str(caught.value)
        assert str(caught.value).count("origin") == 2


@pytest.mark.parametrize(
    ("value", "reason"), [(0.0, "empty mask"), (-1.0, "empty mask"), (0.5, "fractional"), (np.nan, "fractional or NaN")]
)
def test_empty_and_fractional_masks_are_refused(tmp_path, value, reason):
    like = image()
    write_volume(tmp_path / "m.nii.gz", like.with_array(np.full(SHAPE, value)))
    with pytest.raises(FileError, match=reason):
        read_mask(tmp_path / "m.nii.gz", like)
