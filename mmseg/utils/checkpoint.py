"""Read checkpoints without running code from the file, and load them only if they fit."""

import mmap
import os
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from isal.isal_zlib import crc32  # three times as fast as zlib's
from torch import Tensor, nn

from .errors import InputError
from .finite import check_finite

Role = Literal["student", "teacher"]
ROLE_PREFIX: dict[Role, str] = {"student": "model.", "teacher": "ema_model."}
EXTRA_STATE = "_extra_state"  # torch's name for the result of get_extra_state()
SHOWN_KEYS = 4


class DamagedCheckpoint(InputError):
    """A file that is not a checkpoint, or has changed since it was written."""


def load_checkpoint(
    path: str | os.PathLike, mapped: bool = False, trusted_by: Any = None
) -> dict[str, Any]:
    """Read a checkpoint to the CPU with ``weights_only=True``.

    Next to tensors and plain Python, the file may contain objects that mmengine and mmcv save:
    numpy arrays and scalars, and the histories of logged values.

    Every byte is checked against the checksums that ``torch.save`` stores, which torch ignores
    (files in the format of torch before 1.6 have none).

    Args:
        path: path of the checkpoint.
        mapped: whether to map the file into memory instead of copying tensors: faster, with half
            the memory. While they are in use the file may be replaced or removed, but not changed.
        trusted_by: module to unpickle with instead, like ``pickle``, which runs code from the file;
            only for ``tools.convert_checkpoint``, which writes a file that needs no trust.

    Raises:
        InputError: if the file does not exist, or needs other types to be loaded.
        DamagedCheckpoint: if the file is damaged or not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}")
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_allowed_globals()):
            warnings.simplefilter("ignore")
            mapped = check_records(path) and mapped
            checkpoint = torch.load(
                path,
                map_location="cpu",
                pickle_module=trusted_by,
                weights_only=trusted_by is None,
                mmap=mapped,
            )
    except Exception as error:  # a damaged pickle can raise anything
        raise _unreadable(path, error) from error
    if not isinstance(checkpoint, dict):
        raise InputError(f"{path} holds a {type(checkpoint).__name__}, not a checkpoint")
    return checkpoint


def _allowed_globals() -> list[Any]:
    """List the objects that a checkpoint may use next to torch's own, some with their names."""
    from mmengine.logging import HistoryBuffer

    allowed: list[Any] = [HistoryBuffer, np.ndarray, np.dtype, slice]
    allowed += [(_history_statistic, "builtins.getattr")]
    array, scalar = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):  # files of numpy 1 and 2
        allowed += [(array, f"{module}._reconstruct")]
        allowed += [(scalar, f"{module}.scalar")]
    dtypes = {type(np.dtype(code)) for code in "?bBhHiIlLqQefdUS"}
    return allowed + sorted(dtypes, key=lambda dtype: dtype.__name__)


def _history_statistic(owner: Any, name: str) -> Any:
    """Replace ``getattr``, by which a pickled ``HistoryBuffer`` refers to its statistics.

    The real one would give a file access to any function.
    """
    from mmengine.logging import HistoryBuffer

    if owner is HistoryBuffer and name in ("min", "max", "mean", "current"):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"Unsupported global: GLOBAL getattr (for {name}) was not")


def _unreadable(path: Path, error: Exception) -> InputError:
    match = re.search(r"Unsupported global: GLOBAL (.+?) was not", str(error))
    if match:
        return InputError(
            f"{path} needs {match.group(1)} to be loaded, which is not on the list of safe types: "
            "if you trust whoever made it, convert it once by `python -m tools.convert_checkpoint "
            f"--trust {path} OUT` and use OUT"
        )
    return DamagedCheckpoint(
        f"{path} is not a readable checkpoint (damaged or cut off?): fetch or copy it again"
    )


