import warnings

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.image_io import FileError, ImageWarning, list_dicom_series, read_volume
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.spatial.transform import Rotation

ROWS, COLUMNS, SLICES = 6, 7, 5
AXIAL = np.eye(3)
OBLIQUE = Rotation.from_euler("xyz", [20, -35, 10], degrees=True).as_matrix()
PIXELS = np.random.default_rng(0).integers(0, 4000, (SLICES, ROWS, COLUMNS)).astype(np.uint16)
ORIGIN = np.array([-100.5, 40.25, 300.0])


def dataset(path, uid, storage):
    """A DICOM image without pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = storage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    made.SOPClassUID, made.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "1.2.3", uid, "CT"
    made.Rows, made.Columns = ROWS, COLUMNS
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    return made


def write_slice(path, position, pixels, *, uid="1.2.3.1", axes=AXIAL, **entries):
    """One CT slice; ``axes`` are the LPS directions of i, j and the normal."""
    made = dataset(path, uid, CTImageStorage)
    made.SeriesDescription, made.SeriesNumber = "inhale", 2
    made.ImagePositionPatient = [f"{x:.6f}" for x in position]
    made.ImageOrientationPatient = [f"{x:.8f}" for x in axes[:, :2].T.ravel()]
    made.PixelSpacing = [0.9, 0.7]  # between rows, between columns
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    made.PixelData = pixels.tobytes()
    for key, value in entries.items():
        if value is None:
            delattr(made, key)
        else:
            setattr(made, key, value)
    made.save_as(path)
    return path


def write_series(folder, steps=None, *, axes=AXIAL, slices=range(SLICES), **entries):
    """A series whose slices' positions are ``steps``, shuffled in name: ``(N, 3)`` LPS mm, by default 2.5 mm apart."""
    folder.mkdir(exist_ok=True)
    if steps is None:
        steps = np.arange(SLICES)[:, None] * 2.5 * axes[:, 2]
    names = np.random.default_rng(1).permutation(len(steps))
    for k in slices:
        number = f"{entries.get('uid', '')}_{names[k]:03d}.dcm"
        write_slice(folder / number, ORIGIN + steps[k], PIXELS[k], axes=axes, **entries)
    return folder


