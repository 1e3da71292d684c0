"""The sample pairs: offered to Sample Data, downloaded or made once, whole in the scene or not at all."""

import hashlib
import importlib
import shutil
import struct
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import slicer
from LungDeepRegLib.mrml import mask_from_node, node_from_volume, volume_from_node
from LungDeepRegLib.worker.client import Worker

ROOT = Path(__file__).parents[2]
REAL_PAIR = ROOT.parent / "shared" / "data" / "lung_ct_pair"


class SampleDataSource:
    def __init__(self, **entries):
        vars(self).update(entries)


class SampleDataLogic:
    """Sample Data as Slicer 5.10 has it, with a scene in place of the internet."""

    nodes: tuple[object, ...] = ()
    blocks = 3

    @staticmethod
    def registerCustomSampleDataSource(*, category, **entries):  # noqa: N802
        slicer.modules.sampleDataSources.setdefault(category, []).append(entries)

    def reportHook(self, blocks, size, total):  # noqa: N802
        pass

    def downloadFromSource(self, source):  # noqa: N802
        for block in range(self.blocks):
            self.reportHook(block, 10, 10 * self.blocks)
        return list(type(self).nodes)


class Dialog(SimpleNamespace):
    def close(self):
        self.closed = True


@pytest.fixture
def dialog():
    return Dialog(value=0, wasCanceled=False, closed=False)


@pytest.fixture
def sample_data(monkeypatch, scene, tmp_path, dialog):
    """The file under test, in a Slicer with an empty scene and cache."""
    cache, before = slicer.vtkCacheManager(), scene.GetCacheManager()
    cache.SetRemoteCacheDirectory(str(tmp_path / "cache"))
    scene.SetCacheManager(cache)
    i18n, qt, module = (ModuleType(name) for name in ("slicer.i18n", "qt", "SampleData"))
    i18n.tr = lambda text: text
    qt.Qt = SimpleNamespace(ApplicationModal=2)
    qt.QTimer = object
    module.SampleDataLogic, module.SampleDataSource = SampleDataLogic, SampleDataSource
    for stand_in in (i18n, qt, module):
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    monkeypatch.setattr(slicer, "modules", SimpleNamespace(sampleDataSources={}), raising=False)
    monkeypatch.setattr(
        slicer, "app", SimpleNamespace(processEvents=lambda: None, layoutManager=lambda: None), raising=False
    )
    monkeypatch.setattr(slicer.util, "createProgressDialog", lambda **shown: vars(dialog).update(shown) or dialog)
    for name in ("taskRunner", "pytorch", "pytorchMessages", "sampleData"):
        monkeypatch.setitem(sys.modules, f"LungDeepRegWidgets.{name}", None)  # so that what is loaded now goes again
        del sys.modules[f"LungDeepRegWidgets.{name}"]
    yield importlib.import_module("LungDeepRegWidgets.sampleData")
    scene.SetCacheManager(before)


class Runner:
    """A TaskRunner whose worker answers when Slicer next processes events."""

    def __init__(self, answer=None, failure=None):
        self.answer, self.failure, self.busy, self.tasks = answer, failure, False, []

    def run(self, name, request, *, onProgress, onDone, onFailed):
        self.busy = True
        self.tasks.append((name, request))
        self.steps = [lambda: onProgress("phantom", 0.5), lambda: self.finish(onDone, onFailed)]
        slicer.app.processEvents = lambda: self.steps.pop(0)() if self.steps else None

    def finish(self, done, failed):
        self.busy = False
        done(self.answer) if self.failure is None else failed(self.failure)

    def cancel(self):
        self.busy, self.steps = False, []


def parts(pair) -> dict:
    names = ("fixed", "moving", "fixed_mask", "moving_mask", "fixed_landmarks", "moving_landmarks")
    return {name: getattr(pair, name) for name in names}


def names_in(scene) -> list[str]:
    return [scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())]


def test_both_pairs_are_offered_once_with_pictures_also_after_a_reload(sample_data):
    for _ in range(2):
        sample_data.registerSampleData()
    offered = slicer.modules.sampleDataSources
    assert list(offered) == [sample_data.CATEGORY]
    real, phantom = offered[sample_data.CATEGORY]
    assert (real["sampleName"], phantom["sampleName"]) == (sample_data.LUNG_CT, sample_data.PHANTOM)
    assert callable(phantom["customDownloader"])
    for entry in (real, phantom):
        header = Path(entry["thumbnailFileName"]).read_bytes()[:24]
        assert struct.unpack(">II", header[16:24]) == (260, 280)
    assert all(address.startswith("https://raw.githubusercontent.com/") for address in real["uris"])
    assert len(real["uris"]) == len(real["fileNames"]) == len(real["nodeNames"]) == len(real["checksums"]) == 2


