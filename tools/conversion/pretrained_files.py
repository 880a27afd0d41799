"""Convert files of pretrained weights from other libraries to files for our backbones."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mmseg.models.backbones import mix_transformer as mit
from mmseg.models.backbones.convert import LAYOUTS, Conversion, convert
from mmseg.models.backbones.pretrained import HUB_FILES, check_weights, read_tensors
from mmseg.models.backbones.resnet import ARCHITECTURES, Bottleneck, ResNetV1c
from mmseg.models.backbones.timm_weights import TIMM_LAYOUTS, timm_layout
from mmseg.utils import InputError, check_writable

from .files import save_checkpoint
from .vision_models import identify_vision_model

MIT_SIZES = (mit.mit_b0, mit.mit_b1, mit.mit_b2, mit.mit_b3, mit.mit_b4, mit.mit_b5)


@dataclass(frozen=True)
class ConvertedFile:
    """A file of weights that has been converted.

    Attributes:
        path: the new file.
        conversion: the converted entries.
        backbone: name of the backbone in our configs.
        num_parameters: number of parameters of the backbone.
    """

    path: Path
    conversion: Conversion
    backbone: str
    num_parameters: int


def convert_file(source: str | os.PathLike, target: str | os.PathLike) -> ConvertedFile:
    """Write the weights of a file under the names of our backbone that they fit.

    Args:
        source: a file, or a folder of Hugging Face's libraries; see
            :func:`mmseg.models.backbones.load_pretrained`.
        target: the file to write, by ``torch.save``: a dict of ``state_dict`` and ``meta``, which
            names the source.

    Raises:
        InputError: if the source is missing, unreadable or not the weights of one of our
            backbones, or the target cannot be written.
    """
    target = Path(target)
    if not Path(source).exists():
        raise InputError(f"there is no file or folder {source}")
    if target.is_dir():
        raise InputError(f"{target} is a folder: name the file to write")
    if target.exists() and target.samefile(source):
        raise InputError(f"{target} is the file to read: name another to write")
    check_writable(target.parent, "OUT")
    weights = read_tensors(source)
    backbone: nn.Module
    if layout := timm_layout(weights):
        name, backbone, conversion = identify_vision_model(weights, layout, source)
    else:
        conversion = convert(weights)
        name, backbone = _identify(conversion, source)
    check_weights(backbone.state_dict(), conversion.weights, f"{source} ({conversion.title})")
    meta = {"backbone": name, "converted_from": conversion.title}
    save_checkpoint({"meta": meta, "state_dict": conversion.weights}, target)
    num_parameters = sum(value.numel() for value in backbone.parameters())
    return ConvertedFile(target, conversion, name, num_parameters)


def _identify(conversion: Conversion, source: str | os.PathLike) -> tuple[str, nn.Module]:
    """Find the name of our backbone with these blocks, and build it on the meta device."""
    depths, weights = _blocks(conversion.weights), conversion.weights
    with torch.device("meta"):
        if "patch_embed1.proj.weight" in weights:
            width = weights["patch_embed1.proj.weight"].shape[0]
            for size in MIT_SIZES:
                if (size.depths, size.embed_dims[0]) == (depths, width):
                    return size.__name__, size()
        elif "layer1.0.conv1.weight" in weights:
            bottleneck = "layer1.0.conv3.weight" in weights
            for depth, (block, own_depths) in ARCHITECTURES.items():
                if (own_depths, block is Bottleneck) == (depths, bottleneck):
                    return f"ResNetV1c, depth {depth}", ResNetV1c(depth)
        else:
            known = "; ".join(dict.fromkeys(each.title for each in (*LAYOUTS, *TIMM_LAYOUTS)))
            raise InputError(f"the keys of {source} match no known pretrained backbone: {known}")
    own = [size.__name__ for size in MIT_SIZES] + [f"ResNet-{d}-V1c" for d in ARCHITECTURES]
    raise InputError(
        f"{source} ({conversion.title}) has stages of {', '.join(map(str, depths))} blocks: no "
        f"backbone here has these with the same width and type of block: {', '.join(own)}"
    )


def _blocks(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Count the blocks of each stage."""
    found: dict[int, set[str]] = {}
    for key in weights:
        if match := re.match(r"(?:block|layer)(\d+)\.(\d+)\.", key):
            found.setdefault(int(match[1]), set()).add(match[2])
    return tuple(len(found[stage]) for stage in sorted(found))


def download(repository: str) -> Path:
    """Download the weights of a Hugging Face repository to the cache of the hub's client.

    Args:
        repository: for instance ``nvidia/mit-b5``.

    Raises:
        InputError: if the client is not installed, there is no network, or no such repository.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError as error:
        raise InputError("--from-hub needs a package: pip install huggingface_hub") from error
    for name in HUB_FILES:
        try:
            return Path(hf_hub_download(repository, name))
        except LocalEntryNotFoundError as error:  # neither the network nor the cache has it
            raise _no_download(repository, error) from error
        except EntryNotFoundError:
            continue
        except Exception as error:  # no base class covers what the client raises
            raise _no_download(repository, error) from error
    raise InputError(f"{repository} on the hub holds neither {' nor '.join(HUB_FILES)}")


def _no_download(repository: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200]
    return InputError(
        f"could not fetch {repository} from the Hugging Face hub ({type(error).__name__}: {reason})"
        ": check name and network, or fetch the files elsewhere and convert their folder"
    )
