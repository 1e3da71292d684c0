"""Landmark pairs in the scene: for each observer one list of points in the fixed and one in the moving image.

The points of a pair have the same label. The fixed list names its observer in an attribute, both lists refer to the
image that they belong to, and the moving list to its fixed list, so that all of it is found again in a saved scene. How
a point came to its place and what the review made of the pair are words in its description, such as ``provenance=manual
state=accepted``. All positions are in world coordinates: the lists may lie below transforms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import slicer

from ..landmark_review.description import with_words, words_of
from ..landmark_review.pairs import LandmarkPair, Point, Provenance, State, check_labels
from ..landmarks import LandmarkError
from .changes import all_or_nothing
from .outputs import ROLE_PREFIX
from .volumes import NodeError

LIST_CLASS = "vtkMRMLMarkupsFiducialNode"
OBSERVER_ATTRIBUTE = f"{ROLE_PREFIX}observer"
FIXED_LIST_ROLE = f"{ROLE_PREFIX}fixed_list"
"""The moving list refers to its fixed list by it."""
IMAGE_ROLE = f"{ROLE_PREFIX}image"
"""A list refers to its image by it."""
COLORS = {"fixed": (0.38, 0.78, 1.0), "moving": (1.0, 0.60, 0.38)}
"""Of the points, as the display presets tint the images."""


@dataclass(frozen=True, eq=False)
class PairLists:
    """One observer's two lists.

    Attributes:
        observer: Who placed the points.
        fixed: Points in the fixed image.
        moving: Points in the moving image.
    """

    observer: str
    fixed: slicer.vtkMRMLMarkupsFiducialNode
    moving: slicer.vtkMRMLMarkupsFiducialNode

    @property
    def both(self) -> tuple[slicer.vtkMRMLMarkupsFiducialNode, slicer.vtkMRMLMarkupsFiducialNode]:
        """The fixed and the moving list."""
        return self.fixed, self.moving


def pair_lists(
    scene: slicer.vtkMRMLScene, fixed: slicer.vtkMRMLVolumeNode | None, moving: slicer.vtkMRMLVolumeNode | None
) -> list[PairLists]:
    """All observers' lists of two images, in the scene's order."""
    if fixed is None or moving is None:
        return []
    count = scene.GetNumberOfNodesByClass(LIST_CLASS)
    found = []
    for node in (scene.GetNthNodeByClass(number, LIST_CLASS) for number in range(count)):
        partner = node.GetNodeReference(FIXED_LIST_ROLE)
        if partner is None or node.GetNodeReference(IMAGE_ROLE) is not moving:
            continue
        if partner.GetNodeReference(IMAGE_ROLE) is fixed:
            found.append(PairLists(partner.GetAttribute(OBSERVER_ATTRIBUTE) or "", partner, node))
    return found


def add_pair_lists(observer: str, fixed: slicer.vtkMRMLVolumeNode, moving: slicer.vtkMRMLVolumeNode) -> PairLists:
    """Two new lists, beside their images in the subject hierarchy.

    Raises:
        NodeError: The observer has lists for these images already.
    """
    if any(lists.observer == observer for lists in pair_lists(fixed.GetScene(), fixed, moving)):
        msg = f"{observer}: found landmark lists of {fixed.GetName()} and {moving.GetName()} already, expected none"
        raise NodeError(msg)
    with all_or_nothing(fixed.GetScene()) as changes:
        nodes = {}
        for part, image in (("fixed", fixed), ("moving", moving)):
            node = nodes[part] = changes.new_node(LIST_CLASS, f"Landmarks {image.GetName()} {observer}".strip())
            changes.show(node)
            changes.put_beside(node, image)
            changes.mark(node, OBSERVER_ATTRIBUTE, observer)
            changes.set_reference(node, IMAGE_ROLE, image)
            display = node.GetDisplayNode()
            display.SetGlyphType(display.CrossDot2D)  # its middle is open: the anatomy is what a reader looks at
            display.SetSelectedColor(*COLORS[part])
            display.SetPropertiesLabelVisibility(False)
        changes.set_reference(nodes["moving"], FIXED_LIST_ROLE, nodes["fixed"])
    return PairLists(observer, nodes["fixed"], nodes["moving"])


def defined_points(node: slicer.vtkMRMLMarkupsNode) -> dict[int, str]:
    """The indices of the points that have a position, with their labels; not the one that follows the mouse."""
    defined = slicer.vtkMRMLMarkupsNode.PositionDefined
    indices = range(node.GetNumberOfControlPoints())
    return {i: node.GetNthControlPointLabel(i) for i in indices if node.GetNthControlPointPositionStatus(i) == defined}


def indices_by_label(node: slicer.vtkMRMLMarkupsNode) -> dict[str, int]:
    """The index of the point of each label.

    Raises:
        NodeError: A label that stands twice, or a point without one.
    """
    indices: dict[str, int] = {}
    for index, label in defined_points(node).items():
        if not label.strip():
            msg = f"{node.GetName()}: found point {index + 1} without a label, expected a name for each point"
            raise NodeError(msg)
        if label in indices:
            msg = f"{node.GetName()}: found the label {label} more than once, expected each label once"
            raise NodeError(msg)
        indices[label] = index
    return indices


def pairs_of(lists: PairLists) -> list[LandmarkPair]:
    """An observer's pairs, in the order of the fixed list; one without a moving point is there, too.

    Raises:
        NodeError: A label that stands twice in a list, a point without one, an unknown provenance or state.
    """
    fixed, moving = (indices_by_label(node) for node in lists.both)
    return [pair_of(lists, label, index, moving.get(label)) for label, index in fixed.items()]


def pair_of(lists: PairLists, label: str, fixed: int, moving: int | None) -> LandmarkPair:
    """The pair of a point of the fixed list and one of the moving list, or None."""
    words = words_of(lists.fixed.GetNthControlPointDescription(fixed))
    theirs = words_of(lists.moving.GetNthControlPointDescription(moving)) if moving is not None else {}
    locked = any(node.GetLocked() for node in lists.both) or bool(lists.fixed.GetNthControlPointLocked(fixed))
    try:
        return LandmarkPair(
            label=label,
            fixed_ras=lists.fixed.GetNthControlPointPositionWorld(fixed),
            moving_ras=None if moving is None else lists.moving.GetNthControlPointPositionWorld(moving),
            observer=lists.observer,
            fixed_provenance=Provenance(words.get("provenance", Provenance.MANUAL)),
            moving_provenance=Provenance(theirs.get("provenance", Provenance.MANUAL)),
            state=State(words.get("state", State.UNREVIEWED)),
            locked=locked,
        )
    except (LandmarkError, ValueError) as error:
        msg = f"{lists.fixed.GetName()}, {lists.moving.GetName()}: {error}"
        raise NodeError(msg) from error


def lonely_labels(lists: PairLists) -> list[str]:
    """The labels of moving points that no fixed point belongs to."""
    fixed = set(defined_points(lists.fixed).values())
    return [label for label in defined_points(lists.moving).values() if label not in fixed]


def set_pairs(lists: PairLists, pairs: Sequence[LandmarkPair]) -> None:
    """Make these an observer's pairs. Points that stay keep whatever else Slicer holds of them.

    Raises:
        NodeError: A locked list.
        LandmarkError: A label that stands twice.
    """
    check_unlocked(lists)
    check_labels(pairs, lists.fixed.GetName())
    gone = set(indices_by_label(lists.fixed)) - {pair.label for pair in pairs}
    for node in lists.both:
        modifying, moving = node.StartModify(), node is lists.moving
        places = {pair.label: pair.moving_ras if moving else pair.fixed_ras for pair in pairs}
        for label in gone | {label for label, place in places.items() if place is None}:
            remove_point(node, label)
        indices = indices_by_label(node)
        for pair in pairs:
            place = places[pair.label]
            if place is not None:
                set_point(node, pair, place, indices.get(pair.label), moving=moving)
        node.EndModify(modifying)


def rename_pair(lists: PairLists, label: str, new: str) -> None:
    """Give a pair another label.

    Raises:
        NodeError: A locked list, an empty label, or one that another point has.
    """
    check_unlocked(lists)
    if not new.strip():
        msg = f"{lists.fixed.GetName()}: found no label, expected a name"
        raise NodeError(msg)
    for node in lists.both:
        if new in defined_points(node).values():
            msg = f"{node.GetName()}: found the label {new} already, expected another one"
            raise NodeError(msg)
    for node in lists.both:
        index = indices_by_label(node).get(label)
        if index is not None:
            node.SetNthControlPointLabel(index, new)


def check_unlocked(lists: PairLists) -> None:
    """Raise :class:`NodeError` where one of the lists is locked."""
    for node in lists.both:
        if node.GetLocked():
            msg = f"{node.GetName()}: found a locked list, expected an unlocked one; unlock it in the module Markups"
            raise NodeError(msg)


def set_point(
    node: slicer.vtkMRMLMarkupsNode, pair: LandmarkPair, place: Point, index: int | None, *, moving: bool
) -> None:
    """Bring a list's point into step with a pair; it is added where there is none, ``index`` is then None."""
    if index is None:
        index = node.AddControlPointWorld(*place, pair.label)
    elif tuple(node.GetNthControlPointPositionWorld(index)) != place:
        node.SetNthControlPointPositionWorld(index, *place)
    words: dict[str, str] = {"provenance": pair.moving_provenance if moving else pair.fixed_provenance}
    if not moving:
        words["state"] = pair.state
    before = node.GetNthControlPointDescription(index)
    description = with_words(before, words)
    if description != before:
        node.SetNthControlPointDescription(index, description)
    node.SetNthControlPointLocked(index, pair.locked)


def remove_point(node: slicer.vtkMRMLMarkupsNode, label: str) -> None:
    """Take the point of a label out of a list; nothing where there is none."""
    index = indices_by_label(node).get(label)
    if index is not None:
        node.RemoveNthControlPoint(index)
