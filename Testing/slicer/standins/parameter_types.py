"""How typed parameters lie in a vtkMRMLScriptedModuleNode, in the manner of Slicer's parameterNodeWrapper."""

import enum
import pathlib
import typing
from dataclasses import dataclass

import slicer


@dataclass(frozen=True)
class Decimals:
    """How many decimals a widget shows."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """The step of a widget."""

    value: float


class Default:
    """An annotation that gives a parameter's default, or a function that makes it."""

    def __init__(self, value=None, *, generator=None):
        self._value, self._generator = value, generator

    @property
    def value(self):
        return self._generator() if self._generator else self._value


class Validator:
    """What a value has to fulfil before it is stored."""

    def validate(self, value) -> None:
        """Raise ValueError for a value that may not be stored."""
        raise NotImplementedError

    def require(self, holds: bool, expected: str, value) -> None:
        """Raise ValueError unless ``holds``."""
        if not holds:
            msg = f"{expected} expected, found {value!r}"
            raise ValueError(msg)


class WithinRange(Validator):
    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        self.require(self.minimum <= value <= self.maximum, f"a value in [{self.minimum}, {self.maximum}]", value)


class Minimum(Validator):
    def __init__(self, minimum):
        self.minimum = minimum

    def validate(self, value):
        self.require(value >= self.minimum, f"at least {self.minimum}", value)


class Maximum(Validator):
    def __init__(self, maximum):
        self.maximum = maximum

    def validate(self, value):
        self.require(value <= self.maximum, f"at most {self.maximum}", value)


class Choice(Validator):
    def __init__(self, choices):
        self.choices = choices

    def validate(self, value):
        self.require(value in self.choices, f"one of {self.choices}", value)


def split(annotated) -> tuple[object, tuple]:
    """A type and its annotations."""
    first, *rest = typing.get_args(typing.Annotated[annotated, None])
    return first, tuple(rest[:-1])


def first(annotations: tuple, kind: type):
    """The first annotation of a kind, or None."""
    return next((a for a in annotations if isinstance(a, kind)), None)


def is_node(kind) -> bool:
    """Whether a type is a class of MRML nodes."""
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def node_classes(annotated) -> tuple[str, ...] | None:
    """The class names of a node type or a union of them (with None or without); None for other types."""
    kind, _ = split(annotated)
    members = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,)
    nodes = [split(m)[0] for m in members if split(m)[0] is not type(None)]
    return tuple(n().GetClassName() for n in nodes) if nodes and all(map(is_node, nodes)) else None


class Stored:
    """A type that is kept as text; the base of the others."""

    default = ""
    accepts: type | tuple[type, ...] = str
    may_be_none = False

    def check(self, value):
        if (value is None and not self.may_be_none) or (value is not None and not isinstance(value, self.accepts)):
            msg = f"{self.accepts} expected, found {value!r}"
            raise (ValueError if value is None else TypeError)(msg)

    def contains(self, node, name):
        return bool(node.HasParameter(name))

    def write(self, node, name, value):
        node.SetParameter(name, str(value))

    def read(self, node, name):
        return node.GetParameter(name)

    def remove(self, node, name):
        node.UnsetParameter(name)


class StoredNumber(Stored):
    default = 0

    def __init__(self, kind):
        self.kind, self.accepts = kind, (int, float) if kind is float else int

    def read(self, node, name):
        return self.kind(node.GetParameter(name))


class StoredPath(Stored):
    def __init__(self, kind):
        self.kind, self.accepts, self.default = kind, kind, kind()

    def read(self, node, name):
        return self.kind(node.GetParameter(name))


class StoredBool(Stored):
    default, accepts = False, bool

    def read(self, node, name):
        return node.GetParameter(name) == "True"


class StoredEnum(Stored):
    may_be_none = True  # as in Slicer, where writing it then fails

    def __init__(self, kind):
        self.accepts, self.default = kind, next(iter(kind))

    def write(self, node, name, value):
        node.SetParameter(name, value.name)

    def read(self, node, name):
        return self.accepts[node.GetParameter(name)]


class StoredNode(Stored):
    """A node is a reference whose role is the parameter's name, marked by an empty text of the same name."""

    default, may_be_none = None, True

    def __init__(self, kind):
        self.accepts = kind

    def write(self, node, name, value):
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node, name):
        return node.GetNodeReference(name)

    def remove(self, node, name):
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class StoredNone(Stored):
    default, accepts, may_be_none = None, type(None), True

    def write(self, node, name, value):
        node.SetParameter(name, "True")

    def read(self, node, name):
        return None


class StoredUnion(Stored):
    """Stored by the first member that accepts the value, under the name with that member's number."""

    def __init__(self, members):
        self.members = [stored(member)[0] for member in members]
        optional = len(self.members) == 2 and isinstance(self.members[1], StoredNone)
        self.default = None if optional else self.members[0].default

    def member_of(self, value):
        for index, member in enumerate(self.members):
            if isinstance(value, member.accepts):
                return index, member
        msg = f"no member of the union stores {value!r}"
        raise TypeError(msg)

    def check(self, value):
        self.member_of(value)

    def contains(self, node, name):
        return any(m.contains(node, f"{name}.{i}") for i, m in enumerate(self.members))

    def write(self, node, name, value):
        index, member = self.member_of(value)
        self.remove(node, name)
        member.write(node, f"{name}.{index}", value)

    def read(self, node, name):
        for index, member in enumerate(self.members):
            if member.contains(node, f"{name}.{index}"):
                return member.read(node, f"{name}.{index}")
        raise KeyError(name)

    def remove(self, node, name):
        for index, member in enumerate(self.members):
            member.remove(node, f"{name}.{index}")


def stored(annotated) -> tuple[Stored, tuple]:
    """How a type is stored, and its annotations. ``A | B`` raises, as in Slicer: it takes ``typing.Union`` only."""
    kind, annotations = split(annotated)
    if kind in (int, float):
        return StoredNumber(kind), annotations
    plain = {str: Stored, bool: StoredBool, type(None): StoredNone}.get(kind)
    if plain:
        return plain(), annotations
    if kind in (pathlib.Path, pathlib.PurePath):
        return StoredPath(kind), annotations
    if is_node(kind):
        return StoredNode(kind), annotations
    if typing.get_origin(kind) is typing.Union:
        return StoredUnion(typing.get_args(kind)), annotations
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return StoredEnum(kind), annotations
    msg = f"no way to store {kind}"
    raise TypeError(msg)
