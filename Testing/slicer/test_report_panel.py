"""The panel of the report, clicked: what it writes, that it tells no names, and that the views are as they were."""

import base64
import dataclasses
import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import vtk
from LungDeepRegLib.landmark_review.pairs import LandmarkPair
from LungDeepRegLib.mrml.landmark_pairs import add_pair_lists, set_pairs
from LungDeepRegLib.mrml.phi import phi_of

from Testing.slicer.gui import click, process_events_until
from Testing.slicer.standins.qt_module import qt
from Testing.slicer.views import load_picture

UI = Path(__file__).parents[2] / "LungDeepReg" / "Resources" / "UI" / "Report.ui"
SUMMARY = {
    "dice_before": 0.7, "dice_aligned": None, "dice_after": 0.923456, "folded_percent_lung": 0.0,
    "folded_percent": 0.0125, "similarity": {"measure": "lncc", "before": 0.3, "after": 0.61},
    "fixed": "DOE^JANE exhale", "moving": "DOE^JANE inhale", "masks": {"fixed": "found", "moving": "found"},
    "warnings": ["DOE^JANE inhale: no lung found; the whole image is used"], "seconds_total": 3.5,
    "options": {"weights": "bundled"}, "versions": {"LungDeepRegLib": "0.1.0"},
}  # fmt: skip
TITLES = [
    "Overlay before registration", "Overlay after registration", "Fixed volume", "Deformed volume", "Checkerboard",
    "Difference", "Displacement, colors", "Displacement, arrows", "Displacement, deformed grid", "Jacobian",
    "Matching points", "Trust", "Residual", "Local correlation", "Ventilation by the Jacobian",
]  # fmt: skip


@pytest.fixture
def case(preset_case):
    """A result whose volumes are called as a patient is."""
    preset_case.nodes.fixed.SetName(SUMMARY["fixed"])
    preset_case.nodes.moving.SetName(SUMMARY["moving"])
    return preset_case


@pytest.fixture
def panel(case, tmp_path):
    panel = importlib.import_module("LungDeepRegWidgets.reportPanel").ReportPanel(case.switch, str(UI))
    panel.widget.show()
    panel.ui.reportCollapsibleButton.collapsed = False
    panel.setParameters(SimpleNamespace(summary=json.dumps(SUMMARY), landmarkObserver="A", qualityThresholds=""))
    panel.setResult(case.nodes)
    panel.ui.folderSelector.currentPath = str(tmp_path / "reports")
    yield panel
    panel.cancel()


@pytest.fixture
def few(monkeypatch):
    """Two pictures only, where it doesn't matter which."""
    module = importlib.import_module("LungDeepRegWidgets.report.shots")
    monkeypatch.setattr(module, "shotsOf", lambda *_: module.viewShots()[1:3])
    return module


def report(panel) -> Path:
    """Click, and wait for the report's folder."""
    before = set(folders(panel))
    click(panel.ui.reportButton)
    process_events_until(lambda: not panel.busy, 120)
    (made,) = set(folders(panel)) - before
    return made


def folders(panel) -> list[Path]:
    """Everything that there is in the chosen folder."""
    folder = Path(panel.ui.folderSelector.currentPath)
    return list(folder.iterdir()) if folder.is_dir() else []


def captions(page: str) -> list[str]:
    return re.findall(r"<figcaption><strong>\d+\. (.*?)\.</strong>", page)


def pictures(page: str, tmp_path: Path) -> list[np.ndarray]:
    found = re.findall(r"data:image/png;base64,([^\"]+)", page)
    path = tmp_path / "picture.png"
    arrays = []
    for text in found:
        path.write_bytes(base64.b64decode(text))
        arrays.append(load_picture(path))
    return arrays


def test_one_click_writes_pictures_of_every_display_and_all_figures(case, panel, tmp_path):
    before = case.state()
    assert panel.ui.reportButton.text == "Write report"
    made = report(panel)
    assert sorted(path.name for path in made.iterdir()) == ["report.csv", "report.html", "report.json"]
    page = (made / "report.html").read_text(encoding="utf-8")
    assert captions(page) == TITLES
    assert "No picture of" not in page
    withoutOffset = case.show("Displacement", style="magnitude").withoutOffset
    case.switch.leave()
    assert page.count("is left out.") == (3 if withoutOffset else 0)
    found = dict(re.findall(r'<data value="([^"]*)"[^>]*data-entry="([^"]*)"', page))
    assert {entry: float(value) for value, entry in found.items()}["dice_after"] == 0.923456
    assert json.loads((made / "report.json").read_text(encoding="utf-8"))["summary"]["dice_after"] == 0.923456
    assert "31.2" not in page
    assert "42.0" in page  # the assessment's residual
    assert case.state() == before
    assert made.as_uri() in panel.ui.statusLabel.text
    arrays = pictures(page, tmp_path)
    height, width = arrays[0].shape[:2]
    assert abs(width - 360) < 8
    assert abs(height - 240) < 8
    contents = [array.tobytes() for array in arrays]
    assert len(set(contents)) == len(contents)
    assert all(array.std() > 10 for array in arrays)


