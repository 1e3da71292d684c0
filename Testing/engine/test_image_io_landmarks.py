import json

import numpy as np
import pytest
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.image_io import FileError, read_landmarks, write_landmarks
from LungDeepRegLib.landmarks import Landmarks

POINTS = np.array([[1.25, -2.5, 3.0], [-40.125, 5.0, 1 / 3], [7.0, 800.5, -9.0]])
FLIP = np.array([-1, -1, 1])
LABELS = ("carina", 'a "quoted", one', "Karína 3")


def markup(points, **entries):
    """The content of a .mrk.json file with the points as they are."""
    control = [{"id": str(n), "label": f"F-{n}", "position": list(p)} for n, p in enumerate(points, 1)]
    return {"@schema": "markups", "markups": [{"type": "Fiducial", "controlPoints": control, **entries}]}


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".mrk.json", ".fcsv", ".csv"])
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    write_landmarks(path, Landmarks(POINTS, LABELS))
    again = read_landmarks(path)
    np.testing.assert_array_equal(again.points_ras, POINTS)
    assert again.labels == LABELS
    assert again.name == f"p{suffix}"


def test_markups_are_written_in_lps_with_what_the_schema_asks(tmp_path):
    write_landmarks(tmp_path / "p.mrk.json", Landmarks(POINTS, LABELS))
    content = json.loads((tmp_path / "p.mrk.json").read_text(encoding="utf-8"))
    assert "markups-schema-v1" in content["@schema"]
    (markups,) = content["markups"]
    assert (markups["type"], markups["coordinateSystem"], markups["coordinateUnits"]) == ("Fiducial", "LPS", "mm")
    assert [point["position"] for point in markups["controlPoints"]] == (POINTS * FLIP).tolist()
    assert {point["positionStatus"] for point in markups["controlPoints"]} == {"defined"}


@pytest.mark.parametrize("suffix", [".mrk.json", ".json"])
def test_markups_are_read_in_the_frame_they_name(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    for frame, factor in (("LPS", FLIP), ("RAS", 1)):
        written(path, markup(POINTS * factor, coordinateSystem=frame, coordinateUnits=["mm", "UCUM", "millimeter"]))
        np.testing.assert_array_equal(read_landmarks(path).points_ras, POINTS)
    written(path, markup(POINTS * FLIP))
    np.testing.assert_array_equal(read_landmarks(path).points_ras, POINTS)
    assert read_landmarks(path).labels == ("F-1", "F-2", "F-3")


def test_markups_without_a_place_are_left_out(tmp_path):
    content = markup(POINTS, coordinateSystem="RAS")
    points = content["markups"][0]["controlPoints"]
    points[0].update(positionStatus="undefined", position="")
    points[2]["positionStatus"] = "preview"
    points[1]["positionStatus"] = "defined"
    landmarks = read_landmarks(written(tmp_path / "p.mrk.json", content))
    np.testing.assert_array_equal(landmarks.points_ras, POINTS[1:2])
    assert landmarks.labels == ("F-2",)


FCSV_COLUMNS = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"


def fcsv_row(number, point, label, end=",,"):
    return f"vtkMRMLMarkupsFiducialNode_{number},{','.join(map(repr, point))},0,0,0,1,1,1,0,{label}{end}\n"


@pytest.mark.parametrize(
    ("version", "system", "factor"),
    [("4.10", "0", 1), ("4.11", "LPS", FLIP), ("5.4", "RAS", 1), ("4.6", "1", FLIP)],
)
def test_fcsv_of_slicer_4_and_5(tmp_path, version, system, factor):
    head = f"# Markups fiducial file version = {version}\n# CoordinateSystem = {system}\n" + FCSV_COLUMNS
    rows = [fcsv_row(n, p, label) for n, (p, label) in enumerate(zip((POINTS * factor).tolist(), "abc", strict=True))]
    landmarks = read_landmarks(written(tmp_path / "p.fcsv", head + "".join(rows)))
    np.testing.assert_array_equal(landmarks.points_ras, POINTS)
    assert landmarks.labels == ("a", "b", "c")


def test_fcsv_of_slicer_3_is_ras(tmp_path):
    rows = "".join(f"L-{n},{p[0]!r},{p[1]!r},{p[2]!r},1,1\n" for n, p in enumerate(POINTS.tolist()))
    for head in ("# Fiducial List file /a/b = c\n# version = 2\n# columns = label,x,y,z,sel,vis\n", "# Fiducials\n"):
        landmarks = read_landmarks(written(tmp_path / "p.fcsv", head + rows))
        np.testing.assert_array_equal(landmarks.points_ras, POINTS)
        assert landmarks.labels == ("L-0", "L-1", "L-2")


def test_fcsv_points_without_a_place_are_left_out(tmp_path):
    head = "# Markups fiducial file version = 5.4\n# CoordinateSystem = LPS\n" + FCSV_COLUMNS
    rows = [
        fcsv_row(1, [1, 2, 3], "crossed", ",,,3,0"),
        fcsv_row(2, [-4, -5, 6], '"kept, here"', ",,,2,0"),
        fcsv_row(3, [7, 8, 9], "undefined", ",,,0,0"),
    ]
    landmarks = read_landmarks(written(tmp_path / "p.fcsv", head + "".join(rows)))
    np.testing.assert_array_equal(landmarks.points_ras, [[4, 5, 6]])
    assert landmarks.labels == ("kept, here",)


@pytest.mark.parametrize(
    ("header", "factor"),
    [
        ("label,r,a,s\n", 1),
        ("\ufeffLabel;R;A;S\n", 1),
        ("label\tl\tp\ts\n", FLIP),
        ("label,x,y,z\n", FLIP),
        ("# Coordinate system: RAS\nlabel,x,y,z\n", 1),
        ("# coordinateSystem = LPS\n\nlabel,r,a,s\n", FLIP),
    ],
)
def test_csv_frames_and_delimiters(tmp_path, header, factor):
    delimiter = max(",;\t", key=header.count)
    rows = [delimiter.join([f"p{n}", *map(repr, p)]) for n, p in enumerate((POINTS * factor).tolist())]
    landmarks = read_landmarks(written(tmp_path / "p.csv", header + "\n".join(rows) + "\n\n"))
    np.testing.assert_array_equal(landmarks.points_ras, POINTS)
    assert landmarks.labels == ("p0", "p1", "p2")


def test_csv_without_labels_and_with_other_columns(tmp_path):
    landmarks = read_landmarks(written(tmp_path / "p.csv", "z, y, x, note\n3,2,1,good\n6,5,4,\n"))
    np.testing.assert_array_equal(landmarks.points_ras, [[-1, -2, 3], [-4, -5, 6]])
    assert landmarks.labels == ("1", "2")


def image_lattice():
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, 0, 2.0], [-0.5, 0, 0], [0, 3.0, 0]]
    matrix[:3, 3] = [10, 20, 30]
    return Lattice((5, 6, 7), matrix)


