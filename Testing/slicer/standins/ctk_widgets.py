"""Stands in for Slicer's module ``ctk``: the few of its widgets that a .ui file names."""

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Qt, Signal

from Testing.slicer.standins.qt_module import widget

HEADER = 24


def stored(kind: type | str, name: str, default: object, changed: str = "") -> Property:
    """A property of Qt that is a plain value; ``changed`` names the method that follows a new value."""

    def write(self, value):
        if value != getattr(self, "_" + name, default):
            setattr(self, "_" + name, value)
            if changed:
                getattr(self, changed)()

    return Property(kind, lambda self: getattr(self, "_" + name, default), write)


def forwarded(kind: type, inner: str, name: str) -> Property:
    """A property of Qt that belongs to a part of the widget."""

    def write(self, value):
        setattr(getattr(self, inner), name, value)

    return Property(kind, lambda self: getattr(getattr(self, inner), name), write)


@widget
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A titled section that folds. As in CTK, what was hidden for another reason stays hidden when it unfolds."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments):
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        super().__init__(next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None))
        self._folded = []
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(6, HEADER, 2, 2)
        self.toggled.connect(self._fold)

    collapsed = Property(bool, lambda self: not self.isChecked(), lambda self, value: self.setChecked(not value))

    def _fold(self, expanded):
        if expanded:
            for child in self._folded:
                child.setVisible(True)
            self._folded = []
        else:
            self._hide_children()
        self.setMaximumHeight(16777215 if expanded else HEADER + 4)
        self.contentsCollapsed.emit(not expanded)

    def _hide_children(self):
        shown = [c for c in self.findChildren(QtWidgets.QWidget, options=Qt.FindDirectChildrenOnly) if not c.isHidden()]
        self._folded = [*self._folded, *shown]
        for child in shown:
            child.setVisible(False)

    def showEvent(self, event):
        super().showEvent(event)
        if self.collapsed:
            self._hide_children()

    def hitButton(self, point):
        return point.y() <= HEADER

    def sizeHint(self):
        return self.layout().totalSizeHint() if self.layout() else QtCore.QSize(100, HEADER)

    def minimumSizeHint(self):
        return QtCore.QSize(100, HEADER)

    def paintEvent(self, event):
        painter = QtGui.QPainter(self)
        painter.fillRect(0, 0, self.width, HEADER - 2, self.palette.button())
        arrow = "▾" if self.isChecked() else "▸"
        painter.drawText(6, 0, self.width, HEADER - 2, Qt.AlignVCenter, f"{arrow}  {self.text}")
        painter.end()


@widget
class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box, for float values."""

    valueChanged = Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider, self._box = QtWidgets.QSlider(Qt.Horizontal), QtWidgets.QDoubleSpinBox()
        self._slider.setRange(0, 1000)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider, 1)
        row.addWidget(self._box)
        self._slider.sliderMoved.connect(self._slid)
        self._box.valueChanged.connect(self._changed)

    value = forwarded(float, "_box", "value")
    minimum = forwarded(float, "_box", "minimum")
    maximum = forwarded(float, "_box", "maximum")
    singleStep = forwarded(float, "_box", "singleStep")
    decimals = forwarded(int, "_box", "decimals")
    suffix = forwarded(str, "_box", "suffix")
    prefix = forwarded(str, "_box", "prefix")
    pageStep = stored(float, "pageStep", 1.0)
    tracking = stored(bool, "tracking", True)

    def _slid(self, position):
        self._box.setValue(self.minimum + (self.maximum - self.minimum) * position / 1000)

    def _changed(self, value):
        extent = self.maximum - self.minimum
        self._slider.setValue(round(1000 * (value - self.minimum) / extent) if extent > 0 else 0)
        self.valueChanged.emit(value)

    def setValue(self, value):
        self._box.setValue(value)


@widget
class ctkDoubleSlider(QtWidgets.QWidget):
    """A slider for float values, around one for integers as in CTK."""

    valueChanged = Signal(float)
    STEPS = 10000

    def __init__(self, *arguments):
        super().__init__(next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None))
        self._value, self._slider = 0.0, QtWidgets.QSlider(Qt.Horizontal)
        self._slider.setRange(0, self.STEPS)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        self._slider.sliderMoved.connect(self._slid)

    def setValue(self, value):
        value = min(max(value, self.minimum), self.maximum)
        changed, self._value = value != self._value, value
        extent = self.maximum - self.minimum
        self._slider.setValue(round(self.STEPS * (value - self.minimum) / extent) if extent > 0 else 0)
        if changed:
            self.valueChanged.emit(value)

    def _slid(self, position):
        self.setValue(self.minimum + (self.maximum - self.minimum) * position / self.STEPS)

    def _limit(self):
        self.setValue(self._value)

    value = Property(float, lambda self: self._value, lambda self, value: self.setValue(value))
    minimum = stored(float, "minimum", 0.0, "_limit")
    maximum = stored(float, "maximum", 99.0, "_limit")
    singleStep = stored(float, "singleStep", 1.0)
    tracking = stored(bool, "tracking", True)
    orientation = forwarded(Qt.Orientation, "_slider", "orientation")


@widget
class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for the path of a file or folder."""

    currentPathChanged = Signal(str)
    Dirs, Drives, Files, Hidden, Readable, Writable, Executable = 0x001, 0x004, 0x002, 0x100, 0x010, 0x020, 0x040

    def __init__(self, parent=None):
        super().__init__(parent)
        self._line = QtWidgets.QLineEdit()
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._line, 1)
        row.addWidget(QtWidgets.QToolButton(text="..."))
        self._line.textChanged.connect(self.currentPathChanged)

    currentPath = forwarded(str, "_line", "text")
    filters = stored(int, "filters", 0)
    nameFilters = stored("QStringList", "nameFilters", [])
    settingKey = stored(str, "settingKey", "")
    showBrowseButton = stored(bool, "showBrowseButton", True)

    def setCurrentPath(self, path):
        self._line.setText(path)

    def addCurrentPathToHistory(self):
        """The history isn't part of what is tested."""
