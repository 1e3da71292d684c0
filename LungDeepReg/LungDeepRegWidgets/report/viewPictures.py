"""Pictures of the views as they are on the screen, by VTK alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

WIDEST_PIXELS = 1100
"""Of a picture of the whole layout: what the page shows of it; a report of twenty pictures has some 10 MB so."""
GAP_PIXELS, GAP_GRAY = 3, 96
"""Between views."""


def applicationView(viewNode: Any) -> Any:
    """The view of Slicer's main window (``ctkVTKRenderView`` or ``ctkVTKSliceView``) of a view node, or None."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return None
    if viewNode.IsA("vtkMRMLSliceNode"):
        widget = manager.sliceWidget(viewNode.GetLayoutName())
        return widget.sliceView() if widget is not None else None
    views = (manager.threeDWidget(index).threeDView() for index in range(manager.threeDViewCount))
    return next((view for view in views if view.mrmlViewNode() is viewNode), None)


def layoutPicture(scene: slicer.vtkMRMLScene, viewOf: Callable[[Any], Any] = applicationView) -> bytes | None:
    """All views of the layout as they are arranged, as a PNG file; None where there is no view.

    Args:
        scene: The MRML scene.
        viewOf: Gives the view of a view node, or None.
    """
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout is None or not layout.GetCurrentLayoutDescription():
        return None
    picture = arranged(ElementTree.fromstring(layout.GetCurrentLayoutDescription()), scene, viewOf)
    return None if picture is None else pngOf(picture)


def arranged(element: ElementTree.Element, scene: Any, viewOf: Callable[[Any], Any]) -> np.ndarray | None:
    """The picture of a part of the layout, uint8 ``(H, W, 3)``, first row on top; None if nothing is in it."""
    if element.tag == "view":
        node = scene.GetNodeByID(f"{element.get('class')}{element.get('singletontag')}")
        view = viewOf(node) if node is not None else None
        return None if view is None else viewPicture(view)
    parts = [child for item in element.findall("item") for child in item]
    if element.get("type") == "tab":
        parts = parts[:1]
    found = [arranged(part, scene, viewOf) for part in parts]
    pictures = [picture for picture in found if picture is not None]
    if not pictures:
        return None
    return joined(pictures, axis=1 if element.get("type") == "horizontal" else 0)


def viewPicture(view: Any) -> np.ndarray:
    """The picture of one view, without what is written in its corners: the names of images and patients."""
    view.forceRender()
    window = view.renderWindow()
    with cornersHidden(window):
        reader = vtk.vtkWindowToImageFilter()
        reader.SetInput(window)
        reader.ReadFrontBufferOff()
        reader.Update()
    image = reader.GetOutput()
    width, height, _depth = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()


@contextmanager
def cornersHidden(window: vtk.vtkRenderWindow) -> Iterator[None]:
    """Take the corner annotations out of a window for a while."""
    renderers = window.GetRenderers()
    props = [
        prop
        for number in range(renderers.GetNumberOfItems())
        for prop in renderers.GetItemAsObject(number).GetViewProps()
        if prop.IsA("vtkCornerAnnotation") and prop.GetVisibility()
    ]
    for prop in props:
        prop.SetVisibility(False)
    try:
        yield
    finally:
        for prop in props:
            prop.SetVisibility(True)


def joined(pictures: list[np.ndarray], axis: int) -> np.ndarray:
    """Pictures from top to bottom (axis 0) or from left to right (axis 1), on a gray ground."""
    across = 1 - axis
    longest = max(picture.shape[across] for picture in pictures)
    parts: list[np.ndarray] = []
    for picture in pictures:
        shape = [GAP_PIXELS, GAP_PIXELS, 3]
        shape[across] = longest
        if parts:
            parts.append(np.full(shape, GAP_GRAY, np.uint8))
        shape[axis] = picture.shape[axis]
        ground = np.full(shape, GAP_GRAY, np.uint8)
        ground[: picture.shape[0], : picture.shape[1]] = picture
        parts.append(ground)
    return np.concatenate(parts, axis=axis)


def pngOf(picture: np.ndarray, widest: int = WIDEST_PIXELS) -> bytes:
    """A picture ``(H, W, 3)`` as a PNG file, made smaller if it is too wide."""
    pixels = np.ascontiguousarray(picture[::-1])
    height, width = pixels.shape[:2]
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(pixels.reshape(-1, 3), deep=1))
    if width > widest:
        smaller = vtk.vtkImageResize()  # averages, so that thin lines stay
        smaller.SetInputData(image)
        smaller.SetOutputDimensions(widest, round(height * widest / width), 1)
        smaller.Update()
        image = smaller.GetOutput()
    writer = vtk.vtkPNGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(image)
    writer.Write()
    return vtk_to_numpy(writer.GetResult()).tobytes()
