"""Image pairs to try the module with, offered in Slicer's module Sample Data and by a button of the panel."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

CATEGORY = "LungDeepReg"
LUNG_CT, PHANTOM = "LungDeepReg CT pair", "LungDeepReg synthetic pair"
"""The names of the pairs: of one patient's right lung, downloaded; of a synthetic chest, made on this computer."""

_ADDRESS = (
    "https://raw.githubusercontent.com/SuperElastix/elastix/279dbdf74ef81c757757d0d49571d79a810c6c3b/src/Testing/Data/"
)
LUNG_CT_SOURCE: dict[str, Any] = {
    "sampleName": LUNG_CT,
    "uris": [f"{_ADDRESS}3DCT_lung_baseline.mha", f"{_ADDRESS}3DCT_lung_followup.mha"],
    "fileNames": ["LungDeepReg-lung-baseline.mha", "LungDeepReg-lung-follow-up.mha"],
    "nodeNames": ["Lung baseline", "Lung follow-up"],
    "checksums": [
        "SHA256:37ae58eda2c7f745f62e4a526a964170fecf4cd923d30f34756de5ba72d32fb1",
        "SHA256:56dc3754995946acb2828bcd2843885720821fc00e80d8c94576f2da266dd24d",
    ],
}
PHANTOM_FILES = "LungDeepReg-synthetic-pair"
LUNGS = ((1, "right lung", (0.90, 0.50, 0.35)), (2, "left lung", (0.35, 0.60, 0.90)))
"""Label, name and color of each lung in the synthetic pair's masks."""
PAUSE_S = 0.02


class SampleDataError(RuntimeError):
    """A pair that can't be had; the text is meant for the user."""


class SampleDataCanceled(SampleDataError):
    """The user pressed Cancel."""


def registerSampleData() -> None:
    """Offer the pairs in the module Sample Data; called when Slicer has started, and again after a reload."""
    import SampleData

    logic = SampleData.SampleDataLogic
    # After a reload the entries would hold the functions of the module that is gone.
    getattr(slicer.modules, "sampleDataSources", {}).pop(CATEGORY, None)
    if hasattr(logic, "registerCustomSampleDataCategory"):  # since 5.12
        logic.registerCustomSampleDataCategory(CATEGORY, title=CATEGORY)
    icons = Path(__file__).parents[1] / "Resources" / "Icons"
    logic.registerCustomSampleDataSource(
        category=CATEGORY, thumbnailFileName=str(icons / "LungDeepRegPair.png"), **LUNG_CT_SOURCE
    )
    # Sample Data asks for an address, but a click goes to the downloader alone.
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=PHANTOM,
        thumbnailFileName=str(icons / "LungDeepRegPhantom.png"),
        uris="made on this computer",
        fileNames=PHANTOM_FILES,
        loadFiles=False,
        loadFileType=None,
        customDownloader=_onSampleDataClicked,
    )


def loadSamplePair(name: str, runner: Any = None) -> tuple[Any, Any]:
    """Load a pair into the scene and show its fixed image; meanwhile a dialog shows progress and can cancel.

    The synthetic pair is made by the worker on first use (PyTorch is asked for if it is missing); both pairs are kept
    in Slicer's cache. The synthetic one comes with lungs as segmentations and landmarks, which are hidden at first.

    Args:
        name: :data:`LUNG_CT` or :data:`PHANTOM`.
        runner: The TaskRunner that makes the synthetic pair, not busy; without it one of its own.

    Returns:
        The fixed and the moving volume node.

    Raises:
        SampleDataCanceled: The user pressed Cancel. Nothing was added to the scene.
        SampleDataError: No connection, or the worker failed.
        TorchUnavailable: The synthetic pair isn't there yet and PyTorch isn't either.
    """
    with _allOrNothing(slicer.mrmlScene):
        if name == LUNG_CT:
            fixed, moving = _downloadedPair()
        elif name == PHANTOM:
            fixed, moving = _phantomNodes(_phantom(runner))
        else:
            msg = f"found the sample pair {name!r}, expected {LUNG_CT!r} or {PHANTOM!r}"
            raise ValueError(msg)
    slicer.util.setSliceViewerLayers(background=fixed, foreground=None, label=None, fit=True)
    return fixed, moving


def _onSampleDataClicked(_source: Any) -> None:
    """Load the synthetic pair for the module Sample Data."""
    from .pytorch import TorchUnavailable

    try:
        loadSamplePair(PHANTOM)
    except SampleDataCanceled as canceled:
        slicer.util.showStatusMessage(str(canceled), 3000)
    except (SampleDataError, TorchUnavailable) as error:
        slicer.util.errorDisplay(str(error), windowTitle=CATEGORY)


def _downloadedPair() -> tuple[Any, Any]:
    """The real pair, by Sample Data's own download with checksum and cache."""
    import SampleData

    with _progress(_("Downloading two CT images (5 MB each)...")) as report:

        class Download(SampleData.SampleDataLogic):
            """Answers clicks after each block."""

            def reportHook(self, blocksSoFar: int, blockSize: int, totalSize: int) -> None:
                super().reportHook(blocksSoFar, blockSize, totalSize)
                report(blocksSoFar * blockSize / totalSize if totalSize > 0 else 0.0)

        nodes = Download().downloadFromSource(SampleData.SampleDataSource(**LUNG_CT_SOURCE))
    if len(nodes) != 2 or not all(isinstance(node, slicer.vtkMRMLScalarVolumeNode) for node in nodes):
        text = _(
            "The CT pair was not downloaded from {address}. Check the internet connection, or use the synthetic pair."
        )
        raise SampleDataError(text.format(address=LUNG_CT_SOURCE["uris"][0]))
    return nodes[0], nodes[1]


