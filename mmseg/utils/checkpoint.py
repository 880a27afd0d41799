"""Checkpoints: read without running code from the file, and put into a model without surprises."""

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
from .io import atomic_path

Role = Literal["student", "teacher"]
ROLES = ("student", "teacher")
ROLE_PREFIX = {"student": "model.", "teacher": "ema_model."}
EXTRA_STATE = "_extra_state"  # torch's name for what get_extra_state() returns
SHOWN_KEYS = 4


class DamagedCheckpoint(InputError):
    """A file that is no checkpoint, or no longer the one that was written."""


def load_checkpoint(
    path: str | os.PathLike, trust: bool = False, mapped: bool = False
) -> dict[str, Any]:
    """Read a checkpoint to the CPU with ``weights_only=True``.

    Beyond tensors and plain Python, the file may hold what mmengine and mmcv put into theirs: numpy
    arrays and scalars, and the histories of logged values.

    Every byte is checked against the sums that ``torch.save`` has stored, which torch does not look
    at (files in the format of torch before 1.6 have none).

    Args:
        path: of the checkpoint.
        trust: run the code that the file brings; objects of packages that are not here are left
            out. For ``tools.convert_checkpoint`` alone, which makes a file that needs no trust.
        mapped: do not copy the tensors, which stay in the file until they are used: faster, with
            half the memory. Up to then the file may be replaced or removed, but not written to.

    Raises:
        InputError: no such file, or one that needs other types to be loaded.
        DamagedCheckpoint: the file is not what was written, or not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}")
    options = {"weights_only": not trust, "pickle_module": Unpickling if trust else None}
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_allowed_globals()):
            warnings.simplefilter("ignore")
            mapped = check_records(path) and mapped
            checkpoint = torch.load(path, map_location="cpu", mmap=mapped, **options)
    except Exception as error:  # a damaged pickle can raise anything
        raise _unreadable(path, error) from error
    if not isinstance(checkpoint, dict):
        raise InputError(f"{path} holds a {type(checkpoint).__name__}, not a checkpoint")
    return checkpoint


def _allowed_globals() -> list[Any]:
    """Names that a checkpoint may use beside torch's own, each with what it stands for."""
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
    """Stand in for ``getattr``, by which a pickled ``HistoryBuffer`` names its statistics.

    The real one would let a file reach any function.
    """
    from mmengine.logging import HistoryBuffer

    if owner is HistoryBuffer and name in ("min", "max", "mean", "current"):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"Unsupported global: GLOBAL getattr (for {name}) was not")


class Missing(dict):
    """Stands for an object of a class that is not here; what it held is forgotten."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""

    def append(self, item: Any) -> None:
        """Forget the item of a list."""

    def extend(self, items: Iterable[Any]) -> None:
        """Forget the items of a list."""


class Unpickling:
    """What ``torch.load`` takes for the module ``pickle``: unknown classes become Missing."""

    load = staticmethod(pickle.load)

    class Unpickler(pickle.Unpickler):
        """Finds classes of the packages that are here."""

        def find_class(self, module: str, name: str) -> Any:
            """The class, or a stand-in."""
            try:
                return super().find_class(module, name)
            except (ImportError, AttributeError):
                return Missing


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


def save_checkpoint(checkpoint: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OSError: it cannot be written; the error has the name of the file.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as error:  # torch's writer of zip files, about an error before
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def weights_of(checkpoint: Mapping[str, Any], source: str | os.PathLike) -> dict[str, Tensor]:
    """The state dict of a checkpoint: its ``state_dict``, its ``model``, or the checkpoint itself.

    Raises:
        InputError: there is none.
    """
    state = checkpoint.get("state_dict", checkpoint.get("model", checkpoint))
    if not (isinstance(state, Mapping) and state):
        raise InputError(f"{source} holds no weights")
    # Counters and the like, which a module keeps beside its weights, are of no use here.
    weights = {key: v for key, v in state.items() if not str(key).endswith(EXTRA_STATE)}
    strange = [str(key) for key, value in weights.items() if not isinstance(value, Tensor)]
    if strange:
        raise InputError(f"{source} holds no state_dict (found {_shown(strange)})")
    return weights


def select_role(
    state_dict: Mapping[str, Tensor], role: Role, source: str | os.PathLike
) -> dict[str, Tensor]:
    """The weights of the student's or the teacher's segmentor, keys without their prefix.

    A state dict without ``model.*`` and ``ema_model.*`` is a segmentor's own: the student.

    Raises:
        InputError: it holds no such segmentor.
    """
    if role not in ROLES:
        raise ValueError(f"role {role!r} unknown; choose from {list(ROLES)}")
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
    """Copy ``state_dict`` into ``model``; every key and every shape must agree.

    Raises:
        InputError: they do not, or a value is not finite; the model is left as it was.
    """
    found = mismatches(model.state_dict(), state_dict)
    if found:
        raise InputError(f"{source} does not fit the model of the config: {found}")
    check_finite(state_dict, source)
    model.load_state_dict(state_dict, strict=True)


def mismatches(own: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """What keeps ``given`` from being loaded into ``own``: the first keys, empty if nothing."""
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
        model: a segmentor, or a domain-adaptation model that holds one as ``model`` (student) and
            may hold another as ``ema_model`` (teacher).
        state_dict: of a segmentor or a domain-adaptation model; what else it holds is for training.
        role: which one.
        source: names the file in errors.

    Raises:
        InputError: the state dict, or the model, has no such segmentor, or they do not fit.
    """
    weights = select_role(state_dict, role, source)
    segmentor = model
    if isinstance(getattr(model, "model", None), nn.Module):
        segmentor = getattr(model, ROLE_PREFIX[role][:-1], None)
        if segmentor is None:
            raise InputError(f"{type(model).__name__} has no {role}: test the student")
        model.eval_model = role
    if getattr(segmentor, "auxiliary_head", None) is None:  # which takes no part in predicting
        weights = {k: v for k, v in weights.items() if not k.startswith("auxiliary_head.")}
    load_weights(segmentor, weights, source)


def _shown(keys: Iterable[str]) -> str:
    keys = list(keys)
    return ", ".join(keys[:SHOWN_KEYS]) + (", ..." if len(keys) > SHOWN_KEYS else "")


THREADS = 4  # the sums are made without the interpreter's lock
# Of a record's own header: how long it is, and where it says how long its name and the rest are.
HEADER, LENGTHS = 30, 26


def check_records(path: str | os.PathLike) -> bool:
    """Check every record of a zip archive against its CRC-32.

    Records without a sum, as torch writes them after ``set_crc32_options(False)``, are taken as
    they are.

    Returns:
        Whether the file can be mapped into memory: it is a zip archive, and not compressed.

    Raises:
        zipfile.BadZipFile: a record is damaged.
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
