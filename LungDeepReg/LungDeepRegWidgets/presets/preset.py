"""What a preset is, and one that is shown at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import slicer
import vtk
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from .stage import Stage


def outputNames() -> dict[str, str]:
    """How the panel calls the nodes of a result."""
    return {
        "fixed": _("Fixed volume"),
        "moving": _("Moving volume"),
        "warped": _("Deformed volume"),
        "difference": _("Difference map"),
        "difference_before": _("Difference map"),
        "transform": _("Displacement field"),
        "jacobian": _("Jacobian map"),
    }


class Preset(ABC):
    """One way to look at a result.

    Attributes:
        NEEDS: The nodes of the result that it shows, by their names in ``ResultNodes``.

    Args:
        stage: The views.
        nodes: The result, ``mrml.ResultNodes``; those in ``NEEDS`` are there.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, stage: Stage, nodes: Any) -> None:
        self.stage, self.nodes = stage, nodes

    @abstractmethod
    def show(self) -> None:
        """Take the views."""

    def note(self) -> str:
        """What the user should know to read the pictures, one or two sentences; empty for nothing."""
        return ""

    def stop(self) -> None:  # noqa: B027 - most presets have nothing to end
        """End what goes on by itself, such as timers and observers; touches no node."""

    @classmethod
    @abstractmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""

    @classmethod
    def missing(cls, nodes: Any) -> str:
        """Why it can't be shown: which outputs to tick; empty if it can."""
        if nodes is None:
            return _("Register first, or choose a pair that is registered.")
        names = outputNames()
        absent = list(dict.fromkeys(names[need] for need in cls.NEEDS if not isThere(getattr(nodes, need))))
        if not absent:
            return ""
        return _("Needs the {outputs}: tick it under Outputs and register again.").format(outputs=", ".join(absent))


def isThere(node: Any) -> bool:
    """Whether a node is there and was not taken out of its scene."""
    return node is not None and node.GetScene() is not None


class PresetSwitch:
    """Shows one preset at a time; leaves it by itself when the scene closes or one of its nodes goes.

    Attributes:
        active: The preset that is shown, or None.
        shown: What it was chosen by, to show it again after something else; None without one.

    Args:
        scene: The MRML scene.
        applicationLogic: ``slicer.app.applicationLogic()`` in Slicer.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, applicationLogic: slicer.vtkMRMLApplicationLogic) -> None:
        self._scene, self._applicationLogic = scene, applicationLogic
        self._listeners: list[Callable[[], None]] = []
        self._stage: Stage | None = None
        self.active: Preset | None = None
        self.shown: tuple[Callable[[Stage, Any], Preset], Any] | None = None
        self._tags: list[int] = []

    def addListener(self, listener: Callable[[], None]) -> None:
        """Call somebody whenever a preset was shown or left, however that came."""
        self._listeners.append(listener)

    def choose(self, make: Callable[[Stage, Any], Preset], nodes: Any) -> Preset:
        """Show a preset instead of the one that is shown.

        Raises:
            Whatever the preset raises; the views are then as they were before.
        """
        from .stage import Stage  # loads the engine, which is not to happen on opening

        self.leave()
        self._stage = Stage(self._scene, self._applicationLogic)
        preset = make(self._stage, nodes)
        self.active, self.shown = preset, (make, nodes)
        self._observe()
        try:
            preset.show()
        except BaseException:
            self.leave()
            raise
        self._tell()
        return preset

    def leave(self) -> None:
        """Put the views back as they were before the preset; nothing if there is none."""
        if self.active is None or self._stage is None:
            return
        self._end()
        self._stage.close()
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _end(self) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []
        if self.active is not None:
            self.active.stop()
        self.active = self.shown = None

    def _observe(self) -> None:
        @vtk.calldata_type(vtk.VTK_OBJECT)
        def onNodeGoing(_scene: Any, _event: Any, node: Any) -> None:
            if self.active is not None and any(node is used for used in vars(self.active.nodes).values()):
                self.leave()

        def onSceneClosing(*_event: Any) -> None:
            self.leave()

        scene = slicer.vtkMRMLScene
        self._tags = [
            self._scene.AddObserver(scene.NodeAboutToBeRemovedEvent, onNodeGoing),
            self._scene.AddObserver(scene.StartCloseEvent, onSceneClosing),
        ]
