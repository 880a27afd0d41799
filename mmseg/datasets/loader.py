"""Data loaders whose workers report errors instead of hanging."""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from mmseg.utils import InputError

#: Seconds without a batch after which a loader fails, unless its config sets ``timeout``.
TIMEOUT = 600
# Explanations of the messages of torch's data loader.
_SHARED_MEMORY = (
    "/dev/shm is too small for the workers of the data loader: load in the training process with "
    "num_workers=0 (--cfg-options train_dataloader.num_workers=0 val_dataloader.num_workers=0, of "
    "tools.test test_dataloader.num_workers=0), or enlarge it (docker run --shm-size=8g)"
)
_LOADER_ERRORS = {
    "Too many open files": "the data loader has too many open files: raise the limit (ulimit -n "
    "65536), or load with fewer workers (num_workers)",
    "No space left on device": _SHARED_MEMORY,
    "Bus error": _SHARED_MEMORY,
    "DataLoader timed out": "the data loader has delivered nothing for a long time (its setting "
    "timeout, in seconds): is the disk or network of the data down?",
    "": "a worker of the data loader was killed, perhaps for lack of memory: load with fewer "
    "workers (num_workers) or smaller batches; --resume goes on from a run's last checkpoint",
}


def build_dataloader(cfg: Mapping[str, Any], **options: Any) -> DataLoader:
    """Build a data loader that does not hang, and ignore worker settings if there are no workers.

    Args:
        cfg: config of the data loader, which is not changed.
        options: options of mmengine's ``Runner.build_dataloader``.
    """
    cfg = dict(cfg)
    if not cfg.get("num_workers"):
        cfg["persistent_workers"] = False
        cfg.pop("prefetch_factor", None)
    loader = Runner.build_dataloader(cfg, **options)
    if loader.num_workers:
        loader.timeout = loader.timeout or TIMEOUT
        loader.collate_fn = partial(_shared_batch, loader.collate_fn)
    return loader


def _shared_batch(collate: Callable[[list], Any], samples: list) -> Any:
    """Collate a batch, and in a worker move its tensors to shared memory.

    Otherwise the queue would move them in a thread whose errors are lost: if the shared memory is
    full, the main process would wait for ever.
    """
    batch = collate(samples)
    if get_worker_info() is not None:
        for tensor in tensors_of(batch):
            tensor.share_memory_()
    return batch


def tensors_of(data: Any) -> Iterator[Tensor]:
    """Yield all tensors in a batch."""
    if isinstance(data, Tensor):
        yield data
    elif isinstance(data, Mapping | BaseDataElement):
        for value in data.values():
            yield from tensors_of(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from tensors_of(value)


@contextmanager
def loader_errors() -> Iterator[None]:
    """Report that workers of a data loader have died or lack shared memory as one error.

    Raises:
        InputError: instead of the various errors of torch in the main thread when a worker dies.
    """
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        reason = _loader_error(error)
        if reason is None:
            raise
        raise InputError(reason) from error


def _loader_error(error: Exception) -> str | None:
    if not isinstance(error, RuntimeError):
        names = (f.f_globals.get("__name__", "") for f, _ in traceback.walk_tb(error.__traceback__))
        if not any(name.removeprefix("torch.").startswith("multiprocessing.") for name in names):
            return None
        try:
            time.sleep(0.5)  # torch's report of a worker's death follows the closing of its pipes
        except RuntimeError as death:
            error = death
    text = str(error)
    if isinstance(error, RuntimeError) and "DataLoader" not in text:
        return None
    if "Original Traceback" in text and "shared memory" not in text:  # an error of the data set
        return None
    return next(reason for part, reason in _LOADER_ERRORS.items() if part in text)
