"""Import and export of landmark pairs, by the panel's own fields and buttons."""

from dataclasses import replace

import numpy as np
import pytest
from LungDeepRegLib.image_io.review_files import read_pair_lists, read_pairs, write_pair_lists, write_pairs
from LungDeepRegLib.landmark_review.pairs import LandmarkPair, Provenance, State

from Testing.slicer.gui import choose, click
from Testing.slicer.standins.qt_module import qt

FORMATS = {
    "Table of all pairs (.csv)": ".csv",
    "3D Slicer (.mrk.json)": ".mrk.json",
    "3D Slicer, older (.fcsv)": ".fcsv",
    "Points (.csv)": ".csv",
    "elastix (.txt)": ".txt",
    "DIR-Lab voxels (.txt)": ".txt",
}
PLAIN = ("elastix (.txt)", "DIR-Lab voxels (.txt)")
"""These keep the points and nothing else."""


@pytest.fixture
def case(landmark_panel):
    landmark_panel.ui.filesButton.collapsed = False
    return landmark_panel


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def pairs(pair):
    """Eleven pairs of every kind."""
    points = zip(pair.fixed_landmarks.points_ras, pair.moving_landmarks.points_ras, strict=True)
    made = [LandmarkPair(str(n), *place, "Observer 1") for n, place in zip(range(1, 12), points, strict=False)]
    first = made[0]
    made[0] = LandmarkPair(
        "carina, left", first.fixed_ras, first.moving_ras, "Observer 1", Provenance.MANUAL, Provenance.ASSISTED,
        State.DOUBTFUL, locked=True,
    )  # fmt: skip
    return made


@pytest.fixture
def filled(case, pairs):
    """The panel with these pairs."""
    case.desk.openLists()
    case.book.write(pairs)
    return case


def export(case, folder, kind):
    case.ui.folderEdit.currentPath = str(folder)
    choose(case.ui.formatSelector, kind)
    click(case.ui.exportButton)
    return sorted(path.name for path in folder.iterdir())


def take(case, fixed, moving=""):
    case.ui.fixedFileEdit.currentPath = str(fixed)
    if moving:
        case.ui.movingFileEdit.currentPath = str(moving)
    click(case.ui.importButton)


def same(found, expected, *, plain=False):
    """Whether pairs came back as they were, but for the rounding of text."""
    assert len(found) == len(expected)
    for now, was in zip(found, expected, strict=True):
        np.testing.assert_allclose(now.fixed_ras, was.fixed_ras, atol=1e-4)
        np.testing.assert_allclose(now.moving_ras, was.moving_ras, atol=1e-4)
        if not plain:
            assert (now.label, now.observer, now.state, now.locked) == (was.label, was.observer, was.state, was.locked)
            assert (now.fixed_provenance, now.moving_provenance) == (was.fixed_provenance, was.moving_provenance)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_exported_is_imported_without_loss(filled, pairs, kind, folder):
    names = export(filled, folder, kind)
    lists = [f"landmarks_{part}{FORMATS[kind]}" for part in ("fixed", "moving")]
    assert names == (["landmarks.csv"] if kind.startswith("Table") else lists)
    assert "Written: landmarks" in filled.status()
    assert ("not placed blindly; other formats do" in filled.status()) == (kind in PLAIN)
    for node in filled.book.lists.both:
        filled.scene.RemoveNode(node)
    assert filled.labels() == []
    take(filled, folder / names[0])  # the moving points' file is found by its name
    assert "11 pairs imported" in filled.status()
    assert ("count as placed blindly" in filled.status()) == (kind in PLAIN)
    same(filled.book.pairs, pairs, plain=kind in PLAIN)


