"""Compare both networks, built from the release's configs, with numbers recorded from it."""

import copy

import numpy as np
import pytest
import torch

from mmseg.apis.init_model import without_pretrained
from mmseg.models.decode_heads import resize
from mmseg.models.uda.teacher import switch_off_dropout
from mmseg.registry import MODELS
from mmseg.utils.config import load_config
from tests.golden import DATA, load_golden, weights_by_name

# Name in the recorded numbers -> the experiment whose config is translated.
NETWORKS = {"dlv2_r101v1c": 1, "daformer_mitb5": 8}
ABSOLUTE = 2e-4


def golden_input() -> torch.Tensor:
    noise = np.random.RandomState(0).standard_normal((2, 3, 128, 256))
    return torch.from_numpy(noise.astype(np.float32))


@pytest.fixture(scope="module", params=list(NETWORKS))
def network(request):
    """Return name and network, built once for all tests; no test may change it."""
    cfg = load_config(DATA / "original_configs" / f"exp{NETWORKS[request.param]}.json")
    segmentor = MODELS.build(without_pretrained(cfg.model.segmentor))
    weights_by_name(segmentor)
    return request.param, segmentor


def close(actual: torch.Tensor, expected: np.ndarray, absolute: float = ABSOLUTE) -> None:
    torch.testing.assert_close(actual, torch.from_numpy(expected), atol=absolute, rtol=0)


def test_state_dict_keys_and_shapes(network):
    name, segmentor = network
    shapes = {key: list(value.shape) for key, value in segmentor.state_dict().items()}
    assert shapes == load_golden("state_dict_keys.json")[name]


def test_eval_forward(network):
    name, segmentor = network
    golden = load_golden(f"forward_{name}.npz")
    segmentor.eval()
    with torch.no_grad():
        feats = segmentor.extract_feat(golden_input())
        low = segmentor.decode_head(feats)
        projected = segmentor.project(feats)
    means = torch.cat([feat.mean(dim=(2, 3)) for feat in feats], dim=1)
    deviations = torch.cat([feat.std(dim=(2, 3)) for feat in feats], dim=1)
    close(means, golden["feat_means"])
    close(deviations, golden["feat_stds"])
    close(low, golden["eval_low_res_logits"])
    close(projected[:, :64], golden["eval_aux"])
    logits = resize(low, (128, 256))
    close(logits[:, :, 64], golden["eval_logits_row"])
    close(logits.mean(dim=(2, 3)), golden["eval_logits_mean"])


#: Batch statistics amplify float32 rounding: depending on the number of threads, oneDNN and
#: channels-last, the logits of the ResNet (deviation 1.9) differ by up to 0.015, and the recorded
#: ones differ by 0.0029 from those in float64. In float64 they are the same everywhere, so the
#: comparison is made in float64.
TRAIN_ABSOLUTE = {"dlv2_r101v1c": 4e-3, "daformer_mitb5": ABSOLUTE}


def test_train_forward(network):
    """The teacher's outputs, with batch statistics and without dropout, equal the release."""
    name, segmentor = network
    golden = load_golden(f"forward_train_{name}.npz")
    segmentor = copy.deepcopy(segmentor).double().train()  # updates BatchNorm statistics
    switch_off_dropout(segmentor)
    with torch.no_grad():
        feats = segmentor.extract_feat(golden_input().double())
        low = segmentor.decode_head(feats).float()
        projected = segmentor.project(feats).float()
    close(low, golden["train_low_res_logits"], TRAIN_ABSOLUTE[name])
    close(projected.mean(dim=(2, 3)), golden["train_aux_mean"])
    close(projected[:, :, :4, :4], golden["train_aux_corner"])
