"""Stands in for ``slicer.app``, its layout manager and ``slicer.modules``."""

from pathlib import Path
from types import SimpleNamespace

import slicer
import vtk

from Testing.slicer.standins.core_io import CoreIOManager
from Testing.slicer.standins.qt_module import qt


class Signals:
    """Objects that have signals in Slicer; only those named in ``known`` can be connected."""

    known: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._slots: dict[str, list] = {signature: [] for signature in self.known}

    def connect(self, signature, slot):
        self._slots[signature].append(slot)
        return True

    def disconnect(self, signature, slot):
        self._slots[signature].remove(slot)
        return True

    def emit(self, signature, *arguments):
        for slot in list(self._slots[signature]):
            slot(*arguments)


class ModuleManager(Signals):
    """Knows the loaded modules."""

    known = ("moduleAboutToBeUnloaded(QString)", "moduleLoaded(QString)")

    def module(self, name):
        return getattr(slicer.modules, name.lower(), None)


class SliceWidget:
    """A slice view's part of the layout, around one of the tests' own views."""

    def __init__(self, view) -> None:
        self._view = view

    def sliceLogic(self):
        return self._view.logic

    def mrmlSliceNode(self):
        return self._view.logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self._view.logic.GetSliceCompositeNode()

    def sliceView(self):
        return View(self._view)


class View:
    """A slice or 3D view's window."""

    def __init__(self, view) -> None:
        self._view = view

    def interactor(self):
        return self._view.interactor

    def renderWindow(self):
        return self._view.window

    def mrmlViewNode(self):
        return self._view.node

    def forceRender(self):
        self._view.render()

    scheduleRender = forceRender


class LayoutManager(Signals):
    """Slicer's layout manager around the views that a test hands in, by name; they may change as the layout does."""

    known = ("layoutChanged(int)",)

    def __init__(self, scene, views: dict[str, object]) -> None:
        super().__init__()
        self._scene, self._views = scene, views

    def _of_class(self, name: str) -> dict[str, object]:
        return {key: view for key, view in self._views.items() if view.node.IsA(name)}

    @property
    def layout(self):
        return self.layoutLogic().GetLayoutNode().GetViewArrangement()

    def setLayout(self, layout):
        self.layoutLogic().GetLayoutNode().SetViewArrangement(layout)
        self.emit("layoutChanged(int)", layout)

    def layoutLogic(self):
        node = self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode") or self._scene.AddNewNodeByClass(
            "vtkMRMLLayoutNode"
        )
        return SimpleNamespace(GetLayoutNode=lambda: node)

    def sliceViewNames(self):
        return tuple(self._of_class("vtkMRMLSliceNode"))

    def sliceWidget(self, name):
        view = self._of_class("vtkMRMLSliceNode").get(name)
        return SliceWidget(view) if view else None

    def mrmlSliceLogics(self):
        logics = vtk.vtkCollection()
        for view in self._of_class("vtkMRMLSliceNode").values():
            logics.AddItem(view.logic)
        return logics

    @property
    def threeDViewCount(self):
        return len(self._of_class("vtkMRMLViewNode"))

    def threeDWidget(self, index):
        views = list(self._of_class("vtkMRMLViewNode").values())
        return SimpleNamespace(threeDView=lambda: View(views[index]))

    def resetSliceViews(self):
        for view in self._of_class("vtkMRMLSliceNode").values():
            view.logic.FitSliceToBackground()

    def resetThreeDViews(self):
        for view in self._of_class("vtkMRMLViewNode").values():
            view.renderer.ResetCamera()


class Application(Signals):
    """``slicer.app``: what a module like ours and ``slicer.util`` ask of it."""

    known = ("startupCompleted()", "aboutToQuit()", "lastWindowClosed()")
    applicationName = "Slicer"

    def __init__(self, started, folder: Path, version: tuple[int, int]) -> None:
        super().__init__()
        self.majorVersion, self.minorVersion = version
        folder.mkdir(parents=True, exist_ok=True)
        self.temporaryPath = self.cachePath = self.slicerHome = self.defaultScenePath = str(folder)
        self.layout_manager: LayoutManager | None = None
        self.testing = False
        self._started, self._modules, self._io = started, ModuleManager(), CoreIOManager(started)
        self._main_window = qt.QMainWindow()
        self._main_window.name = "qSlicerMainWindow"
        self._qt = qt.QApplication.instance()

    def show_views(self, views: dict[str, object]) -> None:
        """Have a layout manager, which is None at first, with the tests' own views (Testing/slicer/views.py)."""
        self.layout_manager = LayoutManager(self._started.scene, views)

    def layoutManager(self):
        return self.layout_manager

    def testingEnabled(self):
        return self.testing

    def commandOptions(self):
        return SimpleNamespace(testingEnabled=self.testing, noMainWindow=False)

    def mrmlScene(self):
        return self._started.scene

    def applicationLogic(self):
        return self._started.logic

    def coreIOManager(self):
        return self._io

    def moduleManager(self):
        return self._modules

    def translate(self, _context, text):
        return text

    def topLevelWidgets(self):
        return [self._main_window]

    def processEvents(self, *_):
        self._qt.processEvents()

    def settings(self):
        return qt.QSettings()

    userSettings = settings

    def startupEnvironment(self):
        return qt.QProcessEnvironment.systemEnvironment()

    def setOverrideCursor(self, cursor):
        self._qt.setOverrideCursor(cursor)

    def restoreOverrideCursor(self):
        self._qt.restoreOverrideCursor()

    def pauseRender(self):
        """Nothing is rendered unless a test asks."""

    resumeRender = pauseRender
