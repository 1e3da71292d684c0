"""Taking out of texts what could tell who the patient is, and where files lie on somebody's computer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

FIXED, MOVING, REMOVED, SOME_FILE = "Fixed image", "Moving image", "(name removed)", "(a file)"
EXTENSIONS = r"nii\.gz|nii|nrrd|nhdr|mha|mhd|hdr|img|dcm|mrk\.json|fcsv|csv|txt|pts|h5|tfm|mat|mrb|mrml"
FILE_NAME = re.compile(rf"[^\s\"':,;()]+\.(?:{EXTENSIONS})(?!\w)", re.IGNORECASE)
"""With the folders before it, if there are any."""
PATH = re.compile(
    rf"(?<![\w.])(?:[A-Za-z]:)?[\\/](?:[^:;\"\n]*?\.(?:{EXTENSIONS}|pt)(?!\w)"
    r"|(?:[^\\/\s\"':;,()][^\\/\"':;,()\n]*[\\/])+[^\\/\s\"':;,()]*)",
    re.IGNORECASE,
)
"""From the root of a file system: up to the ending of a file's name, with blanks, or up to the next blank."""
IMAGE_ENDING = re.compile(rf"\.(?:{EXTENSIONS})$", re.IGNORECASE)
DICOM_NAME = re.compile(r"[^\W\d_][^\W\d_'.-]+(?:\^+[^\W\d_]+)+")
"""``DOE^JANE``: nothing but a person is written so."""
WORD = re.compile(r"[^\W\d_]+")
SHORTEST = 3
"""Shorter names tell nobody, and stand in the middle of words."""
SURE = 6
"""Names of so many letters are removed inside of longer words too (``DOE_JOHN`` in ``DOE_JOHN_mask``)."""
UNTOUCHED = ("versions", "not_for_clinical_use")
"""Entries of summary.json that hold no names."""
ORDINARY = frozenset(
    WORD.findall("""
    after aligned alignment and apical around arrows back basal baseline before blind breath breathing case
    checkerboard chest colors consistency correlation coverage covers deformed density difference displacement
    does error exhale exhaled expiration field finds fixed flicker follow followup for found from gray grid
    identity image images inhale inhaled inspiration inverse jacobian label labels landmark landmarks largest left
    list local lower lung lungs map mask masks matching moving node not observer observers only other outside
    overlay pair pairs phase picture point points regions registered registration residual right scan segmentation
    sequence series slice system the there thorax transform transformation trust upper ventilation view volume
    warped way where whole with without
    """)
)
"""Words of the field and of the report: a name of nothing else tells nobody, and texts go on using them."""


@dataclass(frozen=True)
class NameRemover:
    """Goes through data and changes its texts; numbers, and the names of entries, stay as they are.

    Paths are cut down to file names. Unless names are asked for, the images are called :data:`FIXED` and
    :data:`MOVING`; paths, file names and further private texts are removed, and so is each word of a name that isn't
    :data:`ORDINARY`, and what is written as DICOM writes people. Upper and lower case are the same.

    Attributes:
        fixed: The fixed image's name.
        moving: The moving image's.
        private: Further texts to be removed.
        named: Whether names are asked for.
        observers: How observers are called instead, by their names.
    """

    fixed: str
    moving: str
    private: tuple[str, ...] = ()
    named: bool = False
    observers: tuple[tuple[str, str], ...] = ()

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
        if not self.named and name == "observer":
            return dict(self.observers).get(value, value)
        if name == "options" and isinstance(value, dict):
            value = {key: last_part(entry) if isinstance(entry, str) else entry for key, entry in value.items()}
        return self(value)

    def text(self, text: str) -> str:
        """One text."""
        if self.named:
            return PATH.sub(lambda found: last_part(found[0]), text)
        text = PATH.sub(SOME_FILE, text)
        names = self.replacements()
        for name, instead in names.items():
            text = re.sub(bounded(name), instead, text, flags=re.IGNORECASE)
        text = DICOM_NAME.sub(REMOVED, FILE_NAME.sub(SOME_FILE, text))
        words = {word.lower() for name in names for word in WORD.findall(name) if tells(word)}
        return WORD.sub(lambda found: REMOVED if found[0].lower() in words else found[0], text)

    def replacements(self) -> dict[str, str]:
        """What is replaced by what, longer names first, since one may be part of another."""
        pairs = [(self.fixed, FIXED), (self.moving, MOVING), *self.observers]
        pairs += [(name, REMOVED) for name in self.private]
        pairs += [(IMAGE_ENDING.sub("", name), instead) for name, instead in pairs]
        found = {name.strip(): instead for name, instead in reversed(pairs) if tells(name)}
        return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))


def tells(name: str) -> bool:
    """Whether a name can tell anything: it is long enough, and more than ordinary words."""
    told = any(word not in ORDINARY for word in WORD.findall(name.lower()))
    return len(name.strip()) >= SHORTEST and (told or re.search(r"\d", name) is not None)


def bounded(name: str) -> str:
    """A pattern for a name; a short one only where it stands as a word of its own."""
    escaped = re.escape(name)
    return escaped if len(name) >= SURE else rf"(?<!\w){escaped}(?!\w)"


def last_part(path: str) -> str:
    """The file name of a path, whichever system it is of."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]
