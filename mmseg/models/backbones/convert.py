"""Convert pretrained weights of other libraries to the names of our backbones.

Everything here is a function of a state dict: its keys tell which library it comes from.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

#: Prefix of the student's backbone in a checkpoint of a domain-adaptation method.
STUDENT = "model.backbone."
#: Prefixes that a backbone's names may have, and prefixes of modules that are not the backbone.
PREFIXES = ("", "backbone.", "segformer.", "module.", STUDENT)
NOT_BACKBONE = ("head.", "fc.", "classifier.", "decode_head.", "auxiliary_head.")

_LEAF = r"[._](?P<leaf>weight|bias|running_mean|running_var|num_batches_tracked)"


@dataclass(frozen=True)
class Layout:
    """The names that a library gives to the weights of one of our backbones.

    Attributes:
        title: name of the library, to be shown to the user.
        mark: a key that tells the layout from all others.
        names: maps their module names to ours where they differ. ``{s}`` stands for the number of
            a stage and ``{b}`` for that of a block. Our names ``attn.k``, ``attn.v`` and
            ``attn.qkv`` exist only until :func:`_assemble` has joined or split them.
        first_stage: their number of the first stage; ours is 1.
    """

    title: str
    mark: str
    names: Mapping[str, str] = field(default_factory=dict)
    first_stage: int = 1

    def own_name(self, key: str) -> str:
        """Translate the name of an entry to ours; without a rule it stays as it is."""
        for pattern, ours in self._rules:
            if match := pattern.fullmatch(key):
                found = match.groupdict()
                stage = int(found.get("s") or 0) + 1 - self.first_stage
                return f"{ours.format(s=stage, b=found.get('b'))}.{found['leaf']}"
        return key

    @cached_property
    def _rules(self) -> list[tuple[re.Pattern, str]]:
        numbers = {r"\{s\}": r"(?P<s>\d+)", r"\{b\}": r"(?P<b>\d+)"}
        rules = []
        for theirs, ours in self.names.items():
            pattern = re.escape(theirs)
            for escaped, number in numbers.items():
                pattern = pattern.replace(escaped, number)
            rules.append((re.compile(pattern + _LEAF), ours))
        return rules


LAYOUTS = (
    Layout("NVlabs' MiT (our names)", "patch_embed1.proj.weight"),
    Layout(
        "OpenMMLab's MiT",
        "layers.0.0.projection.weight",
        {
            "layers.{s}.0.projection": "patch_embed{s}.proj",
            "layers.{s}.0.norm": "patch_embed{s}.norm",
            "layers.{s}.1.{b}.norm1": "block{s}.{b}.norm1",
            "layers.{s}.1.{b}.attn.attn.in_proj": "block{s}.{b}.attn.qkv",
            "layers.{s}.1.{b}.attn.attn.out_proj": "block{s}.{b}.attn.proj",
            "layers.{s}.1.{b}.attn.sr": "block{s}.{b}.attn.sr",
            "layers.{s}.1.{b}.attn.norm": "block{s}.{b}.attn.norm",
            "layers.{s}.1.{b}.norm2": "block{s}.{b}.norm2",
            "layers.{s}.1.{b}.ffn.layers.0": "block{s}.{b}.mlp.fc1",
            "layers.{s}.1.{b}.ffn.layers.1": "block{s}.{b}.mlp.dwconv.dwconv",
            "layers.{s}.1.{b}.ffn.layers.4": "block{s}.{b}.mlp.fc2",
            "layers.{s}.2": "norm{s}",
        },
        first_stage=0,
    ),
    Layout(
        "Hugging Face's SegFormer encoder",
        "encoder.patch_embeddings.0.proj.weight",
        {
            "encoder.patch_embeddings.{s}.proj": "patch_embed{s}.proj",
            "encoder.patch_embeddings.{s}.layer_norm": "patch_embed{s}.norm",
            "encoder.block.{s}.{b}.layer_norm_1": "block{s}.{b}.norm1",
            "encoder.block.{s}.{b}.attention.self.query": "block{s}.{b}.attn.q",
            "encoder.block.{s}.{b}.attention.self.key": "block{s}.{b}.attn.k",
            "encoder.block.{s}.{b}.attention.self.value": "block{s}.{b}.attn.v",
            "encoder.block.{s}.{b}.attention.self.sr": "block{s}.{b}.attn.sr",
            "encoder.block.{s}.{b}.attention.self.layer_norm": "block{s}.{b}.attn.norm",
            "encoder.block.{s}.{b}.attention.output.dense": "block{s}.{b}.attn.proj",
            "encoder.block.{s}.{b}.layer_norm_2": "block{s}.{b}.norm2",
            "encoder.block.{s}.{b}.mlp.dense1": "block{s}.{b}.mlp.fc1",
            "encoder.block.{s}.{b}.mlp.dwconv.dwconv": "block{s}.{b}.mlp.dwconv.dwconv",
            "encoder.block.{s}.{b}.mlp.dense2": "block{s}.{b}.mlp.fc2",
            "encoder.layer_norm.{s}": "norm{s}",
        },
        first_stage=0,
    ),
    Layout(
        "Hugging Face's SegFormer encoder (names of transformers 5)",
        "stages.0.patch_embeddings.proj.weight",
        {
            "stages.{s}.patch_embeddings.proj": "patch_embed{s}.proj",
            "stages.{s}.patch_embeddings.layer_norm": "patch_embed{s}.norm",
            "stages.{s}.blocks.{b}.layernorm_before": "block{s}.{b}.norm1",
            "stages.{s}.blocks.{b}.attention.q_proj": "block{s}.{b}.attn.q",
            "stages.{s}.blocks.{b}.attention.k_proj": "block{s}.{b}.attn.k",
            "stages.{s}.blocks.{b}.attention.v_proj": "block{s}.{b}.attn.v",
            "stages.{s}.blocks.{b}.attention.sequence_reduction.sequence_reduction": (
                "block{s}.{b}.attn.sr"
            ),
            "stages.{s}.blocks.{b}.attention.sequence_reduction.layer_norm": (
                "block{s}.{b}.attn.norm"
            ),
            "stages.{s}.blocks.{b}.attention.o_proj": "block{s}.{b}.attn.proj",
            "stages.{s}.blocks.{b}.layernorm_after": "block{s}.{b}.norm2",
            "stages.{s}.blocks.{b}.mlp.fc1": "block{s}.{b}.mlp.fc1",
            "stages.{s}.blocks.{b}.mlp.dwconv.dwconv": "block{s}.{b}.mlp.dwconv.dwconv",
            "stages.{s}.blocks.{b}.mlp.fc2": "block{s}.{b}.mlp.fc2",
            "stages.{s}.layer_norm": "norm{s}",
        },
        first_stage=0,
    ),
    Layout("OpenMMLab's ResNet-V1c (our names)", "stem.0.weight"),
    Layout(
        "MMPretrain's ResNet-V1c",
        "stem.0.conv.weight",
        {
            "stem.0.conv": "stem.0",
            "stem.0.bn": "stem.1",
            "stem.1.conv": "stem.3",
            "stem.1.bn": "stem.4",
            "stem.2.conv": "stem.6",
            "stem.2.bn": "stem.7",
        },
    ),
    Layout(
        "timm's ResNet with a deep stem",
        "conv1.0.weight",
        {
            "conv1.0": "stem.0",
            "conv1.1": "stem.1",
            "conv1.3": "stem.3",
            "conv1.4": "stem.4",
            "conv1.6": "stem.6",
            "bn1": "stem.7",
        },
    ),
)


@dataclass(frozen=True)
class Conversion:
    """The result of converting a state dict.

    Attributes:
        layout: the layout it had; None: no known one, and the names are unchanged.
        weights: float32 tensors under our names; entries without a rule keep theirs.
        dropped: keys that do not belong to the backbone but to a classifier or a decoder.
    """

    layout: Layout | None
    weights: dict[str, Tensor]
    dropped: tuple[str, ...]

    @property
    def title(self) -> str:
        """Name of the library that the weights come from, to be shown to the user."""
        return self.layout.title if self.layout else "names of no library that we know"

    @property
    def dropped_parts(self) -> list[str]:
        """The modules that the dropped entries belong to."""
        return sorted({key.removeprefix("model.").split(".")[0] for key in self.dropped})


def convert(state_dict: Mapping[str, Tensor], expected: Collection[str] = ()) -> Conversion:
    """Give the weights of a backbone our names and shapes.

    Missing and unknown entries are not reported: compare the result with the state dict of the
    backbone that it is meant for.

    Args:
        state_dict: weights of a backbone, or of a classifier, segmentor or domain-adaptation method
            (whose student counts) that contains it.
        expected: keys of the backbone that it is meant for, if known: a backbone that uses the
            other library's names itself gets them untranslated.
    """
    layout, prefix = find_layout(state_dict)
    if layout is not None and layout.names and layout.mark in expected:
        layout = None
    weights, dropped = {}, []
    for key, value in state_dict.items():
        name = key.removeprefix(prefix)
        if not key.startswith(prefix) or name.startswith(NOT_BACKBONE):
            dropped.append(key)
        elif layout is None:
            weights[name] = value
        else:
            value = value.float() if value.is_floating_point() else value
            weights[layout.own_name(name)] = value
    return Conversion(layout, weights if layout is None else _assemble(weights), tuple(dropped))


def find_layout(state_dict: Mapping[str, Tensor]) -> tuple[Layout | None, str]:
    """Find the layout of a state dict, and the prefix of the backbone's keys in it."""
    for layout in LAYOUTS:
        for prefix in PREFIXES:
            if prefix + layout.mark in state_dict:
                return layout, prefix
    for prefix in (STUDENT, "backbone."):
        if any(key.startswith(prefix) for key in state_dict):
            return None, prefix
    return None, ""


