"""Taking out of texts what could tell who the patient is, and where files lie on somebody's computer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

FIXED, MOVING, REMOVED, SOME_FILE = "Fixed image", "Moving image", "(name removed)", "(a file)"
EXTENSIONS = r"nii\.gz|nii|nrrd|nhdr|mha|mhd|hdr|img|dcm|mrk\.json|fcsv|csv|txt|pts|h5|tfm|mat|mrb|mrml"
FILE_NAME = re.compile(rf"[^\s\"'/\\:,;()]+\.(?:{EXTENSIONS})(?!\w)", re.IGNORECASE)
PATH = re.compile(
    rf"(?<![\w.])(?:[A-Za-z]:)?[\\/](?:[^:;\"\n]*?\.(?:{EXTENSIONS}|pt)(?!\w)|(?:[^\\/\s\"':;,()]+[\\/])+[^\\/\s\"':;,()]*)",
    re.IGNORECASE,
)
"""From the root of a file system: up to the ending of a file's name, with blanks, or up to the next blank."""
IMAGE_ENDING = re.compile(rf"\.(?:{EXTENSIONS})$", re.IGNORECASE)
SHORTEST = 3
"""Shorter names tell nobody, and stand in the middle of words."""
SURE = 6
"""Names of so many letters are removed inside of longer words too (``DOE_JOHN`` in ``DOE_JOHN_mask``)."""
UNTOUCHED = ("versions", "not_for_clinical_use")
"""Entries of summary.json that hold no names."""


@dataclass(frozen=True)
class NameRemover:
    """Goes through data and changes its texts; numbers, and the names of entries, stay as they are.

    Paths are always cut down to file names. Unless names are asked for, the images are called :data:`FIXED` and
    :data:`MOVING`, file names are left out, and further private texts are removed.

    Attributes:
        fixed: The fixed image's name.
        moving: The moving image's.
        private: Further texts to be removed.
        named: Whether names are asked for.
    """

    fixed: str
    moving: str
    private: tuple[str, ...] = ()
    named: bool = False

    def __call__(self, value: Any) -> Any:
        """The same data, its texts changed."""
        if isinstance(value, dict):
            return {name: entry if name in UNTOUCHED else self.entry(name, entry) for name, entry in value.items()}
        if isinstance(value, list):
            return [self(entry) for entry in value]
        return self.text(value) if isinstance(value, str) else value

    def entry(self, name: str, value: Any) -> Any:
        """An entry by its name: images' names may be too short to be found in texts, settings may be whole paths."""
        known = {"fixed": (self.fixed, FIXED), "moving": (self.moving, MOVING)}
        if not self.named and name in known and value == known[name][0]:
            return known[name][1]
        if name == "options" and isinstance(value, dict):
            value = {key: last_part(entry) if isinstance(entry, str) else entry for key, entry in value.items()}
        return self(value)

    def text(self, text: str) -> str:
        """One text."""
        text = PATH.sub(lambda found: self.file_name(found[0]), text)
        if self.named:
            return text
        for name, instead in self.replacements():
            text = re.sub(bounded(name), instead, text)
        return FILE_NAME.sub(SOME_FILE, text)

    def file_name(self, path: str) -> str:
        """What is shown of a path."""
        return SOME_FILE if not self.named and IMAGE_ENDING.search(path) else last_part(path)

    def replacements(self) -> list[tuple[str, str]]:
        """What is replaced by what, longer names first, since one may be part of another."""
        pairs = [(self.fixed, FIXED), (self.moving, MOVING), *((name, REMOVED) for name in self.private)]
        pairs += [(IMAGE_ENDING.sub("", name), instead) for name, instead in pairs]
        found = {name.strip(): instead for name, instead in reversed(pairs) if len(name.strip()) >= SHORTEST}
        return sorted(found.items(), key=lambda pair: -len(pair[0]))


def bounded(name: str) -> str:
    """A pattern for a name; a short one only where it stands as a word of its own."""
    escaped = re.escape(name)
    return escaped if len(name) >= SURE else rf"(?<!\w){escaped}(?!\w)"


def last_part(path: str) -> str:
    """The file name of a path, whichever system it is of."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]
