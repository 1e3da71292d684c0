"""Phases of a sequence browser as volumes of their own."""

import numpy as np
import pytest
from LungDeepRegLib.mrml import (
    NodeError,
    image_sequences,
    node_from_field,
    node_from_volume,
    phase_nodes,
    phases,
    volume_from_node,
)
from LungDeepRegLib.mrml.changes import Changes
from LungDeepRegLib.volume import Volume

from Testing.slicer.conftest import oblique_lattice
from Testing.slicer.mrml_cases import TABLE, everything, hierarchy_of, window
from Testing.slicer.scene import linear_transform

LATTICE = oblique_lattice((4, 5, 6), (0.9, 1.3, 2.5), (20, -15, 40), (12, -80, 31), flip=-1.0)


def phase(percent: int) -> Volume:
    """The same place in each phase but for a table that sinks, other voxels."""
    matrix = np.array(LATTICE.ijk_to_ras)
    matrix[2, 3] -= percent / 10
    array = np.random.default_rng(percent).integers(-1000, 1000, LATTICE.shape).astype(np.int16)
    return Volume(array, matrix, f"phase {percent}")


def sequence_of(scene, values, name="4D CT", make=phase, unit="%"):
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("phase")
    sequence.SetIndexUnit(unit)
    for value in values:
        node = node_from_volume(make(value), scene)
        sequence.SetDataNodeAtValue(node, str(value))
        display = node.GetDisplayNode()
        scene.RemoveNode(node)
        scene.RemoveNode(display)
    return sequence


def browser_of(scene, master, *others):
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(master.GetID())
    for other in others:
        browser.AddSynchronizedSequenceNode(other)
    return browser


@pytest.fixture
def sequence(scene):
    return sequence_of(scene, (0, 20, 50, 80))


@pytest.fixture
def browser(scene, sequence):
    return browser_of(scene, sequence)


def test_phases_are_index_values_with_their_unit(scene, browser, sequence):
    assert phases(browser) == ["0 %", "20 %", "50 %", "80 %"]
    sequence.SetIndexUnit("")
    assert phases(browser) == ["0", "20", "50", "80"]


def test_phases_in_words_keep_the_order_of_the_sequence(scene):
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "breath")
    sequence.SetIndexType(sequence.TextIndex)
    for name, percent in (("inhale", 50), ("exhale", 0)):
        sequence.SetDataNodeAtValue(node_from_volume(phase(percent), scene), name)
    browser = browser_of(scene, sequence)
    assert phases(browser) == ["inhale", "exhale"]
    fixed, moving = phase_nodes(browser, sequence, 1, 0)
    assert (fixed.GetName(), moving.GetName()) == ("breath exhale", "breath inhale")
    np.testing.assert_array_equal(volume_from_node(moving).array, phase(50).array)


def test_two_phases_become_volumes(scene, browser, sequence):
    selected = browser.GetSelectedItemNumber()
    fixed, moving = phase_nodes(browser, sequence, 0, 2)
    assert (fixed.GetName(), moving.GetName()) == ("4D CT 0 %", "4D CT 50 %")
    for node, percent in ((fixed, 0), (moving, 50)):
        assert node.GetClassName() == "vtkMRMLScalarVolumeNode"
        volume, expected = volume_from_node(node), phase(percent)
        np.testing.assert_array_equal(volume.array, expected.array)
        assert volume.array.dtype == np.int16
        np.testing.assert_allclose(volume.ijk_to_ras, expected.ijk_to_ras, atol=1e-9)
        assert node.GetDisplayNode() is not None
    assert browser.GetSelectedItemNumber() == selected
    assert sequence.GetNumberOfDataNodes() == 4
    assert phases(browser) == ["0 %", "20 %", "50 %", "80 %"]


def test_voxels_are_not_shared_with_the_sequence(browser, sequence):
    fixed, _ = phase_nodes(browser, sequence, 0, 2)
    inside = sequence.GetNthDataNode(0)
    before = volume_from_node(inside).array[0, 0, 0]
    fixed.GetImageData().SetScalarComponentFromDouble(0, 0, 0, 0, 1234)
    assert volume_from_node(inside).array[0, 0, 0] == before
    inside.GetImageData().SetScalarComponentFromDouble(1, 0, 0, 0, 555)
    assert volume_from_node(fixed).array[0, 0, 1] != 555


def test_volumes_lie_and_look_like_what_the_browser_shows(scene, browser, sequence):
    hierarchy = hierarchy_of(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "4D")
    hierarchy.CreateItem(study, sequence)
    shown = node_from_volume(phase(20), scene)
    browser.AddProxyNode(shown, sequence, False)
    shown.SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
    shown.GetDisplayNode().AutoWindowLevelOff()
    shown.GetDisplayNode().SetWindowLevelMinMax(-1350, 150)
    for node in phase_nodes(browser, sequence, 1, 3):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
        assert window(node) == (-1350, 150)
        assert node.GetTransformNodeID() == shown.GetTransformNodeID()
    first, _ = phase_nodes(browser, sequence, 1, 3)
    np.testing.assert_allclose(volume_from_node(first).ijk_to_ras, TABLE @ phase(20).ijk_to_ras, atol=1e-9)


