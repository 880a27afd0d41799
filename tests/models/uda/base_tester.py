"""Test what every domain-adaptation method must do; a subclass sets ``config``."""

import copy
from typing import Any, ClassVar

import pytest
import torch
from mmengine.config import ConfigDict

from benchmarks.step import pinned
from mmseg.models.uda import SelfTraining, UDADecorator
from mmseg.registry import MODELS
from tests.models.uda.small_methods import batch_for, optimizer_of

AUGMENTED = {"augment_source_and_target": True}
NOT_SHOWN = {"crop_boxes"}  # kept to find the ground truth of a crop


class MethodTester:
    """Base class of the tests of a method; subclass it as ``TestX``.

    Attributes:
        config: config of the method on a small network, see :mod:`tests.models.uda.small_methods`.
    """

    config: ClassVar[dict[str, Any]]

    def build(self, **options) -> UDADecorator:
        torch.manual_seed(0)
        return MODELS.build(copy.deepcopy(self.config) | options)

    def train(self, model: UDADecorator, start: int, stop: int) -> list[dict[str, torch.Tensor]]:
        optim_wrapper = optimizer_of(model)
        logs = []
        for t in range(start, stop):
            torch.manual_seed(t)
            logs.append(model.train_step(batch_for(model, t), optim_wrapper))
        return logs

    def test_it_trains_only_the_student(self):
        model = self.build()
        before = copy.deepcopy(model.model.state_dict())
        logs = self.train(model, 0, 3)
        for log in logs:
            assert all(value.isfinite() and not value.requires_grad for value in log.values())
            losses = [value for name, value in log.items() if name.endswith(".loss")]
            assert losses and log["src.loss"] > 0 and log["gradient_norm"] > 0
        after = model.model.state_dict()
        assert any(not torch.equal(value, after[name]) for name, value in before.items())
        student = {id(parameter) for parameter in model.model.parameters()}
        assert all(p.grad is None for p in model.parameters())
        assert all(id(p) in student for p in model.parameters() if p.requires_grad)

    def test_a_resumed_run_is_bit_equal(self):
        model = self.build()
        self.train(model, 0, 2)
        resumed = self.build()
        resumed.load_state_dict(copy.deepcopy(model.state_dict()))
        logs = [self.train(one, 2, 3)[0] for one in (model, resumed)]
        assert logs[0].keys() == logs[1].keys()
        assert all(torch.equal(value, logs[1][name]) for name, value in logs[0].items())
        after = resumed.state_dict()
        for name, value in model.state_dict().items():
            same = value == after[name]
            assert same if isinstance(same, bool) else same.all(), name

    def test_checkpoints_hold_student_and_teacher(self):
        model = self.build()
        parts = {name.split(".")[0] for name in model.state_dict()}
        has_teacher = isinstance(model, SelfTraining)
        assert {"model", "ema_model"} & parts == {"model", *(["ema_model"] if has_teacher else [])}
        if has_teacher:
            assert model.segmentor_for("teacher") is model.ema_model
        assert model.segmentor_for("student") is model.model

    def test_a_step_reads_no_value_from_the_device(self):
        """The meta device has no values, so reading one, or a size that depends on one, raises."""
        model = self.build(**AUGMENTED)
        model.keep_visuals = True
        model.to("meta")
        optim_wrapper = optimizer_of(model)
        # Both augmentations are applied; their factors are drawn on the CPU.
        vars(model.augmentation).update(jitter_threshold=-1.0, blur_threshold=-1.0)
        log = model.train_step(batch_for(model), optim_wrapper)
        assert all(value.is_meta for value in log.values())
        with pytest.raises(RuntimeError, match="meta"):
            log["src.loss"].item()

    @pytest.mark.gpu
    def test_a_step_does_not_wait_for_the_gpu(self):
        model = self.build(**AUGMENTED)
        vars(model.augmentation).update(jitter_threshold=-1.0, blur_threshold=-1.0)
        model.cuda()
        optim_wrapper = optimizer_of(model)
        pinned_batch = pinned(batch_for(model))
        for _ in range(2):  # the first steps load libraries
            model.train_step(pinned_batch, optim_wrapper)
        torch.cuda.set_sync_debug_mode("error")
        try:
            model.train_step(pinned_batch, optim_wrapper)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def test_visuals_are_kept_on_request_and_have_a_panel(self):
        model = self.build()
        self.train(model, 0, 1)
        assert model.visuals == {}
        model.keep_visuals = True
        self.train(model, 1, 2)
        shown = {name for row in model.PANEL for name in row} - {"ground_truth"}
        assert set(model.visuals) - NOT_SHOWN <= shown
        assert bool(model.visuals) == bool(model.PANEL)
        assert not any(value.requires_grad for value in model.visuals.values())

    def test_its_debug_version_starts_all_losses(self):
        config = ConfigDict(copy.deepcopy(self.config))
        method = MODELS.get(config.type)
        config.segmentor.auxiliary_head.channels = 4
        method.set_crop_size(config, 32)
        method.shrink(config, 4, 3)
        config.data_preprocessor.pop("size")
        model = MODELS.build(config)
        late = self.build()
        late.start_all_losses()
        assert self.train(model, 0, 3)[-1].keys() == self.train(late, 0, 1)[0].keys()