def test_no_name_is_told_in_texts_or_pictures(case, panel, few, tmp_path):
    corner = vtk.vtkCornerAnnotation()
    corner.SetText(2, "B: DOE^JANE")
    corner.SetMinimumFontSize(20)
    case.views["Red"].renderer.AddViewProp(corner)
    plain = case.views["Red"].grab()
    made = report(panel)
    for path in made.iterdir():
        assert "JANE" not in path.read_text(encoding="utf-8")
        assert "JANE" not in str(path)
    page = (made / "report.html").read_text(encoding="utf-8")
    assert "Fixed image" in page
    with_corner = pictures(page, tmp_path)
    assert corner.GetVisibility()
    assert np.array_equal(case.views["Red"].grab(), plain)  # the user sees it as before
    case.views["Red"].renderer.RemoveViewProp(corner)
    without = pictures((report(panel) / "report.html").read_text(encoding="utf-8"), tmp_path)
    assert all(np.array_equal(a, b) for a, b in zip(with_corner, without, strict=True))


def test_what_else_the_user_shows_is_not_part_of_the_pictures(case):
    privacy = importlib.import_module("LungDeepRegWidgets.report.privacy")
    own, other = (case.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name) for name in ("a", "b"))
    for node in (own, other):
        node.CreateDefaultDisplayNodes()
        node.AddControlPointWorld(0, 0, 0, "Jane Roe")
        node.GetDisplayNode().SetPropertiesLabelVisibility(True)
        node.GetDisplayNode().SetPointLabelsVisibility(True)
    legend = case.scene.AddNewNodeByClass("vtkMRMLColorLegendDisplayNode", "Jane Roe")
    case.show("LinkedCursor")
    cross = case.scene.GetFirstNode("matching point", "vtkMRMLMarkupsFiducialNode").GetDisplayNode()
    cross.SetVisibility(True)

    def shown():
        labels = [node.GetDisplayNode().GetPointLabelsVisibility() for node in (own, other)]
        displays = [own.GetDisplayNode(), other.GetDisplayNode(), cross, legend]
        return labels, [bool(display.GetVisibility()) for display in displays]

    before = shown()
    with privacy.onlyDisplays(case.scene, (own,)):
        assert shown() == ([False, False], [True, False, True, False])
        assert not own.GetDisplayNode().GetPropertiesLabelVisibility()
    assert shown() == before == ([True, True], [True, True, True, True])
    with privacy.onlyDisplays(case.scene, (own,), named=True):
        assert shown()[0][0]
        assert own.GetDisplayNode().GetPropertiesLabelVisibility()


