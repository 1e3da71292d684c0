import gzip
import warnings
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import Lattice, apply, covering_lattice
from LungDeepRegLib.image_io import FileError, ImageWarning, read_transform, write_transform
from scipy.spatial.transform import Rotation

FORMATS = [".h5", ".nii", ".nii.gz", ".nrrd", ".mha"]
FLIP = np.array([-1, -1, 1])


def lattice(name="oblique", shape=(7, 8, 9)):
    """An anisotropic lattice in RAS: rotated, or its mirror image."""
    axes = {
        "oblique": Rotation.from_euler("xyz", [20, -35, 10], degrees=True).as_matrix(),
        "left_handed": Rotation.from_euler("xyz", [5, 15, -160], degrees=True).as_matrix() * [1, 1, -1],
        "sheared": np.array([[1.0, 0, 0], [0, 1, np.sin(0.2)], [0, 0, np.cos(0.2)]]),
    }[name]
    matrix = np.eye(4)
    matrix[:3, :3] = axes * [3.0, 4.0, 5.0]
    matrix[:3, 3] = [-30.5, 12.25, 140]
    return Lattice(shape, matrix)


def wavy(where):
    """A field without any symmetry that could hide a swapped axis or sign."""
    return DisplacementField(np.random.default_rng(0).normal([1, -5, 9], [3, 2, 1], (*where.shape, 3)), where)


def rigid():
    """A rotation about an oblique axis and a translation, 4x4 in RAS."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec([0.2, -0.1, 0.3]).as_matrix()
    matrix[:3, 3] = [12, -7, 3.5]
    return matrix


def inner_points(where, count=200):
    """Random points between the voxel centres of a lattice, RAS mm."""
    return apply(where.grid_to_ras, np.random.default_rng(1).uniform(-1, 1, (count, 3)))


def by_simpleitk(path, points_ras):
    """What SimpleITK makes of a transform file, as RAS points."""
    if path.suffix == ".h5":
        transform = sitk.ReadTransform(str(path))
    else:
        transform = sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return np.array([transform.TransformPoint(point) for point in (points_ras * FLIP).tolist()]) * FLIP


def read_quietly(path, fixed):
    """Read with every warning an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_transform(path, fixed)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", ["oblique", "left_handed"])
def test_simpleitk_maps_points_as_phi_does(tmp_path, suffix, name):
    field = wavy(lattice(name))
    write_transform(tmp_path / f"t{suffix}", field)
    points = inner_points(field.lattice)
    np.testing.assert_allclose(by_simpleitk(tmp_path / f"t{suffix}", points), field(points), atol=2e-4)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", ["oblique", "left_handed", "sheared"])
def test_round_trip_keeps_vectors_and_lattice(tmp_path, suffix, name):
    field = wavy(lattice(name))
    write_transform(tmp_path / f"t{suffix}", field)
    again = read_quietly(tmp_path / f"t{suffix}", field.lattice)
    assert again.lattice == field.lattice
    assert again.vectors.dtype == np.float32
    np.testing.assert_array_equal(again.vectors, field.vectors)


@pytest.mark.parametrize("suffix", FORMATS)
def test_identity_and_rigid_motion(tmp_path, suffix):
    where, points = lattice(), inner_points(lattice())
    for matrix in (np.eye(4), rigid()):
        path = tmp_path / f"t{suffix}"
        write_transform(path, DisplacementField.from_matrix(matrix, where))
        np.testing.assert_allclose(by_simpleitk(path, points), apply(matrix, points), atol=1e-4)
        np.testing.assert_allclose(read_quietly(path, where)(points), apply(matrix, points), atol=1e-4)


@pytest.mark.parametrize("suffix", [".h5", ".tfm", ".nrrd", ".mha"])
def test_fields_that_simpleitk_wrote(tmp_path, suffix):
    field = wavy(lattice("left_handed"))
    image = sitk.GetImageFromArray(field.vectors.astype(np.float64) * FLIP, isVector=True)
    image.SetSpacing(field.lattice.spacing_mm.tolist())
    image.SetOrigin((field.lattice.ijk_to_ras[:3, 3] * FLIP).tolist())
    directions = FLIP[:, None] * field.lattice.ijk_to_ras[:3, :3] / field.lattice.spacing_mm
    image.SetDirection(directions.ravel().tolist())
    path = str(tmp_path / f"t{suffix}")
    if suffix in (".nrrd", ".mha"):
        sitk.WriteImage(image, path)
    else:
        sitk.WriteTransform(sitk.DisplacementFieldTransform(image), path)
    again = read_quietly(path, field.lattice)
    assert again.lattice == field.lattice
    np.testing.assert_allclose(again.vectors, field.vectors, atol=1e-5)


