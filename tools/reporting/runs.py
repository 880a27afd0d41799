"""Read what training runs have left in their work dirs, and name the runs."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from experiments import VARIANT_NAMES
from mmseg.apis.train import ENVIRONMENT, FINISHED
from mmseg.utils import InputError
from mmseg.utils.config import load_config
from mmseg.utils.config_file import DATA_SUFFIXES
from tools.analysis.logs import (
    SCALARS,
    SEED,
    Curves,
    find_runs,
    read_rows,
    read_run,
    short_names,
)

Result = dict[str, Any]  # of mmseg.evaluation.result_dict


@dataclass(frozen=True)
class Run:
    """One training run, as it is stored.

    Attributes:
        folder: the work dir.
        config: the stored config.
        curves: logged values; empty if the run writes none, see ``LocalVisBackend``.
        validations: lines of the validations: ``step`` and ``results`` of student and teacher.
        tests: results of ``tools.test`` and of comparisons.
        phases: median seconds of each phase of a step; ``whole`` is the step.
        environment: hardware and versions of the last start; empty if they were not stored.
        finished: number of iterations of a run that was trained to its end.
    """

    folder: Path
    config: Config
    curves: Curves
    validations: list[dict[str, Any]]
    tests: list[Result]
    phases: dict[str, float]
    environment: dict[str, Any]
    finished: int | None

    @property
    def iteration(self) -> int:
        """Last iteration that is known."""
        logged = [int(curve.steps[-1]) for curve in self.curves.values()]
        return max([*logged, *(row["step"] for row in self.validations), self.finished or 0])

    @property
    def seed(self) -> int | None:
        """Seed of the run."""
        return (self.config.get("randomness") or {}).get("seed")


def find(paths: Sequence[Path]) -> list[Path]:
    """Find the work dirs: ``paths`` are runs, or folders of runs.

    Raises:
        InputError: if one of them contains no run.
    """
    runs: dict[Path, None] = {}
    for path in paths:
        is_run = (path / FINISHED).is_file() or any(path.glob("*/vis_data/*.json"))
        runs |= dict.fromkeys([path] if is_run else find_runs([str(path)]))
    return list(runs)


def read(folder: Path) -> Run:
    """Read a run.

    Raises:
        InputError: if the folder is not a run, the run has no result yet, or a file is damaged.
    """
    starts = sorted(folder.glob(f"*/{ENVIRONMENT}"))
    phases, validations = (read_rows(folder, name) for name in ("phases", "validation"))
    note = folder / FINISHED
    finished = int(note.read_text()) if note.is_file() else None
    has_log = any(log.stat().st_size for log in folder.glob(f"*/{SCALARS}"))
    has_result = bool(validations) or finished is not None
    names = dict.fromkeys(name for row in phases for name in row if name not in ("iter", "step"))
    return Run(
        folder=folder,
        curves=read_run(folder) if has_log or not has_result else {},
        config=_stored_config(folder),
        validations=validations,
        tests=[_json(path) for path in sorted(folder.glob("*_eval.json"))],
        # The first steps allocate memory, choose kernels and compile; a median is not affected.
        phases={n: float(np.median([row.get(n, 0.0) for row in phases])) for n in names},
        environment=_json(starts[-1]) if starts else {},
        finished=finished,
    )


def _stored_config(folder: Path) -> Config:
    for path in sorted(folder.iterdir()):
        is_config = path.suffix in (*DATA_SUFFIXES, ".py") and not path.stem.endswith("_eval")
        if is_config and not path.name.startswith("."):
            config = load_config(path)
            if isinstance(config.get("model"), dict):
                return config
    raise InputError(f"{folder} is not a run: there is no config in it")


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}): remove it") from error


def method_of(config: Config) -> str:
    """Name the method of a run like the papers do, for instance "MIC(HRDA)"."""
    model = config.model
    kind = str(model.type)
    terms = {term.get("type") for term in (model.get("terms") or {}).values() if term}
    if kind == "SourceOnly":
        return "source only"
    if kind.startswith("SePiCo"):
        variant = (model.get("contrast") or {}).get("variant")
        name = f"SePiCo ({VARIANT_NAMES.get(variant, variant)})" if variant else "SePiCo"
        return f"{name} + MIC" if "MaskedConsistency" in terms else name
    if kind in ("DACS", "SelfTraining"):
        name = "DACS"
        if "FeatureDistance" in terms:
            of_two_scales = str(model.segmentor.type).startswith("HRDA")
            name = "HRDA" if of_two_scales else "DAFormer"
        return f"MIC({name})" if "MaskedConsistency" in terms else name
    return kind


def network_of(config: Config) -> str:
    """Name decoder and backbone of a run."""
    segmentor = config.model.get("segmentor") or config.model
    head = segmentor.decode_head
    decoder = (head.get("head") or head).type
    backbone = segmentor.backbone
    depth = f"-{backbone.depth}" if "depth" in backbone else ""
    scales = "HRDA, " if head.type == "HRDAHead" else ""
    return f"{scales}{decoder} on {backbone.get('model_name') or backbone.type}{depth}"


def data_of(config: Config) -> str:
    """Name source and target of a run, with their folders."""
    dataset = (config.get("train_dataloader") or {}).get("dataset") or {}
    domains = [dataset.get("source"), dataset.get("target")]
    if not domains[1]:
        domains[1] = (config.get("val_dataloader") or {}).get("dataset")
    return " → ".join(
        f"{str(domain.type).removesuffix('Dataset')} ({str(domain.get('data_root')).rstrip('/')})"
        for domain in domains
        if domain
    )


def labels_of(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """Name runs by their methods and by how they differ.

    Returns:
        Name of each run, all different, and the name of its group: of the runs that differ only in
        their seed.
    """
    kinds = [_without_seed(run) for run in runs]
    first = {kind: i for i, kind in reversed(list(enumerate(kinds)))}
    methods = {kind: method_of(runs[i].config) for kind, i in first.items()}
    parts = {}
    for method in set(methods.values()):
        same = [kind for kind in first if methods[kind] == method]
        names = [SEED.sub("", runs[first[kind]].folder.resolve().name) for kind in same]
        parts |= dict(zip(same, short_names(names), strict=True)) if len(same) > 1 else {}
    groups = {
        kind: method if (part := parts.get(kind, method)) == method else f"{method} · {part}"
        for kind, method in methods.items()
    }
    groups = dict(zip(groups, _distinct(list(groups.values())), strict=True))
    several = {kind for kind in kinds if kinds.count(kind) > 1}
    labels = [
        f"{groups[kind]} · seed {run.seed}" if kind in several else groups[kind]
        for run, kind in zip(runs, kinds, strict=True)
    ]
    return _distinct(labels), [groups[kind] for kind in kinds]


def _distinct(names: list[str]) -> list[str]:
    """Number the names that occur several times."""
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


# What differs between runs of one setting: names, seeds, and which pretraining they start from.
_OF_ONE_RUN = ("experiment_name", "work_dir", "randomness", "git_rev")
_CHECKPOINT = re.compile(r'"[^"]*\.pth"')


def _without_seed(run: Run) -> str:
    settings = {k: v for k, v in run.config.to_dict().items() if k not in _OF_ONE_RUN}
    return _CHECKPOINT.sub('"a checkpoint"', json.dumps(settings, sort_keys=True, default=str))
