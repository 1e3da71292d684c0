"""Stand-ins for the widgets of Slicer that show nodes: they follow the real scene."""

import slicer
import vtk
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Qt, Signal

from Testing.slicer.standins.ctk_widgets import ctkSliderWidget, stored
from Testing.slicer.standins.qt_module import widget

SCENE_EVENTS = {
    "NodeAddedEvent": ("_added", 10.0),
    "NodeAboutToBeRemovedEvent": ("_going", -10.0),
    "EndCloseEvent": ("_list_anew", 0.0),
    "EndImportEvent": ("_list_anew", 0.0),
}
"""What the list follows, with the priorities of Slicer's qMRMLSceneModel: who observes without any hears of a node's
end before the list does, but of a new one, and of the end of loading, after it. In the midst of loading it follows too.
"""


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
        self._scene, self._requested = None, ""
        self._scene_tags, self._node_tags, self._attributes = [], [], []
        self._box = QtWidgets.QComboBox()
        self._box.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self._box.currentIndexChanged.connect(self._changed)
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
    currentNodeID = Property(str, lambda self: self._current(), lambda self, value: self.setCurrentNodeID(value))

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        forget(self._scene_tags)
        self._scene = scene
        for name, (method, priority) in SCENE_EVENTS.items() if scene is not None else ():
            tag = scene.AddObserver(getattr(slicer.vtkMRMLScene, name), getattr(self, method), priority)
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
        return self._scene.GetNodeByID(self._current()) if self._scene is not None and self._current() else None

    def setCurrentNode(self, node):
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id):
        """Without a scene yet it is kept for later."""
        if self._scene is None:
            self._requested = node_id
        row = self._box.findData(node_id) if node_id else -1
        self._box.setCurrentIndex(row if row >= 0 else self._none())

    def nodeCount(self):
        return len(self._ids())

    def nodeFromIndex(self, index):
        ids = self._ids()
        return self._scene.GetNodeByID(ids[index]) if 0 <= index < len(ids) else None

    def addNode(self, node_type=None):
        node_type = node_type or self.nodeTypes[0]
        base = self.baseName or self._scene.GetTagByClassName(node_type)
        node = self._scene.AddNewNodeByClass(node_type, self._scene.GenerateUniqueName(base))
        for _, name, value in (a for a in self._attributes if a[0] == node_type):
            node.SetAttribute(name, value or "")
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _nodes(self):
        return [node for node in self._followed() if self._offered(node)]

    def _followed(self):
        """The nodes that are or could become part of the list, in the scene's order."""
        scene, kinds = self._scene, self.nodeTypes
        if scene is None:
            return []
        if len(kinds) == 1:  # most boxes: asked of the scene, which holds more than a hundred tables of colours
            found = scene.GetNodesByClass(kinds[0])
            found.UnRegister(None)  # a collection that the caller owns
            return [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]
        nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
        return [node for node in nodes if any(map(node.IsA, kinds))]

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

    def _none(self):
        """The row of no node."""
        return 0 if self.noneEnabled else -1

    def _ids(self):
        rows = [self._box.itemData(row) for row in range(self._box.count)]
        return [data for data in rows if data and not data.startswith("+")]

    def _current(self):
        data = self._box.itemData(self._box.currentIndex) or ""
        return "" if data.startswith("+") else data

    def _refresh(self, *_):
        """Another list, because of other properties or another scene; what is current stays it if it can."""
        before = self._current()
        self._box.blockSignals(True)
        self._box.clear()
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay, "")
        for node in self._nodes():
            self._box.addItem(node.GetName() or node.GetID(), node.GetID())
        for kind in self.nodeTypes if self.addEnabled and self._scene is not None else ():
            self._box.addItem(f"Create new {self._scene.GetTypeDisplayNameByClassName(kind)}", "+" + kind)
        self.setCurrentNodeID(before)
        self._choose_first()
        self._box.blockSignals(False)
        if self._current() != before:
            self._changed(self._box.currentIndex)
        self._listed()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _added(self, _scene, _event, node):
        if self._follows(node):
            if self._offered(node):
                self._insert(node)
            self._listed()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _going(self, scene, _event, node):
        """The row goes while the node is still there, and Qt keeps the index: another node becomes current."""
        if not scene.IsClosing() and self._follows(node):
            self._remove(self._box.findData(node.GetID()), 1)
            self._listed(node)

    def _list_anew(self, *_):
        """All rows go and come back, with which none is current."""
        self._remove(1 + self._none(), self.nodeCount())
        for node in self._nodes():
            self._insert(node)
        self._listed()

    def _insert(self, node):
        place = [other.GetID() for other in self._nodes()].index(node.GetID())
        row = 1 + self._none() + min(place, self.nodeCount())
        self._box.insertItem(row, node.GetName() or node.GetID(), node.GetID())
        self._choose_first()

    def _remove(self, row, count):
        if row < 0 or not count:
            return
        self._box.model().removeRows(row, count)
        if self.currentNode() is None:
            self.setCurrentNode(None)

    def _choose_first(self):
        if not self.noneEnabled and not self._current() and self._ids():
            self.setCurrentNodeID(self._ids()[0])

    def _listed(self, gone=None):
        """Observe the nodes that are or could become part of the list."""
        forget(self._node_tags)
        for node in self._followed():
            if node is not gone:
                self._node_tags.append((node, node.AddObserver("ModifiedEvent", self._modified)))

    def _follows(self, node):
        """Whether a node is or could become part of the list."""
        return any(map(node.IsA, self.nodeTypes))

    def _modified(self, node, _event):
        row, name = self._box.findData(node.GetID()), node.GetName() or node.GetID()
        if self._scene.IsClosing() or self._scene.IsImporting():
            return
        if row >= 0 and not self._offered(node):
            self._remove(row, 1)
        elif row < 0 and self._offered(node):
            self._insert(node)
        elif row >= 0 and self._box.itemText(row) != name:
            self._box.setItemText(row, name)
            if row == self._box.currentIndex:
                self._changed(row)

    def _changed(self, row):
        """Tell of the current node. Where an action became current instead of one, the last node does."""
        node = self.currentNode()
        if node is None and row != self._none():
            last = self.nodeFromIndex(self.nodeCount() - 1)
            if last is not None:
                self.setCurrentNode(last)
            return
        self.currentNodeChanged.emit(node)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def _activated(self, row):
        data = self._box.itemData(row)
        if data.startswith("+"):
            self.addNode(data[1:])
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

    def _listed(self, gone=None):
        super()._listed(gone)
        gone = getattr(self, "_checked", set()) - set(self._ids())
        if gone:
            self._checked -= gone
            self.checkedNodesChanged.emit()
        self._mark()

    def _mark(self):
        for index in range(self._box.count):
            state = Qt.Checked if self._box.itemData(index) in getattr(self, "_checked", ()) else Qt.Unchecked
            self._box.setItemData(index, state, Qt.CheckStateRole)
