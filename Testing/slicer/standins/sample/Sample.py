"""A small module after Slicer's template, to try the stand-ins with: it scales a volume."""

import enum
from typing import Annotated, Optional

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *  # noqa: F403
from slicer.util import VTKObservationMixin


class Rounding(enum.Enum):
    NEAREST = "nearest"
    DOWN = "down"

    def label(self):
        return self.value.capitalize()


@parameterNodeWrapper
class SampleParameterNode:
    image: vtkMRMLScalarVolumeNode
    mask: Optional[vtkMRMLSegmentationNode]  # noqa: UP045 - Slicer's wrapper refuses A | None
    factor: Annotated[float, WithinRange(-10.0, 10.0)] = 2.0
    rounded: bool = False
    rounding: Rounding = Rounding.DOWN


class Sample(ScriptedLoadableModule):  # noqa: F405
    def __init__(self, parent):
        super().__init__(parent)
        self.parent.title = _("Sample")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Examples")]
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):
        logic.registerCustomSampleDataCategory("Sample", title=_("Sample"))
    logic.registerCustomSampleDataSource(category="Sample", sampleName="One", nodeNames="One", uris="https://a/b")


class SampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):  # noqa: F405
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)  # noqa: F405
        VTKObservationMixin.__init__(self)
        self._parameterNode = self._tag = None

    def setup(self):
        super().setup()
        panel = slicer.util.loadUI(self.resourcePath("UI/Sample.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = SampleLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        # A loaded parameter node is modified before the nodes that it refers to are there, and not again.
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.ui.laterButton.clicked.connect(self.onLater)
        self.initializeParameterNode()

    def cleanup(self):
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event):
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, node):
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._tag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.checkCanApply)
        self._parameterNode = node
        if node:
            names = {w.property("SlicerParameterName"): w for w in vars(self.ui).values()}
            self._tag = node.connectParametersToGui({name: w for name, w in names.items() if name})
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.checkCanApply)
            self.checkCanApply()

    def checkCanApply(self, caller=None, event=None):
        self.ui.applyButton.enabled = self._parameterNode.image is not None
        self.ui.applyButton.toolTip = _("Scale the image") if self.ui.applyButton.enabled else _("Choose an image")

    def onApply(self):
        with slicer.util.tryWithErrorDisplay(_("Scaling failed."), waitCursor=True):
            self.logic.scale(self._parameterNode)

    def onLater(self):
        self.timer = qt.QTimer()
        self.timer.singleShot, self.timer.interval = True, 5
        self.timer.connect("timeout()", self.onApply)
        self.timer.start()


class SampleLogic(ScriptedLoadableModuleLogic):  # noqa: F405
    def getParameterNode(self):
        return SampleParameterNode(super().getParameterNode())

    def scale(self, parameters):
        if parameters.factor == 0:
            msg = "a factor of zero"
            raise ValueError(msg)
        array = slicer.util.arrayFromVolume(parameters.image) * parameters.factor
        slicer.util.updateVolumeFromArray(parameters.image, array)


class SampleTest(ScriptedLoadableModuleTest):  # noqa: F405
    def runTest(self):
        self.delayDisplay("Starting")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "tested")
        assert node is not None
