"""Export the network of a config and a checkpoint, and compare the file with torch."""

import io
import os
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from numpy.typing import NDArray
from torch import Tensor
from torch.export import Dim, ExportedProgram

from mmseg.apis.init_model import get_ready, load_model
from mmseg.config_check import check_config
from mmseg.engine.performance import Performance
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.models.segmentors import HRDAEncoderDecoder
from mmseg.models.uda import UDADecorator
from mmseg.structures import SegDataSample
from mmseg.utils import InputError, atomic_path, check_writable
from mmseg.utils.checkpoint import Role
from tools.prediction.modes import with_mode

from .formats import format_of
from .metadata import metadata_of
from .network import ExportedHRDA, ExportedNetwork

#: Share of pixels that must have the class that torch predicts. Where two classes are equally
#: likely, rounding decides.
LEAST_AGREEMENT = 0.999
#: Shortest side of the images that are compared, and what the others are larger.
COMPARED_SIDE = 128
LARGER = ((0, 0), (37, 90), (101, 3))


class Agreement(NamedTuple):
    """Comparison of an exported network with torch on images of one size.

    Attributes:
        images: number of images, predicted at once.
        size: their height and width.
        share: share of the pixels that have the same class.
    """

    images: int
    size: tuple[int, int]
    share: float

    def __str__(self) -> str:
        """Describe it in a line."""
        return (
            f"{self.images} x {self.size[0]}x{self.size[1]} pixels: {100 * self.share:.3f} % have "
            "the class that torch predicts"
        )


def export_network(
    cfg: Config,
    checkpoint: str | os.PathLike,
    target: str | os.PathLike,
    role: Role = "student",
    size: tuple[int, int] | None = None,
) -> list[Agreement]:
    """Write a network that predicts whole images as an ONNX file or a file of torch.export.

    The file gets its name only if it predicts what torch predicts, on images of three sizes.

    Args:
        cfg: config with ``model``, which is not changed.
        checkpoint: checkpoint of a domain-adaptation method or of a segmentor.
        target: path that ends with ``.onnx`` or ``.pt2``.
        role: network of a domain-adaptation checkpoint.
        size: height and width that the exported network takes, one image at a time; None: any
            number of images of any size.

    Returns:
        The comparisons with torch.

    Raises:
        InputError: for mistakes in the input, if the network cannot be exported, or if the file
            predicts other classes than torch.
    """
    chosen, target = format_of(target), Path(target)
    check_writable(target.parent, "OUT")
    check_config(cfg, ("model",))
    model = load_model(with_mode(cfg, "whole"), checkpoint, role).eval()
    network = exported_network(model)
    if size and any(side < least for side, least in zip(size, network.smallest, strict=True)):
        least = "{} {}".format(*network.smallest)
        raise InputError(
            f"--size {size[0]} {size[1]}: the network takes images of at least {least}"
        )
    images = [drawn_images(*shape) for shape in _compared_shapes(network.smallest, size)]
    expected = [predicted_by_torch(model, each) for each in images]
    get_ready(model, torch.device("cpu"), Performance(), fold_batch_norm=True)
    if chosen.checks_sizes:
        network.pool_any_size()
    metadata = metadata_of(cfg, model, network.smallest, checkpoint, role)
    with atomic_path(target) as temporary:
        with _explained("any size" if size is None else "this size"):
            chosen.write(_captured(network, size), metadata, temporary)
            predictor = chosen.read(temporary)
            agreements = [
                _compared(predictor(_as_input(each)), classes)
                for each, classes in zip(images, expected, strict=True)
            ]
        for each in agreements:
            if each.share < LEAST_AGREEMENT:
                raise InputError(f"{target} is not written, as it would be wrong: {each}")
    return agreements


def exported_network(model: BaseModel) -> ExportedNetwork:
    """Wrap the segmentor with which a model predicts, and its preprocessor.

    Raises:
        InputError: if the preprocessor is of another class, whose steps are unknown.
    """
    segmentor = model.segmentor_for(model.eval_model) if isinstance(model, UDADecorator) else model
    if not isinstance(model.data_preprocessor, SegDataPreProcessor):
        raise InputError("the config's model has no data_preprocessor of type SegDataPreProcessor")
    kind = ExportedHRDA if isinstance(segmentor, HRDAEncoderDecoder) else ExportedNetwork
    return kind(segmentor, model.data_preprocessor).eval()


def drawn_images(number: int, height: int, width: int) -> NDArray[np.uint8]:
    """Draw smooth images (B, H, W, 3), the same in each call."""
    coarse = (number, height // 16 + 2, width // 16 + 2, 3)
    colors = np.random.default_rng(0).integers(0, 256, coarse, np.uint8)
    return np.stack([cv2.resize(each, (width, height)) for each in colors])


def predicted_by_torch(model: BaseModel, images: NDArray[np.uint8]) -> Tensor:
    """Predict images (B, H, W, 3), RGB, as ``tools.predict`` does: classes (B, H, W)."""
    inputs = list(torch.from_numpy(images[..., ::-1].copy()).permute(0, 3, 1, 2))
    samples = [SegDataSample() for _ in inputs]
    with torch.no_grad():
        results = model.test_step({"inputs": inputs, "data_samples": samples})
    return torch.cat([sample.pred_sem_seg.data for sample in results])


def _as_input(images: NDArray[np.uint8]) -> Tensor:
    """Convert images (B, H, W, 3) to what exported networks take."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous()


def _compared(found: Tensor, expected: Tensor) -> Agreement:
    number, height, width = expected.shape
    return Agreement(number, (height, width), (found == expected).float().mean().item())


def _compared_shapes(
    smallest: tuple[int, int], size: tuple[int, int] | None
) -> list[tuple[int, int, int]]:
    if size:
        return [(1, *size)]
    height, width = (max(side, COMPARED_SIDE) for side in smallest)
    sizes = [(height + down, width + right) for down, right in LARGER]
    return [(number, *each) for number, each in zip((2, 1, 1), sizes, strict=True)]


def _captured(network: ExportedNetwork, size: tuple[int, int] | None) -> ExportedProgram:
    """Capture the graph of a network for images of one size, or of any."""
    if size:
        shapes, example = None, torch.zeros(1, 3, *size)
    else:
        height, width = network.smallest
        shapes = ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC(min=height), 3: Dim.DYNAMIC(min=width)},)
        # No side is treated specially: they differ, and are larger than the smallest.
        example = torch.zeros(2, 3, 2 * height + 40, 3 * width + 24)
    with torch.no_grad():
        return torch.export.export(network, (example,), dynamic_shapes=shapes)


@contextmanager
def _explained(images: str) -> Iterator[None]:
    """Turn errors of exporters and runtimes, which may be of any class, into an InputError."""
    try:
        # torch warns about parts of itself, and prints graphs of what it cannot export.
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except (InputError, OSError):
        raise
    except Exception as error:
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
        way_out = "; --size H W exports it for one" if images == "any size" else ""
        raise InputError(
            f"the network cannot be exported for images of {images}{way_out}: {reason}"
        ) from error
