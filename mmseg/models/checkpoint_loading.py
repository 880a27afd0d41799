"""Make mmengine load checkpoints as this package does: without running code, and only from disk.

Parts of mmengine that load a checkpoint named in a config, such as
``init_cfg=dict(type="Pretrained", ...)``, use :class:`mmengine.runner.CheckpointLoader`. It would
unpickle any file, and download it if need be.
"""

from typing import Any

from mmengine.runner import CheckpointLoader

from mmseg.utils.checkpoint import load_checkpoint

from .backbones.pretrained import check_is_there

#: Prefixes (regular expressions) that mmengine has loaders for: of files, and of downloads.
SCHEMES = (
    "",
    "http://",
    "https://",
    "modelzoo://",
    "torchvision://",
    "open-mmlab://",
    "openmmlab://",
    "mmcls://",
    "pavi://",
    r"(\S+\:)?s3://",
    r"(\S+\:)?petrel://",
)


@CheckpointLoader.register_scheme(SCHEMES, force=True)
def load_from_disk(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a checkpoint to the CPU.

    Args:
        filename: path of the checkpoint.
        map_location: ignored: weights are copied to the device of the model later.

    Raises:
        InputError: if the file does not exist, would have to be downloaded or cannot be loaded.
    """
    check_is_there(filename)
    return load_checkpoint(filename)
