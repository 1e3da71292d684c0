"""The module's entry in 3D Slicer: what it is called, its parameters, its widget, its logic and its self-test.

The panels are in LungDeepRegWidgets, everything that computes is in LungDeepRegLib and runs in a process of its own.
"""

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
import vtk
from LungDeepRegWidgets.settings import Alignment, Device, Inhale, Modality, Refinement, SimilarityMeasure, Weights
from slicer import (
    vtkMRMLDisplayableNode,
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLTransformNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class LungDeepReg(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.parent.title = _("LungDeepReg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = []
        self.parent.contributors = ["The LungDeepReg contributors"]
        self.parent.helpText = _(
            "Registers two images of the same lungs, such as exhale and inhale, and shows how the lung moved."
            " Research software, not for clinical use."
        )
        self.parent.acknowledgementText = _("After Christodoulidis et al. 2018, arXiv:1809.06226.")
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer the sample pairs in Slicer's module Sample Data."""
    from LungDeepRegWidgets import sampleData

    sampleData.registerSampleData()


@parameterNodeWrapper
class LungDeepRegParameterNode:
    """Everything that the panel keeps; it is saved with the scene.

    Attributes:
        fixedVolume: The image that stays (exhale, baseline).
        movingVolume: The image that is deformed onto it (inhale, follow-up).
        fixedMask: The fixed image's lungs, a segmentation or a label map; None to find them.
        movingMask: The moving image's.
        fixedSegment: ID of the segment that is the lung; empty for all.
        movingSegment: Likewise.
        landmarkObserver: Who places landmarks now.
        summary: The figures of the last registration of this pair, as JSON; empty if there is none.
        qualityThresholds: Those that the user has changed, as JSON: good and bad by the check's name.
        inhale: Which of the images is the inhaled one.
        seriesBrowser: The sequence browser of a 4D image.
        seriesReference: The index value of its phase that stays; empty for the first.
        seriesMask: That phase's lungs, as fixedMask.
        seriesSegment: As fixedSegment.
        seriesLandmarks: A point list placed in that phase.
    """

    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    fixedMask: vtkMRMLDisplayableNode
    movingMask: vtkMRMLDisplayableNode
    fixedSegment: str
    movingSegment: str

    refinement: Refinement = Refinement.FAST
    alignment: Alignment = Alignment.AFFINE
    similarity: SimilarityMeasure = SimilarityMeasure.MIND
    modality: Modality = Modality.AUTO
    weights: Weights = Weights.BUNDLED
    weightsFile: Path
    linearBranch: bool = True
    device: Device = Device.AUTO

    warpedVolume: vtkMRMLScalarVolumeNode
    differenceVolume: vtkMRMLScalarVolumeNode
    transform: vtkMRMLTransformNode
    jacobianVolume: vtkMRMLScalarVolumeNode
    coverageVolume: vtkMRMLLabelMapVolumeNode
    lungsVolume: vtkMRMLLabelMapVolumeNode
    warpedVolumeWanted: bool = True
    differenceVolumeWanted: bool = True
    transformWanted: bool = True
    jacobianVolumeWanted: bool = True
    coverageVolumeWanted: bool = True

    landmarkObserver: str = "Observer 1"

    summary: str

    qualityThresholds: str
    inhale: Inhale = Inhale.UNKNOWN

    seriesBrowser: vtkMRMLNode  # sequence browsers and point lists aren't known to Slicer yet when this is loaded
    seriesReference: str
    seriesMask: vtkMRMLDisplayableNode
    seriesSegment: str
    seriesLandmarks: vtkMRMLDisplayableNode
    seriesWarpedWanted: bool = True


class LungDeepRegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module's panels, one below the other."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: LungDeepRegLogic | None = None

    def setup(self) -> None:
        """Make the panels. The engine isn't loaded, nothing is computed or installed."""
        super().setup()
        from LungDeepRegWidgets.applyPanel import ApplyPanel
        from LungDeepRegWidgets.landmarksPanel import LandmarksPanel
        from LungDeepRegWidgets.presets.preset import PresetSwitch
        from LungDeepRegWidgets.qualityPanel import QualityPanel
        from LungDeepRegWidgets.registerPanel import RegisterPanel
        from LungDeepRegWidgets.reportPanel import ReportPanel
        from LungDeepRegWidgets.seriesPanel import SeriesPanel
        from LungDeepRegWidgets.viewsPanel import ViewsPanel

        self.logic = LungDeepRegLogic()
        runner, ui = self.logic.runner, lambda name: self.resourcePath(f"UI/{name}.ui")
        self.switch = PresetSwitch(slicer.mrmlScene, slicer.app.applicationLogic())
        self.register = RegisterPanel(self.logic, ui("Register"), self.onResult)
        self.views = ViewsPanel(self.switch, ui("Views"))
        self.landmarks = LandmarksPanel(runner, self.switch, ui("Landmarks"))
        self.quality = QualityPanel(runner, self.switch, ui("Quality"), self.onResult)
        self.quality.landmarkStatistics = self.landmarks.statistics
        self.landmarks.onChange = self.quality.refresh
        self.apply = ApplyPanel(runner, ui("Apply"))
        self.series = SeriesPanel(runner, ui("Series"))
        self.report = ReportPanel(self.switch, ui("Report"))
        self.panels = (self.register, self.views, self.landmarks, self.quality, self.report, self.apply, self.series)
        for panel in self.panels:
            self.layout.addWidget(panel.widget)
        self.layout.addStretch(1)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEnd)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEnd)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeRemoved)
        slicer.app.connect("aboutToQuit()", self.logic.close)
        self.showParameters()

    def showParameters(self) -> None:
        """Connect the panels to the scene's parameter node; views that a loaded scene leaves empty are filled."""
        from LungDeepRegWidgets.presets.layouts import leaveThreeRows

        if self.switch.active is None:
            leaveThreeRows(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode"))
        self.setParameters(self.logic.getParameterNode())

    def setParameters(self, parameters: Any) -> None:
        """Give the panels another parameter node, or take it from them; the first panel last: it knows the result."""
        for panel in reversed(self.panels):
            panel.setParameters(parameters)

    def onResult(self, nodes: Any) -> None:
        """Let the other panels show another result, or none."""
        for panel in self.panels:
            panel.setResult(nodes)

    def onSceneStartClose(self, _caller: Any, _event: Any) -> None:
        """Stop what is running: its nodes are going."""
        stopped = self.logic.busy
        self.switch.leave()
        self.cancel()
        self.setParameters(None)
        self.register.showStopped(_("Stopped: the scene was closed.") if stopped else "")

    def onSceneStartImport(self, _caller: Any, _event: Any) -> None:
        """Let go of the parameters: Slicer's node boxes are emptied while nodes are added, and would empty them too."""
        self.setParameters(None)

    def onSceneEnd(self, _caller: Any, _event: Any) -> None:
        """Another scene, or more of it: its parameter node counts now."""
        if not slicer.mrmlScene.IsClosing():
            self.showParameters()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, _caller: Any, _event: Any, node: Any) -> None:
        """Let go of a node that goes, and stop a registration whose image it is."""
        for panel in self.panels:
            panel.forget(node)
        if self.logic.needs(node):
            self.logic.cancel()
            self.register.showStopped(_("Stopped: {name} was removed.").format(name=node.GetName()))

    def cancel(self) -> None:
        """Stop whatever is running."""
        for panel in self.panels:
            panel.cancel()
        self.logic.cancel()

    def exit(self) -> None:
        """Give the views back as they were; a registration goes on."""
        for panel in self.panels:
            panel.leave()
        self.switch.leave()

    def cleanup(self) -> None:
        """End everything: the module is unloaded or reloaded."""
        self.removeObservers()
        slicer.app.disconnect("aboutToQuit()", self.logic.close)
        self.exit()
        self.cancel()
        self.setParameters(None)
        self.logic.close()

    def onReload(self) -> None:
        """Reload the panels and the engine with the module (developer mode)."""
        for name in list(sys.modules):
            if name.partition(".")[0] in ("LungDeepRegWidgets", "LungDeepRegLib"):
                del sys.modules[name]
        super().onReload()
        registerSampleData()


