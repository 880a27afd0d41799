"""Test class mixing and strong augmentation."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmseg.models.utils.dacs_transforms import (
    StrongAugmentation,
    blur_kernel_side,
    class_mask,
    color_jitter,
    draw_mix_classes,
    gaussian_blur,
    mix,
)
from tests.golden import load_golden

GOLDEN = load_golden("mixing.npz")


def test_masks_and_mixing_equal_the_release():
    label = torch.tensor(GOLDEN["source_labels"]).long()[:, 0]
    chosen = torch.zeros(2, 256, dtype=torch.bool)
    for i in range(2):
        chosen[i, torch.tensor(GOLDEN[f"chosen_classes_{i}"])] = True
    mask = class_mask(label, chosen)
    assert torch.equal(mask.to(torch.uint8), torch.tensor(GOLDEN["masks"])[:, 0])

    image = mix(mask, torch.tensor(GOLDEN["source"]), torch.tensor(GOLDEN["target"]))
    assert torch.equal(image, torch.tensor(GOLDEN["mixed_image"]))
    mixed_label = mix(mask, label, torch.tensor(GOLDEN["pseudo_labels"]).long())
    assert torch.equal(mixed_label, torch.tensor(GOLDEN["mixed_label"]).long()[:, 0])
    weight = torch.tensor(GOLDEN["pseudo_weight"])
    mixed_weight = mix(mask, torch.ones_like(weight), weight)
    assert torch.equal(mixed_weight, torch.tensor(GOLDEN["mixed_weight"])[:, 0])


def test_half_of_the_classes_of_the_batch_are_drawn():
    torch.manual_seed(0)
    label = torch.tensor([[[0, 3]], [[7, 255]], [[3, 9]]])
    present = {0, 3, 7, 9, 255}
    draws = [draw_mix_classes(label) for _ in range(200)]
    taken = [set(row.nonzero()[:, 0].tolist()) for draw in draws for row in draw]
    assert all(len(classes) == 3 and classes <= present for classes in taken)
    for value in present:
        share = sum(value in classes for classes in taken) / len(taken)
        assert share == pytest.approx(3 / 5, abs=0.08)
    assert any(not torch.equal(draw[0], draw[1]) for draw in draws)


def test_mixing_copies_no_host_tensor_to_a_gpu():
    """Torch waits for the device to copy one, even for ``True`` in an assignment."""

    class OnTheDevice(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            tensors = [each for each in tree_leaves((args, kwargs)) if torch.is_tensor(each)]
            assert all(tensor.is_cuda for tensor in tensors), func
            return func(*args, **(kwargs or {}))

    with FakeTensorMode():  # simulates a GPU
        label = torch.zeros(2, 8, 8, dtype=torch.long, device="cuda")
        with OnTheDevice():
            mixed = mix(class_mask(label, draw_mix_classes(label)), label, label + 1)
    assert mixed.is_cuda and mixed.shape == label.shape


@pytest.mark.parametrize("case", range(3))
def test_blur_equals_the_release(case):
    image = torch.tensor(GOLDEN[f"blur_in_{case}"])
    kernel = tuple(blur_kernel_side(side) for side in image.shape[-2:])
    assert kernel == tuple(GOLDEN[f"blur_kernel_{case}"])
    out = gaussian_blur(image, float(GOLDEN[f"blur_sigma_{case}"]))
    torch.testing.assert_close(out, torch.tensor(GOLDEN[f"blur_out_{case}"]), rtol=1e-5, atol=1e-5)


def test_jitter_is_within_the_strength_and_differs_by_image():
    torch.manual_seed(0)
    mean, std = torch.full((3, 1, 1), 120.0), torch.full((3, 1, 1), 60.0)
    grey = torch.zeros(4, 3, 8, 8)
    out = color_jitter(grey, 0.2, mean, std) * std + mean
    assert (out - out[:, :1, :1, :1]).abs().max() < 1e-3
    # Additive brightness of at most 0.2, then contrast of at most a factor 1.2 (or the reverse).
    assert out.min() >= 0.8 * (120 - 51) - 1e-3
    assert out.max() <= 1.2 * (120 + 51) + 1e-3
    assert len(out[:, 0, 0, 0].unique()) == 4


def test_decisions_are_shared_but_factors_are_redrawn():
    torch.manual_seed(0)
    augment = StrongAugmentation()
    mean_std = torch.zeros(3, 1, 1), torch.full((3, 1, 1), 255.0)
    image = torch.rand(1, 3, 40, 40)
    jittered = blurred = 0
    for _ in range(200):
        augment.draw()
        jittered += augment.jitter_now
        blurred += augment.blur_now
    assert jittered / 200 == pytest.approx(0.8, abs=0.08)
    assert blurred / 200 == pytest.approx(0.5, abs=0.1)
    augment.jitter_now, augment.blur_now = True, False
    assert not torch.equal(augment(image, *mean_std), augment(image, *mean_std))
    augment.jitter_now, augment.blur_now = False, True
    assert not torch.equal(augment(image, *mean_std), augment(image, *mean_std))
    augment.jitter_now = augment.blur_now = False
    assert augment(image, *mean_std) is image
