"""Start training from a checkpoint of other classes, or of a network without projection head."""

import os
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mmseg.datasets.class_names import first_difference, plain_name
from mmseg.models.decode_heads import BaseDecodeHead
from mmseg.utils.checkpoint import load_weights

PROJECTION = "auxiliary_head."


def load_student(
    segmentor: nn.Module,
    weights: Mapping[str, Tensor],
    source: str | os.PathLike,
    trained: Sequence[str] | None,
    classes: Sequence[str],
) -> list[str]:
    """Copy the weights of a checkpoint's segmentor; parts that it lacks stay as initialised.

    The classifier's weights of a class go to the class of the same name.

    Args:
        segmentor: the segmentor to train.
        weights: state dict of the checkpoint's segmentor.
        source: name of the checkpoint for errors.
        trained: names of its classes; None: unknown.
        classes: names of the classes to train.

    Returns:
        What stays as initialised.

    Raises:
        InputError: if other weights do not fit.
    """
    own, given = segmentor.state_dict(), dict(weights)
    fresh: list[str] = []
    for missing, spare in ((own, given), (given, own)):
        if not any(key.startswith(PROJECTION) for key in spare):
            heads = [key for key in missing if key.startswith(PROJECTION)]
            if missing is given:
                given = {key: value for key, value in given.items() if key not in heads}
            elif heads:
                given |= {key: own[key] for key in heads}
                fresh.append("the projection head")
    keys = [key for key in classifier_keys(segmentor) if key in given]
    changed = any(given[key].shape != own[key].shape for key in keys)
    if changed or (trained is not None and first_difference(trained, classes)):
        names = [plain_name(name) for name in trained or ()]
        rows = {
            place: names.index(name)
            for place, name in enumerate(map(plain_name, classes))
            if name in names
        }
        for key in keys:
            value = own[key].clone()
            value[list(rows)] = given[key][list(rows.values())].to(value)
            given[key] = value
        new = [repr(name) for place, name in enumerate(classes) if place not in rows]
        fresh += [f"the classifier of {', '.join(new)}"] * bool(new)
    load_weights(segmentor, given, source)
    return fresh


def classifier_keys(segmentor: nn.Module) -> list[str]:
    """List the keys of weights that have a row for each class."""
    heads = [
        (name, head) for name, head in segmentor.named_modules() if isinstance(head, BaseDecodeHead)
    ]
    return [
        f"{name}.{part}.{key}"
        for name, head in heads
        for part, layers in head.named_children()
        if part == head.CLASSIFIER
        for key in layers.state_dict()
    ]
