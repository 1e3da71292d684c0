"""Stands in for ``slicer.parameterNodeWrapper``."""

import typing
import weakref
from types import ModuleType

import slicer
import vtk

from Testing.slicer.standins import gui_connectors, parameter_types
from Testing.slicer.standins.parameter_types import Decimals, Default, SingleStep, Validator, first, stored
from Testing.slicer.standins.qt_module import qt

NAME_PROPERTY = "SlicerParameterName"


class Description:
    """One parameter as its class declares it."""

    def __init__(self, name: str, annotated, cls: type) -> None:
        self.name, self.annotated = name, annotated
        self.stored, annotations = stored(annotated)
        self.validators = [a for a in annotations if isinstance(a, Validator)]
        unknown = [a for a in annotations if not isinstance(a, (Validator, Default, Decimals, SingleStep))]
        if unknown:
            msg = f"{cls.__name__}.{name} has annotations of no use: {unknown}"
            raise TypeError(msg)
        self.default = first(annotations, Default) or Default(self.stored.default)
        if hasattr(cls, name):
            self.default = Default(getattr(cls, name))

    def write(self, node, value) -> None:
        self.stored.check(value)
        for validator in self.validators:
            validator.validate(value)
        self.stored.write(node, self.name, value)

    def read(self, node):
        if not self.stored.contains(node, self.name):
            self.write(node, self.default.value)
        return self.stored.read(node, self.name)


class Cached:
    """A parameter's value, read anew whenever its node is modified."""

    def __init__(self, description: Description, node) -> None:
        self.description, self.node, self.writing = description, node, False
        self.value = description.read(node)
        own = weakref.ref(self)
        self.tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: own().modified())

    def __del__(self) -> None:
        self.node.RemoveObserver(self.tag)

    def modified(self) -> None:
        if not self.writing:
            self.value = self.description.read(self.node)

    def write(self, value) -> None:
        self.writing = True
        try:
            with slicer.util.NodeModify(self.node):
                self.description.write(self.node, value)
                self.value = self.description.read(self.node)
        finally:
            self.writing = False


class Wrapper:
    """What Slicer adds to a class of parameters. Unlike there, a misspelt parameter raises."""

    allParameters: typing.ClassVar[dict[str, Description]] = {}

    def __init__(self, parameterNode) -> None:
        self.parameterNode = parameterNode
        self._cached = {name: Cached(description, parameterNode) for name, description in self.allParameters.items()}
        self._guis, self._next_tag, self._updating = {}, 0, False

    def __setattr__(self, name, value):
        if name in self.allParameters:
            self._cached[name].write(value)
        elif name == "parameterNode" or name.startswith("_"):
            super().__setattr__(name, value)
        else:
            msg = f"{type(self).__name__} has no parameter {name!r}"
            raise AttributeError(msg)

    @classmethod
    def _check(cls, name: str) -> None:
        if name not in cls.allParameters:
            msg = f"no parameter {name!r}, only {', '.join(cls.allParameters)}"
            raise ValueError(msg)

    @classmethod
    def dataType(cls, name):
        cls._check(name)
        return cls.allParameters[name].annotated

    def default(self, name):
        self._check(name)
        return self.allParameters[name].default

    def isCached(self, name):
        self._check(name)
        return True

    def getValue(self, name):
        self._check(name)
        return self._cached[name].value

    def setValue(self, name, value):
        self._check(name)
        self._cached[name].write(value)

    def connectGui(self, gui) -> None:
        """Connect the widgets that have the dynamic property.

        Returns None, as in Slicer up to 5.10 at least (pull request 8667 gives the tag): what was connected by it can't
        be disconnected. ``connectParametersToGui`` does return its tag.
        """
        widgets = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else list(vars(gui).values())
        named = {widget.property(NAME_PROPERTY): widget for widget in widgets if widget.property(NAME_PROPERTY)}
        self.connectParametersToGui(named)

    def connectParametersToGui(self, widgets):
        connectors = {name: gui_connectors.connector(widget, self.dataType(name)) for name, widget in widgets.items()}
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        self._guis[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(self._follower(name, connector))
        own = weakref.ref(self)
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: own() and own()._show())
        # Else VTK could call a function that Python's garbage collector has taken apart: it doesn't see who holds it.
        weakref.finalize(self, self.parameterNode.RemoveObserver, observer)
        return tag

    def disconnectGui(self, tag) -> None:
        for connector in self._guis.pop(tag, {}).values():
            connector.disconnect()

    def _follower(self, name, connector):
        def changed(*_):
            with slicer.util.NodeModify(self):
                if not self._updating:
                    self.setValue(name, connector.read())

        return changed

    def _show(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in self._guis.values():
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, was_modified):
        return self.parameterNode.EndModify(was_modified)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        self.parameterNode.Modified()


def parameterNodeWrapper(cls=None):
    """Class decorator; the class keeps its own methods and gets the Wrapper's."""
    if cls is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(cls, include_extras=True)
    descriptions = {name: Description(name, annotated, cls) for name, annotated in hints.items()}
    for name in (n for n in vars(cls) if not n.startswith("__") and hasattr(Wrapper, n)):
        msg = f"{name!r} is a reserved name"
        raise ValueError(msg)
    content = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__", "__init__", *descriptions)}
    reading = {name: property(lambda self, name=name: self._cached[name].value) for name in descriptions}
    bases = (Wrapper, *(base for base in cls.__bases__ if base is not object))
    return type(cls.__name__, bases, {**content, **reading, "allParameters": descriptions})


def make_module() -> ModuleType:
    """The module ``slicer.parameterNodeWrapper``."""
    module = ModuleType("slicer.parameterNodeWrapper")
    names = ("Choice", "Decimals", "Default", "Maximum", "Minimum", "SingleStep", "Validator", "WithinRange")
    vars(module).update({name: getattr(parameter_types, name) for name in names})
    module.parameterNodeWrapper = parameterNodeWrapper
    module.SlicerParameterNamePropertyName = NAME_PROPERTY
    module.isParameterNodeWrapper = lambda thing: (
        isinstance(thing, Wrapper) or (isinstance(thing, type) and issubclass(thing, Wrapper))
    )
    return module
