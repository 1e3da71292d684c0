"""The stand-ins of qt, ctk and Slicer's widgets behave as PythonQt's do, and refuse what PythonQt doesn't know."""

import numpy as np
import pytest
import slicer
from PySide6 import QtCore

from Testing.slicer.gui import choose, click
from Testing.slicer.standins.ctk_module import ctk
from Testing.slicer.standins.qt_module import UiError, qt

pytestmark = pytest.mark.usefixtures("slicer_application")

UI = """<ui version="4.0"><widget class="qMRMLWidget" name="top"><layout class="QVBoxLayout" name="rows"><item>
<widget class="{name}" name="part">{properties}</widget></item></layout></widget>
<connections><connection><sender>top</sender><signal>{signal}</signal><receiver>part</receiver><slot>{slot}</slot>
</connection></connections></ui>"""


@pytest.fixture
def load(tmp_path):
    def loaded(
        name="qMRMLNodeComboBox", properties="", signal="mrmlSceneChanged(vtkMRMLScene*)", slot="setMRMLScene()"
    ):
        path = tmp_path / "panel.ui"
        path.write_text(UI.format(name=name, properties=properties, signal=signal, slot=slot))
        return slicer.util.loadUI(str(path))

    return loaded


def test_properties_without_parentheses():
    button = qt.QPushButton("Go")
    assert (button.text, button.enabled, button.checkable) == ("Go", True, False)
    button.text, button.enabled, button.toolTip, button.name = "Stop", False, "why", "go"
    assert (button.text, button.isEnabled(), button.toolTip, button.objectName) == ("Stop", False, "why", "go")
    timer = qt.QTimer()
    timer.singleShot = True
    assert (timer.singleShot, timer.active, callable(qt.QTimer.singleShot)) == (True, False, True)


@pytest.mark.parametrize("make", [qt.QPushButton, ctk.ctkSliderWidget, qt.QTimer, qt.QVBoxLayout])
def test_an_unknown_attribute_is_refused(make):
    with pytest.raises(AttributeError, match="'tolTip'"):
        make().tolTip = "misspelt"


def test_a_property_that_cannot_be_written():
    with pytest.raises(AttributeError, match="width"):
        qt.QWidget().width = 3


def test_a_class_of_the_module_may_have_attributes_of_its_own():
    class Own(qt.QWidget):
        def __init__(self):
            super().__init__()
            self.state = 1

    own = Own()
    own.state = 2
    own.enabled = False
    assert (own.state, own.isEnabled()) == (2, False)


def test_signals_by_signature():
    button, heard = qt.QPushButton(), []
    button.checkable = True

    def with_state(state):
        heard.append(state)

    button.connect("clicked()", lambda: heard.append("none"))
    button.connect("clicked(bool)", with_state)
    button.clicked.connect(with_state)
    click(button)
    assert heard == ["none", True, True]
    button.disconnect("clicked(bool)", with_state)
    click(button)
    assert heard == ["none", True, True, "none", False]
    with pytest.raises(ValueError, match="no signal 'klicked"):
        button.connect("klicked()", with_state)


def test_settings_are_kept_in_the_test(tmp_path):
    assert slicer.util.settingsValue("LungDeepReg/x", "default") == "default"
    qt.QSettings().setValue("LungDeepReg/x", "7")
    assert slicer.util.settingsValue("LungDeepReg/x", 0, converter=int) == 7
    assert qt.QSettings().fileName().startswith(str(tmp_path))


def test_a_ui_file(load, scene):
    panel = load(properties='<property name="noneDisplay"><string>Nothing</string></property>')
    part = slicer.util.childWidgetVariables(panel).part
    assert part.noneDisplay == "Nothing"
    assert part.mrmlScene() is None
    panel.setMRMLScene(scene)
    assert part.mrmlScene() is scene


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "qMRMLUnheardOf"}, "no stand-in for qMRMLUnheardOf"),
        ({"properties": '<property name="nodeTypo"><bool>1</bool></property>'}, "has no property 'nodeTypo'"),
        ({"slot": "setScene()"}, r"has no slot 'setScene\(\)'"),
    ],
)
def test_what_a_ui_file_may_not_name(load, wrong, said):
    with pytest.raises(UiError, match=said):
        load(**wrong)
    with pytest.raises(ValueError, match="no signal"):
        load(signal="sceneChanged()")


def test_node_types_and_hidden_nodes(scene):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLTransformNode"]
    assert not box.enabled
    box.setMRMLScene(scene)
    linear = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "linear")
    assert box.currentNode() is linear
    grid = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "grid")
    scene.AddNewNodeByClass("vtkMRMLTextNode", "text")
    assert box.nodeCount() == 2
    grid.SetHideFromEditors(True)
    assert box.nodeCount() == 1
    box.showHidden = True
    assert box.nodeCount() == 2
    box.showChildNodeTypes = False
    assert box.nodeCount() == 0
    assert box.currentNode() is None


def test_a_node_box_tells_of_changes_only(scene):
    box, heard = slicer.qMRMLNodeComboBox(), []
    box.nodeTypes, box.noneEnabled = ["vtkMRMLTextNode"], True
    box.setMRMLScene(scene)
    box.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: heard.append(node and node.GetName()))
    first = scene.AddNewNodeByClass("vtkMRMLTextNode", "first")
    box.setCurrentNode(first)
    box.setCurrentNodeID(first.GetID())
    first.SetName("renamed")
    choose(box, "renamed")
    scene.RemoveNode(first)
    assert heard == ["first", "renamed", None]


