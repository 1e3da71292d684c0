"""The phases of a sequence (a 4D CT) as volume nodes of their own."""

from __future__ import annotations

import slicer
import vtk

from .changes import Changes, all_or_nothing
from .display import show_like
from .volumes import NodeError, volume_from_node


def phases(browser: slicer.vtkMRMLSequenceBrowserNode) -> list[str]:
    """The index values of a browser's master sequence with their unit, such as ``0 %``, in its own order.

    Raises:
        NodeError: No browser, or one without a sequence or time points.
    """
    master = master_sequence(browser)
    unit = master.GetIndexUnit() if master.GetIndexType() == master.NumericIndex else ""
    values = [master.GetNthIndexValue(index) for index in range(master.GetNumberOfDataNodes())]
    return [f"{value} {unit}" if unit else value for value in values]


def image_sequences(browser: slicer.vtkMRMLSequenceBrowserNode) -> list[slicer.vtkMRMLSequenceNode]:
    """The sequences of scalar volumes that a browser goes through, the master sequence first if it is one.

    Raises:
        NodeError: As :func:`phases`.
    """
    others = vtk.vtkCollection()
    browsed = [master_sequence(browser)]
    browser.GetSynchronizedSequenceNodes(others)
    browsed += [others.GetItemAsObject(index) for index in range(others.GetNumberOfItems())]
    return [sequence for sequence in browsed if sequence.GetDataNodeClassName() == "vtkMRMLScalarVolumeNode"]


def phase_nodes(
    browser: slicer.vtkMRMLSequenceBrowserNode,
    sequence: slicer.vtkMRMLSequenceNode,
    fixed_index: int,
    moving_index: int,
) -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLScalarVolumeNode]:
    """Two phases of a sequence as new volume nodes beside it, with voxels of their own.

    They are named after the sequence and the phase, look like the volume that the browser shows, and lie below the
    same transform as that. Browser and sequence are not changed.

    Args:
        browser: Whose phases are counted.
        sequence: Of scalar volumes, one of the browser's.
        fixed_index: Place of the fixed image's phase in :func:`phases`.
        moving_index: Place of the moving image's phase.

    Raises:
        NodeError: A sequence of something else or of another browser, twice the same phase, a phase that isn't there
            or has no image in this sequence, or a volume below a transform that changes from phase to phase.
    """
    count = len(phases(browser))
    check_sequence(browser, sequence)
    for index in (fixed_index, moving_index):
        if not 0 <= index < count:
            msg = f"{browser.GetName()}: found {count} phases, expected one with the number {index}"
            raise NodeError(msg)
    if fixed_index == moving_index:
        msg = f"{sequence.GetName()}: found the phase {phases(browser)[fixed_index]} twice, expected two phases"
        raise NodeError(msg)
    shown = browser.GetProxyNode(sequence)
    check_steady(browser, shown)
    images = [phase_image(browser, sequence, index) for index in (fixed_index, moving_index)]
    with all_or_nothing(browser.GetScene()) as changes:
        fixed, moving = (
            volume_of_phase(changes, image, shown, sequence, f"{sequence.GetName()} {phases(browser)[index]}")
            for image, index in zip(images, (fixed_index, moving_index), strict=True)
        )
    return fixed, moving


def master_sequence(browser: slicer.vtkMRMLSequenceBrowserNode | None) -> slicer.vtkMRMLSequenceNode:
    """The sequence whose index values a browser goes along."""
    if browser is None:
        msg = "found no sequence browser node, expected one"
        raise NodeError(msg)
    if not browser.IsA("vtkMRMLSequenceBrowserNode"):
        msg = f"{browser.GetName()}: found a {browser.GetNodeTagName()} node, expected a sequence browser"
        raise NodeError(msg)
    master = browser.GetMasterSequenceNode()
    if master is None or not master.GetNumberOfDataNodes():
        msg = f"{browser.GetName()}: found a browser without time points, expected a sequence of images"
        raise NodeError(msg)
    return master


def check_sequence(browser: slicer.vtkMRMLSequenceBrowserNode, sequence: slicer.vtkMRMLSequenceNode | None) -> None:
    """Refuse what isn't a sequence of scalar volumes that the browser goes through."""
    if sequence is None or not sequence.IsA("vtkMRMLSequenceNode"):
        what = "no sequence" if sequence is None else f"{sequence.GetName()}, a {sequence.GetNodeTagName()} node"
        msg = f"{browser.GetName()}: found {what}, expected a sequence of scalar volumes"
        raise NodeError(msg)
    kind = sequence.GetDataNodeClassName()
    if kind != "vtkMRMLScalarVolumeNode":
        found = f"a sequence of {sequence.GetDataNodeTagName()} nodes" if kind else "an empty sequence"
        msg = f"{sequence.GetName()}: found {found}, expected one of scalar volumes"
        raise NodeError(msg)
    if sequence not in image_sequences(browser):
        msg = f"{sequence.GetName()}: found a sequence that {browser.GetName()} doesn't show, expected one of its own"
        raise NodeError(msg)


def check_steady(browser: slicer.vtkMRMLSequenceBrowserNode, shown: slicer.vtkMRMLVolumeNode | None) -> None:
    """Refuse a volume below a transform that is itself a sequence's: it isn't known for the other phases."""
    if shown is None:
        return
    parent = shown.GetParentTransformNode()
    while parent is not None:
        if browser.GetSequenceNode(parent) is not None:
            msg = (
                f"{shown.GetName()}: found the transform {parent.GetName()} above it, which changes from phase to"
                " phase, expected one that stays; take the volume out of it, or make volumes of the phases with the"
                " transform hardened"
            )
            raise NodeError(msg)
        parent = parent.GetParentTransformNode()


def phase_image(
    browser: slicer.vtkMRMLSequenceBrowserNode, sequence: slicer.vtkMRMLSequenceNode, index: int
) -> slicer.vtkMRMLScalarVolumeNode:
    """The volume of a phase as it lies in the sequence."""
    value = master_sequence(browser).GetNthIndexValue(index)
    image = sequence.GetDataNodeAtValue(value)
    if image is None:
        msg = f"{sequence.GetName()}: found no image at the phase {phases(browser)[index]}, expected one"
        raise NodeError(msg)
    volume_from_node(image, copy=False)  # several components, no voxels or a single slice are refused here
    return image


def volume_of_phase(
    changes: Changes,
    image: slicer.vtkMRMLScalarVolumeNode,
    shown: slicer.vtkMRMLScalarVolumeNode | None,
    sequence: slicer.vtkMRMLSequenceNode,
    name: str,
) -> slicer.vtkMRMLScalarVolumeNode:
    """A new node of one phase's volume."""
    matrix, voxels = vtk.vtkMatrix4x4(), vtk.vtkImageData()
    image.GetIJKToRASMatrix(matrix)
    voxels.DeepCopy(image.GetImageData())
    node = changes.new_node("vtkMRMLScalarVolumeNode", name)
    changes.set_image(node, voxels, matrix)
    changes.show(node)
    if shown is not None:
        changes.set_parent_transform(node, shown.GetTransformNodeID())
        show_like(node, shown)
    changes.put_beside(node, sequence)
    return node