def test_the_category_gets_a_title_where_slicer_has_that(sample_data, monkeypatch):
    titles = {}
    added = staticmethod(lambda category, title: titles.update({category: title}))
    monkeypatch.setattr(SampleDataLogic, "registerCustomSampleDataCategory", added, raising=False)
    sample_data.registerSampleData()
    assert titles == {"LungDeepReg": "LungDeepReg"}


def test_the_synthetic_pair_comes_with_lungs_and_landmarks(sample_data, scene, pair):
    runner = Runner(parts(pair))
    fixed, moving = sample_data.loadSamplePair(sample_data.PHANTOM, runner)
    assert runner.tasks == [("phantom", {"seed": 0})]
    for node, volume, mask, landmarks in (
        (fixed, pair.fixed, pair.fixed_mask, pair.fixed_landmarks),
        (moving, pair.moving, pair.moving_mask, pair.moving_landmarks),
    ):
        read = volume_from_node(node)
        np.testing.assert_array_equal(read.array, volume.array)
        np.testing.assert_allclose(read.ijk_to_ras, volume.ijk_to_ras)
        lungs = scene.GetFirstNodeByName(f"{node.GetName()} lungs")
        segments = lungs.GetSegmentation()
        found = [segments.GetNthSegment(index).GetName() for index in range(segments.GetNumberOfSegments())]
        assert found == ["right lung", "left lung"]
        assert is_right_of(lungs, segments.GetNthSegmentID(0), segments.GetNthSegmentID(1))
        np.testing.assert_array_equal(mask_from_node(lungs, read) > 0, mask.array > 0)
        points = scene.GetFirstNodeByName(f"{node.GetName()} landmarks")
        np.testing.assert_allclose(slicer.util.arrayFromMarkupsControlPoints(points), landmarks.points_ras, atol=1e-4)
        assert points.GetNthControlPointLabel(0) == landmarks.labels[0]
        assert points.GetLocked()
        assert not points.GetDisplayVisibility()
        assert not lungs.GetDisplayVisibility()


def is_right_of(segmentation, right: str, left: str) -> bool:
    right_x, left_x = (segmentation.GetSegmentCenterRAS(segment)[0] for segment in (right, left))
    return right_x > left_x


def test_the_second_time_the_pair_comes_from_the_cache(sample_data, pair, tmp_path):
    sample_data.loadSamplePair(sample_data.PHANTOM, Runner(parts(pair)))
    again = Runner(failure="not needed")
    fixed, moving = sample_data.loadSamplePair(sample_data.PHANTOM, again)
    assert not again.tasks
    np.testing.assert_array_equal(volume_from_node(moving).array, pair.moving.array)
    shutil.rmtree(tmp_path / "cache")  # as by Slicer's settings
    with pytest.raises(sample_data.SampleDataError, match="not needed"):
        sample_data.loadSamplePair(sample_data.PHANTOM, again)
    assert fixed.GetImageData() is not None  # what is in the scene stays


def test_a_damaged_cache_is_made_anew(sample_data, pair, tmp_path):
    sample_data.loadSamplePair(sample_data.PHANTOM, Runner(parts(pair)))
    next((tmp_path / "cache").rglob("0.raw")).write_bytes(b"cut off")
    runner = Runner(parts(pair))
    fixed, _ = sample_data.loadSamplePair(sample_data.PHANTOM, runner)
    assert runner.tasks
    np.testing.assert_array_equal(volume_from_node(fixed).array, pair.fixed.array)


def test_a_cache_that_cannot_be_written_is_no_obstacle(sample_data, pair, tmp_path, caplog):
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("a file where the folder should be")
    sample_data.loadSamplePair(sample_data.PHANTOM, Runner(parts(pair)))
    assert "could not be kept" in caplog.text


