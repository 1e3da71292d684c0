"""The stand-in of Slicer's box of nodes follows the scene as Slicer's does: also where that is a surprise."""

import pytest
import slicer
import vtk

from Testing.slicer.gui import choose
from Testing.slicer.standins.parameter_node import parameterNodeWrapper

pytestmark = pytest.mark.usefixtures("slicer_application")


@parameterNodeWrapper
class Parameters:
    text: slicer.vtkMRMLTextNode


@pytest.fixture
def box(scene):
    made = slicer.qMRMLNodeComboBox()
    made.nodeTypes, made.noneEnabled = ["vtkMRMLTextNode"], True
    made.setMRMLScene(scene)
    return made


@pytest.fixture
def nodes(scene, box):
    return [scene.AddNewNodeByClass("vtkMRMLTextNode", name) for name in ("first", "second", "third")]


@pytest.fixture
def heard(box):
    names = []
    box.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: names.append(node and node.GetName()))
    return names


@pytest.mark.parametrize(("number", "next_name"), [(0, "second"), (1, "third"), (2, "second")])
@pytest.mark.parametrize("add_enabled", [True, False])
def test_a_neighbor_of_a_removed_node_becomes_current(scene, box, nodes, heard, number, next_name, add_enabled):
    """Qt keeps the index; where that is an action then, Slicer makes the last node current."""
    box.addEnabled = add_enabled
    box.setCurrentNode(nodes[number])
    scene.RemoveNode(nodes[number])
    assert heard == [("first", "second", "third")[number], next_name]
    assert box.currentNode().GetName() == next_name
    assert box.nodeCount() == 2


def test_the_neighbor_of_a_removed_node_is_written_to_the_parameter(scene, box, nodes):
    parameters = Parameters(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    parameters.connectParametersToGui({"text": box})
    choose(box, nodes[1])
    scene.RemoveNode(nodes[1])
    assert parameters.text is nodes[2]


def test_who_lets_go_of_a_node_that_is_about_to_be_removed_comes_before_the_box(scene, box, nodes, heard):
    @vtk.calldata_type(vtk.VTK_OBJECT)
    def let_go(_scene, _event, node):
        if node is box.currentNode():
            box.setCurrentNode(None)

    box.setCurrentNode(nodes[2])
    tag = scene.AddObserver(scene.NodeAboutToBeRemovedEvent, let_go)
    scene.RemoveNode(nodes[2])
    scene.RemoveObserver(tag)
    assert heard == ["third", None]


def test_a_node_that_is_hidden_leaves_its_place_to_its_neighbor(box, nodes):
    box.setCurrentNode(nodes[1])
    nodes[1].SetHideFromEditors(True)
    assert box.currentNode() is nodes[2]
    nodes[1].SetHideFromEditors(False)
    assert [box.nodeFromIndex(index) for index in range(3)] == nodes
    assert box.currentNode() is nodes[2]


@pytest.mark.parametrize("none_enabled", [True, False])
def test_when_the_only_node_is_removed_there_is_none(scene, box, heard, none_enabled):
    box.noneEnabled = none_enabled
    only = scene.AddNewNodeByClass("vtkMRMLTextNode", "only")
    box.setCurrentNode(only)
    scene.RemoveNode(only)
    assert heard == ["only", None]
    assert box.currentNode() is None


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("add_enabled", [True, False])
def test_none_is_current_before_others_hear_of_the_end_of_loading(scene, box, nodes, heard, number, add_enabled):
    box.addEnabled = add_enabled
    box.setCurrentNode(nodes[number])
    tag = scene.AddObserver(scene.EndImportEvent, lambda *_: heard.append(f"import with {box.currentNode()}"))
    scene.StartState(scene.ImportState)
    added = scene.AddNewNodeByClass("vtkMRMLTextNode", "added")
    assert box.currentNode() is nodes[number]
    scene.EndState(scene.ImportState)
    scene.RemoveObserver(tag)
    assert heard[1:] == [None, "import with None"]
    assert [box.nodeFromIndex(index) for index in range(4)] == [*nodes, added]


def test_closing_the_scene_tells_of_none_once(scene, box, nodes, heard):
    box.setCurrentNode(nodes[2])
    scene.Clear(False)
    assert heard == ["third", None]
    assert box.nodeCount() == 0
