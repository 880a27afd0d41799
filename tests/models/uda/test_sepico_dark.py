"""Test pseudo-labels from night and day against the release and values worked out by hand."""

import pytest
import torch

from mmseg.models.uda import SelfTraining, SePiCoDark
from mmseg.models.uda.sepico_dark import mix_day_and_night
from mmseg.registry import MODELS
from mmseg.utils import InputError
from tests.golden import load_golden
from tests.models.uda.small_methods import batch, let_teacher_predict, optimizer_of, sepico

SHIFT_INSENSITIVE = [0, 1, 2, 3, 4, 8, 9, 10]


@MODELS.register_module()
class Watched(SePiCoDark):
    """A method that records the views it pseudo-labels in ``seen``."""

    def pseudo_label(self, views):
        self.seen.append(views)
        return super().pseudo_label(views)


@MODELS.register_module()
class NightOnly(SePiCoDark):
    """A method that pseudo-labels the night without the day."""

    def pseudo_label(self, views):
        return SelfTraining.pseudo_label(self, views)


def dark(kind: str = "SePiCoDark", **options) -> SePiCoDark:
    ranges = ((0, 2), (4, 5))
    return sepico(type=kind, shift_insensitive_classes=ranges, **options)


def night_batch(seed: int = 0) -> dict:
    """Return a batch with day images that differ from the night images."""
    data = batch(seed)
    return data | {"target_day": batch(seed + 100)["target"]}


@pytest.mark.parametrize(
    ("name", "ratio", "weighted"),
    [("mixed_weighted_080", 0.8, True), ("mixed_unweighted_070", 0.7, False)],
)
def test_mixture_equals_the_release(name, ratio, weighted):
    golden = {key: torch.from_numpy(value) for key, value in load_golden("day_night.npz").items()}
    insensitive = torch.zeros(19, dtype=torch.bool)
    insensitive[SHIFT_INSENSITIVE] = True
    weight = golden["class_weight_train_std005"] if weighted else None
    mixed = mix_day_and_night(golden["day"], golden["night"], ratio, insensitive, weight)
    torch.testing.assert_close(mixed, golden[name], rtol=1e-5, atol=1e-7)


def test_shift_insensitive_classes_are_given_by_ranges():
    model = sepico(type="SePiCoDark", shift_insensitive_classes=[[0, 2], [4, 5]])
    assert model.shift_insensitive.tolist() == [True, True, False, False, True]
    assert not {"shift_insensitive", "class_weight"} & model.state_dict().keys()


def test_pseudo_labels_come_from_both_views_and_the_weights():
    """With 0.4 by night and 0.9 by day, class 1 gets 0.2 x 0.4 + 0.8 x 0.9 = 0.8."""
    model = dark(class_weight=[1.0, 1.0, 1.0, 1.0, 1.0], pseudo_threshold=0.79)
    night = torch.tensor([0.5, 0.4, 0.1, 1e-9, 1e-9])
    day = torch.tensor([0.1, 0.9, 1e-9, 1e-9, 1e-9])
    views = [torch.zeros(1, 3, 32, 32)] * 2
    logits = (p.log().view(1, 5, 1, 1).expand(1, 5, 32, 32) for p in (night, day))
    let_teacher_predict(model, *logits)
    pseudo = model.pseudo_label(views)
    assert (pseudo.label == 1).all()
    assert pseudo.confidence() == 1
    model.class_weight[1] = 0.5  # 0.4 now, less than 0.2 x 0.1 + 0.8 x 0.5 = 0.42 of class 0
    pseudo = model.pseudo_label(views)
    assert (pseudo.label == 0).all()
    assert pseudo.confidence() == 0


def test_night_and_day_are_cropped_by_the_same_box():
    """Both views hold the same coordinates as pixel values, so crops of one box are equal."""
    model = dark("Watched")
    model.seen = []
    data = night_batch()
    place = torch.arange(32 * 48).view(32, 48).remainder(251).byte().expand(3, -1, -1)
    data["target"]["inputs"] = [place] * 2
    data["target_day"]["inputs"] = [place] * 2
    model.train_step(data, optimizer_of(model))
    whole, crops = model.seen
    assert [view.shape[-2:] for view in whole] == [(32, 48)] * 2
    assert [view.shape[-2:] for view in crops] == [(32, 32)] * 2
    assert torch.equal(*crops)


def test_the_day_image_is_used_for_pseudo_labels_only():
    """With pseudo-labels from the night alone, training does not depend on the day image."""
    logs = []
    for seed in (100, 200):
        torch.manual_seed(0)
        model = dark("NightOnly")
        data = batch() | {"target_day": batch(seed)["target"]}
        torch.manual_seed(1)
        logs.append(model.train_step(data, optimizer_of(model)))
    assert logs[0].keys() == logs[1].keys()
    for name, value in logs[0].items():
        assert torch.equal(value, logs[1][name]), name


def test_a_target_without_day_images_is_refused():
    model = dark()
    with pytest.raises(InputError, match="needs the day image.*set corresp"):
        model.train_step(batch(), optimizer_of(model))


def test_training_depends_on_the_day():
    logs = []
    for seed in (100, 200):
        torch.manual_seed(0)
        model = dark()
        data = batch() | {"target_day": batch(seed)["target"]}
        torch.manual_seed(1)
        logs.append(model.train_step(data, optimizer_of(model))["mix.decode.loss_seg"].item())
    assert logs[0] != logs[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weight": [1.0]}, "class_weight needs 5 factors, got 1"),
        ({"shift_insensitive_classes": [(3, 6)]}, "within 5 classes"),
        ({"alfa": 0.9}, "alfa"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        sepico(type="SePiCoDark", **{"shift_insensitive_classes": ((0, 2),), **options})
