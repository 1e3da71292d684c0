"""The module opened on a registered pair, with real views to click in: what the tests of the landmarks share."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from LungDeepRegLib.mrml import node_from_volume, publish
from PySide6 import QtTest

from Testing.slicer.gui import click
from Testing.slicer.mrml_cases import below, outcome_of
from Testing.slicer.preset_cases import TURNED
from Testing.slicer.standins.qt_module import qt
from Testing.slicer.views import Views

MODULE = Path(__file__).parents[2] / "LungDeepReg" / "LungDeepReg.py"


@dataclass
class LandmarkCase:
    """A registered pair below a turned table, the module's widget and the views.

    Attributes:
        session: The application.
        scene: Its scene.
        views: Its view area, or None.
        nodes: ``ResultNodes``.
        widget: The module's widget object.
    """

    session: object
    scene: object
    views: Views | None
    nodes: object
    widget: object
    clicked: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    @property
    def panel(self):
        return self.widget.landmarks

    @property
    def ui(self):
        return self.panel.ui

    @property
    def desk(self):
        return self.panel.desk

    @property
    def book(self):
        return self.desk.book

    def aim(self, view: str, point) -> np.ndarray:
        """Scroll a view to a place of the world, as a reader does; where a click there hits, since it hits a pixel."""
        node = self.views[view].node
        node.JumpSliceByCentering(*map(float, point))
        return np.array(node.GetXYToRAS().MultiplyPoint((*self.views[view].pixel(point), 0.0, 1.0))[:3])

    def click_at(self, view: str, point) -> np.ndarray:
        """Scroll to a place and click there; where it was hit."""
        hit = self.aim(view, point)
        self.views[view].click(hit)
        self.views[view].leave()
        qt.QApplication.processEvents()
        return hit

    def place(self, fixed, moving, views=("Red", "Red+")) -> str:
        """Place a pair by two clicks, after the button was clicked; its label."""
        label = self.book.freeLabel()
        hits = [self.click_at(view, point) for view, point in zip(views, (fixed, moving), strict=True)]
        self.clicked[label] = dict(zip(("fixed", "moving"), hits, strict=True))
        return label

    def drag(self, view: str, start, stop) -> np.ndarray:
        """Drag a landmark that is seen in a view; to where."""
        self.aim(view, start)
        self.views[view].render()
        target = self.views[view].pixel(stop)
        self.views[view].drag(np.asarray(start), np.asarray(stop))
        self.views[view].leave()
        qt.QApplication.processEvents()
        return np.array(self.views[view].node.GetXYToRAS().MultiplyPoint((*target, 0.0, 1.0))[:3])

    def select(self, label: str) -> None:
        """Click a row."""
        table = self.ui.pairsTable
        place = table.visualItemRect(table.item(self.labels().index(label), 0)).center()
        QtTest.QTest.mouseClick(table.viewport(), qt.Qt.LeftButton, qt.Qt.NoModifier, place)
        qt.QApplication.processEvents()

    def labels(self) -> list[str]:
        """As the rows have them."""
        return [self.cell(row, 0) for row in range(self.ui.pairsTable.rowCount)]

    def cell(self, row: int, column: int) -> str:
        return self.ui.pairsTable.item(row, column).text()

    def row(self, label: str) -> list[str]:
        """The texts of a pair's row."""
        row = self.labels().index(label)
        return [self.cell(row, column) for column in range(self.ui.pairsTable.columnCount)]

    def press(self, key) -> None:
        """Press a key while the mouse is in the views, which are part of the same window."""
        QtTest.QTest.keyClick(self.widget.parent.window(), key)
        qt.QApplication.processEvents()

    def status(self) -> str:
        return self.ui.statusLabel.text

    def observe(self, name: str) -> None:
        """Enter an observer's name."""
        self.ui.observerSelector.setCurrentText(name)
        self.ui.observerSelector.lineEdit().editingFinished.emit()
        qt.QApplication.processEvents()

    def start(self) -> None:
        click(self.ui.placeButton)

    def stop(self) -> None:
        self.press(qt.Qt.Key_Escape)

    def shown(self, view: str):
        """The volume in a view."""
        return self.scene.GetNodeByID(self.views[view].composite.GetBackgroundVolumeID() or "")

    def height(self, view: str, point) -> float:
        """How far a place of the world is above a view's slice, in mm."""
        plane = self.views[view].node.GetSliceToRAS()
        normal, origin = (np.array([plane.GetElement(row, column) for row in range(3)]) for column in (2, 3))
        return float(normal @ (np.asarray(point) - origin))

    def fixed_centre(self) -> np.ndarray:
        """The middle of the fixed image in the world."""
        bounds = [0.0] * 6
        self.nodes.fixed.GetRASBounds(bounds)
        return np.array(bounds).reshape(3, 2).mean(axis=1)

    def pixel_mm(self, view: str) -> float:
        """The size of a view's pixels."""
        node = self.views[view].node
        return node.GetFieldOfView()[0] / node.GetDimensions()[0]

    def yellow(self, view: str, point) -> bool:
        """Whether a view marks a place of the world by the cross."""
        picture, (x, y) = self.views[view].grab().astype(int), self.views[view].pixel(point)
        near = picture[::-1][y - 8 : y + 9, x - 8 : x + 9]
        return bool(((near[..., 0] > 200) & (near[..., 1] > 150) & (near[..., 2] < 90)).any())

    def shows(self, view: str, node) -> bool:
        """Whether a view shows a list's points."""
        display = node.GetDisplayNode()
        return bool(display.GetVisibility() and display.IsDisplayableInView(self.views[view].node.GetID()))

    def view_state(self) -> dict:
        """What the user would find changed in the views."""
        found = {"layout": self.views.layout.GetViewArrangement()}
        for name in ("Red", "Green", "Yellow"):
            node, layers = self.views[name].node, self.views[name].composite
            matrix = [node.GetSliceToRAS().GetElement(row, column) for row in range(4) for column in range(4)]
            volumes = layers.GetBackgroundVolumeID(), layers.GetForegroundVolumeID(), layers.GetLabelVolumeID()
            views = tuple(node.GetFieldOfView()), node.GetViewGroup(), layers.GetLinkedControl()
            found[name] = np.round(matrix, 9).tolist(), volumes, views
        return found

    def distance(self, view: str, point) -> float:
        """How far a place of the world is from the middle of a view's slice, in mm."""
        node = self.views[view].node
        width, height, _ = node.GetDimensions()
        middle = np.array(node.GetXYToRAS().MultiplyPoint((width / 2, height / 2, 0.0, 1.0))[:3])
        return float(np.linalg.norm(middle - point))


