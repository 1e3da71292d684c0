"""Landmark pairs in files: nothing is lost where the format can hold it, and refused by name where it can't."""

import numpy as np
import pytest
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.image_io import FileError, is_pair_table, read_pair_lists, read_pairs, write_pair_lists, write_pairs
from LungDeepRegLib.landmark_review.description import with_words, words_of
from LungDeepRegLib.landmark_review.pairs import LandmarkPair, State
from LungDeepRegLib.landmarks import LandmarkError


def oblique(spacing, origin):
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[0.0, 0.6, -0.8], [-1.0, 0, 0], [0, 0.8, 0.6]]) * spacing
    matrix[:3, 3] = origin
    return Lattice((40, 50, 60), matrix)


FIXED, MOVING = oblique([0.7, 0.8, 2.5], [10, 20, -300]), oblique([1.0, 0.9, 1.25], [-7, 3, 90])


def in_image(lattice, *ijk):
    return tuple((lattice.ijk_to_ras @ [*ijk, 1])[:3])


PAIRS = [
    LandmarkPair("carina", in_image(FIXED, 3, 4, 5), in_image(MOVING, 5, 4, 3), "A. Smith, MD", state="accepted"),
    LandmarkPair(
        'a "quoted", one',
        in_image(FIXED, 1 / 3, 4, 5),
        in_image(MOVING, 5, 4, 1 / 7),
        "A. Smith, MD",
        moving_provenance="assisted",
        state="doubtful",
        locked=True,
    ),
    LandmarkPair(
        "Karína 3", in_image(FIXED, 59, 49, 39), in_image(MOVING, 0, 0, 0), "A. Smith, MD", fixed_provenance="automatic"
    ),
]
UNPLACED = LandmarkPair("later", in_image(FIXED, 8, 8, 8), None, "A. Smith, MD")
OTHER = LandmarkPair("carina", in_image(FIXED, 3, 4, 6), in_image(MOVING, 5, 5, 3), "M = 100 %")


