"""Stands in for Slicer's core I/O manager, so that ``slicer.util.loadVolume``, ``saveScene`` and so on really work."""

from pathlib import Path

import slicer

FILE_TYPES = {
    "VolumeFile": (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd"),
    "TransformFile": (".h5", ".tfm", ".txt", ".mat"),
    "MarkupsFile": (".mrk.json", ".fcsv"),
    "SegmentationFile": (".seg.nrrd",),
    "ModelFile": (".vtp", ".vtk", ".stl", ".ply", ".obj"),
    "SceneFile": (".mrb", ".mrml"),
}
NODE_TYPES = {
    "vtkMRMLTransformNode": "TransformFile",
    "vtkMRMLMarkupsNode": "MarkupsFile",
    "vtkMRMLSegmentationNode": "SegmentationFile",
    "vtkMRMLVolumeNode": "VolumeFile",
    "vtkMRMLModelNode": "ModelFile",
}


class CoreIOManager:
    """Loads and saves nodes and scenes by Slicer's own logics and storage nodes."""

    def __init__(self, application) -> None:
        self.scene, self.modules = application.scene, application.modules

    def fileType(self, path):
        """The type whose ending is the longest that fits."""
        name = str(path).lower()
        fitting = [(len(end), kind) for kind, ends in FILE_TYPES.items() for end in ends if name.endswith(end)]
        return max(fitting, default=(0, "NoFile"))[1]

    def fileWriterFileType(self, node, _file_format=""):
        return next((kind for cls, kind in NODE_TYPES.items() if node.IsA(cls)), "NoFile")

    def loadNodes(self, file_type, properties, loaded, _messages=None):
        path = Path(properties["fileName"])
        if not path.exists():
            return False
        if file_type == "SceneFile":
            return self.load_scene(path, bool(properties.get("clear", False)))
        node = self.load_node(file_type, path, properties)
        if node is None:
            return False
        if properties.get("name"):
            node.SetName(properties["name"])
        loaded.AddItem(node)
        return True

    def load_node(self, file_type, path, properties):
        name, file = properties.get("name") or path.name.split(".")[0], str(path)
        if file_type == "VolumeFile":
            options = bool(properties.get("labelmap")) | 8 * bool(properties.get("autoWindowLevel", True))
            return self.modules["Volumes"].AddArchetypeVolume(file, name, int(options))
        if file_type == "TransformFile":
            return self.modules["Transforms"].AddTransform(file, self.scene)
        if file_type == "MarkupsFile":
            return self.scene.GetNodeByID(self.modules["Markups"].LoadMarkups(file, name) or "")
        if file_type == "SegmentationFile":
            return self.modules["Segmentations"].LoadSegmentationFromFile(file, True, name)
        if file_type == "ModelFile":
            return self.modules["Models"].AddModel(file)
        return None

    def load_scene(self, path, clear):
        if path.suffix == ".mrb":
            return bool(self.scene.ReadFromMRB(str(path), clear))
        self.scene.SetURL(str(path))
        return bool(self.scene.Connect() if clear else self.scene.Import())

    def saveNodes(self, file_type, properties, _messages=None):
        path = str(properties["fileName"])
        if file_type == "SceneFile":
            return path.endswith(".mrb") and bool(self.scene.WriteToMRB(path))
        node = self.scene.GetNodeByID(properties["nodeID"])
        if not node.AddDefaultStorageNode(path):
            return False
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        storage.SetUseCompression(int(properties.get("useCompression", storage.GetUseCompression())))
        return bool(storage.SupportedFileType(path) and storage.WriteData(node))


def connect_file_io(scene, folder: Path) -> tuple[object, object]:
    """What a scene needs to read and write bundles of files; keep what is returned."""
    remote, data = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
    (folder / ".slicer-cache").touch()  # says that the folder is a cache
    remote.SetMRMLScene(scene)
    remote.GetCacheManager().SetRemoteCacheDirectory(str(folder))
    data.SetMRMLScene(scene)
    data.SetAndObserveDataIOManager(remote.GetDataIOManager())
    remote.AddDataIOToScene()
    return remote, data
