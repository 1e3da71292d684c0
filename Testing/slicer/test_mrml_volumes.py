"""Volume nodes to volumes and back, on Slicer's own MRML."""

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.mrml import NodeError, node_from_volume, volume_from_node
from LungDeepRegLib.mrml.volumes import image_data
from LungDeepRegLib.volume import Volume, VolumeError
from scipy.spatial.transform import Rotation

from Testing.slicer.scene import linear_transform

MODULE = Path(__file__).parents[2] / "LungDeepReg"


def random_volume(dtype=np.int16, flip=1.0):
    rng = np.random.default_rng(0)
    matrix = np.eye(4)
    turn = Rotation.from_euler("xyz", (20, -15, 40), degrees=True).as_matrix()
    matrix[:3, :3] = turn * [0.9, 1.3, 2.5] * [flip, 1, 1]
    matrix[:3, 3] = [12.5, -80.25, 31.0]
    return Volume(rng.integers(-1000, 1000, (4, 5, 6)).astype(dtype), matrix, "exhale")


@pytest.mark.parametrize("flip", [1.0, -1.0], ids=["right-handed", "left-handed"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.float32, np.float64])
def test_there_and_back(scene, dtype, flip):
    volume = random_volume(dtype, flip)
    back = volume_from_node(node_from_volume(volume, scene))
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.array.dtype == volume.array.dtype
    np.testing.assert_allclose(back.ijk_to_ras, volume.ijk_to_ras, atol=1e-12)
    assert back.name == "exhale"


def test_node_shows_each_voxel_where_the_volume_has_it(scene):
    volume = random_volume(flip=-1.0)
    node = node_from_volume(volume, scene)
    ras_to_ijk = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(ras_to_ijk)
    for i, j, k in [(0, 0, 0), (5, 0, 0), (0, 4, 0), (0, 0, 3), (2, 3, 1)]:
        ras = apply(volume.ijk_to_ras, np.array([[i, j, k]], dtype=float))[0]
        index = [round(value) for value in ras_to_ijk.MultiplyPoint([*ras, 1.0])[:3]]
        assert index == [i, j, k]
        assert node.GetImageData().GetScalarComponentAsDouble(i, j, k, 0) == volume.array[k, j, i]


def test_linear_parent_transforms_are_taken_into_the_geometry(scene):
    volume = random_volume()
    node = node_from_volume(volume, scene)
    turn, shift = np.eye(4), np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    shift[:3, 3] = [10, 20, -30]
    outer, inner = linear_transform(scene, shift, "outer"), linear_transform(scene, turn, "inner")
    inner.SetAndObserveTransformNodeID(outer.GetID())
    node.SetAndObserveTransformNodeID(inner.GetID())
    np.testing.assert_allclose(volume_from_node(node).ijk_to_ras, shift @ turn @ volume.ijk_to_ras, atol=1e-12)

    copy = slicer.vtkSlicerVolumesLogic.CloneVolume(scene, node, "copy")
    copy.HardenTransform()
    np.testing.assert_allclose(volume_from_node(copy).ijk_to_ras, volume_from_node(node).ijk_to_ras, atol=1e-10)


def test_voxels_are_copied_both_ways(scene):
    original = random_volume()
    node = node_from_volume(original, scene)
    volume = volume_from_node(node)
    before = volume.array[0, 0, 0]
    original.array[0, 0, 2] = 99
    assert node.GetImageData().GetScalarComponentAsDouble(2, 0, 0, 0) != 99
    node.GetImageData().SetScalarComponentFromDouble(0, 0, 0, 0, 77)
    assert volume.array[0, 0, 0] == before
    volume.array[0, 0, 1] = 55
    assert node.GetImageData().GetScalarComponentAsDouble(1, 0, 0, 0) != 55


