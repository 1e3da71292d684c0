"""A registration's nodes in the scene: what they hold, how they look, where they are, and that nothing is left half."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from LungDeepRegLib.metrics import jacobian_determinant
from LungDeepRegLib.mrml import (
    NodeError,
    Output,
    Outputs,
    ResultNodes,
    difference_before,
    node_from_volume,
    publish,
    result_nodes,
    volume_from_node,
)
from LungDeepRegLib.mrml.outputs import VOLUME_CLASSES, WORDS
from LungDeepRegLib.mrml.transforms import grid_from_field
from LungDeepRegLib.mrml.volumes import vtk_matrix
from LungDeepRegLib.volume import canonical
from scipy.ndimage import binary_erosion

from Testing.slicer.mrml_cases import TABLE, below, everything, fail_after, hierarchy_of, outcome_of, state, window
from Testing.slicer.scene import from_world, linear_transform

RESULTS = ("transform", "warped", "difference", "difference_before", "jacobian", "coverage", "lungs")


@pytest.fixture(scope="module")
def outcome(registration, pair):
    return outcome_of(registration, pair)


def results(published: ResultNodes) -> list:
    return [getattr(published, name) for name in RESULTS]


def into(published: ResultNodes, **others) -> Outputs:
    """The nodes of an earlier result as outputs."""
    names = [entry.name for entry in dataclasses.fields(Outputs)]
    return Outputs(**{name: Output(getattr(published, name)) for name in names} | others)


def changed(outcome):
    """Another result of the same pair."""
    field = dataclasses.replace(outcome.field, vectors=outcome.field.vectors * 0.5)
    images = {
        name: getattr(outcome, name).with_array(getattr(outcome, name).array[::-1].copy())
        for name in ("warped", "coverage", "difference", "difference_before", "jacobian")
    }
    return dataclasses.replace(outcome, field=field, **images)


def test_nodes_hold_the_registration(nodes, outcome):
    published = publish(outcome, *nodes)
    for name in ("warped", "difference", "difference_before", "jacobian", "coverage"):
        volume, expected = volume_from_node(getattr(published, name)), getattr(outcome, name)
        np.testing.assert_array_equal(volume.array, expected.array)
        assert volume.array.dtype == expected.array.dtype
        assert volume.lattice == expected.lattice
    np.testing.assert_array_equal(volume_from_node(published.jacobian).array, jacobian_determinant(outcome.field))
    assert published.coverage.IsA("vtkMRMLLabelMapVolumeNode")
    assert (published.fixed, published.moving) == nodes


def test_transform_is_phi_from_parent_with_both_roles(nodes, outcome):
    fixed, moving = nodes
    transform = publish(outcome, fixed, moving).transform
    points = np.random.default_rng(3).uniform(-80, 80, (200, 3))
    np.testing.assert_allclose(from_world(transform, points), outcome.field(points), atol=1e-3)
    assert transform.GetNodeReferenceID("spatialRegistrationFixed") == fixed.GetID()
    assert transform.GetNodeReferenceID("spatialRegistrationMoving") == moving.GetID()
    assert transform.GetTransformFromParentAs("vtkOrientedGridTransform").GetInterpolationMode() == 1  # linear


def test_warped_looks_like_the_fixed_node(nodes, outcome):
    fixed, _ = nodes
    fixed.GetDisplayNode().AutoWindowLevelOff()
    fixed.GetDisplayNode().SetWindowLevelMinMax(-1350, 150)
    fixed.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeInvertedGrey")
    warped = publish(outcome, *nodes).warped
    assert window(warped) == (-1350, 150)
    assert not warped.GetDisplayNode().GetAutoWindowLevel()
    assert warped.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeInvertedGrey"


def test_fixed_node_without_a_display_is_no_trouble(nodes, outcome):
    nodes[0].RemoveAllDisplayNodeIDs()
    assert publish(outcome, *nodes).warped.GetDisplayNode() is not None


def test_differences_and_jacobian_have_diverging_colors_and_symmetric_windows(nodes, outcome):
    published = publish(outcome, *nodes)
    low, high = window(published.difference)
    assert low == -high
    assert window(published.difference_before) == (low, high)
    difference = np.abs(outcome.difference.array[outcome.coverage.array > 0])
    assert np.mean(difference > high) == pytest.approx(0.01, abs=0.005)
    assert window(published.jacobian) == (0.0, 2.0)
    for node in (published.difference, published.difference_before, published.jacobian):
        colors = node.GetDisplayNode().GetColorNode().GetLookupTable()
        (r0, _, b0), (r1, _, b1) = colors.GetTableValue(0)[:3], colors.GetTableValue(255)[:3]
        assert b0 > r0
        assert r1 > b1


def test_images_that_agree_have_a_window_all_the_same(nodes, outcome):
    nothing = outcome.difference.with_array(np.zeros_like(outcome.difference.array))
    low, high = window(publish(dataclasses.replace(outcome, difference=nothing), *nodes).difference)
    assert low < 0 < high


def test_outputs_lie_beside_the_fixed_node(scene, nodes, outcome):
    hierarchy = hierarchy_of(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "4D CT")
    hierarchy.CreateItem(study, nodes[0])
    published = results(publish(outcome, *nodes))
    assert {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in published} == {study}


def test_outputs_that_the_application_filed_already_are_moved(scene, nodes, outcome):
    """Slicer's desktop application gives each new node a place in the hierarchy by itself."""
    hierarchy = hierarchy_of(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "4D CT")
    hierarchy.CreateItem(study, nodes[0])

    def file_it(caller, event):
        last = scene.GetNthNode(scene.GetNumberOfNodes() - 1)
        if last.IsA("vtkMRMLVolumeNode") and not hierarchy.GetItemByDataNode(last):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), last)

    tag = scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, file_it)
    published = publish(outcome, *nodes)
    scene.RemoveObserver(tag)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(published.warped)) == study
    assert hierarchy.GetNumberOfItemChildren(study) == 1 + len(RESULTS)


