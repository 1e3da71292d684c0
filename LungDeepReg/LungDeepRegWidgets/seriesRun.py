"""The phases of a 4D image registered one after the other in the worker, each published as soon as it is done."""

import logging
from typing import Any, Protocol

from slicer.i18n import tr as _


class Listener(Protocol):
    """Who wants to know how a series goes; phases are told by their index values."""

    def onPhaseStarted(self) -> None:
        """The next phase's turn; the results of the one before are in the scene, unless it failed."""

    def onPhaseProgress(self, value: str, stage: str, fraction: float) -> None:
        """A phase is being registered."""

    def onPhaseFailed(self, value: str, message: str) -> None:
        """A phase couldn't be registered; the others go on."""

    def onSeriesEnded(self) -> None:
        """There is no further phase."""


class SeriesRun:
    """One run over some phases.

    Attributes:
        count: How many phases there are in this run.
        titles: These phases for people, by index value, also of one that is gone meanwhile.
        registered: How many of them have been registered so far.
        current: The index value of the one that is running.

    Args:
        runner: Runs the worker's tasks.
        series: The ``mrml.Series``.
        values: The index values of the phases that are to be registered.
        request: What all phases' requests have in common: ``options``, ``weights``, ``warped_wanted``.
        settings: What is remembered of these.
        listener: Told how it goes.
    """

    def __init__(
        self,
        runner: Any,
        series: Any,
        values: list[str],
        request: dict[str, Any],
        settings: dict[str, Any],
        listener: Listener,
    ) -> None:
        self.series, self.count = series, len(values)
        self.titles = {value: series.title(value) for value in values}
        self._runner, self._request, self._settings, self._listener = runner, dict(request), settings, listener
        self._waiting = list(values)
        self._stopped = False
        self.current: str | None = None
        self.registered = 0

    @property
    def finished(self) -> int:
        """How many of the ``count`` phases are dealt with; the one that is running isn't."""
        return self.count - len(self._waiting) - 1

    def start(self) -> None:
        """Start the first phase; returns at once.

        Raises:
            RuntimeError: Something else is running.
        """
        self._next()

    def stop(self) -> None:
        """Stop at once; what has been published stays."""
        if not self._stopped:
            self._stopped = True
            self._runner.cancel()

    def _next(self) -> None:
        """Start the next phase that can be registered, or end."""
        while self._waiting:
            value = self._waiting.pop(0)
            try:
                made = self.series.made_of(value, self._settings)
                request = {**self._request, "fixed": self.series.image(self.series.reference)}
                request["moving"] = self.series.image(value)
            except ValueError as error:
                self._listener.onPhaseFailed(value, str(error))
                continue
            self._run(value, made, request)
            return
        self._stopped, self.current = True, None
        self._listener.onSeriesEnded()

    def _run(self, value: str, made: Any, request: dict[str, Any]) -> None:
        self.current = value
        self._runner.run(
            "phase",
            request,
            onProgress=lambda stage, fraction: self._listener.onPhaseProgress(value, stage, fraction),
            onDone=lambda answer: self._publish(value, made, answer),
            onFailed=lambda message: self._failed(value, message),
        )
        self._listener.onPhaseStarted()

    def _publish(self, value: str, made: Any, answer: dict[str, Any]) -> None:
        from LungDeepRegLib import mrml

        try:
            mrml.publish_phase(
                self.series, value, mrml.PhaseResult(answer["field"], answer["warped"], made, answer["figures"])
            )
        except ValueError as error:
            self._failed(value, str(error))
            return
        except Exception as error:  # such as MemoryError: the phases that are there stay, the user is told
            logging.exception("The phase %s can't be published", value)
            self._failed(value, _("The result can't be shown: {error}").format(error=repr(error)))
            return
        self.registered += 1
        if answer["fixed_lungs"] is not None:
            self._request["fixed_mask"] = [answer["fixed_lungs"]]  # found once for all phases
        self._goOn()

    def _failed(self, value: str, message: str) -> None:
        self._listener.onPhaseFailed(value, message)
        self._goOn()

    def _goOn(self) -> None:
        """The next phase, unless a listener has stopped the run."""
        if self._stopped:
            return
        try:
            self._next()
        except RuntimeError as error:  # something else was started in between
            self._stopped = True
            self._listener.onPhaseFailed(self.current, str(error))
            self._listener.onSeriesEnded()
