"""Which 4D image is chosen, and how far each of its phases is."""

from typing import Any

from slicer.i18n import tr as _

from .phaseInput import phasesOf
from .seriesMask import SeriesMask
from .settings import engineOptions, engineWeights, whatWeightsLack

REFERENCE, DONE, LEFT = "reference", "done", "left"


class SeriesChoice:
    """The 4D image, reference phase and settings of a parameter node.

    Args:
        parameters: The module's parameter node.
        failures: Why phases couldn't be registered in the last run, by index value.
    """

    def __init__(self, parameters: Any, failures: dict[str, str]) -> None:
        self.parameters, self.failures = parameters, failures
        self.mask = SeriesMask(parameters)
        self._series: Any = None

    @property
    def images(self) -> Any:
        """The browser's sequence of images, or None; results of ours, which may be all that is left in it, are none."""
        browser = self.parameters.seriesBrowser
        if not phasesOf(browser):
            return None
        from LungDeepRegLib import mrml
        from LungDeepRegLib.mrml.outputs import RESULT_ATTRIBUTE

        found = mrml.image_sequences(browser)
        return next((sequence for sequence in found if sequence.GetAttribute(RESULT_ATTRIBUTE) is None), None)

    @property
    def names(self) -> list[str]:
        """The phases for people."""
        return phasesOf(self.parameters.seriesBrowser) if self.images is not None else []

    @property
    def values(self) -> list[str]:
        """The phases' index values."""
        browser = self.parameters.seriesBrowser
        master = browser.GetMasterSequenceNode() if self.names else None
        return [master.GetNthIndexValue(n) for n in range(master.GetNumberOfDataNodes())] if master is not None else []

    @property
    def reference(self) -> str:
        """The reference's index value: the first phase, if none is chosen."""
        values, chosen = self.values, self.parameters.seriesReference
        return chosen if chosen in values else values[0]

    def series(self) -> Any:
        """The ``mrml.Series``.

        Raises:
            NodeError: What is chosen can't be registered.
        """
        from LungDeepRegLib import mrml

        series = mrml.Series(self.parameters.seriesBrowser, self.images, self.reference)
        if series != self._series:  # the one that is kept knows the images' checksums
            self._series = series
        return self._series

    def request(self) -> dict[str, Any]:
        """What the settings ask of the worker for each phase.

        Raises:
            NodeError: As :meth:`series`, or a mask that can't be used.
        """
        return {
            "fixed_mask": self.mask.labels(self.series()),
            "options": engineOptions(self.parameters),
            "weights": engineWeights(self.parameters),
            "warped_wanted": self.parameters.seriesWarpedWanted,
        }

    def settings(self) -> dict[str, Any]:
        """What of these decides on the result: not where it is computed, but which weights a file holds, and the mask.

        Raises:
            NodeError: As :meth:`request`.
        """
        return {**self.quickSettings(), "mask": self.mask.identity(self.series())}

    def quickSettings(self) -> dict[str, Any]:
        """The same without the mask, for which images have to be looked at."""
        options = {name: value for name, value in engineOptions(self.parameters).items() if name != "device"}
        weights = [self.parameters.weights.engineName]
        if weights == ["file"] and not whatWeightsLack(self.parameters):
            found = self.parameters.weightsFile.stat()
            weights += [str(self.parameters.weightsFile), found.st_size, found.st_mtime_ns]
        return {"options": options, "weights": weights}

    def missing(self) -> str:
        """What the user has to do before the series can be registered; nothing if it can."""
        if len(self.names) < 2:
            return _("Choose the sequence browser of a 4D image with two or more phases")
        lacking = whatWeightsLack(self.parameters)
        if lacking:
            return lacking
        try:
            left = self.left()
        except ValueError as error:
            return str(error)
        return "" if left else _("All phases are registered with these settings")

    def left(self) -> list[str]:
        """The phases that aren't registered with these settings and images yet.

        Raises:
            NodeError: As :meth:`series`.
        """
        return [value for value, (state, _text) in self.states().items() if state == LEFT]

    def states(self) -> dict[str, tuple[str, str]]:
        """Each phase's state, and the same for people, by index value.

        Raises:
            NodeError: As :meth:`series`.
        """
        from LungDeepRegLib import mrml

        series, settings = self.series(), self.settings()
        known = mrml.registered_phases(series, warped=self.parameters.seriesWarpedWanted)
        return {value: self._state(series, value, known.get(value), settings) for value in series.values}

    def _state(self, series: Any, value: str, known: Any, settings: dict[str, Any]) -> tuple[str, str]:
        if value == series.reference:
            return REFERENCE, _("reference")
        if value in self.failures:
            return LEFT, self.failures[value]
        if known is None:
            return LEFT, _("not registered")
        try:
            same = series.made_of(value, settings) == known[0]
        except ValueError as error:
            return LEFT, str(error)
        if not same:
            return LEFT, _("registered with other settings or images")
        figures = known[1]
        dice, folded = figures["dice_after"], figures["folded_percent"]
        texts = [_("registered") if dice is None else _("registered, Dice {dice:.3f}").format(dice=dice)]
        if folded:
            texts.append(_("{percent:.2g} % folded").format(percent=folded))
        return DONE, "; ".join([*texts, *figures["warnings"]])
