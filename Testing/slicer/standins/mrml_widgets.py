"""Stand-ins for the widgets of Slicer that show nodes: they follow the real scene."""

import slicer
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Qt, Signal

from Testing.slicer.standins.ctk_widgets import ctkSliderWidget, stored
from Testing.slicer.standins.qt_module import widget

SCENE_EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent")
"""As Slicer's, the lists follow at once, in the midst of loading a scene too."""


@widget
class qMRMLWidget(QtWidgets.QWidget):
    """Holds a scene; a .ui file connects its signal to the widgets that need one."""

    mrmlSceneChanged = Signal(object)

    def mrmlScene(self):
        return getattr(self, "_scene", None)

    def setMRMLScene(self, scene):
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


@widget
class qMRMLSliderWidget(ctkSliderWidget):
    """A slider with a unit from the scene; here without the unit."""

    quantity = stored(str, "quantity", "")
    unitAwareProperties = stored(int, "unitAwareProperties", 0)

    def setMRMLScene(self, scene):
        """Units don't matter to the tests."""


@widget
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """The scene's nodes of some types, one of them current."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._current, self._requested, self._ids = None, None, "", []
        self._scene_tags, self._node_tags, self._attributes = [], [], []
        self._box = QtWidgets.QComboBox()
        self._box.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self._box.activated.connect(self._activated)
        self.setEnabled(False)
        self.destroyed.connect(lambda *_, tags=self._scene_tags, nodes=self._node_tags: forget(tags + nodes))

    nodeTypes = stored("QStringList", "nodeTypes", [], "_refresh")
    hideChildNodeTypes = stored("QStringList", "hideChildNodeTypes", [], "_refresh")
    showHidden = stored(bool, "showHidden", False, "_refresh")
    showChildNodeTypes = stored(bool, "showChildNodeTypes", True, "_refresh")
    noneEnabled = stored(bool, "noneEnabled", False, "_refresh")
    noneDisplay = stored(str, "noneDisplay", "None", "_refresh")
    addEnabled = stored(bool, "addEnabled", True, "_refresh")
    removeEnabled = stored(bool, "removeEnabled", True)
    renameEnabled = stored(bool, "renameEnabled", False)
    editEnabled = stored(bool, "editEnabled", False)
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)
    baseName = stored(str, "baseName", "")
    currentNodeID = Property(str, lambda self: self._current or "", lambda self, value: self.setCurrentNodeID(value))

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        forget(self._scene_tags)
        self._scene = scene
        for name in SCENE_EVENTS if scene is not None else ():
            tag = scene.AddObserver(getattr(slicer.vtkMRMLScene, name), self._refresh)
            self._scene_tags.append((scene, tag))
        self._refresh()
        self.setEnabled(scene is not None)
        if self._requested:
            self.setCurrentNodeID(self._requested)
        self._requested = ""

    def addAttribute(self, node_type, name, value=None):
        self._attributes.append((node_type, name, value))
        self._refresh()

    def currentNode(self):
        return self._scene.GetNodeByID(self._current) if self._scene is not None and self._current else None

    def setCurrentNode(self, node):
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id):
        """Without a scene yet it is kept for later."""
        if self._scene is None:
            self._requested = node_id
        self._select(node_id if node_id in self._ids else None)

    def nodeCount(self):
        return len(self._ids)

    def nodeFromIndex(self, index):
        return self._scene.GetNodeByID(self._ids[index]) if 0 <= index < len(self._ids) else None

    def addNode(self, node_type=None):
        node_type = node_type or self.nodeTypes[0]
        base = self.baseName or self._scene.GetTagByClassName(node_type)
        node = self._scene.AddNewNodeByClass(node_type, self._scene.GenerateUniqueName(base))
        for _, name, value in (a for a in self._attributes if a[0] == node_type):
            node.SetAttribute(name, value or "")
        self._refresh()
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _nodes(self):
        nodes = (
            [] if self._scene is None else [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        )
        return [node for node in nodes if self._offered(node)]

    def _offered(self, node):
        kind = next((k for k in self.nodeTypes if node.IsA(k)), None)
        hidden = node.GetHideFromEditors() and not self.showHidden
        child = node.GetClassName() != kind and not self.showChildNodeTypes
        if kind is None or hidden or child or any(node.IsA(k) for k in self.hideChildNodeTypes):
            return False
        for node_type, name, value in self._attributes:
            found = node.GetAttribute(name)
            if node.IsA(node_type) and (found is None or (value is not None and found != value)):
                return False
        return True

    def _refresh(self, *_):
        nodes = self._nodes()
        self._observe(nodes)
        self._ids = [node.GetID() for node in nodes]
        self._box.blockSignals(True)
        self._box.clear()
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay, "")
        for node in nodes:
            self._box.addItem(node.GetName() or node.GetID(), node.GetID())
        for kind in self.nodeTypes if self.addEnabled and self._scene is not None else ():
            self._box.addItem(f"Create new {self._scene.GetTypeDisplayNameByClassName(kind)}", "+" + kind)
        self._box.blockSignals(False)
        kept = self._current if self._current in self._ids else None
        self._select(kept or (self._ids[0] if self._ids and not self.noneEnabled else None))

    def _observe(self, nodes):
        forget(self._node_tags)
        for node in nodes:
            self._node_tags.append((node, node.AddObserver("ModifiedEvent", self._renamed)))

    def _renamed(self, node, _event):
        index = self._box.findData(node.GetID())
        if index < 0 or not self._offered(node):
            self._refresh()
        elif self._box.itemText(index) != (node.GetName() or node.GetID()):
            self._box.setItemText(index, node.GetName())

    def _select(self, node_id):
        self._box.blockSignals(True)
        self._box.setCurrentIndex(self._box.findData(node_id or ""))
        self._box.blockSignals(False)
        if node_id != self._current:
            self._current = node_id
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(node_id or "")

    def _activated(self, index):
        data = self._box.itemData(index)
        if data.startswith("+"):
            self.addNode(data[1:])
        else:
            self._select(data or None)
        self.nodeActivated.emit(self.currentNode())


def forget(observers: list) -> None:
    """Remove observers, given as object and tag."""
    for observed, tag in observers:
        observed.RemoveObserver(tag)
    observers.clear()


@widget
class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """The scene's nodes of some types, any number of them checked; none at first."""

    checkedNodesChanged = Signal()

    def __init__(self, parent=None):
        super().__init__(parent)
        self._checked = set()

    def checkedNodes(self):
        return tuple(node for node in self._nodes() if node.GetID() in self._checked)

    def uncheckedNodes(self):
        return tuple(node for node in self._nodes() if node.GetID() not in self._checked)

    def allChecked(self):
        return not self.uncheckedNodes()

    def noneChecked(self):
        return not self.checkedNodes()

    def checkState(self, node):
        return Qt.Checked if node is not None and node.GetID() in self._checked else Qt.Unchecked

    def setCheckState(self, node, state):
        before = set(self._checked)
        (self._checked.add if state == Qt.Checked else self._checked.discard)(node.GetID())
        self._mark()
        if before != self._checked:
            self.checkedNodesChanged.emit()

    def _refresh(self, *_):
        super()._refresh()
        gone = getattr(self, "_checked", set()) - set(self._ids)
        if gone:
            self._checked -= gone
            self.checkedNodesChanged.emit()
        self._mark()

    def _mark(self):
        for index in range(self._box.count):
            state = Qt.Checked if self._box.itemData(index) in getattr(self, "_checked", ()) else Qt.Unchecked
            self._box.setItemData(index, state, Qt.CheckStateRole)
