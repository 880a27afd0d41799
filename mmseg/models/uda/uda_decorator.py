"""What all domain-adaptation methods share: a student segmentor that is trained and used."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from pydantic import Field
from torch import Tensor

from mmseg.engine.optim import accumulate_gradient, finish_step
from mmseg.models.utils.dacs_transforms import StrongAugmentation
from mmseg.registry import MODELS
from mmseg.structures import stack_labels
from mmseg.utils.distributed import average_batch_norm
from mmseg.utils.memory import give_back_freed_memory
from mmseg.utils.phases import phase
from mmseg.utils.setting_types import Fraction, PartConfig

# Hues are turned by at most half a circle.
JitterStrength = Annotated[float, Field(ge=0, le=0.5)]
EvalModel = Literal["student", "teacher"]
Losses = dict[str, Tensor]


class UDADecorator(BaseModel):
    """A segmentor and the way it is trained on two domains.

    Outside training it is the segmentor: it takes the same inputs and modes.

    Args:
        segmentor: config of the student, an ``EncoderDecoder``; kept as the attribute ``model``.
        data_preprocessor: config of the ``SegDataPreProcessor`` of both domains.
        color_jitter_strength: of brightness, contrast, saturation and hue.
        color_jitter_threshold: colours are jittered if u ~ U(0, 1) exceeds it.
        blur: whether strong augmentation blurs (with probability 0.5).
        augment_source_and_target: whether the images of the two domains are jittered and blurred.
    """

    def __init__(
        self,
        segmentor: PartConfig,
        data_preprocessor: PartConfig,
        color_jitter_strength: JitterStrength = 0.2,
        color_jitter_threshold: Fraction = 0.2,
        blur: bool = True,
        augment_source_and_target: bool = True,
    ) -> None:
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor))
        self.model = MODELS.build(segmentor)
        self.eval_model: EvalModel = "student"
        self.augmentation = StrongAugmentation(color_jitter_strength, color_jitter_threshold, blur)
        self.augment_source_and_target = augment_source_and_target

    def segmentor_for(self, eval_model: EvalModel) -> torch.nn.Module:
        """The network that predicts when ``eval_model`` is asked for.

        Raises:
            ValueError: this method has no such network.
        """
        if eval_model != "student":
            raise ValueError(f"{type(self).__name__} has no {eval_model}: evaluate the student")
        return self.model

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = "tensor"
    ) -> list | dict | Tensor:
        """Predict with the network that ``eval_model`` names; see ``EncoderDecoder.forward``."""
        return self.segmentor_for(self.eval_model)(inputs, data_samples, mode)

    def draw_augmentation(self) -> None:
        """Decide for this iteration whether strong augmentation jitters and blurs."""
        self.augmentation.draw()

    def augment(self, image: Tensor) -> Tensor:
        """Apply strong augmentation to the normalised images (B, 3, H, W) of one domain."""
        return self.jitter_and_blur(image) if self.augment_source_and_target else image

    def jitter_and_blur(self, image: Tensor) -> Tensor:
        """Augment (B, 3, H, W) images as this iteration's draw says, with one sigma and order."""
        with torch.autocast(image.device.type, enabled=False):  # half precision would round colours
            return self.augmentation(image, self.data_preprocessor.mean, self.data_preprocessor.std)

    def images_and_label(self, domain: dict) -> tuple[Tensor, Tensor]:
        """Normalised images (B, 3, H, W) and long labels (B, H, W) of a labelled domain."""
        batch = self.data_preprocessor(domain, training=True)
        return batch["inputs"], stack_labels(batch["data_samples"]).squeeze(1).long()

    def decode_losses(
        self, feats: list[Tensor], label: Tensor, weight: Tensor | None = None
    ) -> Losses:
        """``decode.loss_seg`` and ``decode.acc_seg`` of the student's decoder.

        Args:
            feats: backbone features. label: (B, H, W). weight: of each pixel, (B, H, W).
        """
        head = self.model.decode_head
        losses = head.loss_by_feat(head(feats), label, weight)
        return {f"decode.{name}": value for name, value in losses.items()}

    def train_on(
        self, losses: dict[str, Callable[[], Losses]], optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """One optimizer step on the sum of the losses, each propagated back on its own.

        A backward pass for each loss frees its activations before the next forward.

        Args:
            losses: name to the function that computes the named parts of this loss.

        Returns:
            Detached scalars to log: ``<name>.<part>``, and ``<name>.loss`` which was propagated;
            ``gradient_norm``, see :func:`~mmseg.engine.optim.finish_step`.
        """
        log = {}
        with self.model.weights_cast():
            for name, compute in losses.items():
                with phase(name):
                    log |= self._learn(name, compute, optim_wrapper)
        with phase("optimizer"):
            log |= finish_step(optim_wrapper)
            average_batch_norm(self)
        return log

    def _learn(
        self, name: str, compute: Callable[[], Losses], optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """Propagate one loss back; what :meth:`train_on` logs of it."""
        on_cpu = self.data_preprocessor.device.type == "cpu"
        if on_cpu:
            give_back_freed_memory()
        with optim_wrapper.optim_context(self):
            parts = compute()
            total = torch.stack([v for key, v in parts.items() if "loss" in key]).sum()
        if on_cpu:  # what the forward pass has freed (benchmarks/RESULTS.md)
            give_back_freed_memory()
        accumulate_gradient(optim_wrapper, total)
        log = {f"{name}.{part}": value.detach() for part, value in parts.items()}
        return log | {f"{name}.loss": total.detach()}