def test_the_table_keeps_everything(tmp_path):
    pairs = [*PAIRS, UNPLACED, OTHER, LandmarkPair("no observer\nand two lines", (1, 2, 3))]
    write_pairs(tmp_path / "review.csv", pairs)
    assert read_pairs(tmp_path / "review.csv") == pairs
    assert is_pair_table(tmp_path / "review.csv")
    lines = (tmp_path / "review.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("label,fixed_r,fixed_a,fixed_s,moving_r,moving_a,moving_s,observer,")
    assert lines[2].endswith('"A. Smith, MD",manual,manual,accepted,false')


@pytest.mark.parametrize("suffix", [".mrk.json", ".fcsv", ".csv"])
def test_two_lists_keep_everything(tmp_path, suffix):
    paths = tmp_path / f"fixed{suffix}", tmp_path / f"moving{suffix}"
    pairs = [*PAIRS, UNPLACED]
    write_pair_lists(*paths, pairs)
    again = read_pair_lists(*paths, observer="nobody")
    assert [str(pair) for pair in again] == [str(pair) for pair in pairs]
    assert again == pairs
    assert not is_pair_table(paths[0])


@pytest.mark.parametrize("voxels", [None, (FIXED, MOVING)])
def test_text_without_labels_keeps_the_points(tmp_path, voxels):
    paths = tmp_path / "fixed.txt", tmp_path / "moving.txt"
    write_pair_lists(*paths, PAIRS, voxels)
    again = read_pair_lists(*paths, voxels, observer="A")
    assert [(pair.label, pair.observer, pair.moving_provenance) for pair in again] == [
        (label, "A", "manual") for label in "123"
    ]
    for pair, before in zip(again, PAIRS, strict=True):
        np.testing.assert_allclose(pair.fixed_ras, before.fixed_ras, atol=1e-5)
        np.testing.assert_allclose(pair.moving_ras, before.moving_ras, atol=1e-5)
    if voxels:
        assert paths[0].read_text().splitlines()[0] == "4\t5\t6"  # the voxel 3 4 5, counted from 1


def test_text_without_labels_needs_every_partner(tmp_path):
    with pytest.raises(FileError, match=r"fixed\.txt: can't be written.* no moving point for later, expected"):
        write_pair_lists(tmp_path / "fixed.txt", tmp_path / "moving.txt", [*PAIRS, UNPLACED])
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_if_one_of_two_lists_cannot_be(tmp_path):
    (tmp_path / "fixed.csv").write_text("what was there")
    (tmp_path / "moving.csv").mkdir()
    with pytest.raises(FileError, match=r"moving\.csv: can't be written"):
        write_pair_lists(tmp_path / "fixed.csv", tmp_path / "moving.csv", PAIRS)
    assert (tmp_path / "fixed.csv").read_text() == "what was there"
    assert len(list(tmp_path.iterdir())) == 2


def plain(path, labels, offset=0.0):
    rows = "".join(f"{label},{n + offset},0,0\n" for n, label in enumerate(labels, 1))
    path.write_text("label,r,a,s\n" + rows, encoding="utf-8")
    return path


def test_lists_of_others_pair_by_label_or_by_order(tmp_path):
    fixed = plain(tmp_path / "f.csv", ["a", "b", "c"])
    by_label = read_pair_lists(fixed, plain(tmp_path / "m.csv", ["c", "a"], 10))
    assert [pair.moving_ras and pair.moving_ras[0] for pair in by_label] == [12.0, None, 11.0]
    by_order = read_pair_lists(fixed, plain(tmp_path / "m.csv", ["x", "y", "z"], 10))
    assert [pair.moving_ras[0] for pair in by_order] == [11.0, 12.0, 13.0]
    assert all(pair.blind and pair.state == State.UNREVIEWED and not pair.locked for pair in by_order)


@pytest.mark.parametrize(
    ("fixed", "moving", "said"),
    [
        ("abc", "xy", "found 3 points in f.csv and 2 in m.csv.*only in m.csv: x, y"),
        ("abc", "abx", "only in m.csv: x"),
        ("abc", "aab", "more than once: a$"),
        ("aab", "xyz", "f.csv: found more than one landmark pair with the label a,"),
        ("aab", "ab", "f.csv: found more than one landmark pair with the label a,"),
    ],
)
def test_lists_that_cannot_be_paired_are_refused_by_label(tmp_path, fixed, moving, said):
    with pytest.raises(LandmarkError, match=said):
        read_pair_lists(plain(tmp_path / "f.csv", fixed), plain(tmp_path / "m.csv", moving))


def test_unknown_words_are_refused_with_their_point(tmp_path):
    (tmp_path / "f.csv").write_text("label,r,a,s,description\nx,1,2,3,provenance=guessed\n")
    with pytest.raises(FileError, match=r"f\.csv, point x: 'guessed' is not a valid Provenance"):
        read_pair_lists(tmp_path / "f.csv", plain(tmp_path / "m.csv", ["x"]))


HEADER = "label,fixed_r,fixed_a,fixed_s,moving_r,moving_a,moving_s"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"found the columns none, expected also label, fixed_r"),
        ("label,r,a,s\nx,1,2,3\n", "expected also fixed_r"),
        (f"{HEADER}\nx,1,2,three,4,5,6\n", r"line 2: found the position \['1', '2', 'three'\]"),
        (f"# a comment\n{HEADER}\nx,1,2,3,4,5,\n", r"line 3: found the position \['4', '5', ''\]"),
        (f"{HEADER}\n ,1,2,3,4,5,6\n", "line 2: found a landmark pair without a label"),
        (f"{HEADER},state\nx,1,2,3,4,5,6,fine\n", "line 2: 'fine' is not a valid State"),
    ],
)
def test_bad_tables_are_refused_by_line(tmp_path, text, said):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(FileError, match=rf"p\.csv.*{said}"):
        read_pairs(tmp_path / "p.csv")


def test_a_label_that_an_observer_has_twice_is_refused(tmp_path):
    with pytest.raises(LandmarkError, match=r"p\.csv, observer A\. Smith, MD: found more than one .* carina, expected"):
        write_pairs(tmp_path / "p.csv", [*PAIRS, PAIRS[0], OTHER])
    (tmp_path / "p.csv").write_text(f"{HEADER}\nx,1,2,3,,,\nx,1,2,3,,,\n")
    with pytest.raises(LandmarkError, match=r"p\.csv: found more than one landmark pair with the label x"):
        read_pairs(tmp_path / "p.csv")


def test_a_table_from_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "p.csv").write_text(
        f"\ufeff{HEADER};locked\n".replace(",", ";") + "x;1;2;3;4;5;6;TRUE\n;;;;;;;\n", "utf-8"
    )
    assert read_pairs(tmp_path / "p.csv") == [LandmarkPair("x", (1, 2, 3), (4, 5, 6), locked=True)]


def test_descriptions_keep_what_people_wrote():
    text = with_words("see  slice 3, a=b", {"provenance": "manual", "observer": "M = 100 %", "state": ""})
    assert text == "see  slice 3, a=b provenance=manual observer=M%20%3D%20100%20%25"
    assert words_of(text) == {"provenance": "manual", "observer": "M = 100 %"}
    assert with_words(text, {"provenance": "assisted"}).count("provenance=") == 1
    assert with_words("one\nstate=doubtful  two", {"state": "accepted"}) == "one  two state=accepted"
    assert words_of("provenance state= x=y") == {}