def test_a_folded_section_keeps_hidden_what_was_hidden():
    section = ctk.ctkCollapsibleButton()
    shown, hidden = qt.QLabel("a", section), qt.QLabel("b", section)
    hidden.visible = False
    section.collapsed = True
    assert shown.isHidden()
    section.click()
    assert (section.collapsed, shown.isHidden(), hidden.isHidden()) == (False, False, True)


def test_a_slider_keeps_to_its_range():
    slider, heard = ctk.ctkSliderWidget(), []
    slider.minimum, slider.maximum, slider.decimals = -2, 5, 1
    slider.connect("valueChanged(double)", heard.append)
    slider.value = 9
    slider.value = 1.25
    assert heard == [5.0, 1.3]


def test_questions_and_messages(slicer_application):
    slicer_application.answer(qt.QMessageBox.Cancel, qt.QMessageBox.Ok)
    assert not slicer.util.confirmOkCancelDisplay("Install?")
    assert slicer.util.confirmOkCancelDisplay("Really?")
    slicer.util.errorDisplay("It failed", detailedText="why")
    texts = [(message.text, message.critical, message.details) for message in slicer_application.take_messages()]
    assert texts == [("Install?", False, ""), ("Really?", False, ""), ("It failed", True, "why")]
    with pytest.raises(AssertionError, match="no answer to 'And now"):
        slicer.util.confirmYesNoDisplay("And now?")


def test_pytorch(slicer_application):
    import PyTorchUtils

    logic, state = PyTorchUtils.PyTorchUtilsLogic(), slicer_application.app.pytorch
    assert not logic.torchInstalled()
    assert logic.installTorch(askConfirmation=True, torchVersionRequirement=">=2.2") is None
    state.installable = np
    assert logic.torch is np
    assert (state.requests[0]["askConfirmation"], state.requests[0]["torchVersionRequirement"]) == (True, ">=2.2")
    assert logic.torchInstalled()


def test_files_of_nodes(scene, tmp_path):
    matrix = np.array([[0, -1.3, 0, 5], [0.9, 0, 0, -7], [0, 0, 2.5, 3], [0, 0, 0, 1.0]])
    volume = slicer.util.addVolumeFromArray(np.arange(24.0).reshape(2, 3, 4), matrix, "volume")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "transform")
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    points.AddControlPoint(1, 2, 3)
    for node, name in ((volume, "a.nrrd"), (transform, "b.h5"), (points, "c.mrk.json")):
        assert slicer.util.saveNode(node, str(tmp_path / name), {})
    again = slicer.util.loadVolume(str(tmp_path / "a.nrrd"), {})
    assert np.array_equal(slicer.util.arrayFromVolume(again), slicer.util.arrayFromVolume(volume))
    assert slicer.util.loadTransform(str(tmp_path / "b.h5")).IsLinear()
    assert slicer.util.loadMarkups(str(tmp_path / "c.mrk.json")).GetNumberOfControlPoints() == 1
    with pytest.raises(RuntimeError, match="Failed to load"):
        slicer.util.loadVolume(str(tmp_path / "absent.nrrd"), {})


def test_modules_and_their_logics(scene):
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    assert slicer.modules.markups.logic().GetMRMLScene() is scene
    assert slicer.app.layoutManager() is None
    assert slicer.util.mainWindow().name == "qSlicerMainWindow"
    assert "PATH" in slicer.util.startupEnvironment()
    assert points.GetScene() is slicer.mrmlScene


def test_the_layout_manager_shows_the_views_of_a_test(slicer_application, scene):
    from Testing.slicer.views import Views

    views = Views(scene, slicer_application.app.applicationLogic(), (300, 200))
    slicer_application.app.show_views(views.views)
    manager = slicer.app.layoutManager()
    assert sorted(manager.sliceViewNames()) == ["Green", "Red", "Yellow"]
    assert manager.sliceWidget("Red").mrmlSliceNode() is views["Red"].node
    assert manager.sliceWidget("Blue") is None
    assert manager.threeDViewCount == 1
    volume = slicer.util.addVolumeFromArray(np.ones((4, 40, 40)), name="volume")
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    for name in manager.sliceViewNames():
        logic = manager.sliceWidget(name).sliceLogic()
        assert logic.GetBackgroundLayer().GetVolumeNode() is volume
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    views.close()


def test_what_goes_wrong_unseen_fails_the_test(slicer_application):
    slicer_application.check()
    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    click(button)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        slicer_application.check()
    slicer_application.take_errors()
    QtCore.qWarning("QLayout: something is wrong")
    with pytest.raises(AssertionError, match="Qt: QLayout: something is wrong"):
        slicer_application.check()
    slicer_application.take_errors()
    slicer.util.errorDisplay("It failed")
    with pytest.raises(AssertionError, match=r"didn't take.*It failed"):
        slicer_application.check()
    slicer_application.answer(qt.QMessageBox.Ok)
    with pytest.raises(AssertionError, match="nothing asked"):
        slicer_application.check()
