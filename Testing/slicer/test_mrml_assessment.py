"""An assessment's nodes in the scene: what they hold, how they are found again, and that nothing is left half."""

import dataclasses

import numpy as np
import pytest
from LungDeepRegLib.mrml import (
    NodeError,
    Output,
    Outputs,
    assessed,
    backward_field,
    publish,
    publish_assessment,
    result_nodes,
    volume_from_node,
)
from LungDeepRegLib.mrml.outputs import RUN_ATTRIBUTE
from LungDeepRegLib.quality import NOT_MEASURED
from LungDeepRegLib.volume import canonical

from Testing.slicer.assessment_cases import REGIONS, answer_of
from Testing.slicer.mrml_cases import everything, fail_after, hierarchy_of, outcome_of, state, window
from Testing.slicer.scene import from_world

MAPS = ("trust", "residual", "correlation", "ventilation", "regions")


@pytest.fixture
def registered(nodes, registration, pair):
    return publish(outcome_of(registration, pair), *nodes)


def run_of(nodes) -> str:
    return nodes.transform.GetAttribute(RUN_ATTRIBUTE)


def assess(nodes, **settings):
    return publish_assessment(answer_of(nodes, **settings), nodes.transform, run_of(nodes))


def test_nodes_hold_the_maps(registered):
    answer = answer_of(registered, backward=True)
    found = publish_assessment(answer, registered.transform, run_of(registered))
    expected = answer["maps"] | {"ventilation": answer["ventilation"]["jacobian"], "regions": answer["regions"]}
    for name, volume in expected.items():
        held = volume_from_node(getattr(found, name))
        np.testing.assert_array_equal(held.array, volume.array)
        assert held.lattice == volume.lattice
    assert found.ventilation_density is None
    points = np.random.default_rng(3).uniform(-80, 80, (50, 3))
    np.testing.assert_allclose(from_world(found.backward, points), answer["backward"](points), atol=1e-3)
    np.testing.assert_allclose(backward_field(found)(points), answer["backward"](points), atol=1e-3)
    assert result_nodes(found.backward).fixed is registered.moving
    assert dataclasses.replace(found, **dict.fromkeys([*expected, "backward"])) == registered


def test_they_say_what_they_are(scene, registered):
    found = assess(registered, backward=True)
    assert found.trust.GetName() == "Trust phantom inhale to phantom exhale"
    assert found.regions.GetName() == "Regions phantom exhale"
    assert found.backward.GetName() == "Transform back phantom exhale to phantom inhale"
    colors = found.regions.GetDisplayNode().GetColorNode()
    assert [colors.GetColorName(label) for label in range(5)] == ["outside", *REGIONS]
    assert found.residual.GetAttribute("LungDeepReg.unit") == "HU"
    assert found.ventilation.GetAttribute("LungDeepReg.inhale") == "moving"
    hierarchy = hierarchy_of(scene)
    parents = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(getattr(found, name))) for name in MAPS}
    assert len(parents) == 1


def test_what_is_not_known_is_not_drawn(registered):
    display = assess(registered).trust.GetDisplayNode()
    assert display.GetApplyThreshold()
    assert display.GetLowerThreshold() > NOT_MEASURED
    assert window(assess(registered).trust) == (0, 1)


def test_assessing_again_updates_the_same_nodes(scene, registered):
    first = assess(registered, backward=True)
    first.trust.SetName("my trust")
    count = everything(scene)
    answer = answer_of(registered, backward=True, inhale=None)
    again = publish_assessment(answer, registered.transform, run_of(registered))
    assert again == first
    assert everything(scene) == count
    assert again.trust.GetName() == "my trust"
    assert again.ventilation.GetAttribute("LungDeepReg.inhale") is None
    np.testing.assert_array_equal(volume_from_node(again.ventilation).array, answer["ventilation"]["jacobian"].array)


def test_a_map_that_is_not_there_any_more_is_no_result_and_is_used_again_later(registered):
    first = assess(registered, backward=True)
    assert assess(registered).consistency is None
    assert result_nodes(registered.transform).backward is None
    assert assess(registered, backward=True) == first


