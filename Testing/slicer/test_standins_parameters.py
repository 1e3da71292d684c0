"""The stand-in of Slicer's typed parameter nodes: stored and connected as in Slicer, and the rest refused."""

import enum
import gc
from pathlib import Path
from typing import Annotated, Optional, Union

import pytest
import slicer
from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode

from Testing.slicer.gui import choose, click
from Testing.slicer.standins.ctk_module import ctk
from Testing.slicer.standins.gui_connectors import connector
from Testing.slicer.standins.parameter_node import parameterNodeWrapper
from Testing.slicer.standins.parameter_types import Choice, Default, Maximum, Minimum, SingleStep, WithinRange
from Testing.slicer.standins.qt_module import qt

pytestmark = pytest.mark.usefixtures("slicer_application")


class Speed(enum.Enum):
    SLOW = 1
    FAST = 2

    def label(self):
        return f"{self.name.capitalize()} one"


@parameterNodeWrapper
class Parameters:
    image: vtkMRMLScalarVolumeNode
    mask: Optional[Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode]]  # noqa: UP007, UP045
    count: Annotated[int, Minimum(1), Maximum(9)] = 3
    share: Annotated[float, WithinRange(0.0, 1.0), SingleStep(0.1)] = 0.5
    name: Annotated[str, Choice(["a", "b"])] = "b"
    file: Path
    speed: Speed
    flag: Annotated[bool, Default(True)]

    def half(self):
        return self.share / 2


@pytest.fixture
def node(scene):
    return scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


@pytest.fixture
def parameters(node):
    return Parameters(node)


def test_defaults(parameters):
    assert (parameters.count, parameters.share, parameters.name) == (3, 0.5, "b")
    assert (parameters.image, parameters.mask) == (None, None)
    assert (parameters.file, parameters.speed, parameters.flag) == (Path(), Speed.SLOW, True)
    assert parameters.default("count").value == 3
    assert parameters.half() == 0.25


def test_what_lies_in_the_node(parameters, node, scene):
    image = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    mask = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    parameters.image, parameters.mask, parameters.speed, parameters.flag = image, mask, Speed.FAST, False
    stored = {name: node.GetParameter(name) for name in node.GetParameterNames()}
    assert stored == {
        "image": "",
        "mask.1": "",
        "count": "3",
        "share": "0.5",
        "name": "b",
        "file": ".",
        "speed": "FAST",
        "flag": "False",
    }
    assert node.GetNodeReferenceID("image") == image.GetID()
    assert node.GetNodeReference("mask.1") is mask
    again = Parameters(node)
    assert (again.image, again.mask, again.speed, again.flag) == (image, mask, Speed.FAST, False)
    parameters.mask = None
    assert node.GetNodeReference("mask.1") is None
    assert parameters.mask is None


def test_values_follow_the_node(parameters, node, scene):
    node.SetParameter("count", "7")
    assert parameters.getValue("count") == 7
    parameters.image = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    scene.RemoveNode(parameters.image)
    assert parameters.image is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("count", 0, ValueError),
        ("count", 2.0, TypeError),
        ("count", None, ValueError),
        ("share", 1.5, ValueError),
        ("name", "c", ValueError),
        ("file", "text", TypeError),
        ("speed", "FAST", TypeError),
        ("flag", 1, TypeError),
        ("image", "an ID", TypeError),
        ("mask", 3, TypeError),
    ],
)
def test_a_wrong_value_is_refused_and_changes_nothing(parameters, node, name, value, error):
    before = {key: node.GetParameter(key) for key in node.GetParameterNames()}
    with pytest.raises(error):
        setattr(parameters, name, value)
    assert {key: node.GetParameter(key) for key in node.GetParameterNames()} == before


def test_a_node_of_another_class_is_refused(parameters, scene):
    with pytest.raises(TypeError):
        parameters.image = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")


def test_a_misspelt_parameter_is_refused(parameters):
    with pytest.raises(AttributeError, match="'cuont'"):
        parameters.cuont = 3
    with pytest.raises(ValueError, match="cuont"):
        parameters.setValue("cuont", 3)


def test_types_that_slicer_refuses_are_refused():
    for annotation in (vtkMRMLScalarVolumeNode | None, set[int], Annotated[int, "no use"]):
        with pytest.raises(TypeError):
            parameterNodeWrapper(type("Wrong", (), {"__annotations__": {"x": annotation}}))


