"""Slice and 3D views off screen, by Slicer's own displayable managers: pictures of what a user would see, and clicks.

:class:`Views` stands for the main window's view area: it follows the scene's layout node as the layout manager does.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

SLICE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)
THREED_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager3D",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)
GAP, GAP_GREY = 4, 60
"""Pixels between pictures, and their grey."""


class View:
    """A render window without a screen, filled by displayable managers."""

    def __init__(self, factory, managers: tuple[str, ...], size: tuple[int, int], logic):
        self.renderer, self.window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        factory.SetMRMLApplicationLogic(logic)
        for name in managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)
        self.group.Initialize(factory, self.renderer)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())  # the default one would take the clicks

    def show(self, node) -> None:
        """Show what the scene has for a view node."""
        node.SetInteractionNode(node.GetScene().GetFirstNodeByClass("vtkMRMLInteractionNode"))
        self.group.SetMRMLDisplayableNode(node)

    def render(self) -> None:
        """Draw what the scene has now."""
        self.window.Render()

    def grab(self) -> np.ndarray:
        """The picture, uint8 ``(H, W, 3)``, first row on top."""
        self.render()
        reader = vtk.vtkWindowToImageFilter()
        reader.SetInput(self.window)
        reader.ReadFrontBufferOff()
        reader.Update()
        image = reader.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1].copy()

    def close(self) -> None:
        """Let go of the scene, so that nothing of this view answers to it any more."""
        self.group.SetMRMLDisplayableNode(None)
        self.interactor.RemoveAllObservers()
        self.logic.SetMRMLScene(None)
        self.window.Finalize()


class SliceView(View):
    """One slice view, of a slice node that is in the scene already or made by this."""

    def __init__(self, scene, logic, name: str = "Red", size: tuple[int, int] = (400, 400)):
        super().__init__(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), SLICE_MANAGERS, size, logic)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        self.actor = vtk.vtkActor2D()
        self.actor.SetMapper(mapper)
        self.actor.GetProperty().SetDisplayLocationToBackground()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(logic)
        logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = scene.GetNodeByID(f"vtkMRMLSliceNode{name}") or self.logic.AddSliceNode(name)
        self.logic.SetSliceNode(self.node)
        self.composite = self.logic.GetSliceCompositeNode()
        self.style = slicer.vtkMRMLSliceViewInteractorStyle()  # hands events to the displayable managers, as in Slicer
        self.style.SetSliceLogic(self.logic)
        self.style.SetDisplayableManagers(self.group)
        self.style.SetInteractor(self.interactor)
        self.show(self.node)
        self.resize(size)

    def resize(self, size: tuple[int, int]) -> None:
        """As when the user drags a border of the window."""
        self.window.SetSize(*size)
        self.logic.ResizeSliceNode(*size)

    def render(self) -> None:
        """Draw what the scene has now."""
        connection = self.logic.GetImageDataConnection()
        if connection is None:
            self.renderer.RemoveViewProp(self.actor)
        else:
            self.actor.GetMapper().SetInputConnection(connection)
            if not self.renderer.HasViewProp(self.actor):
                self.renderer.AddViewProp(self.actor)
        super().render()

    def pixel(self, ras) -> tuple[int, int]:
        """Where a world point is in the view, in pixels from the lower left."""
        to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), to_xy)
        x, y, _, _ = to_xy.MultiplyPoint((*ras, 1.0))
        return round(x), round(y)

    def click(self, ras) -> None:
        """Press and release the left mouse button at a world point."""
        self.drag(ras, ras)

    def drag(self, start, stop) -> None:
        """Press the left mouse button at a world point, move, and release it at another."""
        self.point(start, "EnterEvent", "MouseMoveEvent", "LeftButtonPressEvent")
        if stop is not start:
            self.point(stop, "MouseMoveEvent")
        self.point(stop, "LeftButtonReleaseEvent")

    def point(self, ras, *events: str) -> None:
        """Let something happen with the mouse at a world point."""
        self.interactor.SetEventInformation(*self.pixel(ras))
        for event in events:
            self.interactor.InvokeEvent(event)

    def leave(self) -> None:
        """Take the mouse out of the view."""
        self.interactor.InvokeEvent("LeaveEvent")


class ThreeDView(View):
    """One 3D view."""

    def __init__(self, scene, logic, name: str = "1", size: tuple[int, int] = (400, 400)):
        super().__init__(slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), THREED_MANAGERS, size, logic)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(logic)
        logic.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = scene.GetNodeByID(f"vtkMRMLViewNode{name}") or self.logic.AddViewNode(name)
        self.show(self.node)

    def resize(self, size: tuple[int, int]) -> None:
        """As when the user drags a border of the window."""
        self.window.SetSize(*size)


class Views:
    """The view area: makes the views of each layout that is chosen, and gives a picture of all of them."""

    def __init__(self, scene, logic, size: tuple[int, int] = (1200, 800)):
        self.scene, self.logic, self.size = scene, logic, size
        self.views: dict[str, View] = {}
        logic.SetSliceLogics(vtk.vtkCollection())
        logic.SetViewLogics(vtk.vtkCollection())
        self.layouts = slicer.vtkMRMLLayoutLogic()
        self.layouts.SetMRMLApplicationLogic(logic)
        self.layouts.SetMRMLScene(scene)
        self.layout = self.layouts.GetLayoutNode()
        self.observation = self.layout.AddObserver("ModifiedEvent", lambda *_: self.follow())
        self.layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self.follow()

    def __getitem__(self, name: str) -> View:
        """A view by its layout name, such as ``Red`` or ``1``."""
        return self.views[name]

    def follow(self) -> None:
        """Make the views of the current layout, and give all of them their sizes; a scene that closes has no layout."""
        if not self.layout.GetCurrentLayoutDescription():
            return
        for element, size in self.cells(self.description(), self.size):
            name = element.get("singletontag")
            if name not in self.views:
                kind = SliceView if element.get("class") == "vtkMRMLSliceNode" else ThreeDView
                self.views[name] = kind(self.scene, self.logic, name, size)
            self.views[name].resize(size)
        for name, view in self.views.items():
            view.node.SetMappedInLayout(name in self.shown())

    def shown(self) -> list[str]:
        """The names of the layout's views."""
        return [element.get("singletontag") for element in self.description().iter("view")]

    def description(self) -> ElementTree.Element:
        """The layout's description."""
        return ElementTree.fromstring(self.layout.GetCurrentLayoutDescription())

    def cells(self, element, size: tuple[int, int]) -> list[tuple[ElementTree.Element, tuple[int, int]]]:
        """Each view's description and its size in pixels."""
        if element.tag == "view":
            return [(element, size)]
        items = [item[0] for item in element.findall("item")]
        share = shared_size(element, size, len(items))
        return [cell for item in items for cell in self.cells(item, share)]

    def picture(self) -> np.ndarray:
        """All views of the layout as the user sees them, uint8 ``(H, W, 3)``."""
        return self._picture(self.description())

    def _picture(self, element) -> np.ndarray:
        if element.tag == "view":
            return self.views[element.get("singletontag")].grab()
        pictures = [self._picture(item[0]) for item in element.findall("item")]
        return beside(*pictures) if element.get("type") == "horizontal" else above(*pictures)

    def close(self) -> None:
        """Take all views off the scene, and their nodes with them."""
        self.layout.RemoveObserver(self.observation)
        for view in self.views.values():
            view.close()
        self.layouts.SetMRMLScene(None)
        for name in ("vtkMRMLSliceCompositeNode", "vtkMRMLSliceNode", "vtkMRMLViewNode", "vtkMRMLLayoutNode"):
            while node := self.scene.GetFirstNodeByClass(name):
                self.scene.RemoveNode(node)