def test_image_sequences_of_a_browser(scene, sequence):
    transforms = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "motion")
    for value in (0, 20):
        transforms.SetDataNodeAtValue(linear_transform(scene, TABLE), str(value))
    labels = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "labels")
    labels.SetDataNodeAtValue(node_from_volume(phase(0), scene, "vtkMRMLLabelMapVolumeNode"), "0")
    second = sequence_of(scene, (0, 20), "reconstructed")
    assert image_sequences(browser_of(scene, sequence, transforms, labels, second)) == [sequence, second]
    assert image_sequences(browser_of(scene, transforms, second)) == [second]


def test_gap_in_a_sequence_is_named(scene, sequence):
    short = sequence_of(scene, (0, 50), "short")
    browser = browser_of(scene, sequence, short)
    fixed, _ = phase_nodes(browser, short, 0, 2)
    assert fixed.GetName() == "short 0 %"
    before = everything(scene)
    with pytest.raises(NodeError, match="short: found no image at the phase 20 %, expected one"):
        phase_nodes(browser, short, 0, 1)
    assert everything(scene) == before


def test_sequences_of_other_things_are_refused_by_name(scene, sequence, browser):
    transforms = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "motion")
    with pytest.raises(NodeError, match="motion: found an empty sequence, expected one of scalar volumes"):
        phase_nodes(browser, transforms, 0, 1)
    transforms.SetDataNodeAtValue(linear_transform(scene, TABLE), "0")
    with pytest.raises(NodeError, match="motion: found a sequence of LinearTransform nodes, expected one of scalar"):
        phase_nodes(browser, transforms, 0, 1)
    with pytest.raises(NodeError, match=r"browser: found table, a LinearTransform node, expected a sequence"):
        phase_nodes(browser, scene.GetFirstNodeByName("table"), 0, 1)
    with pytest.raises(NodeError, match="browser: found no sequence"):
        phase_nodes(browser, None, 0, 1)
    with pytest.raises(NodeError, match="elsewhere: found a sequence that browser doesn't show"):
        phase_nodes(browser, sequence_of(scene, (0, 20), "elsewhere"), 0, 1)


def test_browsers_without_phases_are_refused_by_name(scene):
    with pytest.raises(NodeError, match="found no sequence browser"):
        phases(None)
    with pytest.raises(NodeError, match="odd one: found a Volume node, expected a sequence browser"):
        phases(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "odd one"))
    bare = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "bare")
    for _ in range(2):
        with pytest.raises(NodeError, match="bare: found a browser without time points"):
            phases(bare)
        bare.SetAndObserveMasterSequenceNodeID(scene.AddNewNodeByClass("vtkMRMLSequenceNode").GetID())


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ((1, 1), "4D CT: found the phase 20 % twice, expected two phases"),
        ((0, 4), "browser: found 4 phases, expected one with the number 4"),
        ((-1, 2), "browser: found 4 phases, expected one with the number -1"),
    ],
)
def test_phases_that_make_no_pair_are_refused(browser, sequence, indices, message):
    with pytest.raises(NodeError, match=message):
        phase_nodes(browser, sequence, *indices)


def test_images_that_cannot_be_registered_are_refused(scene):
    scout = sequence_of(scene, (0, 50), "scouts", lambda value: phase(value))
    for index in range(2):
        scout.GetNthDataNode(index).SetAndObserveImageData(None)
    with pytest.raises(NodeError, match="found a volume without voxels"):
        phase_nodes(browser_of(scene, scout), scout, 0, 1)


def test_volume_below_a_transform_that_changes_with_the_phase_is_refused(scene, sequence):
    motion = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "motion")
    transform = linear_transform(scene, TABLE, "breathing")
    for value in (0, 20, 50, 80):
        motion.SetDataNodeAtValue(transform, str(value))
    browser = browser_of(scene, sequence, motion)
    shown = node_from_volume(phase(20), scene)
    browser.AddProxyNode(shown, sequence, False)
    browser.AddProxyNode(transform, motion, False)
    shown.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(
        NodeError, match=r"phase 20.*: found the transform breathing above it, which changes from phase"
    ):
        phase_nodes(browser, sequence, 0, 2)


def test_failure_half_way_leaves_nothing(scene, browser, sequence, monkeypatch):
    before, calls = everything(scene), []

    def failing(self, node):
        calls.append(node)
        if len(calls) == 2:
            msg = "no memory"
            raise MemoryError(msg)
        return show(self, node)

    show = Changes.show
    monkeypatch.setattr(Changes, "show", failing)
    with pytest.raises(MemoryError):
        phase_nodes(browser, sequence, 0, 2)
    assert everything(scene) == before


def test_gantry_tilt_above_the_shown_volume_comes_along_and_is_refused_by_registration(
    scene, browser, sequence, registration
):
    shown = node_from_volume(phase(20), scene)
    browser.AddProxyNode(shown, sequence, False)
    shown.SetAndObserveTransformNodeID(node_from_field(registration.field, scene, "tilt").GetID())
    fixed, _ = phase_nodes(browser, sequence, 0, 2)
    with pytest.raises(NodeError, match="4D CT 0 %: found the non-linear transform tilt above it"):
        volume_from_node(fixed)
