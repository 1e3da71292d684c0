"""The panel of the report: one click makes a page of pictures and figures that can be kept."""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from .panel import Panel
from .presets.preset import PresetSwitch


class ReportPanel(Panel):
    """Goes through all ways of looking at a result, takes their pictures, and writes the report.

    Slicer goes on answering between the pictures; whatever is done to the views meanwhile stops it. The views are given
    back with what was shown before.

    Args:
        switch: Lends the views.
        uiPath: The panel's .ui file.
        viewOf: Gives the view of a view node; None for that of Slicer's main window.
    """

    def __init__(self, switch: PresetSwitch, uiPath: str, viewOf: Callable[[Any], Any] | None = None) -> None:
        self._switch, self._viewOf = switch, viewOf
        self._parameters: Any = None
        self._nodes: Any = None
        self._work: Iterator[tuple[int, int]] | None = None
        self._before: Any = None
        self._choosing = False
        self.widget = slicer.util.loadUI(uiPath)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.ui.folderSelector.filters = ctk.ctkPathLineEdit.Dirs
        if not self.ui.folderSelector.currentPath:
            self.ui.folderSelector.currentPath = slicer.app.defaultScenePath
        self.ui.folderSelector.connect("currentPathChanged(QString)", self._update)
        self.ui.reportButton.connect("clicked()", self.onReport)
        switch.addListener(self.onViews)
        self._update()

    @property
    def busy(self) -> bool:
        """Whether a report is being made."""
        return self._work is not None

    def setParameters(self, parameters: Any) -> None:
        """Report on another scene's result, or on none."""
        if parameters is None:
            self.cancel()
        self._parameters = parameters
        self._update()

    def setResult(self, nodes: Any) -> None:
        """Report on another result, or on none."""
        if self.busy:  # also one in the same nodes: pictures and figures would be of two results
            self._stop(_("Stopped: the result has changed. Nothing was written."))
        self._nodes = nodes
        self._update()

    def cancel(self) -> None:
        """Stop at once; nothing was written."""
        if self.busy:
            self._stop(_("Canceled. Nothing was written."))

    leave = cancel

    def onReport(self) -> None:
        """Start, or cancel."""
        if self.busy:
            self.cancel()
            return
        self._work, self._before = self._making(), self._switch.shown
        self._say(_("Taking pictures..."))
        self._update()
        qt.QTimer.singleShot(0, self._step)

    def onViews(self) -> None:
        """Somebody shows something else, or nothing: what is shown now stays, the pictures would be of that."""
        if self.busy and not self._choosing:
            self._work = self._before = None
            self._say(_("Stopped: something else is shown. Nothing was written."))
            self._update()

    def _making(self) -> Iterator[tuple[int, int]]:
        """Make the report; gives the number of each picture and of all, and stops there until it is asked for more."""
        from LungDeepRegLib.html_report import Picture

        from .report.gathering import contentOf, observersLists, worstPair
        from .report.shots import shotsOf

        content = contentOf(self._parameters, self._nodes, named=self.ui.namesCheckBox.checked)
        lists = next(iter(observersLists(self._parameters, self._nodes)), None)
        shots = shotsOf(self._nodes, lists, worstPair(self._nodes, content.landmarks))
        pictures, notes = [], list(content.notes)
        for number, shot in enumerate(shots):
            yield number, len(shots)
            try:
                caption, taken = self._picture(shot, content.named)
            except Exception as error:  # a way of looking that fails is no reason to lose all others
                logging.exception("No picture of %s", shot.title)
                notes.append(_("No picture of {title}: {error}").format(title=shot.title, error=error))
                continue
            if not self.busy:  # something else came to be shown meanwhile
                return
            if taken is not None:
                pictures.append(Picture(shot.title, caption, taken))
        self._giveBack()
        self._write(replace(content, pictures=pictures, notes=notes))

    def _picture(self, shot: Any, named: bool) -> tuple[str, bytes | None]:
        """The note and the picture of one way of looking; None where there are no views."""
        from .report.privacy import onlyDisplays, oriented
        from .report.viewPictures import applicationView, layoutPicture

        preset = self._choose(shot.make, self._nodes)
        shot.adjust(preset)
        slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)  # new views get their sizes
        scene, lists = slicer.mrmlScene, shot.settings.get("lists")
        with onlyDisplays(scene, lists.both if lists is not None else (), named=named), oriented(scene):
            taken = layoutPicture(scene, self._viewOf or applicationView)
        return shot.caption or preset.note(), taken

    def _choose(self, make: Callable[[Any, Any], Any], nodes: Any) -> Any:
        """Show a preset, knowing that it was this panel."""
        self._choosing = True
        try:
            return self._switch.choose(make, nodes)
        finally:
            self._choosing = False

    def _step(self) -> None:
        """The next picture, or the end."""
        work = self._work
        if work is None:
            return
        try:
            number, count = next(work)
        except StopIteration:
            self._work = None
            self._update()
        except (ValueError, OSError) as error:
            self._fail(str(error))
        except Exception as error:  # whatever it is, the panel must be usable again
            logging.exception("The report can't be made")
            self._fail(_("The report can't be made: {error}").format(error=repr(error)))
        else:
            self.ui.progressBar.value = int(100 * number / count)
            qt.QTimer.singleShot(0, self._step)

    def _write(self, content: Any) -> None:
        """Write the report into a new folder, which appears whole or not at all."""
        from LungDeepRegLib.html_report import write_report
        from LungDeepRegLib.results.staging import failing_as_output, staged_folder

        out = freeFolder(Path(self.ui.folderSelector.currentPath))
        with staged_folder(out, ours=lambda name: False) as folder, failing_as_output(out):
            write_report(folder, content)
        self.ui.folderSelector.addCurrentPathToHistory()
        page = out / "report.html"
        link = f'<a href="{html.escape(page.as_uri())}">{html.escape(str(page))}</a>'
        self._say(_("Written: {link}").format(link=link))

    def _giveBack(self) -> None:
        """Give the views back, with what was shown before."""
        before, self._before = self._before, None
        self._choosing = True
        try:
            self._switch.leave()
            if before is not None:
                self._switch.choose(*before)
        except Exception as error:  # such as nodes that have changed or gone; no reason to lose the report
            logging.warning("What was shown before the report isn't shown again: %s", error)
        finally:
            self._choosing = False

    def _stop(self, message: str) -> None:
        """Give the views back; nothing was written."""
        self._work = None
        self._giveBack()
        self._say(message)
        self._update()

    def _fail(self, message: str) -> None:
        self._stop(html.escape(message))
        slicer.util.errorDisplay(message, windowTitle=_("LungDeepReg"))

    def _say(self, text: str) -> None:
        self.ui.statusLabel.text = text
        self.ui.statusLabel.visible = bool(text)

    def _missing(self) -> str:
        """What the button waits for; empty if nothing."""
        if self._nodes is None or self._parameters is None or not self._parameters.summary:
            return _("Register first, or choose a pair that is registered.")
        return "" if self.ui.folderSelector.currentPath else _("Choose a folder")

    def _update(self, *_event: Any) -> None:
        """Bring the button into step with what is there and what is running."""
        missing, button = self._missing(), self.ui.reportButton
        button.text = _("Cancel") if self.busy else _("Write report")
        button.enabled = self.busy or not missing
        purpose = _(
            "Take pictures of all displays, and write a page of them and of all figures into a new folder there"
        )
        button.toolTip = _("Stop; nothing is written") if self.busy else missing or purpose
        self.ui.folderSelector.enabled = self.ui.namesCheckBox.enabled = not self.busy
        self.ui.progressBar.visible = self.busy


def freeFolder(parent: Path) -> Path:
    """A folder in another one that isn't there yet, named by the time; it tells nobody's name."""
    name = time.strftime("LungDeepReg %Y-%m-%d %H.%M.%S")
    found, number = parent / name, 1
    while found.exists():
        number += 1
        found = parent / f"{name} ({number})"
    return found
