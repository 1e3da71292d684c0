"""What a point's description says of it, as words ``key=value``, so that it survives in 3D Slicer's own files.

``provenance=manual state=accepted observer=A.%20Smith``, after whatever else a person wrote there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

KEYS = ("provenance", "state", "observer")


def words_of(description: str) -> dict[str, str]:
    """The values of those of :data:`KEYS` that stand in a description; of a key that stands twice, the last one's."""
    found = (word.partition("=") for word in description.split())
    return {key: unquote(value) for key, _, value in found if value and key in KEYS}


def with_words(description: str, words: Mapping[str, str]) -> str:
    """The description with these values, in place of those that it had for the same keys; empty ones are left out.

    Other text is kept. Values may hold any characters: spaces and the like are written as in a web address.
    """
    keys = "|".join(map(re.escape, words))
    rest = re.sub(rf"\s*(?<!\S)({keys})=\S*", "", description) if words else description
    return " ".join([*filter(None, [rest]), *(f"{key}={quote(value)}" for key, value in words.items() if value)])