def test_cancel_leaves_nothing_behind(sample_data, scene, pair, dialog, tmp_path):
    before = names_in(scene)
    runner = Runner(parts(pair))
    dialog.wasCanceled = True
    with pytest.raises(sample_data.SampleDataCanceled):
        sample_data.loadSamplePair(sample_data.PHANTOM, runner)
    assert not runner.busy
    assert dialog.closed
    assert names_in(scene) == before
    assert not list(tmp_path.rglob("*.raw"))


def test_a_failure_while_nodes_are_made_leaves_none(sample_data, scene, pair, monkeypatch):
    before = names_in(scene)
    monkeypatch.setattr(sample_data, "_addLandmarks", lambda *found: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sample_data.loadSamplePair(sample_data.PHANTOM, Runner(parts(pair)))
    assert names_in(scene) == before


def test_a_failure_of_the_worker_is_told(sample_data, scene):
    with pytest.raises(sample_data.SampleDataError, match="no memory"):
        sample_data.loadSamplePair(sample_data.PHANTOM, Runner(failure="no memory"))


def test_without_pytorch_the_reason_is_shown_by_sample_data(sample_data, monkeypatch):
    shown = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, windowTitle: shown.append(text))
    pytorch = importlib.import_module("LungDeepRegWidgets.pytorch")

    def refuse():
        msg = "what to do"
        raise pytorch.TorchUnavailable(msg)

    monkeypatch.setattr(pytorch, "ensureTorch", refuse)
    sample_data.registerSampleData()
    phantom = slicer.modules.sampleDataSources[sample_data.CATEGORY][1]
    phantom["customDownloader"](phantom)
    assert shown == ["what to do"]


def test_the_real_pair_is_downloaded_by_sample_data(sample_data, scene, pair, monkeypatch, dialog):
    loaded = [node_from_volume(volume, scene) for volume in (pair.fixed, pair.moving)]
    monkeypatch.setattr(SampleDataLogic, "nodes", loaded)
    assert sample_data.loadSamplePair(sample_data.LUNG_CT) == (loaded[0], loaded[1])
    assert dialog.value == 66
    assert dialog.closed


@pytest.mark.parametrize("found", [[], [None, None], ["a file.mha", "another.mha"]])
def test_no_connection_is_told_and_leads_to_the_synthetic_pair(sample_data, monkeypatch, found):
    monkeypatch.setattr(SampleDataLogic, "nodes", found)
    with pytest.raises(sample_data.SampleDataError, match=r"raw.githubusercontent.*synthetic pair"):
        sample_data.loadSamplePair(sample_data.LUNG_CT)


def test_a_download_can_be_canceled(sample_data, dialog):
    dialog.wasCanceled = True
    with pytest.raises(sample_data.SampleDataCanceled):
        sample_data.loadSamplePair(sample_data.LUNG_CT)


def test_an_unknown_pair_is_refused(sample_data):
    with pytest.raises(ValueError, match="found the sample pair 'head'"):
        sample_data.loadSamplePair("head")


@pytest.mark.skipif(not REAL_PAIR.is_dir(), reason="needs ../shared/data/lung_ct_pair")
def test_the_checksums_are_those_of_the_public_files(sample_data):
    for name, checksum in zip(("baseline", "followup"), sample_data.LUNG_CT_SOURCE["checksums"], strict=True):
        digest = hashlib.sha256((REAL_PAIR / f"3DCT_lung_{name}.mha").read_bytes()).hexdigest()
        assert checksum == f"SHA256:{digest}"


class RealRunner:
    """A TaskRunner without Qt: the real worker, looked at whenever Slicer processes events."""

    def __init__(self):
        self.worker, self.busy = Worker(), False

    def run(self, name, request, *, onProgress, onDone, onFailed):
        self.busy, self.done, self.failed = True, onDone, onFailed
        self.worker.submit(name, request)
        slicer.app.processEvents = self.look

    def look(self):
        for event in self.worker.poll():
            if event.kind in ("done", "failed", "ended"):
                self.busy = False
                self.done(self.worker.read_answer(event)) if event.kind == "done" else self.failed(event.message)


def test_the_worker_makes_the_pair_of_the_demo(sample_data):
    runner = RealRunner()
    try:
        fixed, moving = sample_data.loadSamplePair(sample_data.PHANTOM, runner)
    finally:
        runner.worker.close()
    assert fixed.GetImageData().GetDimensions() == (150, 110, 125)
    assert moving.GetSpacing() == (2.5, 2.5, 3.0)
    assert moving.GetName() == "Phantom inhale"
