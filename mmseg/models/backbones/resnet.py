"""ResNet-V1c: He et al., CVPR 2016, with the deep stem of He et al., "Bag of Tricks", CVPR 2019."""

from collections.abc import Sequence
from typing import Annotated, Literal

from mmcv.cnn import build_norm_layer
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmseg.models.utils.checkpointing import run
from mmseg.registry import MODELS
from mmseg.utils.layers import BATCH_NORMS
from mmseg.utils.setting_types import Indices, PartConfig, PositiveInts

from .pretrained import Backbone

Depth = Literal[18, 34, 50, 101]
Style = Literal["pytorch", "caffe"]


def _norm(norm_cfg: dict, channels: int) -> nn.Module:
    return build_norm_layer(norm_cfg, channels)[1]


class BasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions (ResNet-18 and -34).

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: stride of the first convolution.
        dilation: dilation of the first convolution.
        style: ignored; it places the stride in :class:`Bottleneck`.
        norm_cfg: config of the normalisation layer.
        downsample: module that brings the shortcut to the output's shape, if it differs.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        dilation: int,
        style: Style,
        norm_cfg: dict,
        downsample: nn.Module | None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, channels, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn1 = _norm(norm_cfg, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = _norm(norm_cfg, channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return self.relu(x.add_(shortcut))


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions (ResNet-50 and -101).

    Args:
        in_channels: channels of the input.
        channels: channels of the 3x3 convolution; the output has four times as many.
        stride: stride of the 3x3 convolution (style "pytorch") or of the first 1x1 ("caffe").
        dilation: dilation of the 3x3 convolution.
        style: see ``stride``.
        norm_cfg: config of the normalisation layer.
        downsample: module that brings the shortcut to the output's shape, if it differs.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        dilation: int,
        style: Style,
        norm_cfg: dict,
        downsample: nn.Module | None,
    ) -> None:
        super().__init__()
        stride1, stride2 = (1, stride) if style == "pytorch" else (stride, 1)
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, stride1, bias=False)
        self.bn1 = _norm(norm_cfg, channels)
        self.conv2 = nn.Conv2d(
            channels, channels, 3, stride2, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = _norm(norm_cfg, channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = _norm(norm_cfg, out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return self.relu(x.add_(shortcut))


ResidualBlock = type[BasicBlock] | type[Bottleneck]
#: Depth -> block, and number of blocks in each stage.
ARCHITECTURES: dict[Depth, tuple[ResidualBlock, tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


@MODELS.register_module()
class ResNetV1c(Backbone):
    """ResNet with a stem of three 3x3 convolutions, and with configurable strides and dilations.

    State-dict keys: ``stem.0..8`` and, as in torchvision, ``layer1..4.<block>.conv1`` and so on.

    Args:
        depth: 18, 34, 50 or 101.
        in_channels: number of channels of the image.
        base_channels: width of the stem's output and of the first stage's blocks, even; each stage
            doubles it. 64 is ResNet's.
        num_stages: number of stages to build, 1..4.
        strides: stride of each stage.
        dilations: dilation of each stage.
        out_indices: stages whose output is returned.
        style: convolution of a bottleneck that has the stride: "pytorch": the 3x3; "caffe": the
            first 1x1.
        contract_dilation: whether the first block of a dilated stage uses half the dilation.
        norm_cfg: config of the normalisation layer; None: BatchNorm.
        norm_eval: whether BatchNorm keeps its running statistics fixed in training.
        with_cp: whether to checkpoint activations: recompute those of blocks in the backward pass.
        init_cfg: None, or ``dict(type="Pretrained", checkpoint="<file>")``.
    """

    def __init__(
        self,
        depth: Depth,
        in_channels: PositiveInt = 3,
        base_channels: Annotated[int, Field(ge=2, multiple_of=2)] = 64,
        num_stages: Annotated[int, Field(ge=1, le=4)] = 4,
        strides: PositiveInts = (1, 2, 2, 2),
        dilations: PositiveInts = (1, 1, 1, 1),
        out_indices: Indices = (0, 1, 2, 3),
        style: Style = "pytorch",
        contract_dilation: bool = False,
        norm_cfg: PartConfig | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: PartConfig | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(strides) != num_stages or len(dilations) != num_stages:
            raise ValueError(
                f"strides and dilations must have {num_stages} entries (num_stages), "
                f"got {tuple(strides)} and {tuple(dilations)}"
            )
        if not out_indices or not set(out_indices) <= set(range(num_stages)):
            raise ValueError(
                f"out_indices must be among {list(range(num_stages))}, got {tuple(out_indices)}"
            )
        norm_cfg = norm_cfg or {"type": "BN"}
        self.out_indices = tuple(out_indices)
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.stem = _make_stem(in_channels, base_channels, norm_cfg)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

        block, depths = ARCHITECTURES[depth]
        width = base_channels
        self.stages = [f"layer{stage + 1}" for stage in range(num_stages)]
        for stage, name in enumerate(self.stages):
            dilation = dilations[stage]
            contracted = dilation // 2 if contract_dilation and dilation > 1 else dilation
            layer = _make_stage(
                block,
                width,
                base_channels * 2**stage,
                strides[stage],
                [contracted] + [dilation] * (depths[stage] - 1),
                style,
                norm_cfg,
            )
            width = base_channels * 2**stage * block.expansion
            self.add_module(name, layer)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise by He, residual branches by zero ("Bag of Tricks", section 3.1)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.get_parameter("weight"))
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.get_parameter("weight"))

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Compute (B, 3, H, W) -> one map (B, C_i, H_i, W_i) for each of ``out_indices``."""
        x = self.maxpool(self.stem(inputs))
        features = []
        for index, name in enumerate(self.stages):
            for block in getattr(self, name):
                x = run(block, x, with_cp=self.with_cp)
            if index in self.out_indices:
                features.append(x)
        return features

    def train(self, mode: bool = True) -> "ResNetV1c":
        """Set the mode; with ``norm_eval`` BatchNorm always stays in evaluation mode."""
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, BATCH_NORMS):
                    module.eval()
        return self


def _make_stage(
    block: ResidualBlock,
    width: int,
    channels: int,
    stride: int,
    dilations: Sequence[int],
    style: Style,
    norm_cfg: dict,
) -> nn.Sequential:
    """Build a stage: one block per dilation; the first has the stride and projects its shortcut."""
    out_channels = channels * block.expansion
    layer = nn.Sequential()
    for index, dilation in enumerate(dilations):
        own_stride = stride if index == 0 else 1
        downsample = None
        if own_stride != 1 or width != out_channels:
            downsample = nn.Sequential(
                nn.Conv2d(width, out_channels, 1, own_stride, bias=False),
                _norm(norm_cfg, out_channels),
            )
        layer.append(block(width, channels, own_stride, dilation, style, norm_cfg, downsample))
        width = out_channels
    return layer


def _make_stem(in_channels: int, channels: int, norm_cfg: dict) -> nn.Sequential:
    """Build the stem: three 3x3 convolutions, the first of stride 2, with the keys 0..8."""
    half = channels // 2
    widths = [(in_channels, half, 2), (half, half, 1), (half, channels, 1)]
    layers: list[nn.Module] = []
    for inputs, outputs, stride in widths:
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            _norm(norm_cfg, outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
