"""What Slicer installs: LungDeepReg/CMakeLists.txt lists every file of the module, and nothing that isn't there."""

import re
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[1] / "LungDeepReg"


def listed(variable: str) -> list[str]:
    text = re.sub(r"#.*", "", (MODULE / "CMakeLists.txt").read_text(encoding="utf-8"))
    entries = re.search(rf"set\({variable}\s(.*?)\)", text, re.DOTALL)
    assert entries, f"no {variable} in CMakeLists.txt"
    return entries[1].replace("${MODULE_NAME}", "LungDeepReg").split()


def in_the_tree(folder: Path) -> set[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    hidden = ("__pycache__", ".")
    return {file.as_posix() for file in files if not any(part.startswith(hidden) for part in file.parts)}


def test_every_file_of_the_module_is_listed_once_and_exists():
    scripts, resources = listed("MODULE_PYTHON_SCRIPTS"), listed("MODULE_PYTHON_RESOURCES")
    everything = scripts + resources
    present = in_the_tree(MODULE) - {"CMakeLists.txt"}
    assert sorted(present - set(everything)) == [], "add these to LungDeepReg/CMakeLists.txt"
    assert sorted(set(everything) - present) == [], "these are gone: take them out of LungDeepReg/CMakeLists.txt"
    assert len(everything) == len(set(everything))
    assert all(name.endswith(".py") for name in scripts)
    assert not any(name.endswith(".py") for name in resources)


def test_no_module_besides_ours_lies_in_the_folder_that_slicer_scans():
    assert [path.name for path in MODULE.glob("*.py")] == ["LungDeepReg.py"]


def test_extension_depends_on_pytorch_and_adds_the_module():
    text = (MODULE.parent / "CMakeLists.txt").read_text(encoding="utf-8")
    assert 'set(EXTENSION_DEPENDS "PyTorch")' in text
    assert "project(LungDeepReg)" in text
    assert "add_subdirectory(LungDeepReg)" in text


@pytest.mark.parametrize("icon", ["Resources/LungDeepReg.png", "LungDeepReg/Resources/Icons/LungDeepReg.png"])
def test_icons_are_pngs_of_128_by_128(icon):
    header = (MODULE.parent / icon).read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (128, 128)
