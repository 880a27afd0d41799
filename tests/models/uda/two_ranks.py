"""Train on two images of each domain: in one process, or with one on each of two ranks."""

import copy
import weakref
from unittest import mock

import torch
from mmengine.dist import get_rank, get_world_size
from torch import Tensor, distributed
from torch.distributed import GradBucket
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from mmseg.engine.optim import StudentOptimWrapperConstructor
from mmseg.engine.performance import Performance
from mmseg.models.uda import SelfTraining, SePiCo
from tests.models.networks import TINY_VIT
from tests.models.uda.small_methods import (
    batch,
    labelled,
    optimizer_of,
    projector,
    self_training,
    sepico,
)

ITERATIONS = 5
VARIANTS = ("dist", "bank", "mic", "hrda", "vit")
GROUP_NORM = {"type": "GN", "num_groups": 4}
Record = dict[str, Tensor]


def network(norm_cfg: dict, vit: bool = False) -> dict:
    """Return the config of a tiny segmentor with another normalisation and no dropout."""
    config = copy.deepcopy(TINY_VIT) if vit else projector()
    config["decode_head"]["dropout_ratio"] = 0.0
    config["decode_head" if vit else "backbone"]["norm_cfg"] = norm_cfg
    config["auxiliary_head"]["norm_cfg"] = norm_cfg
    return config


def images(t: int) -> tuple[dict, Tensor]:
    """Return this rank's part of the batch of iteration t and of its mixing mask.

    The images differ in how many of their pixels are labelled, and in their classes.
    """
    data = batch(t)
    generator = torch.Generator().manual_seed(t)
    label = torch.stack(
        [one.gt_sem_seg.data[0] for one in data["source"]["data_samples"]]
    )  # (2, 32, 32)
    label[0, :, : 8 + 4 * t] = 255
    label[1][label[1] == t % 5] = 255
    mask = torch.rand(2, 4, 4, generator=generator) < 0.5
    mask = mask.repeat_interleave(8, 1).repeat_interleave(8, 2)
    data["source"]["data_samples"] = [labelled(one) for one in label]
    # Targets are as large as the crop, so that every drawn crop is the same.
    data["target"]["inputs"] = [image[:, :, :32] for image in data["target"]["inputs"]]
    for sample in data["target"]["data_samples"]:
        sample.set_metainfo({"ignored_edges": (4 / 32, 0.0)})
    own = slice(get_rank(), None, get_world_size())
    data = {
        domain: {name: values[own] for name, values in parts.items()}
        for domain, parts in data.items()
    }
    return data, mask[own]


def baseline(two_scales: bool, segmentor: dict, **options) -> SelfTraining:
    """DACS with feature distance and masked consistency, on one scale or two."""
    if two_scales:
        head = segmentor["decode_head"]
        segmentor["decode_head"] = {"type": "HRDAHead", "head": head, "scale_attention": head}
        segmentor |= {"type": "HRDAEncoderDecoderProjector", "detail_size": (16, 16)}
    terms = {
        "distance": {"type": "FeatureDistance", "loss_weight": 0.1, "classes": (0, 1, 3)},
        "mic": {"type": "MaskedConsistency", "block_size": 8, "mask_mode": "separatetrg"},
    }
    model = self_training(segmentor=segmentor, terms=terms, **options)
    # Else the distance, and its gradient, would be rounding errors at first.
    for parameter in model.terms["distance"].parameters():
        parameter.mul_(1.1)
    return model


def give_draws(model: SelfTraining, mask: Tensor) -> None:
    """Let a method draw this rank's part of one mixing mask, one box and one pattern of blocks."""
    model.mix_mask = lambda label: mask.to(label.device)
    model.model.draw_detail_box = lambda height, width: (8, 24, 0, 16)
    blocks = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    own = blocks[get_rank() :: get_world_size()]
    for term in model.terms.values():
        term.draw_blocks = lambda image: own.to(image.device)


def trajectory(
    variant: str, norm_cfg: dict = GROUP_NORM, device: str = "cpu", precision: str = "fp32"
) -> list[Record]:
    """Return what five iterations compute, which must be the same in one process and in two.

    In half precision contrast begins late: at first no gradient reaches the projection head.

    Args:
        variant: "dist" or "bank" of SePiCo; "vit": "dist" on a DINOv2; "mic": DACS with feature
            distance and masked consistency; "hrda": the same on two scales.
        norm_cfg: normalisation of the network.
        device: where to train.
        precision: see :class:`Performance`.
    """
    torch.manual_seed(0)
    segmentor = network(norm_cfg, vit=variant == "vit")
    settings = {"segmentor": segmentor, "alpha": 0.9, "pseudo_threshold": 0.4}
    if variant in ("mic", "hrda"):
        model = baseline(two_scales=variant == "hrda", **settings).to(device)
    else:
        model = sepico(
            variant="bank" if variant == "bank" else "dist",
            memory_length=3 if variant == "bank" else 0,
            start_contrast_iter=0 if precision == "fp32" else 2,
            **settings,
        ).to(device)
    performance = Performance(precision=precision)
    performance.apply(model)
    config = performance.optim_wrapper({"optimizer": {"type": "SGD", "lr": 0.01}})
    optim_wrapper = StudentOptimWrapperConstructor(config)(model)
    gradients: list[Tensor] = []

    def record_gradients(*_: object) -> None:
        parts = [p.grad for p in model.model.parameters() if p.grad is not None]
        gradients.append(torch.cat([part.flatten() for part in parts]).clone())

    optim_wrapper.optimizer.register_step_pre_hook(record_gradients)
    records = []
    for t in range(ITERATIONS):
        data, mask = images(t)
        give_draws(model, mask)
        log = model.train_step(data, optim_wrapper)
        record = {f"log of {name}": value for name, value in log.items()}
        if isinstance(model, SePiCo):
            record |= {f"{name} of classes": v for name, v in model.prototypes[0].named_buffers()}
        record["gradient"] = gradients.pop()
        for name, segmentor in (("student", model.model), ("teacher", model.ema_model)):
            weights = [p.detach().flatten() for p in segmentor.parameters()]
            record[name] = torch.cat(weights)
        records.append({name: value.cpu().clone() for name, value in record.items()})
    return records


def with_batch_norm() -> dict:
    """Return the state after three iterations with BatchNorm, and the sizes communicated."""
    torch.manual_seed(0)
    model = sepico()
    optim_wrapper = optimizer_of(model)
    sizes: list[int] = []
    gradients: list[int] = []
    all_reduce = distributed.all_reduce

    def exchange(group: None, bucket: GradBucket) -> torch.futures.Future[torch.Tensor]:
        gradients.append(bucket.buffer().numel())
        return allreduce_hook(group, bucket)

    optim_wrapper.ranks.register_comm_hook(None, exchange)

    def counting(tensor: Tensor, *args, **kwargs):
        sizes.append(tensor.numel())
        return all_reduce(tensor, *args, **kwargs)

    for t in range(3):
        sizes.clear()
        gradients.clear()
        torch.manual_seed(10 * t + get_rank())  # each rank draws its own numbers, as in training
        with mock.patch.object(distributed, "all_reduce", counting):
            model.train_step(images(t)[0], optim_wrapper)
    exchange_of = weakref.ref(optim_wrapper.ranks)
    optim_wrapper.stop_exchange()
    return {
        "released": exchange_of() is None,
        "state": {k: v for k, v in model.state_dict().items() if isinstance(v, Tensor)},
        "sizes": list(sizes),
        "gradients": list(gradients),
        "parameters": sum(p.numel() for p in model.model.parameters() if p.requires_grad),
    }
