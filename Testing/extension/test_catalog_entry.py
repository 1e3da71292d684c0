"""What Slicer's Extensions Index checks of a submission: the entry file, and what it finds in the repository."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / "LungDeepReg.json"
LISTS = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
RAW = "https://raw.githubusercontent.com/LungDeepReg/SlicerLungDeepReg/main/"
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json"
)
ALLOWED = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "dicom_support_rule": str,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
"""The keys of schema v1.0.2; it allows no others."""


@pytest.fixture
def entry() -> dict:
    return json.loads(ENTRY.read_text(encoding="ascii"))


def setting(name: str) -> str:
    """A metadata entry in the one-line form in which the index' check looks for it."""
    found = re.search(rf'^set\(EXTENSION_{name} "([^"]+)"\)$', LISTS, re.MULTILINE)
    assert found, f"no line set(EXTENSION_{name} ...)"
    return found[1]


def test_the_entry_keeps_to_the_schema(entry):
    assert entry["$schema"].removesuffix("#") == SCHEMA
    assert {"$schema", "category", "scm_url"} <= set(entry) <= set(ALLOWED)
    assert all(type(value) is ALLOWED[key] for key, value in entry.items())
    assert 1 <= entry["tier"] <= 5
    assert entry["scm_type"] == "git"


def test_the_entry_has_unix_line_endings():
    assert b"\r" not in ENTRY.read_bytes()
    assert ENTRY.read_bytes().endswith(b"}\n")


def test_names_agree(entry):
    (project,) = re.findall(r"project\s*\(\s*([^\s)]+)", LISTS)
    assert ENTRY.stem == project
    assert not project.startswith("Slicer")
    repository = entry["scm_url"].removesuffix(".git")
    assert repository.startswith("https://")
    assert repository.rpartition("/")[2] == f"Slicer{project}"
    assert repository == setting("HOMEPAGE")


def test_category_and_dependencies_agree(entry):
    assert entry["category"] == "Registration"
    assert entry["build_dependencies"] == setting("DEPENDS").split() == ["PyTorch"]
    module = (ROOT / "LungDeepReg" / "LungDeepReg.py").read_text(encoding="utf-8")
    assert f'"{entry["category"]}"' in module  # the module's own category


def test_icon_and_screenshots_are_pictures_of_the_repository():
    addresses = [setting("ICONURL"), *setting("SCREENSHOTURLS").split()]
    assert len(addresses) == len(set(addresses)) >= 2
    for address in addresses:
        assert address.startswith(RAW)
        assert address.endswith(".png")
        picture = ROOT / address.removeprefix(RAW)
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n", picture


def test_the_icon_is_128_by_128():
    header = (ROOT / setting("ICONURL").removeprefix(RAW)).read_bytes()[:24]
    assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (128, 128)


def test_a_license_is_in_the_root():
    assert "Apache License" in (ROOT / "LICENSE.txt").read_text(encoding="utf-8")


def test_nothing_but_slicers_own_libraries_is_imported_when_the_module_is_loaded():
    """The index' review asks for file-scope imports that Slicer doesn't ship."""
    module = (ROOT / "LungDeepReg" / "LungDeepReg.py").read_text(encoding="utf-8")
    names = set(re.findall(r"^(?:import|from) (\w+)", module, re.MULTILINE))
    assert not names & {"torch", "nibabel", "matplotlib", "tqdm"}
