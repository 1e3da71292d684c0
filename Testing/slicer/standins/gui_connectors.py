"""Which widget shows which type of parameter, by exact class as in Slicer's parameterNodeWrapper/guiConnectors.py."""

import enum
import pathlib
from collections.abc import Callable

from Testing.slicer.standins import mrml_widgets
from Testing.slicer.standins.ctk_module import ctk
from Testing.slicer.standins.parameter_types import (
    Choice,
    Decimals,
    Maximum,
    Minimum,
    SingleStep,
    WithinRange,
    first,
    node_classes,
    split,
)
from Testing.slicer.standins.qt_module import qt

CHECKED = (qt.QCheckBox, qt.QPushButton)
WHOLE = (qt.QSlider, qt.QSpinBox, qt.QDoubleSpinBox, ctk.ctkSliderWidget)
REAL = (qt.QDoubleSpinBox, ctk.ctkSliderWidget, ctk.ctkDoubleSlider)
BOUNDED = (qt.QSlider, ctk.ctkSliderWidget, ctk.ctkDoubleSlider)


class Connector:
    """Reads and writes one widget and follows its signal."""

    def __init__(self, signal, read: Callable, write: Callable) -> None:
        self.signal, self.read, self.write, self.slot = signal, read, write, None

    def connect(self, slot: Callable) -> None:
        self.slot = slot
        if self.signal is not None:
            self.signal.connect(slot)

    def disconnect(self) -> None:
        if self.signal is not None:
            self.signal.disconnect(self.slot)


def by_property(widget, name: str, signal: str, convert: Callable = lambda value: value) -> Connector:
    """A connector to one property of a widget."""
    return Connector(
        getattr(widget, signal), lambda: convert(getattr(widget, name)), lambda value: setattr(widget, name, value)
    )


def connector(widget, annotated) -> Connector:
    """The connector of a widget and a type; RuntimeError where Slicer has none."""
    kind, annotations = split(annotated)
    cls = type(widget)
    if kind is bool and cls in CHECKED:
        if cls is qt.QPushButton:
            widget.checkable = True
        return by_property(widget, "checked", "toggled")
    if (kind is int and cls in WHOLE) or (kind is float and cls in REAL):
        limit(widget, kind, annotations)
        return by_property(widget, "value", "valueChanged", kind)
    if cls is qt.QComboBox and (
        kind in (int, float, str, bool) or (isinstance(kind, type) and issubclass(kind, enum.Enum))
    ):
        return combo_box(widget, kind, annotations)
    if kind is str:
        texts = {qt.QLineEdit: "text", qt.QTextEdit: "plainText"}
        if cls in texts:
            return by_property(widget, texts[cls], "textChanged")
        if cls is qt.QLabel:
            return Connector(None, lambda: widget.text, lambda value: setattr(widget, "text", value))
    if cls is ctk.ctkPathLineEdit and kind in (pathlib.Path, pathlib.PurePath):
        signal = widget.currentPathChanged
        return Connector(signal, lambda: kind(widget.currentPath), lambda value: widget.setCurrentPath(str(value)))
    if cls is mrml_widgets.qMRMLNodeComboBox and node_classes(annotated):
        widget.nodeTypes = list(node_classes(annotated))
        return Connector(widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)
    msg = f"no connection between {cls.__name__} and {annotated}"
    raise RuntimeError(msg)


def limit(widget, kind: type, annotations: tuple) -> None:
    """Set a widget's range, decimals and step by the annotations; sliders need a range."""
    for annotation, name in ((Decimals, "decimals"), (SingleStep, "singleStep")):
        found = first(annotations, annotation)
        if found is not None:
            setattr(widget, name, found.value)
    within = first(annotations, WithinRange)
    low, high = within or first(annotations, Minimum), within or first(annotations, Maximum)
    if type(widget) in BOUNDED and not (low and high):
        msg = f"{type(widget).__name__} needs a parameter with bounds"
        raise RuntimeError(msg)
    lowest, highest = (-(2**31), 2**31 - 1) if kind is int else (float("-inf"), float("inf"))
    widget.minimum = low.minimum if low else lowest
    widget.maximum = high.maximum if high else highest


def combo_box(widget, kind: type, annotations: tuple) -> Connector:
    """Fill the box with the choices, as text: with ``label()`` or the names of an Enum, with str() of a Choice."""
    choice = first(annotations, Choice)
    if issubclass(kind, enum.Enum):
        values = list(kind)
        texts = [value.label() if hasattr(kind, "label") else value.name for value in values]
    elif choice is None:
        msg = "a combo box needs the annotation Choice"
        raise RuntimeError(msg)
    else:
        values, texts = list(choice.choices), [str(value) for value in choice.choices]
    widget.clear()
    widget.addItems(texts)
    return Connector(
        widget.currentIndexChanged,
        lambda: values[widget.currentIndex],
        lambda value: setattr(widget, "currentIndex", values.index(value)),
    )