def test_compressed_nifti_holds_what_the_plain_one_holds(tmp_path):
    for suffix in (".nii", ".nii.gz"):
        write_transform(tmp_path / f"a{suffix}", wavy(lattice()))
    assert gzip.decompress((tmp_path / "a.nii.gz").read_bytes()) == (tmp_path / "a.nii").read_bytes()


def test_nifti_holds_ras_vectors_of_intent_1006(tmp_path):
    field = wavy(lattice())
    write_transform(tmp_path / "t.nii.gz", field)
    stored = nibabel.load(tmp_path / "t.nii.gz")
    assert stored.shape == (9, 8, 7, 1, 3)
    assert stored.header["intent_code"] == 1006
    assert stored.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(stored.dataobj)[2, 3, 4, 0], field.vectors[4, 3, 2])


def affine_transform():
    """The LPS affine of ITK that is ``rigid()`` in RAS."""
    lps = np.diag([-1, -1, 1, 1]) @ rigid() @ np.diag([-1, -1, 1, 1])
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel())
    transform.SetTranslation(lps[:3, 3])
    return transform


def euler_transform():
    transform = sitk.Euler3DTransform((10, -20, 140), 0.1, -0.2, 0.3, (5, 6, -7))
    return sitk.CompositeTransform([sitk.TranslationTransform(3, (1, 2, 3)), transform])


@pytest.mark.parametrize("suffix", [".h5", ".tfm", ".txt", ".mat"])
def test_an_affine_file_is_sampled_exactly(tmp_path, suffix):
    fixed = lattice()
    sitk.WriteTransform(affine_transform(), str(tmp_path / f"t{suffix}"))
    field = read_quietly(tmp_path / f"t{suffix}", fixed)
    points = np.concatenate([inner_points(fixed), lattice_points(fixed)])
    np.testing.assert_allclose(field(points), apply(rigid(), points), atol=1e-4)
    assert field.lattice.contains(lattice_points(fixed)).all()


def test_a_composite_file_is_sampled_exactly(tmp_path):
    fixed, path = lattice(), tmp_path / "t.h5"
    sitk.WriteTransform(euler_transform(), str(path))
    points = inner_points(fixed)
    np.testing.assert_allclose(read_quietly(path, fixed)(points), by_simpleitk(path, points), atol=1e-4)


def bspline(fixed, amplitude):
    """A random B-spline transform whose control points lie around a lattice."""
    domain = covering_lattice(fixed, 5, 10)
    image = sitk.Image([int(n) for n in domain.shape[::-1]], sitk.sitkUInt8)
    image.SetSpacing(domain.spacing_mm.tolist())
    image.SetOrigin((domain.ijk_to_ras[:3, 3] * FLIP).tolist())
    image.SetDirection((FLIP[:, None] * domain.ijk_to_ras[:3, :3] / domain.spacing_mm).ravel().tolist())
    transform = sitk.BSplineTransformInitializer(image, (4, 4, 4), 3)
    count = transform.GetNumberOfParameters()
    transform.SetParameters((np.random.default_rng(0).normal(size=count) * amplitude).tolist())
    return transform


def test_a_bspline_file_is_sampled_closely(tmp_path):
    fixed, path = lattice(), tmp_path / "t.h5"
    sitk.WriteTransform(bspline(fixed, 3.0), str(path))
    points = inner_points(fixed)
    np.testing.assert_allclose(read_quietly(path, fixed)(points), by_simpleitk(path, points), atol=0.1)


def test_coarse_sampling_is_said(tmp_path):
    fixed, path = lattice(), tmp_path / "t.h5"
    sitk.WriteTransform(bspline(fixed, 60.0), str(path))
    with pytest.warns(ImageWarning, match="sampled every 2 mm, the transform is met to"):
        read_transform(path, fixed)


def test_a_composite_of_one_field_is_that_field(tmp_path):
    field = wavy(lattice())
    write_transform(tmp_path / "a.h5", field)
    alone = sitk.DisplacementFieldTransform(sitk.ReadTransform(str(tmp_path / "a.h5")))
    sitk.WriteTransform(sitk.CompositeTransform([alone]), str(tmp_path / "b.h5"))
    again = read_quietly(tmp_path / "b.h5", field.lattice)
    np.testing.assert_array_equal(again.vectors, field.vectors)


def test_a_field_smaller_than_the_fixed_image_is_said(tmp_path):
    field = wavy(lattice())
    write_transform(tmp_path / "t.nrrd", field)
    fixed = lattice(shape=(7, 8, 12))
    with pytest.warns(ImageWarning, match="ends within the fixed image"):
        read_transform(tmp_path / "t.nrrd", fixed)


def vectors_in_nifti(path, shape=(9, 8, 7, 1, 3), intent=1006, name="", value=1.0):
    made = nibabel.Nifti1Image(np.full(shape, value, np.float32), lattice().ijk_to_ras)
    made.header.set_intent(intent, (), name)
    nibabel.save(made, path)
    return path