class LungDeepRegLogic(ScriptedLoadableModuleLogic):
    """Registers volumes of the scene; works without the module's widget, also from Slicer's Python console.

    >>> logic = LungDeepRegLogic()
    >>> parameters = logic.getParameterNode()
    >>> parameters.fixedVolume, parameters.movingVolume = getNode("exhale"), getNode("inhale")
    >>> nodes, summary = logic.process(parameters)
    """

    def __init__(self) -> None:
        super().__init__()
        from LungDeepRegWidgets.taskRunner import TaskRunner

        self.runner = TaskRunner()
        self._running: Any = None

    def getParameterNode(self) -> LungDeepRegParameterNode:
        """The scene's parameter node of this module."""
        return LungDeepRegParameterNode(super().getParameterNode())

    @property
    def busy(self) -> bool:
        """Whether a registration is running."""
        return self._running is not None

    def needs(self, node: Any) -> bool:
        """Whether the running registration is one of this volume."""
        return self._running is not None and node in (self._running.fixed, self._running.moving)

    def resultNodes(self, parameters: LungDeepRegParameterNode) -> Any:
        """The :class:`mrml.ResultNodes` of the chosen pair, or None while it isn't registered."""
        if not parameters.summary:
            return None
        from LungDeepRegWidgets.registration import resultOf

        return resultOf(parameters)

    def start(
        self,
        parameters: LungDeepRegParameterNode,
        onProgress: Callable[[str, float], None],
        onDone: Callable[[Any, dict[str, Any]], None],
        onFailed: Callable[[str], None],
    ) -> None:
        """Start a registration in the worker; returns at once.

        Args:
            parameters: What is to be done; changes made later don't matter.
            onProgress: Told the stage and the fraction of it that is done.
            onDone: Given the nodes that were published, and the figures.
            onFailed: Given a message for people; the scene is as it was.

        Raises:
            ValueError: Something that can't be registered; the message names it.
            RuntimeError: Something else is still running.
        """
        from LungDeepRegWidgets.registration import Registration, whatIsMissing

        missing = whatIsMissing(parameters)
        if missing:
            raise ValueError(missing)
        running = Registration.of(parameters)

        def finished(outcome: Any) -> None:
            self._running = None
            try:
                nodes = running.publish(outcome)
            except ValueError as error:
                onFailed(str(error))
                return
            except Exception as error:  # whatever it is, the user is told, and can go on
                logging.exception("The result can't be published")
                onFailed(_("The result can't be shown: {error}").format(error=repr(error)))
                return
            onDone(nodes, outcome.summary)

        def failed(message: str) -> None:
            self._running = None
            onFailed(message)

        self.runner.run("register", running.request, onProgress=onProgress, onDone=finished, onFailed=failed)
        self._running = running

    def cancel(self) -> None:
        """Stop the running registration at once; the scene is as it was."""
        if self._running is not None:
            self._running = None
            self.runner.cancel()

    def process(self, parameters: LungDeepRegParameterNode) -> tuple[Any, dict[str, Any]]:
        """Register and wait for the result; Slicer goes on answering meanwhile.

        Returns:
            The :class:`mrml.ResultNodes` and the figures.

        Raises:
            ValueError: As :meth:`start`.
            RuntimeError: The registration failed, for the reason that the message gives.
        """
        found: list[Any] = []
        failures: list[str] = []
        self.start(parameters, lambda stage, fraction: None, lambda *result: found.append(result), failures.append)
        while self.busy:
            slicer.app.processEvents()
            time.sleep(0.01)
        if not found:
            raise RuntimeError(failures[0] if failures else _("The registration was canceled."))
        return found[0]

    def close(self) -> None:
        """End the worker, with whatever it is doing."""
        self._running = None
        self.runner.close()


