"""Stands in for Slicer's ``SampleData``: records the sources that a module registers."""

from types import ModuleType


class Registered:
    """What was registered: categories with their titles, and sources with the given arguments."""

    def __init__(self) -> None:
        self.categories: dict[str, str] = {}
        self.sources: list[dict[str, object]] = []


def make_module(registered: Registered, version: tuple[int, int]) -> ModuleType:
    """The module ``SampleData`` of a Slicer; categories have been there since 5.12."""

    class SampleDataLogic:
        """The real one's methods, with its names of parameters."""

        @staticmethod
        def registerCustomSampleDataSource(
            category="Custom",
            sampleName=None,
            uris=None,
            fileNames=None,
            nodeNames=None,
            customDownloader=None,
            thumbnailFileName=None,
            loadFileTypes=None,
            loadFiles=None,
            loadFileProperties=None,
            checksums=None,
            loadFileType=None,
        ):
            registered.sources.append({key: value for key, value in locals().items() if key != "registered"})

        if version >= (5, 12):

            @staticmethod
            def registerCustomSampleDataCategory(category, title=None):
                registered.categories[category] = title

    module = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    return module
