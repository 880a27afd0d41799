"""Start from checkpoints of other classes, or of a network without projection head."""

import pytest
import torch
from mmengine.registry import init_default_scope

from experiments import experiment_config
from mmseg.engine.fine_tuning import classifier_keys, load_student
from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.utils.checkpoint import load_for_testing


def network(num_classes: int, projects: bool = True, dlv2: bool = False) -> torch.nn.Module:
    init_default_scope("mmseg")
    cfg = experiment_config(0).model.segmentor
    cfg.decode_head.num_classes = num_classes
    if dlv2:
        cfg.decode_head = {"type": "DLV2Head", "in_channels": 512, "num_classes": num_classes}
    if not projects:
        cfg.type, cfg.auxiliary_head = "EncoderDecoder", None
    return MODELS.build(cfg)


@pytest.mark.parametrize("dlv2", [False, True])
def test_rows_of_the_classifier_go_to_the_same_class(dlv2):
    old, new = network(3, dlv2=dlv2), network(4, dlv2=dlv2)
    before = {key: value.clone() for key, value in new.state_dict().items()}
    trained = ["road", "traffic-light", "sky"]
    classes = ["sky", "kerb", "Traffic Light", "rail"]
    fresh = load_student(new, old.state_dict(), "c.pth", trained, classes)
    assert fresh == ["the classifier of 'kerb', 'rail'"]
    keys = classifier_keys(new)
    assert len(keys) == (8 if dlv2 else 2)
    found, given = new.state_dict(), old.state_dict()
    for key, value in found.items():
        if key in keys:
            assert torch.equal(value[[0, 2]], given[key][[2, 1]])
            assert torch.equal(value[[1, 3]], before[key][[1, 3]])
        else:
            assert torch.equal(value, given[key])


def test_another_order_of_the_same_classes():
    old, new = network(2), network(2)
    assert load_student(new, old.state_dict(), "c.pth", ["a", "b"], ["b", "a"]) == []
    key = "decode_head.conv_seg.weight"
    assert torch.equal(new.state_dict()[key], old.state_dict()[key].flip(0))


@pytest.mark.parametrize("trained", [None, ["a", "b"]])
def test_the_same_classes_are_loaded_whole(trained):
    old, new = network(2), network(2)
    assert load_student(new, old.state_dict(), "c.pth", trained, ["a", "b"]) == []
    found = new.state_dict()
    assert all(torch.equal(found[key], value) for key, value in old.state_dict().items())


def test_without_names_another_number_of_classes_starts_afresh():
    old, new = network(3), network(2)
    bias = new.decode_head.conv_seg.bias.clone()
    fresh = load_student(new, old.state_dict(), "c.pth", None, ["a", "b"])
    assert fresh == ["the classifier of 'a', 'b'"]
    assert torch.equal(new.decode_head.conv_seg.bias, bias)


def test_projection_heads_are_loaded_if_both_have_one():
    with_head, without = network(2), network(2, projects=False)
    own = {key: value.clone() for key, value in with_head.state_dict().items()}
    state = without.state_dict()
    assert load_student(with_head, state, "c.pth", None, ["a", "b"]) == ["the projection head"]
    for key, value in with_head.state_dict().items():
        assert torch.equal(value, state.get(key, own[key]))
    assert load_student(without, own, "c.pth", None, ["a", "b"]) == []
    assert torch.equal(without.decode_head.conv_seg.bias, own["decode_head.conv_seg.bias"])


def test_other_networks_are_refused():
    with pytest.raises(InputError, match="does not fit the model of the config: .*missing"):
        load_student(network(2), network(2, dlv2=True).state_dict(), "c.pth", None, ["a", "b"])


def test_a_checkpoint_without_projection_head_is_tested():
    model, without = network(2).eval(), network(2, projects=False).eval()
    load_for_testing(model, without.state_dict(), "student", "c.pth")
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(image), without(image))