def shared_size(element, size: tuple[int, int], count: int) -> tuple[int, int]:
    """The size of each of a layout element's items."""
    width, height = size
    return (width // count, height) if element.get("type") == "horizontal" else (width, height // count)


def beside(*pictures: np.ndarray) -> np.ndarray:
    """Pictures ``(H, W, 3)`` from left to right, on a grey ground where their heights differ."""
    height = max(picture.shape[0] for picture in pictures)
    parts = []
    for picture in pictures:
        ground = np.full((height, picture.shape[1] + GAP, 3), GAP_GREY, np.uint8)
        ground[: picture.shape[0], : picture.shape[1]] = picture[..., :3]
        parts.append(ground)
    return np.concatenate(parts, axis=1)[:, :-GAP]


def above(*pictures: np.ndarray) -> np.ndarray:
    """Pictures ``(H, W, 3)`` from top to bottom."""
    return beside(*(picture.transpose(1, 0, 2) for picture in pictures)).transpose(1, 0, 2)


def save_picture(picture: np.ndarray, path: Path) -> None:
    """Write a picture ``(H, W, 3)`` as PNG."""
    pixels = np.ascontiguousarray(picture[::-1], dtype=np.uint8)
    image = vtk.vtkImageData()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    image.GetPointData().SetScalars(numpy_to_vtk(pixels.reshape(-1, pixels.shape[2]), deep=1))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    writer.Write()


def load_picture(path: Path) -> np.ndarray:
    """Read a PNG, such as a screenshot of a panel, as ``(H, W, 3)``."""
    reader = vtk.vtkPNGReader()
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()