def text_file(path, content):
    path.write_text(content)
    return path


def bad_transforms(folder):
    """Files that hold no map from the fixed to the moving image, and what must be said of them."""
    two = sitk.GetImageFromArray(np.zeros((4, 4, 4, 2)), isVector=True)
    sitk.WriteImage(two, str(folder / "two.nrrd"))
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkFloat32), str(folder / "scalar.mha"))
    modeling = sitk.GetImageFromArray(np.zeros((4, 4, 4, 3)), isVector=True)
    modeling.SetMetaData("displacement field type", "modeling")
    sitk.WriteImage(modeling, str(folder / "modeling.nrrd"))
    infinite = sitk.GetImageFromArray(np.full((4, 4, 4, 3), np.inf), isVector=True)
    sitk.WriteImage(infinite, str(folder / "infinite.mha"))
    sitk.WriteTransform(sitk.Euler2DTransform(), str(folder / "2d.tfm"))
    inverse = "#Insight Transform File V1.0\n#Transform 0\nTransform: InverseDisplacementFieldTransform_double_3_3\n"
    return [
        (folder / "missing.h5", "no such file"),
        (text_file(folder / "a.stl", ""), r"found \.stl, expected one of \.h5"),
        (text_file(folder / "a.h5", "text"), "no HDF5 file"),
        (text_file(folder / "a.tfm", "text"), "can't be read as an ITK transform"),
        (text_file(folder / "b.tfm", inverse + "Parameters:\nFixedParameters:\n"), "inverse transform"),
        (text_file(folder / "TransformParameters.0.txt", '(Transform "BSplineTransform")\n'), "elastix parameters"),
        (folder / "2d.tfm", "2D transform"),
        (text_file(folder / "a.nii.gz", "text"), "can't be read"),
        (text_file(folder / "a.nrrd", "text"), "can't be read"),
        (vectors_in_nifti(folder / "two.nii", (9, 8, 7, 1, 2)), "expected a displacement field"),
        (vectors_in_nifti(folder / "scalar.nii", (9, 8, 7)), "expected a displacement field"),
        (vectors_in_nifti(folder / "niftyreg.nii", intent=1007, name="NREG_TRANS"), "NiftyReg writes 1007"),
        (vectors_in_nifti(folder / "ants.nii", intent=1007), "ANTs and ITK write LPS displacements"),
        (vectors_in_nifti(folder / "fsl.nii", intent=2006), "intent 2006, expected 1006"),
        (vectors_in_nifti(folder / "nan.nii", value=np.nan), "NaN or infinite"),
        (folder / "two.nrrd", "2 values a voxel"),
        (folder / "scalar.mha", "1 values a voxel"),
        (folder / "modeling.nrrd", "maps moving to fixed"),
        (folder / "infinite.mha", "NaN or infinite"),
    ]


def test_bad_transforms_are_refused_by_name_and_reason(tmp_path):
    for path, reason in bad_transforms(tmp_path):
        with pytest.raises(FileError, match=reason) as caught:
            read_transform(path, lattice())
        assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated_transforms_are_refused(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    write_transform(path, wavy(lattice()))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(FileError, match=f"t{suffix}: can't be read"):
        read_transform(path, lattice())


@pytest.mark.parametrize("suffix", FORMATS)
def test_places_that_cannot_be_written_are_named(tmp_path, suffix):
    field = wavy(lattice())
    with pytest.raises(FileError, match="there is no folder"):
        write_transform(tmp_path / "no" / f"t{suffix}", field)
    (tmp_path / f"t{suffix}").mkdir()
    with pytest.raises(FileError, match=f"t{suffix}: can't be written"):
        write_transform(tmp_path / f"t{suffix}", field)


@pytest.mark.parametrize("suffix", FORMATS[1:])
def test_a_full_disk_is_said(tmp_path, suffix):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full to stand for a full disk")
    (tmp_path / f"u{suffix}").symlink_to("/dev/full")
    with pytest.raises(FileError, match=f"u{suffix}: can't be written"):
        write_transform(tmp_path / f"u{suffix}", wavy(lattice(shape=(20, 20, 20))))


def test_hdf5_is_not_begun_on_a_disk_too_small(tmp_path, monkeypatch):
    field = wavy(lattice())
    for free in (7 * 8 * 9 * 3 * 8 - 1, 0):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        with pytest.raises(FileError, match=r"t\.h5: can't be written, found 0 MB free"):
            write_transform(tmp_path / "t.h5", field)
        assert not (tmp_path / "t.h5").exists()


def test_unknown_extension_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"found \.tfm, expected one of \.h5"):
        write_transform(tmp_path / "t.tfm", wavy(lattice()))
