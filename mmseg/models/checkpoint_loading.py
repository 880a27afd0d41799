"""Let mmengine load checkpoints as this package does: without running code, and from disk alone.

What names a checkpoint in a config and is not of this package, such as mmengine's
``init_cfg=dict(type="Pretrained", ...)``, loads it by :class:`mmengine.runner.CheckpointLoader`,
which unpickles whatever it finds, and downloads.
"""

from typing import Any

from mmengine.runner import CheckpointLoader

from mmseg.utils.checkpoint import load_checkpoint

from .backbones.pretrained import check_is_there

#: What mmengine has loaders for: files, and prefixes (regular expressions) of what it downloads.
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
        filename: of a file.
        map_location: has no effect: weights are copied to where the model is.

    Raises:
        InputError: if it is not there or would have to be downloaded, or see
            :func:`load_checkpoint`.
    """
    check_is_there(filename)
    return load_checkpoint(filename)