def test_one_event_for_each_change(parameters):
    heard = []
    tag = parameters.AddObserver("ModifiedEvent", lambda *_: heard.append(parameters.count))
    parameters.count = 5
    parameters.count = 5
    with slicer.util.NodeModify(parameters):
        parameters.count, parameters.share = 6, 0.1
    parameters.RemoveObserver(tag)
    parameters.count = 7
    assert heard == [5, 6]


def test_widgets(parameters, scene):
    nodes, spin, slider = slicer.qMRMLNodeComboBox(), qt.QSpinBox(), ctk.ctkDoubleSlider()
    choices, speeds, flag, file = qt.QComboBox(), qt.QComboBox(), qt.QCheckBox(), ctk.ctkPathLineEdit()
    nodes.setMRMLScene(scene)
    nodes.noneEnabled = True
    widgets = {"count": spin, "share": slider, "name": choices, "speed": speeds, "flag": flag, "file": file}
    tag = parameters.connectParametersToGui({"mask": nodes, **widgets})
    assert list(nodes.nodeTypes) == ["vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode"]
    assert (spin.minimum, spin.maximum, slider.maximum, slider.singleStep) == (1, 9, 1.0, 0.1)
    assert [speeds.itemText(i) for i in range(2)] == ["Slow one", "Fast one"]
    label = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "label")
    choose(nodes, label)
    choose(choices, "a")
    choose(speeds, "Fast one")
    spin.value, slider.value, file.currentPath = 8, 0.25, "/x/y"
    click(flag)
    assert (parameters.mask, parameters.name, parameters.speed) == (label, "a", Speed.FAST)
    assert (parameters.count, parameters.share, parameters.file, parameters.flag) == (8, 0.25, Path("/x/y"), False)
    parameters.count, parameters.mask = 2, None
    assert (spin.value, nodes.currentNode()) == (2, None)
    parameters.disconnectGui(tag)
    spin.value = 9
    parameters.share = 1.0
    assert (parameters.count, slider.value) == (2, 0.25)


@pytest.mark.parametrize(
    ("make", "annotation"),
    [
        (qt.QSpinBox, float),
        (qt.QSlider, int),
        (lambda: ctk.ctkSliderWidget(), float),
        (qt.QComboBox, str),
        (qt.QPlainTextEdit, str),
        (lambda: slicer.qMRMLCheckableNodeComboBox(), vtkMRMLScalarVolumeNode),
    ],
)
def test_connections_that_slicer_has_not_are_refused(make, annotation):
    with pytest.raises(RuntimeError):
        connector(make(), annotation)


def test_widgets_of_derived_classes_are_refused():
    class Own(qt.QCheckBox):
        """Slicer compares exact types."""

    with pytest.raises(RuntimeError, match="Own"):
        connector(Own(), bool)


def test_connect_gui_gives_no_tag(parameters):
    panel = qt.QWidget()
    spin = qt.QSpinBox(panel)
    spin.setProperty("SlicerParameterName", "count")
    assert parameters.connectGui(panel) is None
    assert spin.value == 3
    parameters.disconnectGui(None)
    spin.value = 4
    assert parameters.count == 4


def test_connect_gui_twice_overwrites_what_a_combo_box_shows(parameters, node):
    """As in Slicer: what stays connected hears the box being emptied and filled for the second connection."""
    panel = qt.QWidget()
    box = qt.QComboBox(panel)
    box.setProperty("SlicerParameterName", "speed")
    parameters.speed = Speed.FAST
    parameters.connectGui(panel)
    Parameters(node).connectGui(panel)
    assert parameters.speed is Speed.SLOW


def test_a_node_outlives_what_was_connected_to_it(scene):
    """The garbage collector may clear it, and the node in the scene must not call it then."""
    spin = qt.QSpinBox()
    scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "kept")
    parameters = Parameters(scene.GetFirstNodeByName("kept"))
    parameters.disconnectGui(parameters.connectParametersToGui({"count": spin}))
    del parameters
    gc.collect()
    scene.GetFirstNodeByName("kept").SetAttribute("changed", "yes")
    assert spin.value == 3