@pytest.fixture
def landmark_views(slicer_application) -> Iterator[Views]:
    """The view area."""
    views = Views(slicer_application.scene, slicer_application.started.logic, size=(600, 400))
    slicer_application.app.show_views(views.views)
    yield views
    views.close()


@pytest.fixture
def landmark_panel(slicer_application, pair, registration) -> Iterator[LandmarkCase]:
    """The module on a result: an oblique, left-handed fixed image below a table, and a coronal moving image."""
    scene = slicer_application.scene
    fixed, moving = node_from_volume(pair.fixed, scene), node_from_volume(pair.moving, scene)
    below(scene, fixed, TURNED)
    nodes = publish(outcome_of(registration, pair), fixed, moving)
    widget = slicer_application.open_module(MODULE)
    widget.register.parameters.fixedVolume, widget.register.parameters.movingVolume = fixed, moving
    widget.onResult(nodes)
    widget.landmarks.ui.landmarksButton.collapsed = False
    show(widget.parent)
    yield LandmarkCase(slicer_application, scene, None, nodes, widget)
    widget.exit()
    widget.parent.hide()


@pytest.fixture
def landmark_case(landmark_views, landmark_panel) -> LandmarkCase:
    """The same with views that show the fixed image."""
    landmark_panel.views = landmark_views
    for name in ("Red", "Green", "Yellow"):
        landmark_views[name].composite.SetBackgroundVolumeID(landmark_panel.nodes.fixed.GetID())
        landmark_views[name].logic.FitSliceToBackground()
    return landmark_panel


def show(panel) -> None:
    """Bring the panel onto the screen, so that its keys work."""
    panel.resize(520, 1400)
    panel.show()
    panel.activateWindow()
    QtTest.QTest.qWaitForWindowActive(panel)