def describe_difference(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """Describe how the structure of a ResNet differs from ResNet-V1c; empty if it is not known.

    Args:
        expected: state dict of the backbone that the weights are meant for.
        weights: the weights under our names.
    """
    if not {"stem.6.weight", "layer1.0.conv1.weight"} <= expected.keys():
        return ""
    stem = weights.get("conv1.weight")
    if stem is not None:
        size = "x".join(str(side) for side in stem.shape[2:])
        return f"its stem is one convolution of {size} (ResNet-V1c has three of 3x3)"
    stem = weights.get("stem.0.weight")
    if stem is not None and stem.shape[0] != 32:
        return f"the first convolution of its stem has {stem.shape[0]} channels (ResNet-V1c has 32)"
    if any(re.search(r"downsample\.1\.weight$", k) and v.ndim == 4 for k, v in weights.items()):
        return "its shortcuts pool before they convolve (ResNet-V1d; ResNet-V1c does not)"
    return ""


def _assemble(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join keys and values into one matrix, and turn 1x1 convolutions into linear layers."""
    result = dict(weights)
    for key, value in weights.items():
        if ".attn.qkv." in key:  # (3C, ...): torch.nn.MultiheadAttention's order
            channels = value.shape[0] // 3
            query, key_value = value[:channels].clone(), value[channels:].clone()
            result[key.replace(".qkv.", ".q.")] = query
            result[key.replace(".qkv.", ".kv.")] = key_value
            del result[key]
        elif ".attn.k." in key and (other := key.replace(".k.", ".v.")) in weights:
            result[key.replace(".k.", ".kv.")] = torch.cat([value, weights[other]])
            del result[key], result[other]
        elif re.search(r"\.mlp\.fc\d\.weight$", key) and value.ndim == 4:
            result[key] = value.flatten(1)
    return result