def test_elastix_points_and_indices(tmp_path):
    path = written(tmp_path / "p.txt", "point\n2\n-1.5 -2 3\n4 5 6e1\n")
    np.testing.assert_array_equal(read_landmarks(path).points_ras, [[1.5, 2, 3], [-4, -5, 60]])
    assert read_landmarks(path).labels == ("1", "2")
    path = written(tmp_path / "p.pts", "index\n2\n0 0 0\n1 2 3\n")
    np.testing.assert_array_equal(read_landmarks(path, image_lattice()).points_ras, [[10, 20, 30], [16, 19.5, 36]])
    with pytest.raises(FileError, match="found voxel indices, expected points in mm or the image"):
        read_landmarks(path)


def test_elastix_points_come_back(tmp_path):
    write_landmarks(tmp_path / "p.txt", Landmarks(POINTS, LABELS))
    assert (tmp_path / "p.txt").read_text().startswith("point\n3\n-1.25 2.5 3.0\n")
    again = read_landmarks(tmp_path / "p.txt")
    np.testing.assert_array_equal(again.points_ras, POINTS)
    assert again.labels == ("1", "2", "3")


def test_dirlab_voxels_are_counted_from_1_along_the_stored_axes(tmp_path):
    path = written(tmp_path / "case1_300_T00_xyz.txt", "1\t1\t1\t\r\n\r\n2\t3\t4\t\r\n")
    landmarks = read_landmarks(path, image_lattice())
    # The voxels 0 0 0 and 1 2 3 of the elastix test above.
    np.testing.assert_array_equal(landmarks.points_ras, [[10, 20, 30], [16, 19.5, 36]])
    write_landmarks(tmp_path / "again.txt", landmarks, image_lattice())
    assert (tmp_path / "again.txt").read_text() == "1\t1\t1\n2\t3\t4\n"


def test_dirlab_keeps_places_between_voxels(tmp_path):
    inside = Landmarks(np.array([[11.3, 19.1, 33.7], [10.0, 20.0, 30.0]]), ("a", "b"))
    write_landmarks(tmp_path / "p.txt", inside, image_lattice())
    np.testing.assert_allclose(
        read_landmarks(tmp_path / "p.txt", image_lattice()).points_ras, inside.points_ras, atol=1e-5
    )


