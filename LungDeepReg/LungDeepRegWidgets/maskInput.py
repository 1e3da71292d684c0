"""A lung mask as an input: a label map, or a segmentation and which of its segments."""

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _


class MaskInput:
    """Keeps the list of segments in step with the chosen node, and both choices in the parameter node.

    Connected by hand: Slicer's parameter node can't hold "one of two kinds of node, or none".

    Args:
        nodeSelector: Chooses the segmentation or label map.
        segmentSelector: Chooses the segment; the first entry means all of them.
        name: ``fixed`` or ``moving``: of the parameters ``<name>Mask`` and ``<name>Segment``.
    """

    def __init__(self, nodeSelector: Any, segmentSelector: qt.QComboBox, name: str) -> None:
        self._nodes, self._segments = nodeSelector, segmentSelector
        self._mask, self._segment = f"{name}Mask", f"{name}Segment"
        self._parameters: Any = None
        self._segmentation: Any = None
        self._observers: list[int] = []
        nodeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onNode)
        segmentSelector.connect("currentIndexChanged(int)", self._onSegment)
        self._list()

    def setParameters(self, parameters: Any) -> None:
        """Show another parameter node, or none."""
        self._parameters = None
        node = getattr(parameters, self._mask) if parameters is not None else None
        self._nodes.setCurrentNode(node)
        self._parameters = parameters
        self._onNode(node)

    def _onNode(self, node: Any) -> None:
        if self._parameters is not None and getattr(self._parameters, self._mask) is not node:
            setattr(self._parameters, self._mask, node)
            setattr(self._parameters, self._segment, "")
        self._forget()
        if node is not None and node.IsA("vtkMRMLSegmentationNode"):
            self._segmentation = node.GetSegmentation()
            kinds = slicer.vtkSegmentation
            for event in (kinds.SegmentAdded, kinds.SegmentRemoved, kinds.SegmentModified):
                self._observers.append(self._segmentation.AddObserver(event, self._list))
        self._list()

    def _list(self, *_event: Any) -> None:
        """List the segments; the chosen one stays chosen."""
        wanted = getattr(self._parameters, self._segment) if self._parameters is not None else ""
        segmentation = self._segmentation
        blocked = self._segments.blockSignals(True)
        self._segments.clear()
        self._segments.addItem(_("All segments"), "")
        for segmentId in segmentation.GetSegmentIDs() if segmentation is not None else ():
            self._segments.addItem(segmentation.GetSegment(segmentId).GetName(), segmentId)
        if segmentation is not None and self._segments.findData(wanted) < 0:
            self._segments.addItem(_("(removed)"), wanted)  # another one isn't what was meant; registering says so
        self._segments.setCurrentIndex(max(0, self._segments.findData(wanted)))
        self._segments.blockSignals(blocked)
        self._segments.setVisible(segmentation is not None)
        self._onSegment()

    def _onSegment(self, *_index: Any) -> None:
        if self._parameters is not None:
            setattr(self._parameters, self._segment, self._segments.itemData(self._segments.currentIndex) or "")

    def _forget(self) -> None:
        for tag in self._observers:
            self._segmentation.RemoveObserver(tag)
        self._segmentation, self._observers = None, []
