"""Load pretrained weights, of ImageNet or of foundation models, into a backbone."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg.utils import InputError
from mmseg.utils.checkpoint import load_checkpoint, mismatches
from mmseg.utils.finite import check_finite

from .convert import Conversion, convert, describe_difference

#: Files of weights in a folder of Hugging Face's libraries, the best first.
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
#: Publishers of the weights whose files are called like this.
FOUNDATION_MODELS = {
    "dinov2": "Meta's DINOv2",
    "dinov3": "Meta's DINOv3",
    "eva02": "BAAI's EVA-02",
}


class Backbone(BaseModule):
    """Base class of backbones, whose ``init_cfg`` may name a file of pretrained weights.

    Subclasses initialise themselves in their constructor; ``init_weights`` (called by the Runner)
    then loads the file, if one is named.

    Args:
        init_cfg: None, or ``dict(type="Pretrained", checkpoint="<file>")``.
    """

    is_init: bool

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
            InputError: if it is missing, unreadable or of another network.
        """
        if self.init_cfg is not None and not self.is_init:
            load_pretrained(self, self.init_cfg["checkpoint"])
        self.is_init = True

    def convert_weights(
        self, weights: Mapping[str, Tensor], source: str | os.PathLike
    ) -> Conversion:
        """Give the weights of a file the names and shapes of this backbone.

        Args:
            weights: the tensors of the file by name.
            source: name of the file for errors.
        """
        return convert(weights, self.state_dict())


def load_pretrained(module: nn.Module, path: str | os.PathLike) -> None:
    """Load pretrained weights under the names of ``module`` or of another known library.

    The weights may be stored under ``state_dict``, ``model`` or ``module`` and may have the prefix
    ``backbone.``, or ``model.backbone.`` in a checkpoint of a domain-adaptation method. Entries of
    other modules (``head.*``, ``fc.*``, ...) are left out; all others have to fit.

    Args:
        module: the backbone, changed in place.
        path: a file written by ``torch.save`` or safetensors, or a folder written by Hugging
            Face's libraries; only tensors and containers are unpickled.

    Raises:
        InputError: if the file is missing or unreadable, its keys or shapes do not fit, or a value
            is not finite.
    """
    expected = module.state_dict()
    weights = read_tensors(path)
    if isinstance(module, Backbone):
        conversion = module.convert_weights(weights, path)
    else:
        conversion = convert(weights, expected)
    what = f"{path} ({conversion.title})" if conversion.layout else path
    check_weights(expected, conversion.weights, what)
    check_finite(conversion.weights, what)
    module.load_state_dict(conversion.weights, strict=False)
    print_log(
        f"pretrained weights: {what}, {len(conversion.weights)} entries"
        + (f"; left out: {', '.join(conversion.dropped_parts)}" if conversion.dropped else ""),
        "current",
    )


def read_tensors(path: str | os.PathLike) -> dict[str, Tensor]:
    """Read the tensors of a file by name, also under ``state_dict``, ``model`` or ``module``.

    Args:
        path: see :func:`load_pretrained`.

    Raises:
        InputError: if the file is missing or does not hold a plain mapping of tensors.
    """
    check_is_there(path)
    path = Path(path)
    if path.is_dir():
        path = _weights_in(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    content = load_checkpoint(path, mapped=True)
    for wrapper in ("state_dict", "model", "module"):
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def _weights_in(folder: Path) -> Path:
    """Find the file of weights in a folder written by Hugging Face's libraries."""
    found = [folder / name for name in HUB_FILES if (folder / name).is_file()]
    if not found:
        raise InputError(f"the folder {folder} holds neither {' nor '.join(HUB_FILES)}")
    return found[0]


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(
            f"{path} is not a readable safetensors file (damaged or cut off?): fetch or copy it "
            "again"
        ) from error


def check_is_there(path: str | os.PathLike) -> None:
    """Check that a file, or a folder, of pretrained weights exists.

    Raises:
        InputError: if it does not, or if it is a URL; the message says what to download.
    """
    if "://" in str(path):
        raise InputError(f"weights are not downloaded in a run: download {path} and name the file")
    if not Path(path).exists():
        raise InputError(_missing_file_message(Path(path)))


def check_weights(
    expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: str | os.PathLike
) -> None:
    """Check that weights have the expected names and shapes.

    Raises:
        InputError: if entries are missing, unexpected or misshapen; it names the first few.
    """
    # Files from before torch 0.4.1 lack these counters, which nothing reads.
    needed = {
        name: value
        for name, value in expected.items()
        if name in weights or not name.endswith("num_batches_tracked")
    }
    if found := mismatches(needed, weights):
        reason = describe_difference(expected, weights)
        raise InputError(
            f"the pretrained weights {path} are not those of this backbone: "
            f"{reason + '; ' if reason else ''}{found}"
        )


def _missing_file_message(path: Path) -> str:
    if match := re.fullmatch(r"mit_b(\d)", path.stem):
        what = f"SegFormer's ImageNet-1k weights of MiT-B{match[1]} (mit_b{match[1]}.pth of NVlabs)"
    elif re.fullmatch(r"resnet\d+_v1c", path.stem):
        what = f"OpenMMLab's ImageNet weights {path.stem}"
    elif match := re.search("|".join(FOUNDATION_MODELS), path.stem):
        what = f"{FOUNDATION_MODELS[match[0]]} weights {path.stem}"
    else:
        what = "the weights"
    return (
        f"there are no pretrained weights at {path}: fetch {what} and save them there "
        "(pretrained/README.md says from where), or start without them by `--from-scratch`"
    )
