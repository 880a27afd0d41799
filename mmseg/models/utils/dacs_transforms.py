"""Class mixing and the strong augmentation of DACS (Tranheden et al., WACV 2021).

Shapes: B images of (3, H, W), labels and weights (B, H, W).
"""

import math

import torch
from torch import Tensor

# Number of label values, the ignore index included: labels have 8 bits.
_LABEL_VALUES = 256


def draw_mix_classes(label: Tensor) -> Tensor:
    """Choose for each image half of the classes present in the whole batch, rounded up.

    Args:
        label: (B, H, W) long source labels; the ignore index counts as a class.

    Returns:
        (B, 256) bool: the label values to take from the source.
    """
    present = torch.zeros(_LABEL_VALUES, dtype=torch.bool, device=label.device)
    present.index_fill_(0, label.flatten(), True)  # indexed assignment would synchronise
    # Sort the present classes first, in random order, and take the first half of them.
    key = torch.rand(len(label), _LABEL_VALUES, device=label.device) + (~present).float()
    rank = key.argsort(1).argsort(1)
    half = (present.sum() + 1) // 2
    return rank < half


def class_mask(label: Tensor, chosen: Tensor) -> Tensor:
    """Mask the pixels whose source label is one of the chosen values.

    Args:
        label: (B, H, W) long.
        chosen: (B, 256) bool, see :func:`draw_mix_classes`.

    Returns:
        (B, H, W) bool.
    """
    return chosen.gather(1, label.flatten(1)).view_as(label)


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Take the source where the mask is set and the target elsewhere.

    Args:
        mask: (B, H, W) bool.
        source: (B, H, W) or (B, 3, H, W).
        target: of the same shape.
    """
    return torch.where(mask if source.dim() == 3 else mask[:, None], source, target)


def blur_kernel_side(side: int) -> int:
    """Return the side of the Gaussian kernel in pixels: odd, about a tenth of the image side."""
    tenth = math.ceil(0.1 * side)
    return math.floor(tenth - 0.5 + tenth % 2)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur (B, 3, H, W) images with one Gaussian of ``sigma`` pixels, borders reflected."""
    from kornia.filters import gaussian_blur2d

    kernel = (blur_kernel_side(image.shape[-2]), blur_kernel_side(image.shape[-1]))
    return gaussian_blur2d(image, kernel, (sigma, sigma), border_type="reflect")


def color_jitter(image: Tensor, strength: float, mean: Tensor, std: Tensor) -> Tensor:
    """Jitter brightness, contrast, saturation and hue in random order, factors per image.

    Brightness is additive, as in the releases of DACS and its successors: what kornia calls
    ``ColorJiggle``. Draws from torch's CPU generator.

    Args:
        image: (B, 3, H, W) RGB normalised by ``mean`` and ``std`` of 8-bit values, each (3, 1, 1).
        strength: strength of each of the four.

    Returns:
        (B, 3, H, W), normalised again.
    """
    from kornia.augmentation import ColorJiggle

    jiggle = ColorJiggle(strength, strength, strength, strength)
    unit = ((image * std + mean) / 255).clamp_(0, 1)
    return (jiggle(unit) * 255 - mean) / std


class StrongAugmentation:
    """Colour jitter and Gaussian blur, switched on or off at random in each iteration.

    :meth:`draw` decides for the source, the target and the mixed images of an iteration together.
    Each call draws one order of the jitter and one sigma for its batch, and jitter factors per
    image.

    Args:
        jitter_strength: strength for brightness, contrast, saturation and hue.
        jitter_threshold: images are jittered if u ~ U(0, 1) exceeds it.
        blur: whether images are blurred if another u ~ U(0, 1) exceeds 0.5.
    """

    blur_threshold = 0.5
    sigma_range = (0.15, 1.15)

    def __init__(
        self, jitter_strength: float = 0.2, jitter_threshold: float = 0.2, blur: bool = True
    ) -> None:
        self.jitter_strength = jitter_strength
        self.jitter_threshold = jitter_threshold
        self.blur = blur
        self.jitter_now = self.blur_now = False

    def draw(self) -> None:
        """Switch jitter and blur on or off for one iteration, by torch's CPU generator."""
        u_jitter, u_blur = torch.rand(2).tolist()
        self.jitter_now = u_jitter > self.jitter_threshold
        self.blur_now = self.blur and u_blur > self.blur_threshold

    def __call__(self, image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Augment images as drawn for this iteration.

        Args:
            image: (B, 3, H, W) normalised by ``mean`` and ``std`` (3, 1, 1) of 8-bit RGB values.
        """
        if self.jitter_now:
            image = color_jitter(image, self.jitter_strength, mean, std)
        if self.blur_now:
            low, high = self.sigma_range
            sigma = low + (high - low) * torch.rand(()).item()
            image = gaussian_blur(image, sigma)
        return image
