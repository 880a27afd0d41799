"""The exported network: an image with values of 0 to 255 in, logits and classes of its size out.

Shapes: B images of height H and width W, C classes; h x w windows, n from top to bottom and m from
left to right.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.models.segmentors import EncoderDecoder, HRDAEncoderDecoder
from mmseg.models.segmentors.prediction import class_dtype

#: Shortest side of an image for which an exported network is meant: networks divide sides by 32.
SMALLEST = 64


class ExportedNetwork(nn.Module):
    """Normalise images, and predict each in one piece.

    Args:
        segmentor: the network, in evaluation mode.
        preprocessor: its preprocessor, for mean, standard deviation and the order of channels.
    """

    def __init__(self, segmentor: EncoderDecoder, preprocessor: SegDataPreProcessor) -> None:
        super().__init__()
        self.segmentor = segmentor
        self.reversed = not preprocessor.bgr_to_rgb  # the network takes BGR
        self.register_buffer("mean", preprocessor.mean.clone())
        self.register_buffer("std", preprocessor.std.clone())

    @property
    def smallest(self) -> tuple[int, int]:
        """Smallest height and width of an image."""
        return SMALLEST, SMALLEST

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Segment images.

        Args:
            image: (B, 3, H, W) float32, RGB, 0 to 255.

        Returns:
            ``logits`` (B, C, H, W) float32; ``classes`` (B, H, W), their arg-max, uint8 where the
            classes fit.
        """
        if self.reversed:
            image = image.flip(1)
        logits = self.logits((image - self.mean) / self.std)
        logits = self.segmentor.decode_head.upsample(logits, image.shape[2:])
        return {"logits": logits, "classes": logits.argmax(1).to(class_dtype(logits.shape[1]))}

    def pool_any_size(self) -> None:
        """Replace max-pooling with a stride, in place, as torch exports it only for some sizes.

        Exported files of torch check in each call all conditions that torch met at export. Its rule
        for the size of the result has one that is met by half of all sizes and changes nothing.
        """
        for module in [*self.modules()]:
            for name, child in module.named_children():
                if type(child) is nn.MaxPool2d and not child.ceil_mode:
                    setattr(module, name, _SlicedMaxPool(child))

    def logits(self, inputs: Tensor) -> Tensor:
        """Compute logits of normalised images (B, 3, H, W), at the stride of the head."""
        return self.segmentor.logits(inputs)


class _SlicedMaxPool(nn.Module):
    """Compute max-pooling at every pixel, and keep those at its stride."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        stride = pool.stride
        self.down, self.right = (stride, stride) if isinstance(stride, int) else stride
        self.rest = {"padding": pool.padding, "dilation": pool.dilation}
        self.kernel_size = pool.kernel_size

    def forward(self, maps: Tensor) -> Tensor:
        """Pool maps (B, C, H, W)."""
        everywhere = F.max_pool2d(maps, self.kernel_size, stride=1, **self.rest)
        return everywhere[:, :, :: self.down, :: self.right]


class ExportedHRDA(ExportedNetwork):
    """Predict with a network of two scales, whose number of windows depends on the image.

    The segmentor lists the windows in Python, which would fix their number in the exported graph.
    Here they are one batch, cut out and averaged by indices that are computed from the size.
    """

    segmentor: HRDAEncoderDecoder

    @property
    def smallest(self) -> tuple[int, int]:
        """Size of a window: a smaller image would need smaller windows."""
        return self.segmentor.detail_size

    def logits(self, inputs: Tensor) -> Tensor:
        """Fuse context and details like the segmentor."""
        context = self.segmentor.extract_feat(inputs)
        head = self.segmentor.decode_head
        return head.fuse(head.head(context), head.attention(context), self.detail_logits(inputs))

    def detail_logits(self, inputs: Tensor) -> Tensor:
        """Compute the logits of all windows as one batch, and average them where they overlap."""
        size, sides = self.segmentor.detail_size, inputs.shape[2:]
        tops, lefts = map(window_starts, sides, size)
        crops = inputs.index_select(2, places(tops, size[0]))
        crops = crops.index_select(3, places(lefts, size[1]))  # (B, 3, n * h, m * w)
        crops = crops.unflatten(3, (-1, size[1])).unflatten(2, (-1, size[0]))
        crops = crops.permute(2, 4, 0, 1, 3, 5).flatten(0, 2)  # (n * m * B, 3, h, w)
        maps = self.segmentor.extract_detail(crops, [(0, size[0], 0, size[1])])
        logits = self.segmentor.decode_head.head(maps)
        (height, width), stride = logits.shape[2:], round(size[0] / logits.shape[2])
        logits = logits.unflatten(0, (tops.shape[0], lefts.shape[0], -1))
        logits = logits.permute(2, 3, 0, 4, 1, 5).flatten(4, 5).flatten(2, 3)
        bottom, right = ((side - each) // stride for side, each in zip(sides, size, strict=True))
        logits = averaged(logits, 2, places(tops // stride, height), bottom + height)
        return averaged(logits, 3, places(lefts // stride, width), right + width)


def window_starts(side: int, window: int) -> Tensor:
    """Compute the starts (n,) of windows that overlap by half; the last one ends at the border."""
    last, stride = side - window, window // 2
    return (torch.arange((last + stride - 1) // stride + 1) * stride).clamp(max=last)


def places(starts: Tensor, length: int) -> Tensor:
    """List the places (n * length,) that windows with these starts (n,) cover."""
    return (starts[:, None] + torch.arange(length)).flatten()


def averaged(maps: Tensor, axis: int, places: Tensor, size: int) -> Tensor:
    """Put the entries of maps along an axis to ``places`` of ``size``, and average common ones."""
    across = [1] * (maps.dim() - axis - 1)
    total = maps.new_zeros([*maps.shape[:axis], size, *maps.shape[axis + 1 :]])
    total = total.scatter_add(axis, places.view(-1, *across).expand_as(maps), maps)
    count = maps.new_zeros(size).scatter_add(0, places, torch.ones_like(places, dtype=maps.dtype))
    return total / count.view(-1, *across)
