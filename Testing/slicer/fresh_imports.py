"""What is imported when: a time in which none of the module's own packages has been loaded yet."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

OURS = ("LungDeepRegLib", "LungDeepRegWidgets")


@contextmanager
def refusing(*packages: str) -> Iterator[None]:
    """Forget the packages of the module and those given, of which an import then raises ImportError.

    Afterwards all are as before: what was loaded meanwhile is forgotten in turn, since a package that has two versions
    of its files in it would let other tests patch the wrong one.
    """
    names = {*OURS, *packages}
    before = {name: sys.modules.pop(name) for name in loaded(names)}
    sys.modules.update(dict.fromkeys(packages))
    try:
        yield
    finally:
        for name in loaded(names):
            del sys.modules[name]
        sys.modules.update(before)


def loaded(packages: set[str]) -> list[str]:
    """The modules of some packages that are loaded."""
    return [name for name in sys.modules if name.split(".")[0] in packages]
