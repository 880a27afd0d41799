"""Test what translated configs do in training and in tests from the command line."""

import json

import numpy as np
import torch
from PIL import Image

from mmseg.apis import init_model
from mmseg.datasets.image_files import read_image
from mmseg.registry import MODELS
from mmseg.utils.config import load_config
from mmseg.utils.legacy_config import translate
from tests.models.uda.small_methods import sepico
from tests.old_configs import old_config
from tools.test import main


def test_without_strong_augmentation_mixed_images_are_augmented():
    old = old_config(1)
    old["uda"]["enable_strong_aug"] = False
    options = translate(old)[0]["model"]
    names = ("augment_source_and_target", "augment_mixed", "blur", "color_jitter_strength")
    # With a threshold below 0, colours are always jittered.
    model = sepico(**{name: options[name] for name in names}, color_jitter_threshold=-1.0)
    seen = []
    model.model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    label, weight = torch.zeros(2, 32, 32, dtype=torch.long), torch.ones(2, 32, 32)
    model.draw_augmentation()
    model.source_loss(image, label)
    model.target_loss(image, label, weight)
    model.mix_loss(image, label, weight)
    source, target, mixed = seen
    assert torch.equal(source, image)
    assert torch.equal(target, image)
    assert (mixed - image).abs().amax(dim=(1, 2, 3)).min() > 0.01


def test_a_plain_segmentor_is_tested_at_scales_of_the_config(toy_root, tmp_path, capsys):
    old = old_config(4)
    old["uda"] = {"type": "AdvSeg"}
    old["model"] |= {"type": "EncoderDecoder", "pretrained": None}
    del old["model"]["auxiliary_head"]
    old["model"]["backbone"]["type"] = "mit_b0"
    head = old["model"]["decode_head"]
    head |= {"in_channels": [32, 64, 160, 256], "channels": 32}
    head["decoder_params"]["embed_dims"] = 32
    old["data"]["test"]["data_root"] = str(toy_root / "cityscapes")
    old["data"]["workers_per_gpu"] = 0
    old["data"]["test"]["pipeline"][1] |= {"img_scale": [128, 64], "img_ratios": [1.0, 0.5]}
    old["data"]["test"]["pipeline"][1]["flip"] = True
    config, checkpoint = tmp_path / "old.json", tmp_path / "old.pth"
    config.write_text(json.dumps(old))
    torch.manual_seed(0)
    weights = MODELS.build(load_config(config).model).state_dict()
    state = {f"{role}.{key}": v for role in ("model", "ema_model") for key, v in weights.items()}
    torch.save({"state_dict": state}, checkpoint)
    options = ["--device", "cpu", "--out", str(tmp_path / "out"), "--eval", "mIoU"]
    main(
        [
            str(config),
            str(checkpoint),
            *options,
            "--cfg-options",
            "test_dataloader.dataset.indices=1",
        ]
    )
    printed = capsys.readouterr()
    assert "several scales and flips" in printed.out
    assert printed.err.startswith(
        f"note: {config} can be tested, but not trained: uda.type is 'AdvSeg'; known are"
    )
    assert json.loads((tmp_path / "old_cityscapes_aug_eval.json").read_text())["aug_test"] is True

    model = init_model(config, checkpoint, device="cpu")
    (prediction,) = (tmp_path / "out").rglob("*.png")
    (image,) = (toy_root / "cityscapes").rglob(f"leftImg8bit/val/*/{prediction.name}")
    assert np.array_equal(np.asarray(Image.open(prediction)), averaged(model, read_image(image)))


def averaged(model: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    """Return the classes (h, w) of highest mean probability at two sizes, each flipped and not."""
    from mmcv.image import imrescale

    total = torch.zeros(19, *image.shape[:2])
    for scale in ((128, 64), (64, 32)):
        small = torch.from_numpy(imrescale(image, scale)).permute(2, 0, 1).contiguous()
        inputs = model.data_preprocessor({"inputs": small[None]})["inputs"]
        for flipped in (False, True):
            with torch.no_grad():
                logits = model.encode_decode(inputs.flip(3) if flipped else inputs)
            logits = logits.flip(3) if flipped else logits
            full = model.decode_head.upsample(logits, image.shape[:2])
            total += full.softmax(1)[0]
    return total.argmax(0).numpy()