def test_names_say_from_where_to_where_and_stay_apart(nodes, outcome):
    first, second = (publish(outcome, *nodes) for _ in range(2))
    assert first.warped.GetName() == "Deformed phantom inhale to phantom exhale"
    assert first.difference_before.GetName() == "Difference before phantom inhale to phantom exhale"
    assert first.transform.GetName() == "Transform phantom inhale to phantom exhale"
    names = [node.GetName() for published in (first, second) for node in results(published)]
    assert len(set(names)) == len(names)


def test_inputs_are_not_changed(nodes, outcome):
    before = [state(node) for node in nodes]
    publish(outcome, *nodes)
    assert [state(node) for node in nodes] == before


def test_the_views_are_told_once(scene, nodes, outcome):
    ends = []
    tag = scene.AddObserver(slicer.vtkMRMLScene.EndBatchProcessEvent, lambda *_: ends.append(1))
    publish(outcome, *nodes)
    scene.RemoveObserver(tag)
    assert len(ends) == 1
    assert not scene.IsBatchProcessing()


def test_only_what_is_wanted_is_made(scene, nodes, outcome):
    published = publish(outcome, *nodes, Outputs(warped=None, difference=None, jacobian=None))
    assert published.warped is published.difference is published.difference_before is published.jacobian is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 2  # the coverage and the lungs
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 4  # with these, and the inputs
    only = publish(outcome, *nodes, Outputs(None, Output(), None, None, None, None))
    assert only.transform is None
    assert only.warped.GetName() == "Deformed phantom inhale to phantom exhale"


def test_lungs_are_named_after_the_fixed_image_and_left_out_where_unknown(nodes, outcome):
    lungs = publish(outcome, *nodes).lungs
    assert lungs.GetName() == "Lungs phantom exhale"
    np.testing.assert_array_equal(volume_from_node(lungs).array, outcome.fixed_lungs.array)
    published = publish(dataclasses.replace(outcome, fixed_lungs=None), *nodes)
    assert published.lungs is None
    assert result_nodes(published.transform) == published


# Registering again


def test_registering_again_updates_the_same_nodes(scene, nodes, outcome):
    first = publish(outcome, *nodes)
    other, count = changed(outcome), everything(scene)
    again = publish(other, *nodes, into(first))
    assert again == first
    assert everything(scene) == count
    for name in ("warped", "difference", "difference_before", "jacobian", "coverage"):
        np.testing.assert_array_equal(volume_from_node(getattr(again, name)).array, getattr(other, name).array)
    points = np.random.default_rng(3).uniform(-80, 80, (50, 3))
    np.testing.assert_allclose(from_world(again.transform, points), other.field(points), atol=1e-3)
    assert again.transform.GetNumberOfNodeReferences("spatialRegistrationFixed") == 1


def test_registering_again_keeps_what_the_user_did_to_the_nodes(scene, nodes, outcome):
    first = publish(outcome, *nodes)
    hierarchy = hierarchy_of(scene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "kept")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(first.warped), folder)
    first.warped.SetName("my inhale")
    first.warped.GetDisplayNode().SetWindowLevelMinMax(-500, 500)
    first.difference.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeInvertedGrey")
    again = publish(changed(outcome), *nodes, into(first))
    assert again.warped.GetName() == "my inhale"
    assert window(again.warped) == (-500, 500)
    assert again.difference.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeInvertedGrey"
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(again.warped)) == folder


