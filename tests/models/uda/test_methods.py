"""Run the base tester on all methods."""

import copy
from typing import ClassVar

import torch
from mmengine.runner.checkpoint import get_state_dict

from mmseg.models.uda import LossTerm
from mmseg.registry import MODELS
from tests.models.uda.base_tester import MethodTester
from tests.models.uda.small_methods import NUM_CLASSES, batch_for, method_config, optimizer_of


def sepico_config(variant: str, kind: str = "SePiCo", **options) -> dict:
    prototypes = {"type": "ProtoEstimator", "num_classes": NUM_CLASSES, "feature_dim": 8}
    return method_config(
        kind,
        contrast={"type": "ContrastiveLoss", "variant": variant, "temperature": 1.0},
        prototypes=prototypes | {"memory_length": 2 if variant == "bank" else 0},
        start_contrast_iter=1,
        pseudo_threshold=0.2,
        crop_size=(32, 32),
        **options,
    )


class TestSourceOnly(MethodTester):
    config = method_config("SourceOnly")


class TestSelfTraining(MethodTester):
    config = method_config("SelfTraining", pseudo_threshold=0.2)


class TestDistCL(MethodTester):
    config = sepico_config("dist")


class TestBankCL(MethodTester):
    config = sepico_config("bank")


class TestProtoCL(MethodTester):
    config = sepico_config("proto")


class TestSePiCoDark(MethodTester):
    config = sepico_config("dist", "SePiCoDark", shift_insensitive_classes=((0, 2), (4, 5)))


@MODELS.register_module()
class MeanColour(LossTerm):
    """A term that adds the mean source feature and a pass over the pseudo-labelled target."""

    def on_source(self, method, image, feats, label):
        return {"loss_colour": 0.5 * feats[-1].mean()}

    def losses(self, method, batch):
        def second_pass():
            return method.model.losses_of(batch.target, batch.pseudo_label, batch.weight)[1]

        return {"again": second_pass}


class TestTerms(MethodTester):
    config: ClassVar[dict] = method_config("DACS", terms={"colour": {"type": "MeanColour"}})

    def test_a_term_adds_to_the_source_and_has_a_pass(self):
        model = self.build()
        optim_wrapper = optimizer_of(model)
        log = model.train_step(batch_for(model), optim_wrapper)
        parts = log["src.decode.loss_seg"] + log["src.loss_colour"]
        torch.testing.assert_close(log["src.loss"], parts)
        assert torch.equal(log["again.loss"], log["again.decode.loss_seg"])
        passes = [name for name in log if name.endswith(".loss")]
        assert passes == ["src.loss", "mix.loss", "again.loss"]


class TestDAFormer(MethodTester):
    config: ClassVar[dict] = method_config(
        "DACS", pseudo_threshold=0.2, terms={"distance": {"type": "FeatureDistance"}}
    )

    def test_checkpoints_do_not_hold_the_frozen_backbone(self):
        model = self.build()
        assert not any("imagenet" in name for name in model.state_dict())
        assert not any("imagenet" in name for name in get_state_dict(model))
        frozen = model.terms["distance"].imagenet_backbone
        assert not any(parameter.requires_grad for parameter in frozen.parameters())
        assert not any(part.training for part in frozen.modules())

    def test_the_frozen_backbone_has_the_first_weights(self):
        model = self.build()
        model.init_weights()
        first = copy.deepcopy(model.model.backbone.state_dict())
        self.train(model, 0, 2)
        frozen = model.terms["distance"].imagenet_backbone.state_dict()
        assert all(torch.equal(value, first[name]) for name, value in frozen.items())
        assert frozen.keys() == first.keys()


class TestMIC(MethodTester):
    config: ClassVar[dict] = method_config(
        "DACS",
        pseudo_threshold=0.2,
        terms={"mic": {"type": "MaskedConsistency", "block_size": 8}},
    )


class TestSePiCoWithMIC(MethodTester):
    config: ClassVar[dict] = sepico_config(
        "dist", terms={"mic": {"type": "MaskedConsistency", "block_size": 8}}
    )


def hrda_config(kind: str, **options) -> dict:
    """Config of a method on the tiny network at two scales, with details of 16 x 16 pixels."""
    config = sepico_config("dist", kind, **options) if kind == "SePiCo" else method_config(kind)
    config = copy.deepcopy(config) | options
    segmentor = config["segmentor"]
    head = segmentor["decode_head"]
    segmentor["decode_head"] = {"type": "HRDAHead", "head": head, "scale_attention": head}
    segmentor |= {"type": "HRDAEncoderDecoderProjector", "detail_size": (16, 16)}
    return config


class TestHRDA(MethodTester):
    config: ClassVar[dict] = hrda_config(
        "DACS",
        pseudo_threshold=0.2,
        terms={"distance": {"type": "FeatureDistance"}, "mic": {"type": "MaskedConsistency"}},
    )


class TestSePiCoOnHRDA(MethodTester):
    config: ClassVar[dict] = hrda_config("SePiCo")
