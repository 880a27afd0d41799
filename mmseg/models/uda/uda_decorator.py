"""What all domain-adaptation methods share: a student segmentor that is trained and used."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from pydantic import Field
from torch import Tensor, nn

from mmseg.models.utils.dacs_transforms import StrongAugmentation
from mmseg.models.utils.precision import without_autocast
from mmseg.registry import MODELS
from mmseg.structures import stack_labels
from mmseg.utils import InputError
from mmseg.utils.distributed import average_batch_norm
from mmseg.utils.phases import phase
from mmseg.utils.setting_types import Fraction, PartConfig

# Hues are turned by at most half a circle.
JitterStrength = Annotated[float, Field(ge=0, le=0.5)]
EvalModel = Literal["student", "teacher"]
Losses = dict[str, Tensor]


def method_class(config: Mapping[str, Any]) -> type["UDADecorator"]:
    """The domain-adaptation method that the config of a model names.

    Raises:
        InputError: if it names none.
    """
    kind = config.get("type")
    method = MODELS.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(method, type) and issubclass(method, UDADecorator)):
        methods = sorted(
            name
            for name, each in MODELS.module_dict.items()
            if isinstance(each, type) and issubclass(each, UDADecorator)
        )
        raise InputError(
            f"the model is a {kind}, but this needs a domain-adaptation method around a segmentor: "
            f"{', '.join(methods)}"
        )
    return method


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

    Attributes:
        keep_visuals: if set before an iteration, its images are left in ``visuals``.
    """

    #: What a batch brings of the target: "target", then "target_*"; nothing if it is not learnt.
    TARGET_VIEWS: ClassVar[tuple[str, ...]] = ()
    #: Whether the method cuts the images of the target to the size of the source's itself.
    crops_target: bool = False
    #: Names of ``visuals`` in the rows of a training panel; others are left out.
    PANEL: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __init__(
        self,
        segmentor: PartConfig,
        data_preprocessor: PartConfig,
        color_jitter_strength: JitterStrength = 0.2,
        color_jitter_threshold: Fraction = 0.2,
        blur: bool = True,
        augment_source_and_target: bool = False,
    ) -> None:
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor))
        self.model = MODELS.build(segmentor)
        self.eval_model: EvalModel = "student"
        self.augmentation = StrongAugmentation(color_jitter_strength, color_jitter_threshold, blur)
        self.augment_source_and_target = augment_source_and_target
        self.keep_visuals = False
        self.visuals: dict[str, Tensor] = {}

    def segmentor_for(self, eval_model: EvalModel) -> nn.Module:
        """The network that predicts when ``eval_model`` is asked for.

        Raises:
            ValueError: if this method has no such network.
        """
        if eval_model != "student":
            raise ValueError(f"{type(self).__name__} has no {eval_model}: evaluate the student")
        return self.model

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = "tensor"
    ) -> list | dict | Tensor:
        """Predict with the network that ``eval_model`` names; see ``EncoderDecoder.forward``."""
        return self.segmentor_for(self.eval_model)(inputs, data_samples, mode)

    def images_and_label(self, domain: dict) -> tuple[Tensor, Tensor]:
        """Normalised images (B, 3, H, W) and long labels (B, H, W) of a labelled domain."""
        batch = self.data_preprocessor(domain, training=True)
        return batch["inputs"], stack_labels(batch["data_samples"]).squeeze(1).long()

    def draw_augmentation(self) -> None:
        """Decide for this iteration whether strong augmentation jitters and blurs."""
        self.augmentation.draw()

    def augment(self, image: Tensor) -> Tensor:
        """Apply strong augmentation to the normalised images (B, 3, H, W) of one domain."""
        return self.jitter_and_blur(image) if self.augment_source_and_target else image

    def jitter_and_blur(self, image: Tensor) -> Tensor:
        """Augment (B, 3, H, W) images as this iteration's draw says, with one sigma and order."""
        with without_autocast(image):  # half precision would round colours
            return self.augmentation(image, self.data_preprocessor.mean, self.data_preprocessor.std)

    def source_loss(self, image: Tensor, label: Tensor) -> Losses:
        """Losses of the source with its ground truth, strongly augmented if the domains are."""
        image = self.augment(image)
        feats, losses = self.model.losses_of(image, label)
        return losses | self.on_source(image, feats, label)

    def on_source(self, image: Tensor, feats: list[Tensor], label: Tensor) -> Losses:
        """Losses that a method adds to the pass of the source; none here.

        Args:
            image: (B, 3, H, W) as the student saw it. feats: the student's features of it.
            label: (B, H, W).
        """
        return {}

    def train_on(
        self, losses: dict[str, Callable[[], Losses]], optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """One optimizer step on the sum of the losses, each propagated back on its own.

        A backward pass for each loss frees its activations before the next forward.

        Args:
            losses: name to the function that computes the named parts of this loss.
            optim_wrapper: a :class:`mmseg.engine.optim.StudentOptimWrapper`.

        Returns:
            Detached scalars to log: ``<name>.<part>``, and ``<name>.loss`` which was propagated;
            ``gradient_norm``, that of all losses together before clipping.
        """
        log = {}
        with self.model.weights_cast():
            for place, (name, compute) in enumerate(losses.items(), 1):
                with phase(name):
                    last = place == len(losses)
                    parts = optim_wrapper.backward_of(self, compute, last)
                log |= {f"{name}.{part}": value for part, value in parts.items()}
        with phase("optimizer"):
            log |= optim_wrapper.finish_step()
            average_batch_norm(self)
        return log

    def show(self, **visuals: Tensor) -> None:
        """Leave tensors of this iteration in ``visuals``, if somebody asked for them."""
        if self.keep_visuals:
            self.visuals |= visuals

    # ------------------------------------------------ what --debug and the benchmark ask a method

    @classmethod
    def set_crop_size(cls, config: dict[str, Any], side: int) -> None:
        """Change the config of this method in place to square crops of ``side`` pixels."""
        config["data_preprocessor"]["size"] = (side, side)

    @classmethod
    def shrink(cls, config: dict[str, Any], channels: int, iterations: int) -> None:
        """Change the config of this method in place to a small one that runs all of its code.

        Args:
            config: whose segmentor has been shrunk. channels: of its projection head.
            iterations: length of the run, in which every loss must begin.
        """

    def start_all_losses(self, delay: int = 0) -> None:
        """Make steps cost what they do late in a run, for measurements.

        Args:
            delay: iterations until losses begin that begin late in training.
        """