def test_output_below_a_transform_comes_back_to_the_world(scene, nodes, outcome):
    first = publish(outcome, *nodes)
    for node in (first.warped, first.transform):
        node.SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
    again = publish(outcome, *nodes, into(first))
    assert volume_from_node(again.warped).lattice == outcome.warped.lattice
    points = np.random.default_rng(3).uniform(-80, 80, (50, 3))
    np.testing.assert_allclose(from_world(again.transform, points), outcome.field(points), atol=1e-3)


def test_empty_node_of_a_selector_is_shown_and_placed_like_a_new_one(scene, nodes, outcome):
    hierarchy = hierarchy_of(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "4D CT")
    hierarchy.CreateItem(study, nodes[0])
    chosen = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Volume")
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), chosen)
    published = publish(outcome, *nodes, Outputs(difference=Output(chosen)))
    assert published.difference is chosen
    assert chosen.GetName() == "Volume"
    low, high = window(chosen)
    assert low == -high
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(chosen)) == study


def test_what_was_measured_of_an_earlier_run_is_not_the_result(scene, nodes, outcome):
    first = publish(outcome, *nodes)
    trust = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Trust")
    trust.SetAttribute("LungDeepReg.run", first.transform.GetAttribute("LungDeepReg.run"))
    first.transform.SetNodeReferenceID("LungDeepReg.trust", trust.GetID())
    assert result_nodes(first.transform).trust is trust
    assert publish(changed(outcome), *nodes, into(first)).transform is first.transform
    assert result_nodes(first.transform).trust is None


def test_results_that_are_not_wanted_any_more_are_not_the_result(nodes, outcome):
    first = publish(outcome, *nodes)
    again = publish(changed(outcome), *nodes, into(first, warped=None))
    assert result_nodes(again.transform) == again
    assert again.warped is None
    assert first.warped.GetScene() is not None


# Refusals


@pytest.mark.parametrize(
    ("output", "class_name", "expected"),
    [
        ("transform", "vtkMRMLLinearTransformNode", "a LinearTransform node, expected a transform that isn't restric"),
        ("transform", "vtkMRMLBSplineTransformNode", "a BSplineTransform node, expected a transform"),
        ("transform", "vtkMRMLScalarVolumeNode", "a Volume node, expected a transform"),
        ("warped", "vtkMRMLLabelMapVolumeNode", "a LabelMapVolume node, expected a scalar volume for the deformed"),
        ("warped", "vtkMRMLVectorVolumeNode", "a VectorVolume node, expected a scalar volume"),
        ("coverage", "vtkMRMLScalarVolumeNode", "a Volume node, expected a label map for the coverage"),
    ],
)
def test_output_of_a_wrong_kind_is_refused(scene, nodes, outcome, output, class_name, expected):
    wrong = scene.AddNewNodeByClass(class_name, "odd one")
    before = everything(scene)
    with pytest.raises(NodeError, match=rf"odd one: found {expected}"):
        publish(outcome, *nodes, Outputs(**{output: Output(wrong)}))
    assert everything(scene) == before


@pytest.mark.parametrize(("number", "which"), [(0, "fixed"), (1, "moving")])
def test_input_as_output_is_refused(nodes, outcome, number, which):
    before = [state(node) for node in nodes]
    with pytest.raises(NodeError, match=rf"{nodes[number].GetName()}: found the {which} image, expected another node"):
        publish(outcome, *nodes, Outputs(warped=Output(nodes[number])))
    assert [state(node) for node in nodes] == before


def test_one_node_for_two_results_is_refused(scene, nodes, outcome):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "both")
    with pytest.raises(NodeError, match="both: found the node for the deformed volume, expected another node"):
        publish(outcome, *nodes, Outputs(warped=Output(node), jacobian=Output(node)))
    assert node.GetImageData() is None


def test_earlier_difference_before_cannot_be_another_output(nodes, outcome):
    first = publish(outcome, *nodes)
    with pytest.raises(NodeError, match=r"Difference before .*: found the node for the deformed volume"):
        publish(outcome, *nodes, into(first, warped=Output(first.difference_before)))


@pytest.mark.parametrize("output", ["warped", "difference", "jacobian", "coverage"])
def test_volume_that_is_no_result_is_not_overwritten(scene, nodes, outcome, pair, output):
    class_name = VOLUME_CLASSES[output]
    own = node_from_volume(pair.fixed_mask.with_array(pair.fixed_mask.array, "my own"), scene, class_name)
    before = everything(scene), state(own)
    expected = rf"my own: found a volume that isn't a registration's result, expected .* for the {WORDS[output][1]}"
    with pytest.raises(NodeError, match=expected):
        publish(outcome, *nodes, Outputs(**{output: Output(own)}))
    assert (everything(scene), state(own)) == before


