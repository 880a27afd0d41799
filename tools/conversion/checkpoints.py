"""Convert checkpoints between layouts, and write models to publish, without training state."""

import hashlib
import io
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from mmseg.utils import InputError, atomic_path, check_writable
from mmseg.utils.checkpoint import (
    ROLE_PREFIX,
    Role,
    load_checkpoint,
    select_role,
    weights_of,
)

from .files import Unpickling, save_checkpoint

Layout = Literal["ours", "published"]
# Information on the training, under the same names in both layouts.
KEPT = ("epoch", "iter", "time", "seed", "config", "cfg")
HASH_LENGTH = 8


def convert_checkpoint(
    source: str | os.PathLike,
    target: str | os.PathLike,
    layout: Layout = "ours",
    trust: bool = False,
) -> list[str]:
    """Write student and teacher of a checkpoint of any layout in the given layout.

    Weights of a bare segmentor keep their names, or become the student's in the layout that needs
    it. ``ours`` stores classes and palette as mmengine does; ``published`` as mmcv 1.x and the
    release read them, in a file that torch 1.7 can open.

    Args:
        source: the file to read.
        target: the file to write.
        layout: layout of ``target``.
        trust: whether to run code from ``source``; objects of missing packages are left out.

    Returns:
        Entries of the checkpoint that were left out, and prefixes of weights that were left out.

    Raises:
        InputError: if ``source`` cannot be read or has no weights, or ``target`` cannot be written.
    """
    if layout not in get_args(Layout):
        raise ValueError(f"layout must be one of {list(get_args(Layout))}, not {layout!r}")
    source, target = Path(source), Path(target)
    if target.is_dir() or target.resolve() == source.resolve():
        raise InputError(f"cannot write to {target}: name a new file")
    checkpoint = load_checkpoint(source, trusted_by=Unpickling if trust else None)
    weights = weights_of(checkpoint, source)
    prefixes = tuple(ROLE_PREFIX.values())
    kept = {name: value for name, value in weights.items() if name.startswith(prefixes)}
    if not kept:  # a bare segmentor or backbone
        prefix = ROLE_PREFIX["student"] if layout == "published" else ""
        weights = kept = {prefix + name: value for name, value in weights.items()}
    lost = {name.partition(".")[0] + ".*" for name in weights.keys() - kept.keys()}
    content = {"meta": _meta(_about(checkpoint), layout), "state_dict": _plain_tensors(kept)}
    if "state_dict" in checkpoint:
        lost |= {str(key) for key in checkpoint.keys() - content.keys()}
    check_writable(target.parent, "OUT")
    save_checkpoint(content, target)
    return sorted(lost)


def publish_model(
    source: str | os.PathLike, prefix: str | os.PathLike, role: Role = "student"
) -> Path:
    """Write one segmentor of a checkpoint, with only the entries that testing needs.

    Equal weights give equal files.

    Args:
        source: a checkpoint in any layout.
        prefix: prefix of the file; the first digits of its SHA-256 and ``.pth`` are added.
        role: the segmentor to write.

    Returns:
        The path of the file.

    Raises:
        InputError: as :func:`convert_checkpoint`, or if ``source`` has no such segmentor.
    """
    source, prefix = Path(source), Path(str(prefix).removesuffix(".pth"))
    checkpoint = load_checkpoint(source)
    weights = select_role(weights_of(checkpoint, source), role, source)
    check_writable(prefix.parent, "OUT_PREFIX")
    meta = _meta(_about(checkpoint), "ours")
    buffer = io.BytesIO()
    torch.save({"meta": meta, "state_dict": _plain_tensors(weights)}, buffer)
    digest = hashlib.sha256(buffer.getbuffer()).hexdigest()[:HASH_LENGTH]
    target = prefix.with_name(f"{prefix.name}-{digest}.pth")
    with atomic_path(target) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    return target


def _about(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Read the information in a checkpoint of either layout, under our names."""
    meta = checkpoint.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    data = meta.get("dataset_meta") or {}
    about = {
        "classes": meta.get("CLASSES", data.get("classes")),
        "palette": meta.get("PALETTE", data.get("palette")),
        "experiment_name": meta.get("exp_name", meta.get("experiment_name")),
        **{key: meta.get(key) for key in KEPT},
    }
    return {key: _plain(value) for key, value in about.items() if value is not None}


def _meta(about: dict[str, Any], layout: Layout) -> dict[str, Any]:
    about = dict(about)
    data = {key: about.pop(key) for key in ("classes", "palette") if key in about}
    if layout == "ours":
        return about | {"dataset_meta": data}
    if "experiment_name" in about:
        about["exp_name"] = about.pop("experiment_name")
    return about | {key.upper(): value for key, value in data.items()}


def _plain(value: Any) -> Any:
    """Convert NumPy objects to Python, as those of NumPy 2 cannot be read by NumPy 1."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value if isinstance(value, str | int | float) else str(value)


def _plain_tensors(weights: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """Make tensors contiguous, each with storage of exactly its size."""
    plain = OrderedDict()
    for name, value in weights.items():
        value = value.detach().contiguous()
        shared = value.untyped_storage().nbytes() != value.nbytes
        plain[name] = value.clone() if shared else value
    return plain
