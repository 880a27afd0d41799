"""The classes that a checkpoint was trained for, and those that it is tested on."""

import os
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from mmseg.utils import InputError


def stored_meta(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint of mmengine or mmcv says of the classes that it was trained for.

    Returns:
        ``classes`` and ``palette``, each if the checkpoint stores it.
    """
    meta = checkpoint.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    stored = {key: meta.get(key.upper()) for key in ("classes", "palette")}
    stored |= meta.get("dataset_meta") or {}
    return {key: stored[key] for key in ("classes", "palette") if stored[key] is not None}


def first_difference(trained: Sequence[str], tested: Sequence[str]) -> str | None:
    """Where two lists of classes differ, as text; None if they are the same.

    Case, hyphens and underscores make no difference.
    """
    for index, (ours, theirs) in enumerate(zip_longest(trained, tested)):
        if _plain(ours) != _plain(theirs):
            return (
                f"class {index} is {_quoted(ours)} in the checkpoint, {_quoted(theirs)} in the data"
            )
    return None


def check_trained_classes(
    trained: Sequence[str] | None,
    tested: Sequence[str] | None,
    checkpoint: str | os.PathLike,
    data: str,
) -> None:
    """Check that a checkpoint is tested on the classes that it was trained for, in their order.

    Args:
        trained: names of the classes; None if the checkpoint stores none.
        tested: names of the data's classes; None if it names none.
        checkpoint, data: what they are called in the error.

    Raises:
        InputError: the lists differ.
    """
    if trained is None or tested is None:
        return
    if difference := first_difference(trained, tested):
        raise InputError(
            f"{checkpoint} was trained for other classes than those of {data}: {difference}; take "
            "label maps with the checkpoint's order of classes or, if only the names differ, give "
            "the data the checkpoint's names (metainfo=dict(classes=[...]) of its data set)"
        )


def _plain(name: str | None) -> str | None:
    return name and " ".join(str(name).replace("_", " ").replace("-", " ").casefold().split())


def _quoted(name: str | None) -> str:
    return "missing" if name is None else repr(str(name))
