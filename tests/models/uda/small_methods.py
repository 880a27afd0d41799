"""Build methods on one or two ResNet-18 stages, and batches for them."""

import itertools

import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData

from mmseg.engine.optim import StudentOptimWrapperConstructor
from mmseg.models.uda import SelfTraining, SePiCo, SourceOnly, UDADecorator
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tests.models.networks import tiny

NUM_CLASSES = 5
PREPROCESSOR = {"type": "SegDataPreProcessor", "mean": (120.0,) * 3, "std": (60.0,) * 3}


def projector(levels: int = 1) -> dict:
    """Return the config of the tiny segmentor with a projection to 8 channels for each level."""
    head = {"type": "ProjHead", "in_channels": 64, "channels": 8, "norm_cfg": {"type": "BN"}}
    if levels == 1:
        return tiny(type="EncoderDecoderProjector", auxiliary_head=head)
    head |= {
        "in_channels": (64, 128),
        "in_index": (0, 1),
        "input_transform": "multiple_select",
    }
    config = tiny(type="EncoderDecoderProjector", auxiliary_head=head)
    config["backbone"] |= {
        "num_stages": 2,
        "strides": (1, 2),
        "dilations": (1, 1),
        "out_indices": (0, 1),
    }
    config["decode_head"] |= {"in_channels": 128}
    return config


def method_config(kind: str, levels: int = 1, **options) -> dict:
    """Return the config of a method without augmentation."""
    config = {
        "type": kind,
        "segmentor": projector(levels),
        "data_preprocessor": PREPROCESSOR,
        "augment_source_and_target": False,
    }
    return config | options


def self_training(kind: str = "SelfTraining", **options) -> SelfTraining:
    """Build self-training without augmentation, in which some pseudo-labels are confident."""
    options = {"pseudo_threshold": 0.2, "augment_mixed": False} | options
    return MODELS.build(method_config(kind, **options))


def sepico(levels: int = 1, variant: str = "dist", memory_length: int = 0, **options) -> SePiCo:
    """Build SePiCo with crops of 32 x 32, contrast from the start, and no augmentation."""
    prototypes = {"type": "ProtoEstimator", "num_classes": NUM_CLASSES, "feature_dim": 8}
    settings = {
        "levels": levels,
        "contrast": {"type": "ContrastiveLoss", "variant": variant, "temperature": 1.0},
        "prototypes": prototypes | {"memory_length": memory_length},
        "num_levels": levels,
        "start_contrast_iter": 0,
        "crop_size": (32, 32),
    }
    return self_training(options.pop("type", "SePiCo"), **settings | options)


def source_only(**options) -> SourceOnly:
    """Build the baseline on the same network, without augmentation."""
    return MODELS.build(method_config("SourceOnly", **options))


def let_teacher_predict(method: SelfTraining, *logits: torch.Tensor) -> None:
    """Make the teacher's decoder return these logits (B, C, H, W) in turn."""
    replies = itertools.cycle(logits)
    method.ema_model.decode_head.register_forward_hook(lambda *_: next(replies))


def optimizer_of(model: UDADecorator, lr: float = 0.01) -> OptimWrapper:
    """Return plain SGD on the student."""
    return StudentOptimWrapperConstructor({"optimizer": {"type": "SGD", "lr": lr}})(model)


def labelled(label: torch.Tensor) -> SegDataSample:
    """Return a sample with a label (H, W)."""
    sample = SegDataSample()
    sample.set_data({"gt_sem_seg": PixelData(data=label[None].byte())})
    return sample


def batch(seed: int = 0, width: int = 48, height: int = 32) -> dict:
    """Return two random square source images, labelled in blocks of 8, and two targets."""
    generator = torch.Generator().manual_seed(seed)
    images = [
        torch.randint(0, 256, (2, 3, height, side), generator=generator, dtype=torch.uint8)
        for side in (height, width)
    ]
    blocks = torch.randint(0, NUM_CLASSES, (2, height // 8, height // 8), generator=generator)
    label = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)
    label[:, :3] = 255
    return {
        "source": {"inputs": list(images[0]), "data_samples": [labelled(one) for one in label]},
        "target": {"inputs": list(images[1]), "data_samples": [SegDataSample() for _ in "ab"]},
    }


def batch_for(method: UDADecorator, seed: int = 0) -> dict:
    """Return a batch with the target views that a method needs, at the size that it needs."""
    data = batch(seed, 48 if method.crops_target else 32)
    views = {
        name: batch(seed + 100 * number, 48 if method.crops_target else 32)["target"]
        for number, name in enumerate(method.TARGET_VIEWS)
    }
    return {"source": data["source"], **views}
