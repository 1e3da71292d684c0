"""The weights that ship: there, small, loadable, and described."""

import re

import pytest
from LungDeepRegLib.checkpoint import BUNDLED, load_checkpoint
from LungDeepRegLib.commands.parser import make_parser
from LungDeepRegLib.commands.register import weights_of

MODEL_CARD = BUNDLED.with_name("MODEL_CARD.md")


@pytest.mark.parametrize(("word", "there"), [("bundled", True), ("none", False)])
def test_a_word_on_the_command_line_stands_for_them_or_for_none(word, there):
    files = ["--fixed", "fixed.nii", "--moving", "moving.nii", "--out", "result"]
    found = weights_of(make_parser().parse_args(["register", *files, "--weights", word]))
    assert (found is not None) == there


def test_they_are_small_and_load():
    assert BUNDLED.stat().st_size < 8_000_000
    stored = load_checkpoint(BUNDLED)
    assert stored.provenance["averaged"] is True
    assert stored.provenance["steps"] > 0


def test_the_lattice_holds_a_chest():
    config = load_checkpoint(BUNDLED).config
    extent = [n * mm for n, mm in zip(config.lattice_shape[::-1], config.lattice_spacing_mm, strict=True)]
    assert min(extent) >= 240
    assert max(extent) <= 450


def test_provenance_names_no_place_on_the_machine_that_trained_them():
    absolute = re.compile(r"(^|[\s='\[,])/\w+/")
    assert [text for text in load_checkpoint(BUNDLED).provenance.values() if absolute.search(str(text))] == []


def test_the_card_says_what_they_were_trained_on_and_what_not_to_use_them_for():
    card = MODEL_CARD.read_text(encoding="utf-8")
    for said in ("POPI", "Not for clinical use", "training/train.py fit", "held_out", "Seed"):
        assert said in card