def read_quietly(path, **options):
    """Read with every warning an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_volume(path, **options)


@pytest.mark.parametrize("axes", [AXIAL, OBLIQUE])
def test_a_series_has_its_hounsfield_units_and_place(tmp_path, axes):
    volume = read_quietly(write_series(tmp_path / "ct", axes=axes))
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, PIXELS.astype(int) - 1024)
    ijk = np.array([2, 3, 4])
    lps = ORIGIN + axes @ (ijk * [0.7, 0.9, 2.5])
    np.testing.assert_allclose(apply(volume.ijk_to_ras, ijk), lps * [-1, -1, 1], atol=1e-4)
    assert volume.name == "ct"


def test_itks_series_reader_agrees(tmp_path):
    folder = write_series(tmp_path / "ct", axes=OBLIQUE)
    volume = read_quietly(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    theirs = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(theirs), volume.array)
    lps = np.array(theirs.TransformIndexToPhysicalPoint((6, 5, 4)))
    np.testing.assert_allclose(apply(volume.ijk_to_ras, np.array([6, 5, 4])), lps * [-1, -1, 1], atol=1e-4)


def test_slices_in_falling_order_are_the_same_volume(tmp_path):
    a = read_quietly(write_series(tmp_path / "a"))
    b = read_quietly(write_series(tmp_path / "b", axes=AXIAL * [1, -1, -1]))
    np.testing.assert_array_equal(b.array, PIXELS.astype(int) - 1024)
    assert np.sign(np.diag(a.ijk_to_ras)).tolist() == [-1, -1, 1, 1]
    assert np.sign(np.diag(b.ijk_to_ras)).tolist() == [-1, 1, -1, 1]


def test_fractional_and_differing_rescale(tmp_path):
    folder = write_series(tmp_path / "pet", slices=range(4))
    write_slice(folder / "last.dcm", ORIGIN + np.array([0, 0, 10]), PIXELS[4], RescaleSlope=0.5, RescaleIntercept=0)
    volume = read_quietly(folder)
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array[:4], PIXELS[:4].astype(np.float32) - 1024)
    np.testing.assert_array_equal(volume.array[4], PIXELS[4] * np.float32(0.5))


def test_several_series_are_listed_and_chosen(tmp_path):
    folder = write_series(tmp_path / "study", uid="1.2.3.10", SeriesNumber=7, SeriesDescription="exhale")
    write_series(folder / "sub", uid="1.2.3.2", SeriesNumber=3, slices=range(3), Modality="MR")
    first, second = list_dicom_series(folder)
    assert (first.uid, first.description, first.modality, first.slices) == ("1.2.3.2", "inhale", "MR", 3)
    assert (second.uid, second.description, second.slices, len(second.files)) == ("1.2.3.10", "exhale", 5, 5)
    with pytest.raises(FileError, match="found 2 DICOM series, expected one") as caught:
        read_volume(folder)
    assert "1: MR, 3 slices, 'inhale', 1.2.3.2" in str(caught.value)
    assert "2: CT, 5 slices, 'exhale', 1.2.3.10" in str(caught.value)
    for chosen in (2, "2", "1.2.3.10"):
        assert read_quietly(folder, series=chosen).array.shape == (5, ROWS, COLUMNS)
    assert read_quietly(folder, series=1).array.shape == (3, ROWS, COLUMNS)
    for wrong in (0, 3, "1.2.3.4"):
        with pytest.raises(FileError, match=f"none of them is '{wrong}'"):
            read_volume(folder, series=wrong)


def test_a_missing_slice_is_said_and_filled(tmp_path):
    folder = write_series(tmp_path / "ct", slices=[0, 1, 3, 4])
    with pytest.warns(ImageWarning, match=r"2\.5 to 5 mm apart .*5 equidistant planes.*from the 4 slices"):
        volume = read_volume(folder)
    hounsfield = PIXELS.astype(float) - 1024
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array[[0, 1, 3, 4]], hounsfield[[0, 1, 3, 4]])
    np.testing.assert_allclose(volume.array[2], (hounsfield[1] + hounsfield[3]) / 2, atol=0.5)
    np.testing.assert_allclose(volume.lattice.spacing_mm, [0.7, 0.9, 2.5])


def test_unequal_distances_are_interpolated_to_their_place(tmp_path):
    distances = np.array([0, 2.5, 5.0, 8.5, 11.0])
    folder = write_series(tmp_path / "ct", steps=distances[:, None] * [0, 0, 1])
    with pytest.warns(ImageWarning, match="missing or irregular"):
        volume = read_volume(folder)
    assert volume.array.shape[0] == 5
    np.testing.assert_allclose(volume.lattice.spacing_mm[2], 2.75)
    at_5_5 = volume.array[2].astype(float)
    expected = (PIXELS[2] * (8.5 - 5.5) + PIXELS[3] * (5.5 - 5.0)) / 3.5 - 1024
    np.testing.assert_allclose(at_5_5, expected, atol=0.51)


def test_small_differences_that_add_up_are_interpolated_too(tmp_path):
    distances = np.cumsum([0, 2.36, 2.36, 2.6, 2.6])
    folder = write_series(tmp_path / "ct", steps=distances[:, None] * [0, 0, 1])
    with pytest.warns(ImageWarning, match=r"2\.36 to 2\.6 mm apart"):
        volume = read_volume(folder)
    weight = (2 * 2.48 - 4.72) / 2.6
    expected = (1 - weight) * PIXELS[2] + weight * PIXELS[3] - 1024
    np.testing.assert_allclose(volume.array[2], expected, atol=0.51)


def test_a_far_slice_is_refused(tmp_path):
    steps = np.array([0, 2.5, 5, 7.5, 200])[:, None] * [0, 0, 1]
    with pytest.raises(FileError, match="expected about equal distances"):
        read_volume(write_series(tmp_path / "ct", steps))


def test_gantry_tilt_shears_the_volume_and_is_said(tmp_path):
    tilt = np.radians(12)
    axes = Rotation.from_euler("x", 12, degrees=True).as_matrix()
    table = np.array([0, 0, 2.5 / np.cos(tilt)])  # the table moves along z, the planes are tilted
    folder = write_series(tmp_path / "ct", np.arange(SLICES)[:, None] * table, axes=axes)
    with pytest.warns(ImageWarning, match="gantry tilt: the slices are stacked 12 degrees off"):
        volume = read_volume(folder)
    np.testing.assert_array_equal(volume.array, PIXELS.astype(int) - 1024)
    ijk = np.array([3, 2, 4])
    lps = ORIGIN + axes[:, :2] @ [3 * 0.7, 2 * 0.9] + 4 * table
    np.testing.assert_allclose(apply(volume.ijk_to_ras, ijk), lps * [-1, -1, 1], atol=1e-4)


def test_a_crooked_stack_is_said(tmp_path):
    steps = np.arange(SLICES)[:, None] * [0, 0, 2.5]
    steps[2, 0] = 1.5
    with pytest.warns(ImageWarning, match=r"displaced by up to 1\.5 mm"):
        read_volume(write_series(tmp_path / "ct", steps))


def test_several_slices_at_one_place_are_refused(tmp_path):
    steps = np.array([0, 2.5, 2.5, 5.0, 5.0])[:, None] * [0, 0, 1]
    with pytest.raises(FileError, match="ct: found 2 of 5 slices at the place of another"):
        read_volume(write_series(tmp_path / "ct", steps))


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"ImagePositionPatient": None}, "no position, orientation or pixel spacing"),
        ({"PixelSpacing": None}, "no position, orientation or pixel spacing"),
        ({"PixelSpacing": [0.5, 0.5]}, "different size, orientation or pixel spacing"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "different size, orientation or pixel spacing"),
    ],
)
def test_slices_that_do_not_fit_are_refused(tmp_path, entries, reason):
    folder = write_series(tmp_path / "ct")
    write_slice(folder / "other.dcm", ORIGIN + np.array([0, 0, 12.5]), PIXELS[0], **entries)
    with pytest.raises(FileError, match=reason):
        read_volume(folder)


def test_zero_pixel_spacing_is_refused(tmp_path):
    with pytest.raises(FileError, match="voxel spacing of"):
        read_volume(write_series(tmp_path / "ct", PixelSpacing=[0, 0]))


def test_colour_slices_are_refused(tmp_path):
    folder = write_series(tmp_path / "ct", slices=range(2))
    for path in folder.iterdir():
        made = pydicom.dcmread(path)
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
        made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
        made.PixelData = bytes(ROWS * COLUMNS * 3)
        made.save_as(path)
    with pytest.raises(FileError, match="3 values in each voxel"):
        read_volume(folder)


def test_folders_and_files_without_a_volume_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no DICOM")
    with pytest.raises(FileError, match="empty: found no DICOM image"):
        read_volume(tmp_path / "empty")
    with pytest.raises(FileError, match="no such file or folder"):
        list_dicom_series(tmp_path / "missing")
    one = write_series(tmp_path / "one", slices=[0])
    with pytest.raises(FileError, match="one: found a single slice"):
        read_volume(one)
    with pytest.raises(FileError, match="give the folder of its series"):
        read_volume(next(one.iterdir()))
    (tmp_path / "bad.dcm").write_bytes(b"text")
    with pytest.raises(FileError, match=r"bad\.dcm: can't be read as a DICOM image"):
        read_volume(tmp_path / "bad.dcm")


def test_a_truncated_slice_is_named(tmp_path):
    folder = write_series(tmp_path / "ct")
    broken = sorted(folder.iterdir())[2]
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.warns(ImageWarning) as caught:
        read_volume(folder)
    messages = [str(warning.message) for warning in caught]
    assert any(broken.name in message and "no readable image" in message for message in messages)


def test_odd_characters_in_the_description(tmp_path):
    folder = write_series(tmp_path / "ct", SpecificCharacterSet="ISO_IR 100", SeriesDescription="expir\xe9")
    assert list_dicom_series(folder)[0].description == "expir\ufffd"


def write_multiframe(path, heights):
    """An enhanced CT: all slices in one file."""
    made = dataset(path, "1.2.3.9", EnhancedCTImageStorage)
    made.BitsStored, made.HighBit, made.NumberOfFrames = 16, 15, len(heights)
    measures, plane, units, shared = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, plane.ImageOrientationPatient = [0.9, 0.7], [1, 0, 0, 0, 1, 0]
    units.RescaleSlope, units.RescaleIntercept, units.RescaleType = 1, -1024, "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    shared.PixelValueTransformationSequence = [units]
    made.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for height in heights:
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = [10, 20, height]
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    made.PerFrameFunctionalGroupsSequence = frames
    made.PixelData = PIXELS[: len(heights)].tobytes()
    made.save_as(path)
    return path


@pytest.mark.parametrize("heights", [[0, 2.5, 5, 7.5], [7.5, 5, 2.5, 0]])
def test_a_file_of_many_slices(tmp_path, heights):
    path = write_multiframe(tmp_path / "enhanced.dcm", heights)
    for source in (path, tmp_path):
        with pytest.warns(ImageWarning, match="can't be checked"):
            volume = read_volume(source)
        assert volume.array.dtype == np.int16
        np.testing.assert_array_equal(volume.array, PIXELS[:4].astype(int) - 1024)
        for k, height in enumerate(heights):
            np.testing.assert_allclose(apply(volume.ijk_to_ras, np.array([0, 0, k])), [-10, -20, height], atol=1e-6)


def test_a_file_of_irregular_slices_is_refused(tmp_path):
    with pytest.raises(FileError, match="unknown or irregular"):
        read_volume(write_multiframe(tmp_path / "enhanced.dcm", [0, 2.5, 7.5, 10]))
