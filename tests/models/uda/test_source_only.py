"""Test the baseline that trains on the source only."""

import pytest
import torch

from tests.models.uda.small_methods import batch, optimizer_of, source_only


def test_the_target_is_not_used():
    logs, weights = [], []
    for target in (batch()["target"], None):
        torch.manual_seed(0)
        model = source_only()
        data = batch() | {"target": target}
        logs.append(model.train_step(data, optimizer_of(model)))
        weights.append(model.state_dict())
    assert logs[0] == logs[1]
    losses = {"src.decode.loss_seg", "src.decode.acc_seg", "src.loss"}
    assert set(logs[0]) == losses | {"gradient_norm"}
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_there_is_no_teacher():
    model = source_only().eval()
    model.eval_model = "teacher"
    with pytest.raises(ValueError, match="SourceOnly has no teacher"):
        model(torch.zeros(1, 3, 32, 32))