def test_a_table_of_two_observers_fills_both_lists(filled, pairs, folder):
    theirs = [LandmarkPair(pair.label, pair.moving_ras, pair.fixed_ras, "Reader B") for pair in pairs[:3]]
    write_pairs(folder / "both.csv", theirs)
    take(filled, folder / "both.csv")
    assert filled.desk.observers.names() == ["Observer 1", "Reader B"]
    same(filled.book.pairs, pairs)
    filled.observe("Reader B")
    same(filled.book.pairs, theirs)
    export(filled, folder, "Table of all pairs (.csv)")
    same(read_pairs(folder / "landmarks.csv"), [*pairs, *theirs])


def test_what_is_there_is_replaced_only_after_a_question(filled, pairs, folder):
    export(filled, folder, "Table of all pairs (.csv)")
    before = (folder / "landmarks.csv").read_text()
    filled.book.remove("2")
    filled.session.answer(qt.QMessageBox.Cancel)
    export(filled, folder, "Table of all pairs (.csv)")
    assert (folder / "landmarks.csv").read_text() == before
    filled.session.answer(qt.QMessageBox.Ok)
    export(filled, folder, "Table of all pairs (.csv)")
    assert len(read_pairs(folder / "landmarks.csv")) == 10


def test_without_a_folder_nothing_is_written(filled, folder, monkeypatch):
    monkeypatch.chdir(folder)
    filled.ui.folderEdit.currentPath = ""
    click(filled.ui.exportButton)
    (shown,) = filled.session.take_messages()
    assert "Choose a folder" in shown.text
    assert list(folder.iterdir()) == []


def spoil_numbers(folder, case):
    (folder / "landmarks_moving.csv").write_text("label,r,a,s\nx,1,2,3\ny,4,5,6\n")
    return "found 11 points in"


def spoil_labels(folder, case):
    path = folder / "landmarks_fixed.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1]]) + "\n")
    return "more than one landmark pair with the label 11"


def spoil_places(folder, case):
    pairs = read_pair_lists(folder / "landmarks_fixed.csv", folder / "landmarks_moving.csv")
    away = [replace(pair, fixed_ras=tuple(np.add(pair.fixed_ras, 2000.0))) for pair in pairs]
    write_pair_lists(folder / "landmarks_fixed.csv", folder / "landmarks_moving.csv", away)
    return "All 11 points of the fixed volume lie outside it"


def spoil_partner(folder, case):
    (folder / "landmarks_moving.csv").unlink()
    case.ui.movingFileEdit.currentPath = ""
    return "expected a file of the moving points besides"


def keep(folder, case):
    case.desk.openLists().fixed.SetLocked(True)
    return "found a locked list"


@pytest.mark.parametrize("spoil", [spoil_numbers, spoil_labels, spoil_places, spoil_partner, keep])
def test_files_that_can_not_be_used_change_nothing(filled, spoil, folder):
    filled.book.change("carina, left", locked=False)
    filled.book.rename("carina, left", "1")
    export(filled, folder, "Points (.csv)")
    for node in filled.book.lists.both:
        filled.scene.RemoveNode(node)
    message = spoil(folder, filled)
    before = filled.scene.GetNumberOfNodes()
    take(filled, folder / "landmarks_fixed.csv")
    (shown,) = filled.session.take_messages()
    assert message in shown.text
    assert filled.scene.GetNumberOfNodes() == before
    assert filled.labels() == []


def test_labels_that_are_there_already_are_refused(filled, pairs, folder):
    export(filled, folder, "Table of all pairs (.csv)")
    take(filled, folder / "landmarks.csv")
    (shown,) = filled.session.take_messages()
    assert "found the labels carina, left, 2" in shown.text
    same(filled.book.pairs, pairs)


def test_single_points_outside_the_image_are_named(filled, pairs, folder):
    filled.book.change("3", fixed_ras=(900.0, 0.0, 0.0))
    export(filled, folder, "3D Slicer (.mrk.json)")
    for node in filled.book.lists.both:
        filled.scene.RemoveNode(node)
    take(filled, folder / "landmarks_fixed.mrk.json")
    assert "11 pairs imported. Outside the fixed volume: 3." in filled.status()
