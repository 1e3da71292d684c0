"""What README and its neighbours promise: commands that exist, examples that run, one version."""

import re
import subprocess
import sys
from pathlib import Path

import LungDeepRegLib
import numpy as np
import pytest
from LungDeepRegLib.image_io import write_volume
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.results.output_files import IMAGES, OTHERS
from LungDeepRegLib.results.summary import SCHEMA

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    pair = make_pair(PhantomConfig(), chest_lattice(9.0), chest_lattice(9.0))
    write_volume(tmp_path / "exhale.nii.gz", pair.fixed)
    write_volume(tmp_path / "inhale.nii.gz", pair.moving)
    monkeypatch.chdir(tmp_path)
    variables = {}
    exec(blocks("python")[1], variables)
    registration = variables["registration"]
    assert registration.warped.array.shape == pair.fixed.array.shape
    assert np.isfinite(registration.field([[0.0, 0.0, 0.0]])).all()
    assert "no trained weights" not in capsys.readouterr().out


def test_make_targets_of_the_readme_exist():
    named = set(re.findall(r"make (\w+)", " ".join(blocks("sh"))))
    assert named == {"demo", "test"}
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert named <= set(targets)


def test_command_line_of_the_readme_has_only_options_that_exist():
    commands = [line for block in blocks("sh") for line in block.splitlines() if "LungDeepRegLib" in line]
    assert commands
    for command in commands:
        name = command.split()[3]
        done = subprocess.run(
            [sys.executable, "-m", "LungDeepRegLib", name, "--help"],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT / "LungDeepReg",
        )
        for option in re.findall(r"--[a-z-]+", command):
            assert option in done.stdout


def test_tables_of_files_and_of_summary_entries_are_the_programs_own():
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", README, re.MULTILINE))
    expected = {**{f"{name}.nii.gz": text for name, text in IMAGES.items()}, **OTHERS, **SCHEMA}
    assert {name: text.replace("\\|", "|") for name, text in rows.items()} == expected


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_to_files_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    headings = {
        "#" + re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", text, re.M)
    }
    lost = [link for link in links if "://" not in link and link not in headings and not (ROOT / link).is_file()]
    assert lost == []


def test_one_version_everywhere():
    version = LungDeepRegLib.__version__
    assert (
        re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1] == version
    )
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert newest in ("Unreleased", version)


def test_not_for_clinical_use_is_said_wherever_it_is_shown():
    for name in ("README.md", "CMakeLists.txt", "LungDeepReg/LungDeepReg.py", "pyproject.toml", "CITATION.cff"):
        assert "not for clinical use" in (ROOT / name).read_text(encoding="utf-8").lower(), name


def test_no_path_of_a_developers_machine_is_left():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    paths = [ROOT / name for name in names if Path(name).suffix in {".py", ".md", ".toml", ".txt", ".cff", ".yaml"}]
    pattern = re.compile(r"(/home/|/root/|/Users/|/opt/|[A-Z]:\\\\Users\\\\)\w+")
    texts = {path: path.read_text(encoding="utf-8") for path in paths if path.is_file() and path != Path(__file__)}
    assert [str(path) for path, text in texts.items() if pattern.search(text)] == []