class LungDeepRegTest(ScriptedLoadableModuleTest):
    """A registration of the synthetic pair through the logic, for Developer mode and for the factory's machines.

    Without PyTorch the registration is left out, and the test says so.
    """

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run everything."""
        self.setUp()
        self.test_parametersAreKept()
        self.setUp()
        self.test_registerTheSyntheticPair()

    def test_parametersAreKept(self) -> None:
        """The scene's parameter node keeps what is set."""
        parameters = LungDeepRegLogic().getParameterNode()
        parameters.refinement = Refinement.ACCURATE
        self.assertIs(LungDeepRegLogic().getParameterNode().refinement, Refinement.ACCURATE)

    def test_registerTheSyntheticPair(self) -> None:
        """Landmarks of a chest that breathes by a known map come together."""
        from LungDeepRegWidgets.pytorch import stateMessage, torchState
        from LungDeepRegWidgets.sampleData import PHANTOM, loadSamplePair

        state = torchState()
        if not state.usable:
            self.delayDisplay(f"SKIPPED the registration: {state.kind.value}. {stateMessage(state)}")
            return
        logic = LungDeepRegLogic()
        try:
            parameters = logic.getParameterNode()
            parameters.fixedVolume, parameters.movingVolume = loadSamplePair(PHANTOM, logic.runner)
            nodes, summary = logic.process(parameters)
        finally:
            logic.close()
        self.assertGreater(summary["dice_after"], 0.95)
        self.assertEqual(summary["folded_percent"], 0)
        self.assertIsNotNone(nodes.transform)
        self.delayDisplay("LungDeepReg: the synthetic pair is registered")
