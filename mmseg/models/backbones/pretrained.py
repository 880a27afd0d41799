"""Starting a backbone from weights learned on ImageNet."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg.utils import InputError
from mmseg.utils.checkpoint import load_checkpoint, mismatches

#: What a classification checkpoint holds beside the backbone.
CLASSIFIER_PREFIXES = ("head.", "fc.")


class Backbone(BaseModule):
    """A module whose ``init_cfg`` may name a file of pretrained weights.

    Subclasses initialise themselves in their constructor; ``init_weights`` (called by the Runner)
    then loads the file, if there is one to load.

    Args:
        init_cfg: None, or ``dict(type="Pretrained", checkpoint="<file>")``.
    """

    def __init__(self, init_cfg: dict | None = None) -> None:
        if init_cfg is not None and (
            init_cfg.get("type") != "Pretrained" or set(init_cfg) != {"type", "checkpoint"}
        ):
            raise ValueError(
                "init_cfg must be None or dict(type='Pretrained', checkpoint='<file>'), "
                f"got {init_cfg}"
            )
        super().__init__(init_cfg)

    def init_weights(self) -> None:
        """Load the checkpoint named by ``init_cfg``, once.

        Raises:
            InputError: If it is missing, unreadable or of another network.
        """
        if self.init_cfg is not None and not self.is_init:
            load_pretrained(self, self.init_cfg["checkpoint"])
        self.is_init = True


def load_pretrained(module: nn.Module, path: str | os.PathLike) -> None:
    """Load a checkpoint whose key names are those of ``module``.

    The weights may lie under ``state_dict`` or ``model`` and may carry the prefix ``backbone.``.
    A classifier (``head.*``, ``fc.*``) is left out; everything else has to fit.

    Args:
        module: The backbone, changed in place.
        path: A file written by ``torch.save``; nothing but tensors and containers is unpickled.

    Raises:
        InputError: If the file is missing or unreadable, or its keys or shapes do not fit.
    """
    weights = {
        name: value
        for name, value in read_weights(path).items()
        if not name.startswith(CLASSIFIER_PREFIXES)
    }
    check_weights(module.state_dict(), weights, path)
    module.load_state_dict(weights, strict=False)


def read_weights(path: str | os.PathLike) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by name, unwrapped and without ``backbone.`` prefix.

    Raises:
        InputError: If the file is missing or does not hold a plain mapping of tensors.
    """
    check_is_there(path)
    content = load_checkpoint(path)
    for wrapper in ("state_dict", "model"):
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    weights = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    prefix = "backbone."
    if any(name.startswith(prefix) for name in weights):
        return {
            name.removeprefix(prefix): value
            for name, value in weights.items()
            if name.startswith(prefix)
        }
    return weights


def check_is_there(path: str | os.PathLike) -> None:
    """See that a file of pretrained weights exists.

    Raises:
        InputError: It does not; the message says what to fetch.
    """
    if not Path(path).is_file():
        raise InputError(_missing_file_message(Path(path)))


def check_weights(
    expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: str | os.PathLike
) -> None:
    """Compare names and shapes.

    Raises:
        InputError: Naming the first few entries that are missing, unexpected or misshapen.
    """
    # Files from before torch 0.4.1 have no such counters; nothing reads them.
    needed = {
        name: value
        for name, value in expected.items()
        if name in weights or not name.endswith("num_batches_tracked")
    }
    if found := mismatches(needed, weights):
        raise InputError(f"the pretrained weights {path} are not those of this backbone: {found}")


def _missing_file_message(path: Path) -> str:
    if match := re.fullmatch(r"mit_b(\d)", path.stem):
        what = f"SegFormer's ImageNet-1k weights of MiT-B{match[1]} (mit_b{match[1]}.pth of NVlabs)"
    elif re.fullmatch(r"resnet\d+_v1c", path.stem):
        what = f"OpenMMLab's ImageNet weights {path.stem}"
    else:
        what = "the weights"
    return (
        f"there are no pretrained weights at {path}: fetch {what} and save them there, "
        "or start without them by `--from-scratch`"
    )