def stored_meta(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Read the classes from a checkpoint of mmengine or mmcv.

    Returns:
        ``classes`` and ``palette``, if the checkpoint stores them.
    """
    meta = checkpoint.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    stored = {key: meta.get(key.upper()) for key in ("classes", "palette")}
    stored |= meta.get("dataset_meta") or {}
    return {key: stored[key] for key in ("classes", "palette") if stored[key] is not None}


def weights_of(checkpoint: Mapping[str, Any], source: str | os.PathLike) -> dict[str, Tensor]:
    """Return the state dict of a checkpoint: ``state_dict``, ``model``, or the checkpoint itself.

    Raises:
        InputError: if the checkpoint contains no state dict.
    """
    state = checkpoint.get("state_dict", checkpoint.get("model", checkpoint))
    if not (isinstance(state, Mapping) and state):
        raise InputError(f"{source} holds no weights")
    # Extra state, such as counters, is not a weight.
    weights = {key: v for key, v in state.items() if not str(key).endswith(EXTRA_STATE)}
    strange = [str(key) for key, value in weights.items() if not isinstance(value, Tensor)]
    if strange:
        raise InputError(f"{source} holds no state_dict (found {_shown(strange)})")
    return weights


def select_role(
    state_dict: Mapping[str, Tensor], role: Role, source: str | os.PathLike
) -> dict[str, Tensor]:
    """Select the weights of the student or the teacher, with keys without their prefix.

    A state dict without ``model.*`` and ``ema_model.*`` is that of a segmentor: the student.

    Raises:
        InputError: if the state dict contains no such segmentor.
    """
    if role not in ROLE_PREFIX:
        raise ValueError(f"role {role!r} unknown; choose from {list(ROLE_PREFIX)}")
    prefix = ROLE_PREFIX[role]
    own = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
    if own:
        return own
    nested = any(key.startswith(tuple(ROLE_PREFIX.values())) for key in state_dict)
    if role == "student" and not nested:
        return dict(state_dict)
    raise InputError(
        f"{source} holds no {role} (no weights under {prefix}*); "
        f"test the {'student' if role == 'teacher' else 'teacher'} instead"
    )


def load_weights(
    model: nn.Module, state_dict: Mapping[str, Tensor], source: str | os.PathLike
) -> None:
    """Copy ``state_dict`` into ``model``; every key and every shape must match.

    Raises:
        InputError: if they do not match or a value is not finite; the model is unchanged then.
    """
    found = mismatches(model.state_dict(), state_dict)
    if found:
        raise InputError(f"{source} does not fit the model of the config: {found}")
    check_finite(state_dict, source)
    model.load_state_dict(state_dict, strict=True)


def mismatches(own: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Describe why ``given`` cannot be loaded into ``own``, by the first keys; empty if it can."""
    both = own.keys() & given.keys()
    shapes = [
        f"{key} {tuple(given[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in both
        and isinstance(own[key], Tensor)  # get_extra_state() may return anything
        and given[key].shape != own[key].shape
    ]
    problems = {
        "missing": [key for key in own if key not in both],
        "unexpected": [key for key in given if key not in both],
        "of another shape": shapes,
    }
    found = [f"{len(keys)} {what} ({_shown(keys)})" for what, keys in problems.items() if keys]
    return "; ".join(found)


def load_for_testing(
    model: nn.Module, state_dict: Mapping[str, Tensor], role: Role, source: str | os.PathLike
) -> None:
    """Load one segmentor, and make a domain-adaptation model predict with it.

    Args:
        model: a segmentor, or a domain-adaptation model with one as ``model`` (student) and perhaps
            another as ``ema_model`` (teacher).
        state_dict: state of a segmentor or a domain-adaptation model; other entries are ignored.
        role: the segmentor to load.
        source: name of the file for errors.

    Raises:
        InputError: if the state dict or the model has no such segmentor, or they do not fit.
    """
    weights = select_role(state_dict, role, source)
    segmentor: Any = model
    if isinstance(getattr(model, "model", None), nn.Module):
        segmentor = getattr(model, ROLE_PREFIX[role][:-1], None)
        if segmentor is None:
            raise InputError(f"{type(model).__name__} has no {role}: test the student")
        method: Any = model
        method.eval_model = role
    own, given = (
        any(key.startswith("auxiliary_head.") for key in each)
        for each in (segmentor.state_dict(), weights)
    )
    if own and not given:  # prediction does not use it
        segmentor.auxiliary_head = None
    elif given and not own:
        weights = {k: v for k, v in weights.items() if not k.startswith("auxiliary_head.")}
    load_weights(segmentor, weights, source)


def _shown(keys: Iterable[str]) -> str:
    keys = list(keys)
    return ", ".join(keys[:SHOWN_KEYS]) + (", ..." if len(keys) > SHOWN_KEYS else "")


THREADS = 4  # checksums are computed without the interpreter's lock
# Length of a record's header, and offset of the lengths of its name and extra field.
HEADER, LENGTHS = 30, 26


def check_records(path: str | os.PathLike) -> bool:
    """Check every record of a zip archive against its CRC-32.

    Records without a sum, as torch writes them after ``set_crc32_options(False)``, are not checked.

    Returns:
        Whether the file can be mapped into memory: it is an uncompressed zip archive.

    Raises:
        zipfile.BadZipFile: if a record is damaged.
    """
    if not zipfile.is_zipfile(path):
        return False
    with (
        zipfile.ZipFile(path) as archive,
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as content,
    ):
        records = archive.infolist()
        stored = all(record.compress_type == zipfile.ZIP_STORED for record in records)
        if not stored:
            damaged = archive.testzip()
        elif any(record.CRC for record in records):
            with ThreadPoolExecutor(THREADS) as pool:
                sums = pool.map(partial(_sum, content), records)
                damaged = next(
                    (r.filename for r, found in zip(records, sums, strict=True) if found != r.CRC),
                    None,
                )
        else:
            damaged = None
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} is damaged")
    return stored


def _sum(content: memoryview, record: zipfile.ZipInfo) -> int:
    name_length, extra_length = struct.unpack_from("<HH", content, record.header_offset + LENGTHS)
    name = record.header_offset + HEADER
    if content[name : name + name_length] != record.filename.encode():
        raise zipfile.BadZipFile(f"the header of {record.filename} is damaged")
    start = name + name_length + extra_length
    return crc32(content[start : start + record.file_size])
