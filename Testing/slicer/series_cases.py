"""A breath of the synthetic chest as a 4D image in the scene: oblique, below a transform, all motion known."""

import numpy as np
import slicer
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.mrml import node_from_volume
from LungDeepRegLib.phantom import PhantomConfig, PhantomSeries
from LungDeepRegLib.volume import Volume

from Testing.slicer.conftest import oblique_lattice
from Testing.slicer.mrml_cases import TABLE
from Testing.slicer.scene import linear_transform

LATTICE = oblique_lattice((26, 25, 34), (10.5, 11.0, 12.0), (5, -7, 9), (0, -6, -3), flip=-1.0)
PHANTOM = PhantomSeries(PhantomConfig(motion_mm=25.0, landmarks=8), 10, LATTICE)
"""In the sequence's own frame; the world's is :data:`TABLE` times that."""
IMAGES = [PHANTOM.image(phase)[0] for phase in range(PHANTOM.count)]


def world(points: np.ndarray) -> np.ndarray:
    """Where points of the sequence's own frame are in the world."""
    return apply(TABLE, points)


def true_phi(reference: int, phase: int, points: np.ndarray) -> np.ndarray:
    """The known map between two phases, in the world."""
    return world(PHANTOM.phi(reference, phase, apply(np.linalg.inv(TABLE), points)))


def sequence_of(scene, images: dict[str, Volume | None], name="4D CT", unit="%"):
    """A sequence of volumes; None gives a volume of one slice, which can't be registered."""
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("phase")
    sequence.SetIndexUnit(unit)
    if not unit:
        sequence.SetIndexType(sequence.TextIndex)
    for value, image in images.items():
        if image is None:
            node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scout")
            slicer.util.updateVolumeFromArray(node, np.zeros((1, 20, 20), np.int16))
        else:
            node = node_from_volume(image, scene)
        sequence.SetDataNodeAtValue(node, value)
        for gone in (node.GetDisplayNode(), node):
            if gone is not None:
                scene.RemoveNode(gone)
    return sequence


def breathing(scene, phases=range(10), replaced=(), **settings):
    """A browser and the sequence that it shows, below a table.

    Args:
        scene: Where.
        phases: Those of the phantom.
        replaced: Other images by phase.
        settings: Of :func:`sequence_of`.
    """
    images = {str(10 * phase): IMAGES[phase] for phase in phases} | dict(replaced)
    sequence = sequence_of(scene, images, **settings)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "breath")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.GetProxyNode(sequence).SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
    return browser, sequence


def landmarks_node(scene, phase=0, count=None):
    """The phantom's landmarks of a phase as a point list in the world."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "branchings")
    landmarks = PHANTOM.landmarks(phase)
    for point, label in list(zip(world(landmarks.points_ras).tolist(), landmarks.labels, strict=True))[:count]:
        node.AddControlPoint(point, label)
    return node
