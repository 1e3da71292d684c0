"""Stands in for ``slicer.ScriptedLoadableModule`` and for the two C++ classes that load such a module."""

import importlib
import sys
import unittest
from pathlib import Path

import slicer
from PySide6 import QtWidgets
from PySide6.QtCore import Property

from Testing.slicer.standins.mrml_widgets import qMRMLWidget
from Testing.slicer.standins.qt_module import qt, widget


class qSlicerScriptedLoadableModule:
    """What Slicer knows of a module; the ``parent`` of the module's class."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = str(path), path.stem
        self.title, self.helpText, self.acknowledgementText, self.icon, self.hidden = "", "", "", None, False
        self.categories, self.dependencies, self.contributors = [], [], []
        self.representation = None

    def widgetRepresentation(self):
        return self.representation


@widget
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The module's panel; the ``parent`` of the module's widget class."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._module_name, self._self, self._entered = name, None, False
        QtWidgets.QVBoxLayout(self)

    isEntered = Property(bool, lambda self: self._entered)

    def self(self):
        return self._self

    def reload(self):
        """Make the module's widget object, from the module as it is imported now, and set it up."""
        cls = getattr(sys.modules[self._module_name], self._module_name + "Widget")
        self._self = cls(self)
        setattr(slicer.modules, self._module_name + "Widget", self._self)
        self._self.setup()

    def enter(self):
        self._entered = True
        self._self.enter()

    def exit(self):
        self._entered = False
        self._self.exit()


class ScriptedLoadableModule:
    """Base class of a module's description."""

    def __init__(self, parent) -> None:
        super().__init__()
        self.parent, self.moduleName = parent, type(self).__name__
        icons = [Path(self.resourcePath(f"Icons/{self.moduleName}.{ending}")) for ending in ("svg", "png")]
        icon = next((path for path in icons if path.is_file()), None)
        if icon:
            parent.icon = qt.QIcon(str(icon))
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename):
        return str(Path(self.parent.path).parent / "Resources" / filename)

    def getDefaultModuleDocumentationLink(self, docPage=None):
        return ""

    def runTest(self, msec=100, **kwargs):
        module = importlib.import_module(type(self).__module__)
        test = getattr(module, self.moduleName + "Test")()
        test.messageDelay = msec
        test.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """Base class of a module's widget."""

    def __init__(self, parent) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent, self.layout = parent, parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename):
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self):
        """Slicer adds its buttons for developers here."""

    def cleanup(self):
        """Called before the module is unloaded or reloaded."""

    def enter(self):
        """Called when the user goes to the module."""

    def exit(self):
        """Called when the user leaves the module."""

    def onReload(self):
        slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, name):
        if name == self.moduleName:
            self.cleanup()
            manager = slicer.app.moduleManager()
            manager.disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """Base class of a module's logic, with the module's parameter node."""

    def __init__(self, parent=None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getAllParameterNodes(self):
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def getParameterNode(self):
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if node is not None:  # closing the scene empties it
                node.SetAttribute("ModuleName", self.moduleName)
                return node
        elif self.getAllParameterNodes():
            return self.getAllParameterNodes()[0]
        return slicer.mrmlScene.AddNode(self.createParameterNode())

    def createParameterNode(self):
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base class of a module's self-test."""

    messageDelay = 50

    def delayDisplay(self, message, requestedDelay=None, msec=None):
        slicer.util.delayDisplay(message, self.messageDelay)

    def runTest(self):
        """A module's test overrides this."""


CLASSES = (
    ScriptedLoadableModule,
    ScriptedLoadableModuleWidget,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)
