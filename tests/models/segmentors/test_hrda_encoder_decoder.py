"""HRDA's networks against the numbers recorded from its release."""

import numpy as np
import pytest
import torch

from mmseg.models.decode_heads.hrda_head import scale_box
from mmseg.models.segmentors.hrda_encoder_decoder import detail_windows
from mmseg.models.segmentors.prediction import slide
from mmseg.models.uda.self_training import within_margins
from mmseg.registry import MODELS
from tests.golden import load_golden, weights_by_name
from tests.models.baselines import (
    MIT_HEAD,
    SEEDS,
    IterationData,
    build_segmentor,
    segmentor_config,
)
from tests.models.networks import TINY

BOXES = load_golden("baselines/hrda_boxes.json")
FILES = {"mitb0": "forward_hrda_daformer_mitb0.npz", "r50": "forward_hrda_dlv2red_r50.npz"}
BOX = (16, 80, 40, 104)
#: Batch statistics amplify rounding in the fifty convolutions of the ResNet.
TRAIN_ABSOLUTE = {"mitb0": 2e-4, "r50": 1e-3}


def noise(offset: int, *shape: int) -> torch.Tensor:
    values = np.random.RandomState(SEEDS["S0"] + offset).standard_normal(shape)
    return torch.tensor(values).float()


@pytest.fixture(params=list(FILES))
def network(request):
    """Name, recorded outputs and a fresh network in evaluation mode."""
    golden = load_golden(f"baselines/{FILES[request.param]}")
    return request.param, golden, build_segmentor(request.param, True).eval()


def close(actual: torch.Tensor, expected: np.ndarray, absolute: float = 2e-4) -> None:
    torch.testing.assert_close(actual, torch.from_numpy(expected), atol=absolute, rtol=0)


@torch.no_grad()
def test_inference_equals_the_release(network):
    _, golden, segmentor = network
    image = noise(0, 2, 3, 128, 128)
    context = segmentor.extract_feat(image)
    close(segmentor.decode_head.head(context), golden["eval_lr_logits"])
    close(segmentor.decode_head.attention(context), golden["eval_attention"])
    close(segmentor.detail_logits(image), golden["eval_hr_logits"])
    close(segmentor.logits(image), golden["eval_fused"])
    close(segmentor.encode_decode(image)[:, :, 64], golden["eval_logits_row64"])
    close(segmentor.logits(noise(1, 1, 3, 96, 160)), golden["eval_odd_fused"])


@torch.no_grad()
def test_windows_around_the_detail_windows(network):
    name, golden, _ = network
    test_cfg = {"mode": "slide", "crop_size": (128, 128), "stride": (64, 64)}
    segmentor = build_segmentor(name, True, test_cfg=test_cfg).eval()
    logits = segmentor.inference(noise(2, 1, 3, 128, 192))[0]
    close(logits[:, [0, 37, 127]].transpose(0, 1), golden["slide_logits_rows"])


@torch.no_grad()
def test_a_window_of_two_crops_is_computed_once():
    image, crop_size, stride = noise(3, 1, 3, 192, 256), (128, 128), (64, 64)
    test_cfg = {"mode": "slide", "crop_size": crop_size, "stride": stride}
    segmentor = build_segmentor("mitb0", True, test_cfg=test_cfg).eval()
    calls = []
    segmentor.backbone.register_forward_hook(lambda *_: calls.append(1))
    shared = segmentor.inference(image)
    assert len(calls) == 5 * 7 + 6  # windows at 5 heights and 7 columns; 2 x 3 contexts
    one_by_one = torch.cat(
        [rows for _, rows in slide(segmentor.encode_decode, image, crop_size, stride)], 2
    )
    assert torch.equal(shared, one_by_one)


@torch.no_grad()
def test_the_teacher_sees_all_windows_in_one_batch(network):
    name, golden, segmentor = network
    segmentor.train()
    close(segmentor.logits(noise(0, 2, 3, 128, 128)), golden["teacher_fused"], TRAIN_ABSOLUTE[name])


@torch.no_grad()
def test_training_passes_equal_the_release(network):
    name, golden, segmentor = network
    segmentor.train()
    image, head = noise(0, 2, 3, 128, 128), segmentor.decode_head
    context = segmentor.extract_feat(image)
    context_logits = head.head(context)
    detail = head.head(segmentor.extract_detail(image, [BOX]))
    attention, placed = head.place(head.attention(context), detail, BOX, (128, 128), 0.5)
    close(detail, golden["train_hr"], TRAIN_ABSOLUTE[name])
    scaled = (1 - attention) * context_logits
    close(scaled, golden["train_lr_scaled"], TRAIN_ABSOLUTE[name])
    fused = head.fuse(context_logits, attention, placed)
    close(fused, golden["train_fused"], TRAIN_ABSOLUTE[name])


@pytest.mark.parametrize("kind", ["unweighted_losses", "weighted_losses"])
def test_losses_equal_the_release(network, kind, monkeypatch):
    _, golden, segmentor = network
    segmentor.train()
    monkeypatch.setattr(segmentor, "draw_detail_box", lambda height, width: BOX)
    data = IterationData(50, 128)
    weight = None
    if kind == "weighted_losses":
        weight = 0.37 * within_margins(data.margins, torch.ones(2, 128, 128))
    feats, losses = segmentor.losses_of(noise(0, 2, 3, 128, 128), data.label, weight)
    names = ("loss_seg", "acc_seg", "hr.loss_seg", "hr.acc_seg")
    values = [losses[f"decode.{name}"].item() for name in names]
    assert values[::2] == pytest.approx(golden[kind][::2], rel=1e-4)
    assert values[1::2] == pytest.approx(golden[kind][1::2], abs=0.02)
    assert feats[-1].requires_grad


