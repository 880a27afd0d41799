import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg.apis import inference_model, init_model
from mmseg.apis.inference import ImagePreparation, UnfitImage, batches_of_one_size
from mmseg.utils import InputError
from tests.apis.color_world import (
    CLASSES,
    COLORS,
    PAINTED,
    method_model,
    plain_model,
    prefixed,
    weights,
    write_world,
)
from tools.prediction.modes import with_mode

SCALE = 4
# Confidence of a pixel in one of the colours: the softmax of the logits 1, 0, 0.
CONFIDENCE = np.exp(1) / (np.exp(1) + 2)


def expected_map(index):
    """Return the expected prediction for an image of the colour world, (8, 16)."""
    return np.kron(np.array(PAINTED[index], np.uint8), np.ones((SCALE, SCALE), np.uint8))


@pytest.fixture
def model(tmp_path):
    cfg = write_world(tmp_path, method_model(), SCALE)
    torch.save(prefixed("model", weights()), tmp_path / "best.pth")
    return init_model(cfg, tmp_path / "best.pth", "cpu")


@pytest.fixture
def images(tmp_path, model):
    return [tmp_path / "images" / f"im{i}.png" for i in range(2)]


def classes(sample):
    return sample.pred_sem_seg.data[0].numpy()


def test_a_path_gives_one_sample(model, images):
    sample = inference_model(model, images[0])
    np.testing.assert_array_equal(classes(sample), expected_map(0))
    assert sample.img_path == str(images[0])
    assert "seg_confidence" not in sample


def test_an_array_is_bgr(model, images):
    sample = inference_model(model, cv2.imread(str(images[0])))
    np.testing.assert_array_equal(classes(sample), expected_map(0))


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_list_gives_a_list_in_its_order(model, images, batch_size):
    samples = inference_model(model, [str(images[1]), images[0]], batch_size=batch_size)
    np.testing.assert_array_equal([classes(s) for s in samples], [expected_map(1), expected_map(0)])
    assert inference_model(model, []) == []


def test_predictions_have_the_original_size(model):
    large = np.kron(np.array(PAINTED[0]), np.ones((25, 25), int))  # 50x100, resized to 8x16
    sample = inference_model(model, COLORS[large][..., ::-1].copy())
    assert classes(sample).shape == (50, 100)
    assert (classes(sample) == large).mean() > 0.9
    assert sample.img_shape == (8, 16)


def test_confidence_is_given_only_on_request(model, images):
    sample = inference_model(model, images[0], confidence=True)
    assert sample.seg_confidence.data.shape == (1, 8, 16)
    np.testing.assert_allclose(sample.seg_confidence.data[0, 0, 0], CONFIDENCE, rtol=1e-5)
    assert "seg_confidence" not in inference_model(model, images[0])


@pytest.mark.parametrize(
    "image, message",
    [
        ("nowhere.png", "nowhere.png cannot be read"),
        (np.zeros((4, 4), np.uint8), r"array \(h, w, 3\) of uint8 in BGR order"),
        (np.zeros((4, 4, 3)), "got float64"),
        (np.zeros((1, 3000, 3), np.uint8), "3000x1 pixels cannot be resized"),
    ],
)
def test_invalid_images_are_refused(model, image, message):
    with pytest.raises(InputError, match=message):
        inference_model(model, image)


def test_an_image_too_small_for_a_kernel(model, images):
    model.model.backbone.register_forward_pre_hook(
        lambda module, inputs: torch.nn.functional.conv2d(inputs[0], torch.zeros(3, 3, 20, 20))
    )
    with pytest.raises(UnfitImage, match="16x8 pixels are too few for the network"):
        inference_model(model, images[0])


def test_batches_hold_one_size_each(model):
    prepare = ImagePreparation(with_mode(model.cfg, "slide", (4, 4)))
    sizes = [(4, 4), (4, 4), (4, 4), (4, 8), (4, 4)]
    prepared = [prepare(np.zeros((*size, 3), np.uint8)) for size in sizes]
    batches = batches_of_one_size(prepared, 2)
    assert [[p.image.shape[:2] for p in batch] for batch in batches] == [
        [(4, 4), (4, 4)],
        [(4, 4)],
        [(4, 8)],
        [(4, 4)],
    ]


def test_a_config_by_its_path_and_the_classes_of_its_test_data(tmp_path, model):
    cfg = Config({**model.cfg.to_dict(), "custom_imports": {"imports": ["tests.apis.color_world"]}})
    cfg.dump(tmp_path / "config.py")
    again = init_model(str(tmp_path / "config.py"), tmp_path / "best.pth")
    assert again.dataset_meta == {"classes": CLASSES, "palette": COLORS.tolist()}


def test_a_config_without_a_test_pipeline(model, images):
    model.cfg = Config({"model": method_model()})
    with pytest.raises(InputError, match=r"no test_dataloader.dataset.pipeline"):
        inference_model(model, images[0])


def test_windows_at_full_resolution(tmp_path):
    """Windows of 8x8 pixels predict the painted classes of an image that is not resized."""
    cfg = write_world(tmp_path, plain_model(), SCALE)
    torch.save(weights(), tmp_path / "best.pth")
    sliding = with_mode(cfg, "slide", (8, 8), (4, 4))
    assert sliding.model.test_cfg == {"mode": "slide", "crop_size": (8, 8), "stride": (4, 4)}
    assert "Resize" not in [t["type"] for t in sliding.test_dataloader.dataset.pipeline]
    assert "test_cfg" not in cfg.model  # a copy
    large = np.kron(np.array(PAINTED[0], np.uint8), np.ones((10, 10), np.uint8))
    sample = inference_model(
        init_model(sliding, tmp_path / "best.pth", "cpu"), COLORS[large][..., ::-1].copy()
    )
    np.testing.assert_array_equal(classes(sample), large)
    assert sample.img_shape == (20, 40)


def test_modes_of_a_method_keep_its_class_weights():
    model = method_model() | {"data_preprocessor": {"type": "SegDataPreProcessor", "size": (6, 9)}}
    test_cfg = {"mode": "slide", "crop_size": (4, 4), "stride": (4, 4), "class_weight": [1, 2, 3]}
    model["segmentor"]["test_cfg"] = test_cfg
    cfg = Config({"model": model, "test_dataloader": {"dataset": {"pipeline": []}}})
    assert with_mode(cfg, "config") is cfg
    whole = with_mode(cfg, "whole").model.segmentor.test_cfg
    assert whole == {"mode": "whole", "class_weight": [1, 2, 3]}
    slide = with_mode(cfg, "slide").model.segmentor.test_cfg
    assert slide["crop_size"] == (6, 9) and slide["stride"] == (4, 6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("tiles",), "mode 'tiles' unknown; choose from config, whole, slide"),
        (("whole", (4, 4)), "--crop-size and --stride belong to --mode slide"),
        (("slide",), "give --crop-size H W"),
        (("slide", (4, 4), (5, 4)), "there would be gaps"),
        (("slide", (0, 4)), "must be positive"),
    ],
)
def test_invalid_modes_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        with_mode(Config({"model": plain_model()}), *arguments)