def test_view_shows_the_nodes_own_memory_and_keeps_it_alive(scene):
    node = node_from_volume(random_volume(), scene)
    view = volume_from_node(node, copy=False).array
    expected = view.copy()
    node.GetImageData().SetScalarComponentFromDouble(3, 0, 0, 0, 77)
    assert view[0, 0, 3] == 77
    expected[0, 0, 3] = 77
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0, 0] = 1
    scene.RemoveNode(node)
    del node
    gc.collect()
    others = [np.full(expected.size, 13, np.int16) for _ in range(1000)]  # would take the memory, were it free
    np.testing.assert_array_equal(view, expected)
    del others


def test_view_stays_when_the_node_gets_other_voxels(scene):
    node = node_from_volume(random_volume(), scene)
    view = volume_from_node(node, copy=False).array
    expected = view.copy()
    node.GetImageData().AllocateScalars(vtk.VTK_FLOAT, 1)
    np.testing.assert_array_equal(view, expected)


NEEDS_NO_TORCH = f"""
import sys
sys.path.insert(0, {str(MODULE)!r})
sys.modules["torch"] = None  # an import of it now raises ImportError
import numpy as np, slicer
from LungDeepRegLib import mrml
from LungDeepRegLib.volume import Volume
scene = slicer.vtkMRMLScene()
image = Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4), "exhale")
node, other = (mrml.node_from_volume(image, scene) for _ in range(2))
transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "transform")
field = mrml.field_from_node(transform, mrml.volume_from_node(node, copy=False).lattice)
mrml.node_from_field(field, scene)
assert len(mrml.label_volumes(node, image)) == 1
prepared = mrml.prepare([other], transform, node)
applied = mrml.carry_over(prepared, [{{"warped": image, "coverage": image}}])
assert applied.nodes[0].GetName() == "exhale_1 in exhale"
from LungDeepRegLib.outcome import Outcome
mrml.publish(Outcome(field, image, image, image, image, image, None, {{}}), node, applied.nodes[0])
"""


def test_nodes_are_handled_without_torch():
    done = subprocess.run([sys.executable, "-c", NEEDS_NO_TORCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_volume_below_a_non_linear_transform_is_refused_by_name(scene):
    node = node_from_volume(random_volume(), scene)
    bent = scene.AddNewNodeByClass("vtkMRMLTransformNode", "breathing")
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(image_data(np.ones((3, 3, 3, 3))))
    bent.SetAndObserveTransformFromParent(grid)
    node.SetAndObserveTransformNodeID(bent.GetID())
    with pytest.raises(NodeError, match=r"exhale: found the non-linear transform breathing above it"):
        volume_from_node(node)


def test_no_node_is_refused():
    with pytest.raises(NodeError, match="found no volume node"):
        volume_from_node(None)


@pytest.mark.parametrize(
    ("class_name", "message"),
    [
        ("vtkMRMLSequenceNode", "expected a scalar volume; choose one of its time points"),
        ("vtkMRMLMarkupsFiducialNode", "expected a scalar volume"),
        ("vtkMRMLScalarVolumeNode", "found a volume without voxels"),
    ],
)
def test_other_nodes_are_refused_by_name(scene, class_name, message):
    node = scene.AddNewNodeByClass(class_name, "odd one")
    with pytest.raises(NodeError, match=rf"odd one: .*{message}"):
        volume_from_node(node)


@pytest.mark.parametrize("class_name", ["vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"])
def test_several_components_are_refused(scene, class_name):
    node = scene.AddNewNodeByClass(class_name, "colour photo")
    node.SetAndObserveImageData(image_data(np.zeros((3, 4, 5, 3), np.uint8)))
    with pytest.raises(NodeError, match="colour photo: found 3 components a voxel, expected one"):
        volume_from_node(node)


def test_single_slice_is_refused_by_name(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scout")
    node.SetAndObserveImageData(image_data(np.zeros((1, 4, 5), np.int16)))
    with pytest.raises(VolumeError, match=r"scout: .*at least 2"):
        volume_from_node(node)