@pytest.mark.parametrize("kind", ["linear", "grid", "composite"])
def test_transform_that_is_no_result_is_not_overwritten(scene, nodes, outcome, kind):
    own = scene.AddNewNodeByClass("vtkMRMLTransformNode", "my own")
    if kind == "linear":
        own.SetMatrixTransformToParent(vtk_matrix(TABLE))
    elif kind == "grid":
        own.SetAndObserveTransformFromParent(grid_from_field(outcome.field))
    else:
        own.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    points = np.random.default_rng(3).uniform(-80, 80, (50, 3))
    before = everything(scene), from_world(own, points)
    with pytest.raises(NodeError, match="my own: found a transform that isn't a registration's result, expected"):
        publish(outcome, *nodes, Outputs(transform=Output(own)))
    assert everything(scene) == before[0]
    np.testing.assert_array_equal(from_world(own, points), before[1])


@pytest.mark.parametrize("class_name", ["vtkMRMLTransformNode", "vtkMRMLGridTransformNode"])
@pytest.mark.parametrize("identity", [False, True])
def test_transform_of_nothing_is_taken(scene, nodes, outcome, class_name, identity):
    blank = scene.AddNewNodeByClass(class_name, "blank")
    if identity:
        nothing = dataclasses.replace(outcome.field, vectors=np.zeros_like(outcome.field.vectors))
        blank.SetAndObserveTransformFromParent(grid_from_field(nothing))
    assert publish(outcome, *nodes, Outputs(transform=Output(blank))).transform is blank


def test_results_say_what_they_are(nodes, outcome):
    published = publish(outcome, *nodes)
    assert {name: getattr(published, name).GetAttribute("LungDeepReg.result") for name in RESULTS} == {
        name: name for name in RESULTS
    }
    assert all(node.GetAttribute("LungDeepReg.result") is None for node in nodes)


def test_difference_before_is_found_without_a_transform(scene, nodes, outcome):
    published = publish(outcome, *nodes, Outputs(transform=None))
    assert difference_before(published.difference) is published.difference_before
    assert difference_before(published.warped) is None
    assert difference_before(None) is None
    scene.RemoveNode(published.difference_before)
    assert difference_before(published.difference) is None
    scene.RemoveNode(published.difference)
    assert difference_before(published.difference) is None


def test_output_that_was_removed_is_refused(scene, nodes, outcome):
    gone = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "gone")
    scene.RemoveNode(gone)
    with pytest.raises(NodeError, match="gone: found a node that isn't in the scene any more"):
        publish(outcome, *nodes, Outputs(warped=Output(gone)))


def test_transform_above_the_fixed_image_is_refused(scene, nodes, outcome):
    above = scene.AddNewNodeByClass("vtkMRMLTransformNode", "above")
    nodes[0].SetAndObserveTransformNodeID(above.GetID())
    with pytest.raises(NodeError, match="above: found the fixed image phantom exhale below it"):
        publish(outcome, *nodes, Outputs(transform=Output(above)))


def test_fixed_node_that_is_elsewhere_by_now_is_refused(scene, nodes, outcome):
    shift = np.eye(4)
    shift[:3, 3] = 50
    nodes[0].SetAndObserveTransformNodeID(linear_transform(scene, shift).GetID())
    before = everything(scene)
    with pytest.raises(NodeError, match="phantom exhale: found other voxels than those that were registered"):
        publish(outcome, *nodes)
    assert everything(scene) == before


@pytest.mark.parametrize("number", [0, 1])
def test_input_that_was_removed_meanwhile_is_refused(scene, nodes, outcome, number):
    scene.RemoveNode(nodes[number])
    before = everything(scene)
    with pytest.raises(NodeError, match=rf"{nodes[number].GetName()}: found that it was removed from the scene"):
        publish(outcome, *nodes)
    assert everything(scene) == before


# A failure half-way


@pytest.fixture(params=range(7))
def failing(request, monkeypatch):
    """Fails at the nth step of any kind, once nodes have been made."""
    return fail_after(request.param * 3 + 2, monkeypatch)


def test_failure_half_way_leaves_no_orphan(scene, nodes, outcome, failing):
    before = everything(scene), [state(node) for node in nodes]
    with pytest.raises(MemoryError):
        publish(outcome, *nodes)
    assert failing[0] < 0
    assert (everything(scene), [state(node) for node in nodes]) == before
    assert not scene.IsBatchProcessing()


