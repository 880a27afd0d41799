"""Set random weights in networks of other libraries, and build a MiT as OpenMMLab does."""

import torch
from torch import Tensor, nn


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every weight and statistic at random, scaled so that features stay near 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("running_var"):
            noise = 1 + 0.1 * noise.abs()
        elif value.ndim > 1 or name.endswith("in_proj_weight"):
            noise = noise / value[0].numel() ** 0.5
        elif name.endswith("weight"):
            noise = 1 + 0.1 * noise
        else:
            noise = 0.1 * noise
        value.copy_(noise)
    return module.eval()


class _Embed(nn.Module):
    def __init__(self, inputs: int, channels: int, size: int, stride: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(inputs, channels, size, stride, padding=size // 2)
        self.norm = nn.LayerNorm(channels)


class _Attention(nn.Module):
    def __init__(self, channels: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(channels, heads, batch_first=True)
        if ratio > 1:
            self.sr = nn.Conv2d(channels, channels, ratio, ratio)
            self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, image: Tensor) -> Tensor:
        others = tokens
        if hasattr(self, "sr"):
            others = self.norm(self.sr(image).flatten(2).mT)
        return self.attn(tokens, others, others, need_weights=False)[0]


class _Block(nn.Module):
    def __init__(self, channels: int, heads: int, ratio: int) -> None:
        super().__init__()
        hidden = 4 * channels
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = _Attention(channels, heads, ratio)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.ffn = nn.Module()
        self.ffn.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
            nn.GELU(),
            nn.Dropout(0.0),
            nn.Conv2d(hidden, channels, 1),
            nn.Dropout(0.0),
        )

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.attn(normed, normed.mT.unflatten(2, size))
        image = self.norm2(tokens).mT.unflatten(2, size)
        return tokens + self.ffn.layers(image).flatten(2).mT


class OpenMMLabMiT(nn.Module):
    """A MiT with OpenMMLab's names: ``layers.<stage>`` holds embedding, blocks and norm."""

    def __init__(self, embed_dims, depths, num_heads, sr_ratios) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        inputs = 3
        for stage, (channels, depth) in enumerate(zip(embed_dims, depths, strict=True)):
            embed = _Embed(inputs, channels, *((7, 4) if stage == 0 else (3, 2)))
            blocks = [_Block(channels, num_heads[stage], sr_ratios[stage]) for _ in range(depth)]
            norm = nn.LayerNorm(channels, eps=1e-6)
            self.layers.append(nn.ModuleList([embed, nn.ModuleList(blocks), norm]))
            inputs = channels

    def forward(self, image: Tensor) -> list[Tensor]:
        features = []
        for embed, blocks, norm in self.layers:
            image = embed.projection(image)
            size = image.shape[2:]
            tokens = embed.norm(image.flatten(2).mT)
            for block in blocks:
                tokens = block(tokens, size)
            image = norm(tokens).mT.unflatten(2, size)
            features.append(image)
        return features
