"""The panel of display presets: one click each, another click to leave."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from .panel import Panel
from .presets.preset import Preset, PresetSwitch

if TYPE_CHECKING:
    from .presets.stage import Stage

PRESETS = ("overlay", "flicker", "checkerboard", "difference", "displacement", "jacobian", "linkedCursor")
"""The files of the presets, each with a class of that name; also of their buttons."""
STYLES = ("magnitude", "glyphs", "grid")
"""Of the displacement, as the selector has them."""
OPTIONS = {
    "side": ("overlay", "flicker"),
    "opacity": ("overlay", "jacobian", "displacement"),
    "squares": ("checkerboard",),
    "style": ("displacement",),
    "offset": ("displacement",),
}
"""Which presets show which options; each is a row of widgets of the panel."""


class ViewsPanel(Panel):
    """Shows a result by one preset at a time, and puts the views back afterwards.

    Args:
        switch: Lends the views to one preset at a time, this panel's or another's.
        uiPath: The panel's .ui file.
    """

    def __init__(self, switch: PresetSwitch, uiPath: str) -> None:
        self.widget = slicer.util.loadUI(uiPath)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self._nodes: Any = None
        self._contents: Any = None
        self._chosen = ""
        self._withoutOffset: bool | None = None
        self._shown: Preset | None = None
        self._switch = switch
        switch.addListener(self._update)
        for name in PRESETS:
            self._button(name).connect("clicked(bool)", lambda checked, name=name: self.onPreset(name, checked))
        self.ui.afterButton.connect("toggled(bool)", self.onAfter)
        self.ui.opacitySlider.connect("valueChanged(int)", self.onOpacity)
        self.ui.squaresSpinBox.connect("valueChanged(int)", self.onSquares)
        self.ui.styleSelector.connect("currentIndexChanged(int)", self.onStyle)
        self.ui.offsetCheckBox.connect("clicked(bool)", self.onOffset)
        self._update()

    @property
    def active(self) -> Preset | None:
        """The preset of this panel that is shown."""
        return self._shown if self._shown is self._switch.active else None

    def setResult(self, nodes: Any) -> None:
        """Offer what a result's nodes allow; what is shown is shown anew if the result changed.

        Args:
            nodes: ``mrml.ResultNodes``, or None without a result.
        """
        contents = contentsOf(nodes)
        changed = contents != self._contents
        name = self._activeName()
        self._nodes, self._contents = nodes, contents
        if not changed:
            return
        self._withoutOffset = None
        if name:
            self._switch.leave()
        self._update()
        if name and not missing(name, nodes):
            self._choose(name)

    def onPreset(self, name: str, checked: bool) -> None:
        """A preset's button was clicked."""
        if not checked:
            self._switch.leave()
        elif not missing(name, self._nodes):
            self._choose(name)
        self._update()

    def onAfter(self, after: bool) -> None:
        """Show the deformed image, or the moving one where it lies."""
        if self._activeName() in OPTIONS["side"]:
            self.active.setAfter(after)

    def onOpacity(self, percent: int) -> None:
        """Of the upper image."""
        if self._activeName() in OPTIONS["opacity"]:
            self.active.setOpacity(percent / 100)

    def onSquares(self, squares: int) -> None:
        """Along the longest side of the checkerboard."""
        if self._activeName() in OPTIONS["squares"]:
            self.active.setSquares(squares)

    def onStyle(self, _index: int) -> None:
        """Draw the displacement in another way."""
        if self._activeName() == "displacement":
            self._choose("displacement")

    def onOffset(self, checked: bool) -> None:
        """Draw the displacement with or without its mean."""
        self._withoutOffset = checked
        if self._activeName() == "displacement":
            self._choose("displacement")

    def _settings(self, name: str) -> dict[str, Any]:
        """What a preset is made with: what its options show."""
        after, opacity = self.ui.afterButton.checked, self.ui.opacitySlider.value / 100
        if name == "displacement":
            style = STYLES[self.ui.styleSelector.currentIndex]
            return {"style": style, "withoutOffset": self._withoutOffset, "opacity": opacity}
        settings = {
            "overlay": {"after": after, "opacity": opacity},
            "flicker": {"after": after},
            "checkerboard": {"squares": self.ui.squaresSpinBox.value},
            "jacobian": {"opacity": opacity},
        }
        return settings.get(name, {})

    def _choose(self, name: str) -> None:
        def make(stage: Stage, nodes: Any) -> Preset:
            self._shown = presetClass(name)(stage, nodes, **self._settings(name))
            return self._shown

        self._chosen = name
        with slicer.util.tryWithErrorDisplay(_("The result can't be shown this way."), waitCursor=True):
            self._switch.choose(make, self._nodes)
        self._update()

    def _activeName(self) -> str:
        return self._chosen if self.active is not None else ""

    def _button(self, name: str) -> Any:
        return getattr(self.ui, f"{name}Button")

    def _update(self) -> None:
        """Buttons, options and the note, as the active preset has them."""
        active = self._activeName()
        for name in PRESETS:
            button, lacking = self._button(name), missing(name, self._nodes)
            button.enabled = not lacking
            button.checked = name == active
            button.toolTip = lacking or presetClass(name).purpose()
        for option, presets in OPTIONS.items():
            getattr(self.ui, f"{option}Options").visible = active in presets
        if active == "displacement":
            self.ui.offsetCheckBox.checked = bool(self.active.withoutOffset)
            self.ui.opacityOptions.visible = self.active.style == "magnitude"
        self.ui.noteLabel.text = self.active.note() if self.active is not None else ""
        self.ui.noteLabel.visible = bool(self.ui.noteLabel.text)


def presetClass(name: str) -> type[Preset]:
    """A preset by its name; loaded here, since presets load the engine, which is not to happen on opening."""
    return getattr(import_module(f".presets.{name}", __package__), name[0].upper() + name[1:])


def missing(name: str, nodes: Any) -> str:
    """Why a preset can't show a result; empty if it can."""
    return (presetClass(name) if nodes is not None else Preset).missing(nodes)


def contentsOf(nodes: Any) -> Any:
    """What tells results apart, those in the same nodes too."""
    if nodes is None:
        return None
    return [(name, node.GetID(), contentTime(node)) for name, node in vars(nodes).items() if node is not None]


def contentTime(node: Any) -> int:
    """When the voxels of a volume or the map of a transform changed last."""
    content = node.GetTransformFromParent() if node.IsA("vtkMRMLTransformNode") else node.GetImageData()
    return content.GetMTime() if content is not None else 0
