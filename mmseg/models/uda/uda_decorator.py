"""Base class of domain-adaptation methods: a student segmentor that is trained and predicts."""

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

#: Hues are shifted by at most half a circle.
JitterStrength = Annotated[float, Field(ge=0, le=0.5)]
EvalModel = Literal["student", "teacher"]
Losses = dict[str, Tensor]


def part_class(config: Mapping[str, Any]) -> Any:
    """Return the class that the config of a part of the model names; None if there is none."""
    kind = config.get("type")
    return MODELS.get(kind) if isinstance(kind, str) else kind


def method_class(config: Mapping[str, Any]) -> type["UDADecorator"]:
    """Return the class of the domain-adaptation method that the config of a model names.

    Raises:
        InputError: if the config names no such method.
    """
    method = part_class(config)
    if not (isinstance(method, type) and issubclass(method, UDADecorator)):
        methods = sorted(
            name
            for name, each in MODELS.module_dict.items()
            if isinstance(each, type) and issubclass(each, UDADecorator)
        )
        raise InputError(
            f"the model is a {config.get('type')}, but this needs a domain-adaptation method "
            f"around a segmentor: {', '.join(methods)}"
        )
    return method


class UDADecorator(BaseModel):
    """Base class of methods that train a segmentor on two domains.

    Outside training it behaves like the segmentor, with the same inputs and modes.

    Args:
        segmentor: config of the student, an ``EncoderDecoder``; kept as the attribute ``model``.
        data_preprocessor: config of the ``SegDataPreProcessor`` of both domains.
        color_jitter_strength: strength for brightness, contrast, saturation and hue.
        color_jitter_threshold: colours are jittered if u ~ U(0, 1) exceeds it.
        blur: whether strong augmentation blurs (with probability 0.5).
        augment_source_and_target: whether the images of both domains are jittered and blurred.

    Attributes:
        keep_visuals: if set before an iteration, its images are stored in ``visuals``.
    """

    #: Entries of a batch for the target: "target", then "target_*"; empty if it is not used.
    TARGET_VIEWS: ClassVar[tuple[str, ...]] = ()
    #: Whether the method itself crops the images of the target to the size of the source's.
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
        """Return the network that ``eval_model`` names.

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
        """Preprocess a labelled domain to images (B, 3, H, W) and long labels (B, H, W)."""
        batch = self.data_preprocessor(domain, training=True)
        return batch["inputs"], stack_labels(batch["data_samples"]).squeeze(1).long()

    def draw_augmentation(self) -> None:
        """Decide for this iteration whether strong augmentation jitters and blurs."""
        self.augmentation.draw()

    def augment(self, image: Tensor) -> Tensor:
        """Apply strong augmentation to the normalised images (B, 3, H, W) of one domain."""
        return self.jitter_and_blur(image) if self.augment_source_and_target else image

    def jitter_and_blur(
        self, image: Tensor, augmentation: StrongAugmentation | None = None
    ) -> Tensor:
        """Jitter and blur images (B, 3, H, W) as drawn for this iteration.

        Args:
            image: normalised images.
            augmentation: settings and draws to use; None: those of the method.
        """
        augment = augmentation or self.augmentation
        with without_autocast(image):  # half precision would round colours
            return augment(image, self.data_preprocessor.mean, self.data_preprocessor.std)

    def source_loss(self, image: Tensor, label: Tensor) -> Losses:
        """Compute the losses of the source, strongly augmented if the domains are."""
        image = self.augment(image)
        feats, losses = self.model.losses_of(image, label)
        return losses | self.on_source(image, feats, label)

    def on_source(self, image: Tensor, feats: list[Tensor], label: Tensor) -> Losses:
        """Compute losses to add to the pass of the source; none here.

        Args:
            image: (B, 3, H, W), the student's input.
            feats: the student's maps of it.
            label: (B, H, W).
        """
        return {}

    def train_on(
        self, losses: dict[str, Callable[[], Losses]], optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """Take one optimizer step on the sum of the losses, with a backward pass for each.

        So the activations of a loss are freed before the next forward pass.

        Args:
            losses: maps the name of a loss to the function that computes its named parts.
            optim_wrapper: a :class:`mmseg.engine.optim.StudentOptimWrapper`.

        Returns:
            Detached scalars to log: ``<name>.<part>``; ``<name>.loss``, which was propagated;
            ``gradient_norm``, the norm before clipping.
        """
        log: dict[str, Tensor] = {}
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
        """Store tensors of this iteration in ``visuals`` if ``keep_visuals`` is set."""
        if self.keep_visuals:
            self.visuals |= visuals

    # ------------------------------------------------ used by --debug and the benchmark

    @classmethod
    def set_crop_size(cls, config: dict[str, Any], side: int) -> None:
        """Change a config of this method in place to square crops of ``side`` pixels.

        Sizes of the segmentor and of the terms change in proportion, by their ``scale_crops``.
        """
        preprocessor = config["data_preprocessor"]
        factor = side / preprocessor.get("size", (side, side))[0]
        preprocessor["size"] = (side, side)
        for part in (config["segmentor"], *(config.get("terms") or {}).values()):
            if hasattr(kind := part_class(part), "scale_crops"):
                kind.scale_crops(part, factor)

    @classmethod
    def shrink(cls, config: dict[str, Any], channels: int, iterations: int) -> None:
        """Change a config of this method in place to a small one that runs all of its code.

        Args:
            config: config of the method, whose segmentor is small already.
            channels: channels of its projection head.
            iterations: length of the run, within which every loss must start.
        """

    @classmethod
    def scale_schedule(cls, config: dict[str, Any], share: float) -> None:
        """Change a config of this method in place for a run of ``share`` times the iterations."""

    def start_all_losses(self, delay: int = 0) -> None:
        """Make steps as costly as late in a run, for measurements.

        Args:
            delay: iterations until the losses start that start late in training.
        """
