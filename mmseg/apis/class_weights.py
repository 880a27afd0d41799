"""The choice of test-time class weights, and what to say of it."""

from collections.abc import Mapping
from typing import Any, get_args

from torch import nn

from mmseg.models.segmentors import EncoderDecoder, segmentors_of
from mmseg.models.segmentors.prediction import ClassWeights, are_used
from mmseg.utils import InputError


def choose_class_weights(model: nn.Module, choice: ClassWeights) -> None:
    """Say which images the class weights of a model are for.

    Args:
        model: a segmentor, or a method around some.
        choice: "auto": those whose data set asks for them (Dark Zurich); "on": all; "off": none.

    Raises:
        InputError: there is no such choice, or there are no weights to switch on.
    """
    if choice not in get_args(ClassWeights):
        choices = ", ".join(get_args(ClassWeights))
        raise InputError(f"class weights {choice!r} unknown; choose from {choices}")
    segmentors = _weighted_segmentors(model)
    if choice == "on" and not segmentors:
        raise InputError(
            "--class-weights on: the config gives the model no test-time class weights "
            "(class_weight in the segmentor's test_cfg)"
        )
    for segmentor in segmentors:
        segmentor.class_weights = choice


def class_weights_used(model: nn.Module, meta: Mapping[str, Any]) -> bool | None:
    """Whether a model predicts an image with class weights; None if it has none.

    Args:
        model: a segmentor, or a method around some.
        meta: what the data set says of the image.
    """
    segmentors = _weighted_segmentors(model)
    return are_used(segmentors[0].class_weights, meta) if segmentors else None


def class_weights_text(used: bool | None) -> str:
    """What :func:`class_weights_used` returns, for people; empty if there is nothing to say."""
    return "" if used is None else f"{'with' if used else 'without'} the test-time class weights"


def _weighted_segmentors(model: nn.Module) -> list[EncoderDecoder]:
    return [each for each in segmentors_of(model) if each.test_cfg.get("class_weight") is not None]
