"""Count the parameters and FLOPs of segmentors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmseg.apis.init_model import without_pretrained
from mmseg.config_check import check_config
from mmseg.evaluation.report import align
from mmseg.models.segmentors import EncoderDecoder, EncoderDecoderProjector, segmentors_of
from mmseg.registry import MODELS
from mmseg.utils import InputError, built_from_config


@dataclass(frozen=True)
class PartCost:
    """Parameters and FLOPs of a part of a segmentor.

    Attributes:
        name: name of the part.
        parameters: number of parameters.
        flops: operations of one forward pass of one image, where a multiply-add counts as two;
            convolutions, matrix products and attention are counted, but not normalisation,
            activation and resizing.
    """

    name: str
    parameters: int
    flops: int


def count_cost(model: Mapping[str, Any], size: tuple[int, int]) -> list[PartCost]:
    """Count parameters and FLOPs of the segmentor of a config; for a method, of the student.

    The network runs on torch's meta device, without memory for weights and without computation.

    Args:
        model: config of a segmentor or of a method around one.
        size: (height, width) of the image, in pixels.

    Returns:
        Backbone, decode head and, if there is one, the projection or auxiliary head.

    Raises:
        InputError: if the config cannot be built, holds no segmentor, or its network cannot take
            images of this size.
    """
    if "type" not in model:
        raise InputError("the config's model has no type")
    init_default_scope("mmseg")
    check_config(Config({"model": model}), ("model",))
    with torch.device("meta"), built_from_config("model"):
        segmentors = segmentors_of(MODELS.build(without_pretrained(model)))
    if not segmentors:
        raise InputError(f"the config's model ({model.get('type')}) holds no segmentor to count")
    segmentor = segmentors[0].eval()
    projects = isinstance(segmentor, EncoderDecoderProjector)
    head = "projection head" if projects else "auxiliary head"
    costs: dict[str, PartCost] = {}
    try:
        flops = _count_flops(segmentor, torch.empty(1, 3, *size, device="meta"))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the network cannot take images of {size[0]}x{size[1]} (height x width): {reason}"
        ) from error
    for path, part in segmentor.named_modules():
        if part not in flops:
            continue
        title = {"backbone": "backbone", "auxiliary_head": head}.get(path, "decode head")
        before = costs.get(title, PartCost(title, 0, 0))
        count = sum(p.numel() for p in part.parameters())
        costs[title] = PartCost(title, before.parameters + count, before.flops + flops[part])
    return list(costs.values())


def _count_flops(segmentor: EncoderDecoder, inputs: Tensor) -> dict[nn.Module, int]:
    """Count the FLOPs of each part of a segmentor when it predicts, and of the auxiliary head."""
    flops = dict.fromkeys(segmentor.network_parts(), 0)
    # The counter supports the matrix products of attention, but not all of its fused kernels.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        projects = segmentor.auxiliary_head is not None
        feats = segmentor.extract_feat(inputs) if projects else None

        def begin(part: nn.Module, _: Any) -> None:
            flops[part] -= counter.get_total_flops()

        def end(part: nn.Module, _: Any, __: Any) -> None:
            flops[part] += counter.get_total_flops()

        for part in flops:
            part.register_forward_pre_hook(begin)
            part.register_forward_hook(end)
        segmentor(inputs)
        if projects:
            segmentor.auxiliary_head(feats)
    return flops


def cost_table(costs: Sequence[PartCost], size: tuple[int, int]) -> str:
    """Format a table of the parts and their total, with an explanation."""
    rows = [(cost.name, f"{cost.parameters:,}", _giga(cost.flops)) for cost in costs]
    total = PartCost(
        "total", *map(sum, zip(*((c.parameters, c.flops) for c in costs), strict=True))
    )
    totals = [(total.name, f"{total.parameters:,}", _giga(total.flops))]
    return f"{align(('part', 'parameters', 'GFLOPs'), rows, totals)}\n\n{_legend(size)}"


def cost_comparison(named_costs: Mapping[str, Sequence[PartCost]], size: tuple[int, int]) -> str:
    """Format a table of networks: millions of parameters of each part and in total, and FLOPs."""
    names = list(dict.fromkeys(cost.name for costs in named_costs.values() for cost in costs))
    rows = []
    for title, costs in named_costs.items():
        parameters = {cost.name: cost.parameters for cost in costs}
        cells = [_mega(parameters[name]) if name in parameters else "-" for name in names]
        total = _mega(sum(parameters.values()))
        rows.append((title, *cells, total, _giga(sum(cost.flops for cost in costs))))
    header = ("parameters in millions", *names, "total", "GFLOPs")
    return f"{align(header, rows)}\n\n{_legend(size)}"


def _legend(size: tuple[int, int]) -> str:
    return (
        f"GFLOPs: 10^9 operations of one forward pass of one image of {size[0]}x{size[1]} (height "
        "x width).\nA multiply-add is two operations. Convolutions, matrix products and attention "
        "of the student are\ncounted. Prediction does not need the projection head."
    )


def _mega(number: int) -> str:
    return f"{number / 1e6:.2f}"


def _giga(number: int) -> str:
    return f"{number / 1e9:.2f}"
