"""Misspelt settings, found before anything is built from them."""

import difflib
import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Any

from mmengine import registry as mmengine_registries
from mmengine import runner as mmengine_runner
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

import mmseg.registry as mmseg_registries
from mmseg.datasets.rare_class_sampling import RareClassSampling

from .errors import InputError

# Top-level settings that mmseg reads beside those of the Runner.
_OWN_KEYS = {
    "aug_test",
    "exp",
    "git_rev",
    "not_for_training",
    "performance",
    "sync_bn",
    "tta_model",
    "tta_pipeline",
    "validate",
}
# What the registry and the Runner take out of a config before its class sees it.
_NOT_FOR_THE_CLASS = {
    "type",
    "_scope_",
    "_delete_",
    "priority",
    "constructor",
    "paramwise_cfg",
    "convert_to_iter_based",
    "override",
}
# Configs of layers and their initialisation: others take keys out of these before a class sees it.
_LOOSE_CONFIGS = {"norm_cfg", "act_cfg", "conv_cfg", "upsample_cfg", "override"}


def check_config(cfg: Config, parts: Collection[str] | None = None) -> None:
    """Check every ``type`` and every key beside it against what is registered.

    Top-level names may be anything (configs hold their own variables there), unless they look like
    a misspelt setting.

    Args:
        parts: look only into these top-level settings; all by default.

    Raises:
        InputError: the first misspelt type or key, where it stands and what may have been meant.
    """
    known = set(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"} | _OWN_KEYS
    for key in cfg:
        if key not in known and not key.endswith("_pipeline"):
            meant = difflib.get_close_matches(key, known, 1, cutoff=0.85)
            if meant:
                raise InputError(f"the config has no setting {key!r}: did you mean {meant[0]!r}?")
    registries = [
        registry
        for module in (mmseg_registries, mmengine_registries)
        for registry in vars(module).values()
        if isinstance(registry, Registry)
    ]
    for key in cfg:
        if key in (known if parts is None else parts):
            _check_node(cfg[key], key, registries)


def _check_node(node: Any, path: str, registries: list[Registry]) -> None:
    if isinstance(node, list | tuple):
        for i, child in enumerate(node):
            _check_node(child, f"{path}[{i}]", registries)
    if not isinstance(node, dict):
        return
    name = path.rsplit(".", 1)[-1]
    if isinstance(node.get("type"), str):
        target = _lookup(node["type"], path, registries)
        if name not in _LOOSE_CONFIGS:
            _check_keys(node, _accepted_keys(target), f"{path}: {node['type']} has no argument")
    elif "type" not in node:
        _check_untyped(node, path, name)
    for key, child in node.items():
        _check_node(child, f"{path}.{key}", registries)


def _lookup(name: str, path: str, registries: list[Registry]) -> Any:
    """The class or function that is registered as ``name``, which may begin with a scope."""
    for registry in registries:
        found = registry.get(name)
        if found is not None:
            return found
    names = {known for registry in registries for known in registry.module_dict}
    meant = difflib.get_close_matches(name, names, 1)
    hint = f": did you mean {meant[0]!r}?" if meant else ", and nothing is called like it"
    raise InputError(f"{path}.type is {name!r}, which is not registered{hint}")


def _check_untyped(node: dict, path: str, name: str) -> None:
    """Check a dict that names no type, where it is known who takes it."""
    accepted = _UNTYPED.get(path) or _UNTYPED.get(f"*.{name}")
    if accepted:
        _check_keys(node, accepted, f"{path} has no setting")
    for key in node if name in _EXTENSIBLE else ():
        meant = difflib.get_close_matches(key, _EXTENSIBLE[name], 1, cutoff=0.8)
        if meant and key not in _EXTENSIBLE[name]:
            raise InputError(f"{path} has no setting {key!r}: did you mean {meant[0]!r}?")


def _check_keys(node: dict, accepted: set[str | None], complaint: str) -> None:
    takes_any = None in accepted
    names = accepted - {None}
    for key in node:
        if key in _NOT_FOR_THE_CLASS or key in names:
            continue
        meant = difflib.get_close_matches(key, names, 1, cutoff=0.9 if takes_any else 0.6)
        if meant or not takes_any:
            hint = f"did you mean {meant[0]!r}?" if meant else f"it takes {sorted(names)}"
            raise InputError(f"{complaint} {key!r}: {hint}")


def _accepted_keys(*targets: Callable) -> set[str | None]:
    """Keyword names of classes or functions; None among them if one takes any."""
    return {name for target in targets for name in _keywords(target)} - {"self"}


def _keywords(target: Callable) -> Iterator[str | None]:
    # A class that passes **kwargs on accepts what its bases do.
    for owner in inspect.getmro(target) if inspect.isclass(target) else (target,):
        function = owner.__dict__.get("__init__") if inspect.isclass(owner) else owner
        if function is None:
            continue
        parameters = inspect.signature(function).parameters.values()
        yield from (
            p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        )
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return
    yield None


_LOADER = _accepted_keys(DataLoader) | {
    "dataset",
    "num_batch_per_epoch",
    "disable_subprocess_warning",
}
# Dicts without a type, by their path or as "*.<name>" anywhere, and the keys that they take.
_UNTYPED = {
    "train_dataloader": _LOADER,
    "val_dataloader": _LOADER,
    "test_dataloader": _LOADER,
    "train_cfg": {"by_epoch"}
    | _accepted_keys(mmengine_runner.EpochBasedTrainLoop, mmengine_runner.IterBasedTrainLoop),
    "val_cfg": _accepted_keys(mmengine_runner.ValLoop),
    "test_cfg": _accepted_keys(mmengine_runner.TestLoop),
    "optim_wrapper": _accepted_keys(OptimWrapper),
    "log_processor": _accepted_keys(mmengine_runner.LogProcessor),
    "randomness": _accepted_keys(Runner.set_randomness),
    "auto_scale_lr": {"enable", "base_batch_size"},
    "env_cfg": {"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"},
    "env_cfg.mp_cfg": _accepted_keys(set_multi_processing),
    "*.rare_class_sampling": _accepted_keys(RareClassSampling),
}
# Dicts that may have other keys too, but none that only looks like one of these.
_EXTENSIBLE = {
    "default_hooks": {
        "runtime_info",
        "timer",
        "sampler_seed",
        "logger",
        "param_scheduler",
        "checkpoint",
    },
    "data_prefix": {"img_path", "seg_map_path"},
    "metainfo": {"classes", "palette"},
}
