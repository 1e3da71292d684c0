"""Candidates for landmarks in the scene: a list of points that no person placed, and that judges nothing."""

from __future__ import annotations

import numpy as np
import slicer

from ..landmark_review.description import with_words
from ..landmark_review.pairs import Provenance
from .changes import all_or_nothing, remove_node
from .landmark_pairs import IMAGE_ROLE, LIST_CLASS
from .outputs import ROLE_PREFIX

CANDIDATES_ATTRIBUTE = f"{ROLE_PREFIX}candidates"
GRAY = (0.7, 0.7, 0.7)


def candidates_of(image: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLMarkupsFiducialNode | None:
    """The list of an image's candidates, or None."""
    scene = image.GetScene()
    nodes = [scene.GetNthNodeByClass(number, LIST_CLASS) for number in range(scene.GetNumberOfNodesByClass(LIST_CLASS))]
    found = (node for node in nodes if node.GetAttribute(CANDIDATES_ATTRIBUTE) is not None)
    return next((node for node in found if node.GetNodeReference(IMAGE_ROLE) is image), None)


def set_candidates(image: slicer.vtkMRMLVolumeNode, points: np.ndarray) -> slicer.vtkMRMLMarkupsFiducialNode:
    """Make points ``(N, 3)``, RAS mm of the world, the candidates of an image, in place of those that it had.

    The list is locked, and hidden: one shows the place that is looked at, not all of them over the anatomy.
    """
    before = candidates_of(image)
    with all_or_nothing(image.GetScene()) as changes:
        node = changes.new_node(LIST_CLASS, f"Candidates {image.GetName()}")
        changes.show(node)
        changes.put_beside(node, image)
        changes.mark(node, CANDIDATES_ATTRIBUTE, Provenance.AUTOMATIC)
        changes.set_reference(node, IMAGE_ROLE, image)
        for number, point in enumerate(points.tolist(), start=1):
            index = node.AddControlPointWorld(*point, f"c{number}")
            node.SetNthControlPointDescription(index, with_words("", {"provenance": Provenance.AUTOMATIC}))
        node.SetLocked(True)
        node.GetDisplayNode().SetSelectedColor(*GRAY)
        node.GetDisplayNode().SetPropertiesLabelVisibility(False)
        node.GetDisplayNode().SetVisibility(False)
    if before is not None:
        remove_node(before)
    return node
