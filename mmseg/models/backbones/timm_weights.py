"""Convert published weights to the names of timm's models."""

import os
import re
import sys
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmseg.utils import InputError

from .convert import NOT_BACKBONE, Conversion, Layout, convert

#: Prefix of the names of timm's models in our backbones.
PREFIX = "timm_model."
HF_DINOV2 = Layout("Hugging Face's DINOv2", "embeddings.position_embeddings")
HF_DINOV3 = Layout("Hugging Face's DINOv3", "embeddings.patch_embeddings.weight")
HF_CONVNEXT = Layout("Hugging Face's DINOv3-ConvNeXt", "stages.0.layers.0.depthwise_conv.weight")
#: Layouts of networks of timm; the marks are looked for in this order.
TIMM_LAYOUTS = (
    HF_DINOV2,
    HF_DINOV3,
    HF_CONVNEXT,
    Layout("Meta's DINOv3", "storage_tokens"),
    Layout("BAAI's EVA-02", "lm_head.weight"),
    Layout("Meta's DINOv2", "mask_token"),
    Layout("Meta's ConvNeXt", "downsample_layers.0.0.weight"),
    Layout("timm's names", "blocks.0.norm1.weight"),
    Layout("timm's names", "stages.0.blocks.0.conv_dw.weight"),
)
#: Patterns of transformers' names of DINOv2 and DINOv3, and Meta's names, which timm reads.
HUGGING_FACE = (
    (r"^(dinov2|dinov2_with_registers|dinov3_vit)\.", ""),  # the prefix in a classifier
    (r"^embeddings\.patch_embeddings\.(projection\.)?", "patch_embed.proj."),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.", ""),
    (r"^(model\.|encoder\.)?layer\.", "blocks."),
    (r"\.attention\.(attention\.query|q_proj)\.", ".attn.q."),
    (r"\.attention\.(attention\.key|k_proj)\.", ".attn.k."),
    (r"\.attention\.(attention\.value|v_proj)\.", ".attn.v."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    (r"\.mlp\.weights_in\.", ".mlp.w12."),
    (r"\.mlp\.weights_out\.", ".mlp.w3."),
    (r"^layernorm\.", "norm."),
)
PLAIN_MLP = ((r"\.mlp\.up_proj\.", ".mlp.fc1."), (r"\.mlp\.down_proj\.", ".mlp.fc2."))
GATED_MLP = (
    (r"\.mlp\.gate_proj\.", ".mlp.w1."),
    (r"\.mlp\.up_proj\.", ".mlp.w2."),
    (r"\.mlp\.down_proj\.", ".mlp.w3."),
)
#: Patterns of transformers' names of DINOv3's ConvNeXt, and Meta's names.
CONVNEXT = (
    (r"^model\.", ""),
    (r"^stages\.(\d+)\.downsample_layers\.", r"downsample_layers.\1."),
    (r"^stages\.(\d+)\.layers\.", r"stages.\1."),
    (r"\.depthwise_conv\.", ".dwconv."),
    (r"\.pointwise_conv(\d)\.", r".pwconv\1."),
    (r"\blayer_norm\.", "norm."),
)
#: Parts of classifiers, which follow the final norm of a ViT.
AFTER_NORM = (*NOT_BACKBONE, "attn_pool.")


def check_is_model(model_name: str) -> None:
    """Check that timm has a model.

    Raises:
        InputError: if it has not.
    """
    import timm  # takes two seconds

    if not timm.is_model(model_name):
        raise InputError(f"timm {timm.__version__} has no model named {model_name!r}")


def timm_layout(weights: Mapping[str, Tensor]) -> Layout | None:
    """Find the layout of weights, whose names may have a prefix; None: no known one."""
    for layout in TIMM_LAYOUTS:
        ends = (layout.mark, f".{layout.mark}")
        if any(name.endswith(ends) for name in weights):
            return layout
    return None


def filtered(
    weights: Mapping[str, Tensor], model: nn.Module, source: str | os.PathLike
) -> dict[str, Tensor]:
    """Convert weights as timm does when it loads them into this model.

    Raises:
        InputError: if they are so different that it cannot; ``source`` names the file.
    """
    timm_filter = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if timm_filter is None:
        return dict(weights)
    try:
        return timm_filter(dict(weights), model)
    except Exception as error:  # it expects names and shapes of the model
        raise InputError(
            f"the pretrained weights {source} are not those of this backbone: timm cannot convert "
            f"them ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        ) from error


def readable_by_timm(
    weights: Mapping[str, Tensor], model: nn.Module, source: str | os.PathLike
) -> dict[str, Tensor]:
    """Give weights of transformers Meta's names, which timm reads; drop biases of zeros.

    Args:
        weights: weights of a backbone.
        model: timm's model of it.
        source: name of the file for errors.

    Raises:
        InputError: if the weights have biases that the model lacks.
    """
    layout = timm_layout(weights)
    if layout in (HF_DINOV2, HF_DINOV3):
        weights = _meta_vit(weights)
    elif layout == HF_CONVNEXT:
        weights = _renamed(weights, CONVNEXT)
    if "storage_tokens" in weights and "blocks.0.attn.q_bias" not in model.state_dict():
        return _without_zero_biases(weights, source)
    return dict(weights)


def convert_vit(
    weights: Mapping[str, Tensor],
    model: nn.Module,
    source: str | os.PathLike,
) -> Conversion:
    """Give the weights of a plain ViT the names and shapes of timm's model, after ``PREFIX``.

    Missing and unknown entries are not reported.

    Args:
        weights: weights of a ViT or a classifier, or of a segmentor or domain-adaptation method
            (whose student counts) that contains it under ``timm_model``.
        model: timm's model. Patches and positions are resampled to its sizes.
        source: name of the file for errors.

    Raises:
        InputError: if the weights have biases that the model lacks.
    """
    whole = convert(weights)
    found = whole.weights
    if any(name.startswith(PREFIX) for name in found):
        return Conversion(None, found, whole.dropped)
    layout = timm_layout(found)
    found = filtered(readable_by_timm(found, model, source), model, source)
    dropped = [name for name in found if name.startswith(AFTER_NORM)]
    if "norm.weight" not in found:  # EVA-02 averages the tokens, and then has this norm
        found = {re.sub(r"^fc_norm\.", "norm.", name): value for name, value in found.items()}
    kept = {PREFIX + name: value for name, value in found.items() if name not in dropped}
    return Conversion(layout, kept, (*whole.dropped, *dropped))


def _renamed(
    weights: Mapping[str, Tensor], patterns: Sequence[tuple[str, str]]
) -> dict[str, Tensor]:
    result = {}
    for name, value in weights.items():
        for theirs, ours in patterns:
            name = re.sub(theirs, ours, name)
        result[name] = value
    return result


def _meta_vit(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give weights of transformers' DINOv2 and DINOv3 Meta's names, and join q, k and v."""
    is_gated = any(".mlp.gate_proj." in name for name in weights)
    result = _renamed(weights, HUGGING_FACE + (GATED_MLP if is_gated else PLAIN_MLP))
    for name in [each for each in result if ".attn.q." in each]:
        query = result[name]
        result.setdefault(name.replace(".q.", ".k."), torch.zeros_like(query))  # may lack a bias
        _join(result, name, ".q.", (".q.", ".k.", ".v."), ".qkv.")
    if "pos_embed" not in result:
        result["storage_tokens"] = result.pop("register_tokens")
        return result
    result.setdefault("mask_token", torch.zeros(1))  # timm knows DINOv2 by it, and drops it
    for name in [each for each in result if ".mlp.w1." in each]:
        _join(result, name, ".w1.", (".w1.", ".w2."), ".w12.")
    return result


def _join(
    weights: dict[str, Tensor], name: str, part: str, parts: tuple[str, ...], whole: str
) -> None:
    """Replace the parts of a layer, of which ``name`` is one, by the whole layer in place."""
    values = [weights.pop(name.replace(part, each)) for each in parts]
    weights[name.replace(part, whole)] = torch.cat(values)


def _without_zero_biases(
    weights: Mapping[str, Tensor], source: str | os.PathLike
) -> dict[str, Tensor]:
    """Drop the biases of a DINOv3 attention that are zero, as a model without them expects.

    Raises:
        InputError: if biases of queries or values are not zero; those of keys never count.
    """
    biases = [name for name in weights if name.endswith(".attn.qkv.bias")]
    for name in biases:
        query, _, value = weights[name].chunk(3)
        if query.any() or value.any():
            raise InputError(
                f"the pretrained weights {source} have biases of queries and values ({name}), "
                "which this model lacks: take timm's model with _qkvb at the end of its name"
            )
    return {name: value for name, value in weights.items() if name not in biases}