@pytest.mark.parametrize(
    ("text", "line", "voxel"),
    [("1 1 1\n\n8 1 1\n", 3, "8 1 1"), ("1 0 1\n", 1, "1 0 1"), ("index\n1\n7 0 0\n", 3, "7 0 0")],
)
def test_voxels_outside_the_image_are_refused(tmp_path, text, line, voxel):
    path = written(tmp_path / "p.txt", text)
    with pytest.raises(FileError, match=rf"p\.txt, line {line}: found the voxel {voxel}, expected . . . to . . . in"):
        read_landmarks(path, image_lattice())


def bad_landmarks():
    """Names and contents of files that hold no landmarks, and what must be said of them."""
    two = markup(POINTS)
    two["markups"] *= 2
    head = "# CoordinateSystem = 2\n"
    return [
        ("a.mrk.json", "{", r"a\.mrk\.json: can't be read as Slicer markups.*line 1"),
        ("a.mrk.json", "[]", "can't be read as Slicer markups"),
        ("a.mrk.json", two, "found 2 markups"),
        ("a.mrk.json", markup([]), r"expected \(N, 3\) with at least one point"),
        ("a.mrk.json", markup([[1, 2]]), r"a\.mrk\.json, point F-1: found the position \[1, 2\]"),
        ("a.mrk.json", markup(POINTS, coordinateSystem="IJK"), "coordinate system 'IJK'"),
        ("a.mrk.json", markup(POINTS, coordinateUnits="um"), "coordinates in 'um'"),
        ("a.fcsv", head + FCSV_COLUMNS + fcsv_row(1, [1, 2, 3], "a"), "coordinate system '2'"),
        ("a.fcsv", "# columns = id,label\n1,a\n", "expected x, y and z"),
        ("a.fcsv", FCSV_COLUMNS + "1,2,3\n", r"a\.fcsv, line 2: found the position"),
        ("a.fcsv", "", "at least one point"),
        ("a.csv", "", "found no table"),
        ("a.csv", "1,2,3\n4,5,6\n", r"a\.csv, line 1: found the columns"),
        ("a.csv", "# made up\nr,a,s\n1,2,3\n1,two,3\n", r"a\.csv, line 4: found the position \['1', 'two', '3'\]"),
        ("a.csv", "r,a,s\n1,2\n", r"a\.csv, line 2: found the position"),
        ("a.csv", "r,a,s\n1,2,nan\n", r"a\.csv, line 2: .*three finite numbers"),
        ("a.csv", "r,a,s\n", "at least one point"),
        ("a.csv", "# coordinate system: MNI\nr,a,s\n1,2,3\n", "coordinate system 'MNI'"),
        ("a.txt", "", "found 'nothing', expected 'point' or 'index'"),
        ("a.txt", "1 2 3\n", "found voxel indices, expected points in mm or the image"),
        ("a.txt", "1 2\n", r"a\.txt, line 1: found the position"),
        ("a.txt", "1 2 3\n\n4 five 6\n", r"a\.txt, line 3: found the position"),
        ("a.txt", "point\n", "expected 'point' or 'index' and the number of points"),
        ("a.txt", "point\n3\n1 2 3\n4 5 6\n", r"a\.txt, line 2: found 2 points, expected 3"),
        ("a.txt", "point\n2\n1 2 3\n4 5\n", r"a\.txt, line 4: found the position"),
        ("a.xyz", "1 2 3", r"found \.xyz, expected one of \.mrk\.json"),
    ]


@pytest.mark.parametrize(("name", "content", "reason"), bad_landmarks())
def test_bad_landmarks_are_refused_by_name_and_line(tmp_path, name, content, reason):
    path = written(tmp_path / name, content)
    with pytest.raises(FileError, match=reason) as caught:
        read_landmarks(path)
    assert str(caught.value).startswith(str(path))


def test_missing_and_binary_files_are_refused(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_landmarks(tmp_path / "missing.csv")
    for name in ("a.csv", "a.fcsv", "a.mrk.json", "a.txt"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00\x81" * 9)
        with pytest.raises(FileError, match="can't be read"):
            read_landmarks(tmp_path / name)


def test_places_that_cannot_be_written_are_named(tmp_path):
    landmarks = Landmarks(POINTS, LABELS)
    for suffix in (".mrk.json", ".fcsv", ".csv", ".txt"):
        with pytest.raises(FileError, match="there is no folder"):
            write_landmarks(tmp_path / "no" / f"p{suffix}", landmarks)
        (tmp_path / f"p{suffix}").mkdir()
        with pytest.raises(FileError, match=f"p{suffix}: can't be written"):
            write_landmarks(tmp_path / f"p{suffix}", landmarks)
    with pytest.raises(FileError, match=r"found \.json, expected one of \.mrk\.json, \.fcsv, \.csv"):
        write_landmarks(tmp_path / "p.json", landmarks)
    assert not [path for path in tmp_path.iterdir() if path.is_file()]  # nothing unfinished stays