def test_pictures_tell_sides_and_sizes(case):
    privacy = importlib.import_module("LungDeepRegWidgets.report.privacy")
    red = case.views["Red"].node
    red.SetRulerType(red.RulerTypeThick)
    case.show("Overlay")
    before = case.views["Red"].grab()
    with privacy.oriented(case.scene):
        after = case.views["Red"].grab()
    assert (red.GetOrientationMarkerType(), red.GetRulerType()) == (red.OrientationMarkerTypeNone, red.RulerTypeThick)
    assert red.GetRulerColor() == red.RulerColorWhite
    changed = (before != after).any(axis=-1)
    height, width = changed.shape
    assert changed[height // 2 :, width // 2 :].any()
    assert not changed[: height // 2].any()


def test_whoever_is_named_in_the_scene_is_private(case):
    privacy = importlib.import_module("LungDeepRegWidgets.report.privacy")
    hierarchy = privacy.slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(case.scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Roe, Richard")
    hierarchy.SetItemAttribute(patient, "DICOM.PatientID", "4711-X")
    hierarchy.CreateItem(patient, case.nodes.moving)
    for name in ("Sequence", "SequenceBrowser"):
        case.scene.AddNewNodeByClass(f"vtkMRML{name}Node", f"Roe {name}")
    segments = case.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Roe segments").GetSegmentation()
    segments.AddEmptySegment("one", "Roe tumor")
    storage = case.scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName("/data/Roe R/Roe first.nrrd")
    case.nodes.fixed.SetAndObserveStorageNodeID(storage.GetID())
    found = privacy.privateTexts(case.scene)
    expected = {
        "Roe, Richard",
        "4711-X",
        "Roe Sequence",
        "Roe SequenceBrowser",
        "Roe segments",
        "Roe tumor",
        "Roe first.nrrd",
    }
    assert expected | {SUMMARY["fixed"], SUMMARY["moving"]} <= set(found)


def test_names_are_told_where_they_are_asked_for(panel, few):
    assert not panel.ui.namesCheckBox.checked
    click(panel.ui.namesCheckBox)
    made = report(panel)
    assert "DOE^JANE inhale (moving)" in (made / "report.html").read_text(encoding="utf-8")
    assert "JANE" not in made.name


def test_what_was_shown_before_is_shown_again(case, panel, few):
    case.show("Jacobian", opacity=0.35)
    before = case.view_state()
    report(panel)
    assert type(case.switch.active).__name__ == "Jacobian"
    after = case.view_state()
    assert after["layout"] == before["layout"]
    assert case.composite().GetForegroundOpacity() == pytest.approx(0.35)


def test_what_cannot_be_shown_again_does_not_lose_the_report(case, panel, few):
    made = []

    def make(stage, nodes):
        made.append(nodes)
        if len(made) > 1:
            msg = "gone"
            raise AttributeError(msg)
        return case.presets.Overlay(stage, nodes)

    case.switch.choose(make, case.nodes)
    assert (report(panel) / "report.html").is_file()
    assert len(made) == 2
    assert case.switch.active is None


def test_canceled_between_two_pictures(case, panel):
    case.show("Overlay")
    click(panel.ui.reportButton)
    process_events_until(lambda: panel.ui.progressBar.value > 0)
    assert panel.ui.reportButton.text == "Cancel"
    assert not panel.ui.namesCheckBox.enabled
    click(panel.ui.reportButton)
    qt.QApplication.processEvents()
    assert not panel.busy
    assert folders(panel) == []
    assert "Nothing was written" in panel.ui.statusLabel.text
    assert type(case.switch.active).__name__ == "Overlay"


def test_another_display_that_is_chosen_meanwhile_stays(case, panel):
    click(panel.ui.reportButton)
    process_events_until(lambda: panel.ui.progressBar.value > 0)
    shown = case.show("Difference")
    for _ in range(5):
        qt.QApplication.processEvents()
    assert not panel.busy
    assert case.switch.active is shown
    assert folders(panel) == []
    assert "something else is shown" in panel.ui.statusLabel.text


@pytest.mark.parametrize("how", ["closed", "removed"])
def test_a_result_that_goes_ends_it(case, panel, how):
    click(panel.ui.reportButton)
    process_events_until(lambda: panel.ui.progressBar.value > 0)
    if how == "closed":
        case.switch.leave()
        panel.cancel()
        panel.setParameters(None)
    else:
        case.scene.RemoveNode(case.nodes.warped)
    for _ in range(5):
        qt.QApplication.processEvents()
    assert not panel.busy
    assert case.switch.active is None
    assert folders(panel) == []


def test_a_folder_that_cannot_be_written(case, panel, few, tmp_path):
    before = case.view_state()
    (tmp_path / "reports").write_text("a file")
    click(panel.ui.reportButton)
    process_events_until(lambda: not panel.busy, 60)
    (message,) = case.session.take_messages()
    assert "the result can't be written" in message.text
    assert case.view_state() == before
    assert (tmp_path / "reports").read_text() == "a file"
    assert panel.ui.reportButton.enabled


def test_a_display_that_fails_does_not_lose_the_others(case, panel, few, monkeypatch, tmp_path):
    module = importlib.import_module("LungDeepRegWidgets.presets.overlay")

    def fail(self):
        self.stage.open(3)
        msg = "no <such> thing"
        raise RuntimeError(msg)

    monkeypatch.setattr(module.Overlay, "show", fail)
    before = case.view_state()
    page = (report(panel) / "report.html").read_text(encoding="utf-8")
    assert captions(page) == []
    assert "No picture of Overlay after registration: no &lt;such&gt; thing" in page
    assert case.view_state() == before


def test_without_views_there_is_a_report_without_pictures(case, panel, few):
    case.session.app.layout_manager = None
    page = (report(panel) / "report.html").read_text(encoding="utf-8")
    assert "No pictures were made." in page
    assert "0.923" in page


def test_nothing_is_overwritten(panel, few, monkeypatch):
    module = importlib.import_module("LungDeepRegWidgets.reportPanel")
    monkeypatch.setattr(module.time, "strftime", lambda form: "LungDeepReg now")
    assert [report(panel).name for _ in range(3)] == ["LungDeepReg now", "LungDeepReg now (2)", "LungDeepReg now (3)"]


def test_two_observers_landmarks_are_in_it(case, panel, few):
    fixed, moving, phi = case.nodes.fixed, case.nodes.moving, phi_of(case.nodes.transform)
    bounds = [0.0] * 6
    fixed.GetRASBounds(bounds)
    middle = np.array(bounds).reshape(3, 2).mean(axis=1)
    points = middle + np.array([[10.0, 0, 0], [-20, 10, 5], [0, -15, 12]])
    for observer, off in (("B", 1.5), ("A", 0.5)):
        there = phi(points) + np.array([0, 0, off])
        pairs = [
            LandmarkPair(f"{fixed.GetName()}-{number}", tuple(a), tuple(b), observer)
            for number, (a, b) in enumerate(zip(points.tolist(), there.tolist(), strict=True), start=1)
        ]
        set_pairs(add_pair_lists(observer, fixed, moving), pairs)
    data = json.loads((report(panel) / "report.json").read_text(encoding="utf-8"))
    assert data["landmarks"]["statistics"]["after"]["all"]["ds"]["mean"] == pytest.approx(0.5, abs=1e-3)  # of A
    assert data["landmarks"]["pairs"][0]["label"] == "Fixed image-1"
    rows = {row["what"]: row["distances"] for row in data["observers"]["rows"]}
    assert rows["observers, moving image"]["dz"]["mean"] == pytest.approx(1.0, abs=1e-3)
    assert [entry["observer"] for entry in data["observers"]["names"]] == ["A", "B"]
    assert any("statistics of landmark pairs are of A," in note for note in data["notes"])
    assert "By the landmarks of B the mean error is 1.50 mm (3 pairs placed blind)." in data["notes"]
    light = next(check for check in data["checks"] if check["name"] == "landmark_error")
    assert light["value"] == pytest.approx(0.5, abs=1e-3)
    assert "3 pairs" in light["note"]


def test_the_landmark_with_the_largest_error_is_looked_at(case, panel, monkeypatch):
    module = importlib.import_module("LungDeepRegWidgets.report.shots")
    made = module.shotsOf
    monkeypatch.setattr(module, "shotsOf", lambda *known: made(*known)[-1:])
    phi = phi_of(case.nodes.transform)
    points = np.array([[10.0, 20, 30], [-20, 10, 5], [0, -15, 12]])
    there = phi(points) + np.array([[0, 0, 1], [0, 0, -4], [0, 2, 0]])
    pairs = [
        LandmarkPair(label, tuple(a), tuple(b), "A")
        for label, a, b in zip("xyz", points.tolist(), there.tolist(), strict=True)
    ]
    set_pairs(add_pair_lists("A", case.nodes.fixed, case.nodes.moving), pairs)
    jumped, widths = [], []
    review = importlib.import_module("LungDeepRegWidgets.presets.landmarkReview").LandmarkReview

    def jump(self, *where, **_):
        jumped.append(where)
        widths.append(max(self.stage.slices()[0].GetFieldOfView()[:2]))

    monkeypatch.setattr(review, "jump", jump)
    page = (report(panel) / "report.html").read_text(encoding="utf-8")
    assert captions(page) == ["Landmark y, where the error is largest"]
    assert np.allclose(jumped[-1], [points[1], there[1], phi(points)[1]], atol=1e-6)
    assert widths[-1] == pytest.approx(module.AROUND_MM)


def test_landmarks_are_shown_with_the_registration_where_there_are_any(case):
    shots = importlib.import_module("LungDeepRegWidgets.report.shots")
    lists = add_pair_lists("A", case.nodes.fixed, case.nodes.moving)
    assert [shot.title for shot in shots.shotsOf(case.nodes)] == TITLES
    assert [shot.title for shot in shots.shotsOf(case.nodes, lists)] == [*TITLES, "Landmarks"]
    without = dataclasses.replace(case.nodes, jacobian=None, trust=None, ventilation=None)
    assert "Jacobian" not in [shot.title for shot in shots.shotsOf(without)]


def test_without_a_result_there_is_nothing_to_report(panel):
    panel.setResult(None)
    assert not panel.ui.reportButton.enabled
    assert "Register first" in panel.ui.reportButton.toolTip
    panel.ui.folderSelector.currentPath = ""
    assert not panel.ui.reportButton.enabled


def test_a_wide_picture_is_made_smaller(tmp_path):
    module = importlib.import_module("LungDeepRegWidgets.report.viewPictures")
    picture = np.zeros((60, 200, 3), np.uint8)
    picture[:, 100:] = [250, 120, 10]
    (tmp_path / "wide.png").write_bytes(module.pngOf(picture, widest=100))
    found = load_picture(tmp_path / "wide.png")
    assert found.shape == (30, 100, 3)
    assert found[15, 80].tolist() == [250, 120, 10]
    assert found[15, 20].tolist() == [0, 0, 0]