def test_checkpointing_adds_gradients_of_the_detail_first():
    gradients = []
    for saving in (False, True):
        segmentor = build_segmentor("mitb0", True).train()
        if saving:
            segmentor.use_activation_checkpointing()
        torch.manual_seed(0)  # of the box
        feats, losses = segmentor.losses_of(noise(0, 2, 3, 128, 128), IterationData(50, 128).label)
        weight = segmentor.backbone.block4[0].attn.q.weight
        seen = []
        feats[-1].register_hook(lambda _, seen=seen, weight=weight: seen.append(weight.grad))
        (losses["decode.loss_seg"] + losses["decode.hr.loss_seg"]).backward()
        assert (seen[0] is not None) == saving
        gradients.append([parameter.grad for parameter in segmentor.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("by_config", [False, True])
def test_compiled_checkpoints_serve_twice_in_a_pass(by_config, capture_only):
    head = {"type": "DAFormerHead", "in_channels": (64,), "in_index": (0,), "channels": 8}
    head |= {"embed_dims": 8, "dilations": (1, 2), "num_classes": 5, "norm_cfg": {"type": "BN"}}
    heads = {"head": head, "scale_attention": {**head, "dilations": None}}
    config = {**TINY, "type": "HRDAEncoderDecoder", "detail_size": (32, 32)}
    config["decode_head"] = {"type": "HRDAHead", **heads}
    torch.manual_seed(0)
    plain = MODELS.build(config)
    compiled = MODELS.build({**config, "backbone": {**config["backbone"], "with_cp": by_config}})
    compiled.load_state_dict(plain.state_dict())
    if not by_config:
        compiled.use_activation_checkpointing()
    compiled.compile_parts()
    label = torch.randint(5, (2, 64, 64))
    results = []
    for segmentor in (plain, compiled):
        for step in range(2):
            torch.manual_seed(step)  # of the box and of dropout
            # A network is compiled for context and detail, and not again.
            with torch._dynamo.config.patch(error_on_recompile=step > 0):
                _, losses = segmentor.losses_of(noise(step, 2, 3, 64, 64), label)
                sum(each for name, each in losses.items() if "loss" in name).backward()
        gradients = {name: each.grad for name, each in segmentor.named_parameters()}
        results.append(gradients | dict(segmentor.named_buffers()))
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_mitb5_at_real_widths_equals_the_release():
    config = segmentor_config("mitb0", True) | {"detail_size": (128, 128)}
    head = {**MIT_HEAD, "in_channels": (64, 128, 320, 512), "channels": 256, "embed_dims": 256}
    config["backbone"] = {"type": "mit_b5"}
    config["decode_head"].update(head=head, scale_attention={**head, "dilations": None})
    segmentor = MODELS.build(config).eval()
    shapes = {key: list(value.shape) for key, value in segmentor.state_dict().items()}
    expected = load_golden("baselines/state_dict_keys_baselines.json")
    assert shapes == expected["hrda_daformer_mitb5"]
    weights_by_name(segmentor)
    golden = load_golden("baselines/forward_hrda_daformer_mitb5.npz")
    image = noise(3, 1, 3, 256, 256)
    attention = segmentor.decode_head.attention(segmentor.extract_feat(image))
    close(attention[:, :, ::2, ::2], golden["eval_attention"])
    fused = segmentor.logits(image)
    close(fused[:, :, ::4, ::4], golden["eval_fused"])
    logits = segmentor.decode_head.upsample(fused, image.shape[2:])
    close(logits[:, :, 128], golden["eval_logits_row128"])


# Windows that do not overlap are an ablation of the release.
@pytest.mark.parametrize(
    "case",
    [case for case in BOXES["windows"] if case["overlapping"]],
    ids=lambda case: f"{case['height']}x{case['width']}",
)
def test_windows_equal_the_release(case):
    size = (case["crop"], case["crop"])
    windows = detail_windows(case["height"], case["width"], size)
    assert [list(window) for window in windows] == case["boxes"]


@pytest.mark.parametrize("case", BOXES["scaled"])
def test_boxes_are_rounded_down(case):
    assert list(scale_box(tuple(case["box"]), case["factor"])) == case["scaled"]


def test_corners_of_the_detail_box():
    torch.manual_seed(0)
    segmentor = MODELS.build(segmentor_config("mitb0", True) | {"detail_size": (512, 512)})
    boxes = torch.tensor([segmentor.draw_detail_box(1024, 1024) for _ in range(2000)])
    corners = boxes[:, ::2]
    assert [corners.min(), corners.max()] == BOXES["extremes_of_20000_corners"]
    assert (corners % 8 == 0).all() and (boxes[:, 1::2] - corners == 512).all()
    assert segmentor.draw_detail_box(512, 512) == (0, 512, 0, 512)
    assert segmentor.draw_detail_box(516, 300) == (0, 512, 0, 300)


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(75, 101), (64, 130)])
def test_images_of_any_size_are_segmented(height, width):
    segmentor = build_segmentor("mitb0", True).eval()
    logits = segmentor.encode_decode(noise(0, 1, 3, height, width))
    assert logits.shape == (1, 19, height, width) and logits.isfinite().all()
