"""Stands in for Slicer's module ``qt``: PySide6 with the manners of PythonQt.

PySide6's classes are changed in place, once a process, so that what a .ui file makes behaves too and ``type(widget) is
qt.QPushButton`` holds. Stricter than PythonQt on purpose: an unknown signal, property or attribute raises.
"""

import inspect
import os
import xml.etree.ElementTree as ElementTree
from types import ModuleType

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from PySide6.QtCore import QObject

METHODS = {"sizeHint", "minimumSizeHint"}
"""Properties that stay methods, because Qt's layouts call them as such."""
SPECIAL_UI_PROPERTIES = {"buddy"}
"""What a .ui file gives as a property and Qt sets in another way."""
WIDGETS: dict[str, type] = {}
"""The stand-ins for widgets of CTK and Slicer, by the class name in a .ui file."""


class UiError(Exception):
    """A .ui file names a class, a property, a signal or a slot that isn't known here."""


def widget(cls: type) -> type:
    """Class decorator: offer a stand-in to .ui files and refuse unknown attributes on it."""
    WIDGETS[cls.__name__] = cls
    cls.__setattr__ = set_attribute
    return cls


class QtProperty:
    """A property of Qt, read and written without parentheses; on the class, whatever Qt has by that name."""

    def __init__(self, name: str, original: object) -> None:
        self.name, self.original = name, original

    def __get__(self, instance, owner=None):
        return self.original if instance is None else QObject.property(instance, self.name)

    def __set__(self, instance, value) -> None:
        if not QObject.setProperty(instance, self.name, value):
            msg = f"{type(instance).__name__}.{self.name} can't be set to {value!r}"
            raise AttributeError(msg)


def set_attribute(instance: QObject, name: str, value: object) -> None:
    """Like PythonQt: known properties can be set, no attributes be added to objects of C++."""
    found = next((vars(cls)[name] for cls in type(instance).__mro__ if name in vars(cls)), None)
    if isinstance(found, QtCore.Property):
        found = QtProperty(name, None)
    if hasattr(type(found), "__set__"):
        found.__set__(instance, value)
        return
    stands_in = type(instance).__name__ in WIDGETS
    foreign = type(instance).__module__.startswith("PySide6") or (stands_in and not name.startswith("_"))
    if foreign and not isinstance(value, QtCore.SignalInstance):  # those PySide6 itself keeps there
        msg = f"{type(instance).__name__} has no property {name!r}"
        raise AttributeError(msg)
    vars(instance)[name] = value


def signal(sender: QObject, signature: str) -> str:
    """A signal's signature as PySide6 knows it; Python's signals carry MRML objects as PyObject."""
    wanted = bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()
    for tried in (wanted, wanted.replace("vtkMRMLNode*", "PyObject").replace("vtkMRMLScene*", "PyObject")):
        if sender.metaObject().indexOfSignal(tried) >= 0:
            return QtCore.SIGNAL(tried)
    msg = f"{type(sender).__name__} has no signal {signature!r}"
    raise ValueError(msg)


def connect(sender: QObject, signature: str, *slot) -> bool:
    """``sender.connect('clicked(bool)', function)`` or ``(..., receiver, 'slot()')``."""
    if isinstance(signature, QObject):  # Qt's own static form, which PySide6 itself uses
        return QObject.connect(signature, *slot)
    function = slot[0] if len(slot) == 1 else getattr(slot[0], slot[1].partition("(")[0])
    return QObject.connect(sender, signal(sender, signature), function)


def disconnect(sender: QObject, signature: str, function=None) -> bool:
    """``sender.disconnect('clicked(bool)', function)``."""
    if function is None:
        return QObject.disconnect(sender, signal(sender, signature), None, None)
    return QObject.disconnect(sender, signal(sender, signature), function)


class UiLoader(QtUiTools.QUiLoader):
    """Makes the stand-ins that a .ui file names and fails where it names something that isn't known."""

    def load(self, device, parent=None):
        tree = ElementTree.fromstring(bytes(device.readAll()))
        unknown = {node.get("class") for node in tree.iter("widget")} - set(WIDGETS) - set(self.availableWidgets())
        if unknown - {"Line"}:
            msg = f"no stand-in for {', '.join(sorted(unknown))}"
            raise UiError(msg)
        connections = tree.find("connections")
        if connections is not None:
            tree.remove(connections)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.ReadOnly)
        top = super().load(buffer, parent)
        if top is None:
            raise UiError(self.errorString())
        check_properties(tree, top)
        for connection in connections if connections is not None else ():
            join(top, *(connection.findtext(part) for part in ("sender", "signal", "receiver", "slot")))
        return top

    def createWidget(self, class_name, parent=None, name=""):
        if class_name not in WIDGETS:
            return super().createWidget(class_name, parent, name)
        made = WIDGETS[class_name](parent)
        made.setObjectName(name)
        return made


def child(top: QObject, name: str) -> QObject:
    """The object of that name in what a .ui file made."""
    found = top if top.objectName == name else top.findChild(QObject, name)
    if found is None:
        msg = f"no object named {name!r}"
        raise UiError(msg)
    return found


def check_properties(tree: ElementTree.Element, top: QObject) -> None:
    """Qt would keep a misspelt property as a dynamic one."""
    for node in tree.iter("widget"):
        meta = child(top, node.get("name")).metaObject()
        for name in (item.get("name") for item in node.findall("property") if item.get("stdset") != "0"):
            if meta.indexOfProperty(name) < 0 and name not in SPECIAL_UI_PROPERTIES:
                msg = f"{node.get('class')} {node.get('name')!r} has no property {name!r}"
                raise UiError(msg)


def join(top: QObject, sender: str, signature: str, receiver: str, slot: str) -> None:
    """One of a .ui file's connections."""
    target, name = child(top, receiver), slot.partition("(")[0]
    if not callable(getattr(target, name, None)):
        msg = f"{receiver!r} has no slot {slot!r}"
        raise UiError(msg)
    connect(child(top, sender), signature, getattr(target, name))


def patch(cls: type) -> None:
    """Give one of PySide6's classes the manners of PythonQt."""
    meta = cls.__dict__["staticMetaObject"]
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(index).name()
        if name not in METHODS:
            setattr(cls, name, QtProperty(name, getattr(cls, name, None)))
    cls.__setattr__ = set_attribute


def patch_all() -> None:
    """Change PySide6 in place."""
    for module in (QtCore, QtGui, QtWidgets):
        for cls in (getattr(module, name) for name in dir(module)):
            if inspect.isclass(cls) and issubclass(cls, QObject) and "staticMetaObject" in vars(cls):
                patch(cls)
    original = QObject.__getattribute__
    verbs = {"connect": connect, "disconnect": disconnect}

    def attribute(instance, name):
        return verbs[name].__get__(instance) if name in verbs else original(instance, name)

    QObject.__getattribute__ = attribute
    QObject.name = QtProperty("objectName", None)
    QObject.className = lambda instance: instance.metaObject().className()
    QObject.delete = QObject.deleteLater
    for cls in (QtWidgets.QDialog, QtWidgets.QMenu, QtWidgets.QApplication):
        cls.exec_ = cls.exec


def make_module() -> ModuleType:
    """The module ``qt``."""
    module = ModuleType("qt")
    for part in (QtCore, QtGui, QtWidgets):
        vars(module).update({name: getattr(part, name) for name in dir(part) if name.startswith("Q")})
    module.QUiLoader = UiLoader
    return module


patch_all()
qt = make_module()