def test_another_registration_has_no_assessment_yet(nodes, registered, registration, pair):
    first = assess(registered)
    into = Outputs(**{entry.name: Output(getattr(first, entry.name)) for entry in dataclasses.fields(Outputs)})
    again = publish(outcome_of(registration, pair), *nodes, into)
    assert again.transform is first.transform
    found = result_nodes(again.transform)
    assert found.trust is found.regions is None
    assert assessed(again.transform) is None
    assert assess(again).trust is first.trust


def test_lungs_come_with_it_where_the_registration_knew_none(nodes, registration, pair):
    outcome = outcome_of(registration, pair)
    answer = answer_of(publish(outcome, *nodes))
    unknown = publish(dataclasses.replace(outcome, fixed_lungs=None), *nodes)
    found = publish_assessment(answer, unknown.transform, run_of(unknown))
    np.testing.assert_array_equal(volume_from_node(found.lungs).array, outcome.fixed_lungs.array)


def test_figures_and_nodes_are_found_again_in_a_reloaded_scene(scene, registered, tmp_path):
    found = assess(registered, backward=True)
    figures, trust = assessed(found.transform), canonical(volume_from_node(found.trust))
    assert figures["region_figures"][1]["region"] == REGIONS[0]
    names = {name: getattr(found, name).GetName() for name in (*MAPS, "consistency", "backward", "lungs")}
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    transform = found.transform.GetName()
    scene.Clear(False)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    again = result_nodes(scene.GetFirstNodeByName(transform))
    assert {name: getattr(again, name).GetName() for name in names} == names
    assert assessed(again.transform) == figures
    np.testing.assert_array_equal(canonical(volume_from_node(again.trust)).array, trust.array)
    assert again.regions.GetDisplayNode().GetColorNode().GetColorName(2) == REGIONS[1]
    assert again.ventilation.GetAttribute("LungDeepReg.inhale") == "moving"


def test_it_is_refused_for_another_registration_or_none(scene, nodes, registered, registration, pair):
    answer, run = answer_of(registered), run_of(registered)
    publish(outcome_of(registration, pair), *nodes, Outputs(transform=Output(registered.transform)))
    before = everything(scene)
    with pytest.raises(NodeError, match=r"Transform phantom inhale to .*: found another registration in it"):
        publish_assessment(answer, registered.transform, run)
    assert everything(scene) == before
    scene.RemoveNode(nodes[1])
    with pytest.raises(NodeError, match="found no moving image that it belongs to"):
        publish_assessment(answer, registered.transform, run)
    scene.RemoveNode(registered.transform)
    with pytest.raises(NodeError, match="found that it was removed from the scene"):
        publish_assessment(answer, registered.transform, run)


@pytest.mark.parametrize("steps", [0, 3, 9, 16, 30])
def test_failure_half_way_leaves_everything_as_it_was(scene, registered, monkeypatch, steps):
    first = assess(registered)
    before = everything(scene), state(first.trust), assessed(first.transform)
    left = fail_after(steps, monkeypatch)
    with pytest.raises(MemoryError):
        publish_assessment(answer_of(registered, backward=True, inhale=None), registered.transform, run_of(registered))
    assert left[0] < 0
    assert (everything(scene), state(first.trust), assessed(first.transform)) == before
    assert result_nodes(registered.transform) == first
    assert not scene.IsBatchProcessing()


@pytest.mark.parametrize("steps", [0, 5, 12, 30])
def test_failure_half_way_leaves_no_orphan(scene, registered, monkeypatch, steps):
    before = everything(scene)
    fail_after(steps, monkeypatch)
    with pytest.raises(MemoryError):
        assess(registered, backward=True)
    assert everything(scene) == before
    assert result_nodes(registered.transform) == registered
    assert assessed(registered.transform) is None


def test_a_transform_of_somebody_else_has_no_assessment(scene):
    assert assessed(None) is None
    assert assessed(scene.AddNewNodeByClass("vtkMRMLTransformNode")) is None
    assert backward_field(result_nodes(None)) is None
