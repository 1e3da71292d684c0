"""The buttons that show the maps of an assessment over the fixed image."""

from typing import Any

import slicer
from slicer.i18n import tr as _

from ..presets.preset import PresetSwitch
from ..viewsPanel import missing, presetClass

PRESETS = ("trust", "ventilation")
"""The files of the presets; also of their buttons."""


def mapTitles() -> dict[str, str]:
    """What the selector calls the maps, by their names in ``ResultNodes``."""
    return {
        "trust": _("Trust, all in all"),
        "residual": _("Residual"),
        "correlation": _("Local correlation"),
        "consistency": _("There and back"),
        "ventilation": _("From the Jacobian"),
        "ventilation_density": _("From the density (CT)"),
    }


class MapViews:
    """Shows one map at a time by the switch that all panels share.

    Args:
        ui: The panel's widgets.
        switch: Lends the views.
    """

    def __init__(self, ui: Any, switch: PresetSwitch) -> None:
        self._ui, self._switch = ui, switch
        self._nodes: Any = None
        self._shown: Any = None
        self._chosen = ""
        for name in PRESETS:
            self._button(name).connect("clicked(bool)", lambda checked, name=name: self._onButton(name, checked))
        ui.mapSelector.connect("currentIndexChanged(int)", self._onMap)
        ui.opacitySlider.connect("valueChanged(int)", self._onOpacity)
        ui.worstButton.connect("clicked()", self._onWorst)
        switch.addListener(self.update)

    @property
    def active(self) -> str:
        """Which of the presets is shown now, or nothing."""
        return self._chosen if self._shown is not None and self._switch.active is self._shown else ""

    @property
    def which(self) -> str:
        """Which map the selector has, by its name in ``ResultNodes``; nothing before one was shown."""
        return self._ui.mapSelector.itemData(self._ui.mapSelector.currentIndex) or ""

    def setResult(self, nodes: Any) -> None:
        """Offer a result's maps; what is shown is shown anew, or left if it is gone."""
        shown = self.active
        self._nodes = nodes
        if shown:
            self._switch.leave()
        self.show(shown, self.which)

    def show(self, name: str, which: str) -> None:
        """Show a preset, or none, as far as the result has its maps; the map of this name if there is one."""
        if name and not missing(name, self._nodes):
            self._choose(name, which)
        self.update()

    def update(self) -> None:
        """Bring the buttons and options into step with what is shown."""
        active = self.active
        for name in PRESETS:
            button, lacking = self._button(name), missing(name, self._nodes)
            button.enabled = not lacking
            button.checked = name == active
            button.toolTip = lacking or presetClass(name).purpose()
        self._ui.mapOptions.visible = self._ui.opacityOptions.visible = bool(active)
        self._ui.worstButton.visible = active == "trust"
        if active:
            self._list(self._there(active), self._shown.which)
        self._ui.noteLabel.text = self._shown.note() if active else ""
        self._ui.noteLabel.visible = bool(active)

    def _onButton(self, name: str, checked: bool) -> None:
        if checked:
            self.show(name, "")
        else:
            self._switch.leave()

    def _onMap(self, _index: int) -> None:
        if self.active:
            self._choose(self.active, self.which)

    def _onOpacity(self, percent: int) -> None:
        if self.active:
            self._shown.setOpacity(percent / 100)

    def _onWorst(self) -> None:
        if self.active == "trust":
            self._shown.goToWorst()

    def _choose(self, name: str, which: str = "") -> None:
        which = which if which in self._there(name) else self._there(name)[0]
        opacity = self._ui.opacitySlider.value / 100

        def make(stage: Any, nodes: Any) -> Any:
            self._chosen, self._shown = name, presetClass(name)(stage, nodes, which=which, opacity=opacity)
            return self._shown

        with slicer.util.tryWithErrorDisplay(_("The map can't be shown."), waitCursor=True):
            self._switch.choose(make, self._nodes)

    def _there(self, name: str) -> list[str]:
        """The maps of a preset that the result has."""
        return [which for which in presetClass(name).MAPS if getattr(self._nodes, which) is not None]

    def _list(self, maps: list[str], chosen: str) -> None:
        box, titles = self._ui.mapSelector, mapTitles()
        blocked = box.blockSignals(True)
        box.clear()
        for which in maps:
            box.addItem(titles[which], which)
        box.setCurrentIndex(max(0, box.findData(chosen)))
        box.blockSignals(blocked)

    def _button(self, name: str) -> Any:
        return getattr(self._ui, f"{name}Button")
