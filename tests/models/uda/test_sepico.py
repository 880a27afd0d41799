"""Test what one iteration of SePiCo computes and changes, on a tiny network."""

import pytest
import torch
from torch import nn

from mmseg.datasets import CityscapesDataset
from mmseg.models.uda import SePiCo
from mmseg.utils import InputError
from tests.models.uda.small_methods import batch, let_teacher_predict, optimizer_of, sepico

AUGMENTED = {"augment_source_and_target": True, "augment_mixed": True}
VISUALS = {
    "source_image": (2, 3, 32, 32),
    "source_label": (2, 32, 32),
    "target_image": (2, 3, 32, 48),
    "teacher_prediction": (2, 32, 48),
    "crop_boxes": (2, 4),
    "target_crop": (2, 3, 32, 32),
    "pseudo_label": (2, 32, 32),
    "pixel_weight": (2, 32, 32),
    "mix_mask": (2, 32, 32),
    "mixed_image": (2, 3, 32, 32),
    "mixed_label": (2, 32, 32),
}


def perturb(module: nn.Module) -> None:
    """Add noise to every parameter."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


def values(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def test_the_teacher_is_the_first_student_then_its_average():
    torch.manual_seed(0)
    model = sepico(alpha=0.6)
    perturb(model.ema_model)
    optim_wrapper = optimizer_of(model)
    students = []
    expected = None
    # m = 0, 1/2, then alpha rather than 2/3
    for t, momentum in enumerate((0.0, 0.5, 0.6)):
        students.append(values(model.model))
        model.train_step(batch(t), optim_wrapper)
        if expected is None:
            expected = students[0]
        else:
            expected = {
                name: momentum * old + (1 - momentum) * students[t][name]
                for name, old in expected.items()
            }
        for name, parameter in model.ema_model.named_parameters():
            torch.testing.assert_close(parameter.detach(), expected[name], msg=name)
            assert parameter.grad is None and not parameter.requires_grad
    assert model.iteration == 3
    changed = [name for name, p in students[0].items() if not torch.equal(p, students[1][name])]
    assert changed


def test_the_teacher_keeps_its_own_buffers():
    """Both normalise by statistics of different batches, so their running means differ."""
    torch.manual_seed(0)
    model = sepico()
    model.model.backbone.stem[1].running_mean.fill_(7.0)
    model.train_step(batch(), optimizer_of(model, lr=0.0))
    student, teacher = (m.backbone.stem[1] for m in (model.model, model.ema_model))
    assert torch.equal(student.weight, teacher.weight)
    assert student.running_mean.abs().min() > 1
    assert teacher.running_mean.abs().max() < 1
    assert teacher.num_batches_tracked == 3  # whole target, its crop, source
    assert student.num_batches_tracked == 3  # source, target, mixed


def test_the_teacher_has_no_dropout_but_batch_statistics():
    model = sepico()
    model.eval()
    assert not any(module.training for module in model.modules())
    model.train()
    assert not model.ema_model.decode_head.dropout.training
    assert model.model.decode_head.dropout.training
    norms = [m for m in model.ema_model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all(norm.training for norm in norms)


def test_init_weights_makes_the_teacher_a_full_copy():
    model = sepico()
    model.model.backbone.stem[1].running_mean.fill_(7.0)
    model.init_weights()
    teacher = model.ema_model.state_dict()
    assert all(torch.equal(v, teacher[name]) for name, v in model.model.state_dict().items())


def test_pixel_weight_is_the_confidence_except_outer_rows():
    label, confidence = torch.zeros(1, 6, 2).long(), torch.tensor(0.5)
    weight = SePiCo.pixel_weight(label, confidence, (1 / 6, 2 / 6))
    assert weight.tolist() == [[[row] * 2 for row in (0, 0.5, 0.5, 0.5, 0, 0)]]
    assert (SePiCo.pixel_weight(label, confidence, (0.0, 0.0)) == 0.5).all()


@pytest.mark.parametrize(("height", "rows"), [(640, (15, 120)), (240, (6, 45)), (135, (3, 25))])
def test_edges_of_cityscapes_scale_with_the_height(height, rows):
    """The release ignores 15 and 120 rows of crops with 640 rows."""
    label = torch.zeros(1, height, 1).long()
    weight = SePiCo.pixel_weight(label, torch.tensor(1.0), CityscapesDataset.IGNORED_EDGES)
    assert (weight[0, :, 0] == 0).nonzero()[:, 0].tolist() == [
        *range(rows[0]),
        *range(height - rows[1], height),
    ]


def test_ignored_edges_come_from_the_target():
    torch.manual_seed(0)
    data = batch()
    for sample in data["target"]["data_samples"]:
        sample.set_metainfo({"ignored_edges": (0.25, 0.125)})
    for start, ignored in ((data, 0.375), (batch(), 0.0)):
        model = sepico(pseudo_threshold=0.0)
        log = model.train_step(start, optimizer_of(model))
        assert log["ignored_pseudo_labels"] == ignored


def test_contrast_ignores_rows_without_weight():
    model = sepico()
    seen = []
    model.contrast.register_forward_pre_hook(lambda contrast, args: seen.append(args[1]))
    weight = torch.tensor([0.0, 0.5])[None, :, None].expand(2, 2, 32).repeat_interleave(16, 1)
    model.target_loss(torch.zeros(2, 3, 32, 32), torch.ones(2, 32, 32).long(), weight)
    assert (seen[0][:, :16] == 255).all() and (seen[0][:, 16:] == 1).all()


def test_pseudo_label_and_confidence():
    model = sepico(pseudo_threshold=0.6)
    probability = torch.tensor([[[[0.7, 0.5, 0.1, 0.61]]], [[[0.3, 0.5, 0.9, 0.39]]]])
    columns = probability.transpose(0, 1).repeat_interleave(8, 3)
    let_teacher_predict(model, columns.log().expand(-1, -1, 32, -1))
    pseudo = model.pseudo_label([torch.zeros(1, 3, 32, 32)])
    assert pseudo.label[0, 0, [0, 16, 24]].tolist() == [0, 1, 0]
    assert pseudo.confidence() == 0.75


def test_the_mean_of_an_image_and_its_mirror_image_is_the_pseudo_label():
    """Left (0.6 + 0.9) / 2 for class 0, right (0.4 + 0.9) / 2 for class 1."""
    model = sepico(mirror_teacher=True, pseudo_threshold=0.7)
    image = torch.tensor([0.6, 0.4, 1e-9, 1e-9, 1e-9]).view(1, 5, 1, 1).repeat(1, 1, 32, 32)
    mirrored = torch.empty_like(image)
    mirrored[..., :16] = torch.tensor([0.1, 0.9, 1e-9, 1e-9, 1e-9]).view(1, 5, 1, 1)
    mirrored[..., 16:] = torch.tensor([0.9, 0.1, 1e-9, 1e-9, 1e-9]).view(1, 5, 1, 1)
    let_teacher_predict(model, image.log(), mirrored.log())
    probability = model.teacher_probability(torch.zeros(1, 3, 32, 32))
    assert probability[0, :2, 0, [0, 31]].tolist() == [
        pytest.approx([0.75, 0.35]),
        pytest.approx([0.25, 0.65]),
    ]
    let_teacher_predict(model, image.log(), mirrored.log())
    pseudo = model.pseudo_label([torch.zeros(1, 3, 32, 32)])
    assert pseudo.label[0, :, :16].unique().tolist() == [0]
    assert pseudo.label[0, :, 16:].unique().tolist() == [1]
    assert pseudo.confidence() == 0.5


def test_contrast_starts_later_than_the_prototypes():
    torch.manual_seed(0)
    model = sepico(start_contrast_iter=1)
    optim_wrapper = optimizer_of(model)
    first = model.train_step(batch(0), optim_wrapper)
    amount = model.prototypes[0].amount.sum()
    # Source labels at 1/4 are blocks of 2 x 2 cells; 3 of 4 pixel rows of the first are ignored.
    assert amount == 2 * 8 * 7
    second = model.train_step(batch(1), optim_wrapper)
    assert model.prototypes[0].amount.sum() == 2 * amount
    contrast = {"src.aux.loss_cl", "tgt.aux.loss_cl", "tgt.loss"}
    assert contrast & set(first) == set()
    assert set(second) - set(first) == contrast
    assert second["src.loss"] == pytest.approx(
        (second["src.decode.loss_seg"] + second["src.aux.loss_cl"]).item()
    )


def test_without_self_training_there_is_no_mixed_image():
    torch.manual_seed(0)
    model = sepico(enable_self_training=False)
    log = model.train_step(batch(), optimizer_of(model))
    assert not [name for name in log if name.startswith("mix")]
    assert {"src.loss", "tgt.loss"} <= set(log)


def test_student_or_teacher_predicts_as_selected():
    torch.manual_seed(0)
    model = sepico()
    perturb(model.ema_model)
    model.eval()
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        student = model(image)
        model.eval_model = "teacher"
        teacher = model(image)
        assert torch.equal(student, model.model(image))
        assert torch.equal(teacher, model.ema_model(image))
    assert not torch.equal(student, teacher)


def test_visuals_are_kept_on_request():
    torch.manual_seed(0)
    model = sepico()
    optim_wrapper = optimizer_of(model)
    model.train_step(batch(), optim_wrapper)
    assert model.visuals == {}
    model.keep_visuals = True
    model.train_step(batch(), optim_wrapper)
    assert {name: tuple(value.shape) for name, value in model.visuals.items()} == VISUALS
    visuals = model.visuals
    assert not any(value.requires_grad for value in visuals.values())
    for i, (y1, y2, x1, x2) in enumerate(visuals["crop_boxes"].tolist()):
        crop = visuals["target_image"][i, :, y1:y2, x1:x2]
        assert torch.equal(visuals["target_crop"][i], crop)
    mask = visuals["mix_mask"]
    mixed = torch.where(mask, visuals["source_label"], visuals["pseudo_label"])
    assert torch.equal(visuals["mixed_label"], mixed)
    assert 0 < mask.float().mean() < 1


def test_without_a_crop_the_target_is_used_whole():
    torch.manual_seed(0)
    data = batch()
    data["target"]["inputs"] = [image[..., :32] for image in data["target"]["inputs"]]
    model = sepico(pseudo_crop=False)
    model.keep_visuals = True
    model.train_step(data, optimizer_of(model))
    assert set(model.visuals) == set(VISUALS) - {"crop_boxes"}
    assert torch.equal(model.visuals["target_crop"], model.visuals["target_image"])


def test_a_cropped_pseudo_label_is_that_of_the_whole_image():
    torch.manual_seed(0)
    model = sepico(regenerate_pseudo_label=False)
    model.keep_visuals = True
    model.train_step(batch(), optimizer_of(model))
    visuals = model.visuals
    for i, (y1, y2, x1, x2) in enumerate(visuals["crop_boxes"].tolist()):
        crop = visuals["teacher_prediction"][i, y1:y2, x1:x2]
        assert torch.equal(visuals["pseudo_label"][i], crop)


def sigmas_of_points(**options) -> dict[str, list[float]]:
    """Return the blur in pixels of each image that the student sees, all with one white point.

    With source labels of one class the mixed images are the source images.
    """
    torch.manual_seed(0)
    model = sepico(pseudo_crop=False, color_jitter_threshold=1.0, **options)
    model.augmentation.blur_threshold = -1.0
    point = torch.zeros(3, 32, 32, dtype=torch.uint8)
    point[:, 16, 16] = 255
    data = batch()
    for domain in data.values():
        domain["inputs"] = [point, point]
    for sample in data["source"]["data_samples"]:
        sample.gt_sem_seg.data.zero_()
    seen = []
    model.model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.train_step(data, optimizer_of(model))
    sigmas = {}
    for name, images in zip(("source", "target", "mixed"), seen, strict=True):
        images = model.data_preprocessor.std * images + model.data_preprocessor.mean
        # One pixel from the centre the Gaussian has exp(-1 / (2 sigma^2)) of its central weight.
        ratio = (images[:, 0, 16, 17] / images[:, 0, 16, 16]).clamp(min=0).double()
        sigmas[name] = (-2 * ratio.log()).rsqrt().nan_to_num(0.0).tolist()
    return sigmas


def test_mixed_images_are_augmented_singly_domains_jointly():
    sigmas = sigmas_of_points(**AUGMENTED)
    for name in ("source", "target"):
        assert sigmas[name][0] == pytest.approx(sigmas[name][1], abs=1e-3)
    assert abs(sigmas["mixed"][0] - sigmas["mixed"][1]) > 0.05
    drawn = {round(sigma, 2) for values in sigmas.values() for sigma in values}
    assert len(drawn) == 4 and all(0.15 <= sigma <= 1.15 for sigma in drawn)


def test_mixed_images_and_domains_are_augmented_separately():
    sigmas = sigmas_of_points(augment_source_and_target=False, augment_mixed=True)
    assert sigmas["source"] == sigmas["target"] == pytest.approx([0.0, 0.0], abs=0.1)
    assert min(sigmas["mixed"]) > 0.15
    sigmas = sigmas_of_points(augment_source_and_target=True, augment_mixed=False)
    assert min(sigmas["source"] + sigmas["target"]) > 0.15
    assert sigmas["mixed"] == pytest.approx([0.0, 0.0], abs=0.1)


def test_each_level_has_its_own_statistics():
    torch.manual_seed(0)
    model = sepico(levels=2)
    log = model.train_step(batch(), optimizer_of(model))
    amounts = [prototypes.amount.sum().item() for prototypes in model.prototypes]
    # 8 x 8 cells of 4 pixels, 4 x 4 of 8; the first row of cells drops out, as 3 of its pixel rows
    # are ignored.
    assert amounts == [2 * 8 * 7, 2 * 4 * 3]
    assert log["src.aux.loss_cl"].isfinite()
    heads = model.model.auxiliary_head.convs
    assert len(heads) == 2
    assert all(parameter.abs().max() > 0 for parameter in heads.parameters())


def test_a_bank_needs_a_length():
    with pytest.raises(ValueError, match="memory_length"):
        sepico(variant="bank")


def test_margins_of_images_that_the_method_crops_are_refused():
    method, data = sepico(), batch()
    for sample in data["target"]["data_samples"]:
        sample.set_metainfo({"ignored_margins": (1, 2, 3, 4)})
    with pytest.raises(InputError, match="IgnoreMargins .* crops them: .* pseudo_crop=False"):
        method.train_step(data, optimizer_of(method))
    whole, data = sepico(pseudo_crop=False), batch(width=32)
    for sample in data["target"]["data_samples"]:
        sample.set_metainfo({"ignored_margins": (1, 2, 3, 4)})
    whole.start_all_losses()
    whole.keep_visuals = True
    whole.train_step(data, optimizer_of(whole))
    weight = whole.visuals["pixel_weight"]
    assert weight[:, 1:30, 3:28].min() == 1 and weight.sum() == 2 * 29 * 25