def _phantom(runner: Any) -> dict[str, Any]:
    """The synthetic pair, from the cache or made now."""
    from LungDeepRegLib import __version__
    from LungDeepRegLib.worker import exchange

    kept = _cacheFolder() / f"{PHANTOM_FILES}-{__version__}"
    if kept.is_dir():
        try:
            return exchange.load(kept)
        except (exchange.ExchangeError, OSError, ValueError, KeyError):
            shutil.rmtree(kept, ignore_errors=True)  # damaged; make it again
    pair = _madePhantom(runner)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f"{PHANTOM_FILES}-") as folder:
            exchange.save(pair, Path(folder) / "new")
            (Path(folder) / "new").rename(kept)
    except OSError as error:  # the pair is there all the same, only not for the next time
        logging.warning("The synthetic pair could not be kept in %s: %s", kept, error)
    return pair


def _madePhantom(runner: Any) -> dict[str, Any]:
    """The synthetic pair, made by the worker while Slicer processes events."""
    from .pytorch import ensureTorch
    from .taskRunner import TaskRunner

    ensureTorch()
    used = runner or TaskRunner()
    if used.busy:
        raise SampleDataError(_("Something else is being computed. Wait until it is done, or cancel it."))
    answers: list[dict[str, Any]] = []
    failures: list[str] = []
    try:
        with _progress(_("Making a synthetic chest. The first time this takes some seconds more...")) as report:
            reached = [0.0]
            used.run(
                "phantom",
                {"seed": 0},
                onProgress=lambda stage, fraction: reached.append(fraction if stage == "phantom" else reached[-1]),
                onDone=answers.append,
                onFailed=failures.append,
            )
            while not answers and not failures:
                report(reached[-1])
                time.sleep(PAUSE_S)
    finally:
        if runner is None:
            used.close()
        elif used.busy:
            used.cancel()
    if failures:
        raise SampleDataError(_("The synthetic pair could not be made. {reason}").format(reason=failures[0]))
    return answers[0]


def _phantomNodes(pair: dict[str, Any]) -> tuple[Any, Any]:
    """The synthetic pair in the scene: images, lungs as segmentations, landmarks."""
    from LungDeepRegLib.mrml import node_from_volume

    images = []
    for role, name in (("fixed", _("Phantom exhale")), ("moving", _("Phantom inhale"))):
        volume = pair[role]
        image = node_from_volume(volume.with_array(volume.array, name), slicer.mrmlScene)
        _addLungs(pair[f"{role}_mask"], image)
        _addLandmarks(pair[f"{role}_landmarks"], image)
        images.append(image)
    return images[0], images[1]


def _addLungs(mask: Any, image: Any) -> None:
    """A segmentation with a segment for each lung."""
    from LungDeepRegLib.mrml.volumes import image_data, vtk_matrix

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{image.GetName()} lungs")
    node.SetReferenceImageGeometryParameterFromVolumeNode(image)
    for label, name, color in LUNGS:
        lung = slicer.vtkOrientedImageData()
        lung.ShallowCopy(image_data((mask.array == label).astype(np.uint8)))
        lung.SetImageToWorldMatrix(vtk_matrix(mask.ijk_to_ras))
        node.AddSegmentFromBinaryLabelmapRepresentation(lung, name, color)
    node.CreateDefaultDisplayNodes()
    node.SetDisplayVisibility(False)


def _addLandmarks(landmarks: Any, image: Any) -> None:
    """A locked list of points."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"{image.GetName()} landmarks")
    for point, label in zip(landmarks.points_ras.tolist(), landmarks.labels, strict=True):
        node.AddControlPoint(point, label)
    node.SetLocked(True)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetPointLabelsVisibility(False)
    node.SetDisplayVisibility(False)


def _cacheFolder() -> Path:
    """Where Sample Data keeps its files; emptied by Edit > Application Settings > Cache."""
    return Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory())


@contextmanager
def _allOrNothing(scene: Any) -> Iterator[None]:
    """Remove the nodes that were added, if something fails."""
    before = {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}
    try:
        yield
    except BaseException:
        nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
        for node in [node for node in nodes if node.GetID() not in before]:
            scene.RemoveNode(node)
        raise


@contextmanager
def _progress(text: str) -> Iterator[Callable[[float], None]]:
    """A dialog with a Cancel button; yields what shows a fraction, answers clicks, and raises if it was pressed.

    Nothing else of Slicer can be clicked meanwhile, so the scene stays as it is.
    """
    import qt

    dialog = slicer.util.createProgressDialog(
        labelText=text, windowTitle=CATEGORY, maximum=100, autoClose=False, windowModality=qt.Qt.ApplicationModal
    )

    def report(fraction: float) -> None:
        dialog.value = min(99, int(100 * fraction))
        slicer.app.processEvents()
        if dialog.wasCanceled:
            raise SampleDataCanceled(_("Loading the sample data was canceled."))

    try:
        yield report
    finally:
        dialog.close()