def test_failure_half_way_leaves_existing_outputs_as_they_were(scene, nodes, outcome, failing):
    failing[0] += 1000
    first = publish(outcome, *nodes)
    first.warped.SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
    blank = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Volume")
    points = np.random.default_rng(3).uniform(-80, 80, (50, 3))
    volumes = [first.warped, first.difference, first.difference_before, first.coverage]
    before = everything(scene), [state(node) for node in volumes], from_world(first.transform, points)
    failing[0] = (1009 - failing[0]) % 20  # some step of the second time
    with pytest.raises(MemoryError):
        publish(changed(outcome), *nodes, into(first, jacobian=Output(blank)))
    assert everything(scene) == before[0]
    assert [state(node) for node in volumes] == before[1]
    np.testing.assert_array_equal(from_world(first.transform, points), before[2])
    assert result_nodes(first.transform) == first
    assert blank.GetImageData() is None
    assert blank.GetDisplayNode() is None
    assert blank.GetAttribute("LungDeepReg.result") is None


# The world, files, SimpleITK


@pytest.fixture
def inclined(scene, nodes):
    """The pair below two different linear transforms, at the same places in the world."""
    for node, name in zip(nodes, ("table", "other table"), strict=True):
        below(scene, node, TABLE if name == "table" else np.linalg.inv(TABLE), name)
    return nodes


def test_outputs_of_inputs_below_transforms_are_in_the_world(inclined, outcome, pair):
    before = [state(node) for node in inclined]
    published = publish(outcome, *inclined)
    assert published.warped.GetParentTransformNode() is None
    assert volume_from_node(published.warped).lattice == pair.fixed.lattice
    points = np.random.default_rng(3).uniform(-80, 80, (50, 3))
    np.testing.assert_allclose(from_world(published.transform, points), outcome.field(points), atol=1e-3)
    assert [state(node) for node in inclined] == before


def test_published_transform_saved_by_slicer_gives_simpleitk_the_published_warped_volume(
    scene, inclined, outcome, tmp_path
):
    """An oblique, anisotropic, left-handed fixed image and a coronal moving one, both below linear transforms."""
    published = publish(outcome, *inclined)
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / "transform.h5"))
    assert storage.WriteData(published.transform)
    images = {}
    for name, node in (("warped", published.warped), ("moving", inclined[1])):
        node = slicer.vtkSlicerVolumesLogic.CloneVolume(scene, node, name)
        node.HardenTransform()  # files know of no parent transform
        writer = slicer.vtkMRMLNRRDStorageNode()
        writer.SetFileName(str(tmp_path / f"{name}.nrrd"))
        assert writer.WriteData(node)
        images[name] = sitk.ReadImage(writer.GetFileName())
    resampled = sitk.Resample(
        sitk.Cast(images["moving"], sitk.sitkFloat32),
        images["warped"],
        sitk.ReadTransform(str(tmp_path / "transform.h5")),
        sitk.sitkLinear,
        -1024,
    )
    interior = binary_erosion(outcome.coverage.array > 0, iterations=2)
    assert interior.mean() > 0.3
    difference = np.abs(sitk.GetArrayFromImage(resampled) - sitk.GetArrayFromImage(images["warped"]))[interior]
    assert difference.max() < 1.5  # half a HU of rounding to whole ones, and the sampler's single precision
    assert outcome.warped.array[interior].std() > 100


def test_result_is_found_again_in_a_reloaded_scene(scene, nodes, outcome, tmp_path):
    published = publish(outcome, *nodes)
    names = {name: getattr(published, name).GetName() for name in ("fixed", "moving", *RESULTS)}
    bundle = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(bundle)
    scene.Clear(False)
    assert scene.ReadFromMRB(bundle, True)
    transform = scene.GetFirstNodeByName(names["transform"])
    found = result_nodes(transform)
    assert {name: getattr(found, name).GetName() for name in names} == names
    reread = {name: volume_from_node(getattr(found, name)) for name in RESULTS[1:]}
    # Slicer turns a left-handed image's slices round when it reads it.
    np.testing.assert_array_equal(canonical(reread["warped"]).array, canonical(outcome.warped).array)
    reread["fixed_lungs"] = reread.pop("lungs")
    again = publish(dataclasses.replace(outcome, **reread), found.fixed, found.moving, into(found))
    assert again == found


def test_transform_of_somebody_else_is_a_result_without_images(scene):
    node = linear_transform(scene, TABLE)
    assert result_nodes(node) == ResultNodes(transform=node)
    assert result_nodes(None) == ResultNodes()
