"""Tell which GPUs have the memory for an experiment: the counting mode of ``tools.benchmark``."""

import argparse
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from itertools import product
from multiprocessing import get_context
from typing import Any

from mmengine.config import Config

from mmseg.evaluation.report import align

from .measure import sized, synthetic_batches, title
from .memory import KINDS, FakeStep, count_memory
from .report import write_json
from .training import TrainingSettings, Workload, chosen

#: GiB of memory of the GPUs to compare with.
CARDS = (12, 24, 48, 80)
#: Memory to leave free: GiB for CUDA's context, and a share of the counted bytes.
CONTEXT, HEADROOM = 0.5, 0.1
GIB = 2**30
LEGEND = f"""\
GiB at the peak of a training step with all losses, counted on fake tensors. Each loss has a
backward pass that frees its activations, so the largest loss counts; gradients of weights are
there from the first backward pass on. Activations include their gradients and weights in half
precision. Left out: CUDA's context (about {CONTEXT} GiB), workspaces of cuDNN, gaps between blocks
of the allocator, strong augmentation, and what torch.compile changes. "Fits" leaves {CONTEXT} GiB
and {HEADROOM:.0%} of the count for them. Checkpointing: --activation-checkpointing."""


def main(args: argparse.Namespace) -> None:
    """Count, print, and write what ``--json`` asks for."""
    tasks = [
        (cfg, workload_of(cfg, args), settings)
        for cfg in args.cfgs
        for settings in settings_of(cfg, args)
    ]
    workers = min(len(tasks), os.cpu_count() or 1)
    if workers == 1:
        counts = [count_one(*task) for task in tasks]
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            counts = list(pool.map(count_one, *zip(*tasks, strict=True)))
    print(cards_table(counts) if len(args.cfgs) > 1 else memory_table(counts))
    if args.json:
        write_json(args.json, {"benchmark": "memory", "counts": counts})


def workload_of(cfg: Config, args: argparse.Namespace) -> Workload:
    """Return crop and batch of the command line, or else of the config."""
    size = cfg.model.get("data_preprocessor", {}).get("size")
    loader = cfg.get("train_dataloader") or {}
    default = Workload()
    crop = args.crop if args.crop is not None else max(size) if size else default.crop
    batch = args.batch if args.batch is not None else loader.get("batch_size", default.batch)
    return Workload(crop, batch)


def settings_of(cfg: Config, args: argparse.Namespace) -> list[TrainingSettings]:
    """Return the precisions of config and bf16, each without and with checkpointing.

    The command line can choose one of them.
    """
    base = TrainingSettings.of(cfg, chosen(args), {"compile": False})
    precisions = [base.precision] if args.precision else dict.fromkeys([base.precision, "bf16"])
    choice = args.activation_checkpointing
    checkpointing = [False, True] if choice is None else [choice]
    return [
        replace(base, precision=precision, activation_checkpointing=saves)
        for precision, saves in product(precisions, checkpointing)
    ]


def count_one(cfg: Config, workload: Workload, settings: TrainingSettings) -> dict[str, Any]:
    """Count the memory of a step with one setting.

    Returns:
        ``title``, ``workload``, ``settings``, the bytes of each of ``KINDS`` at the ``peak``, its
        ``phase``, and the sum of the bytes at the peak of each of the ``phases``.

    Raises:
        InputError: if the config has no method to train.
    """
    step = FakeStep(sized(cfg, workload.crop), settings)
    phases = count_memory(step, synthetic_batches(step.model, workload)[0])
    largest = max(phases, key=lambda name: phases[name].total())
    return {
        "title": title(cfg),
        "workload": asdict(workload),
        "settings": asdict(settings),
        "phase": largest,
        "peak": {kind: phases[largest][kind] for kind in KINDS},
        "phases": {name: peak.total() for name, peak in phases.items()},
    }


def fits(peak: Mapping[str, int], card: int) -> bool:
    """Tell whether counted bytes leave room on a GPU of ``card`` GiB, see ``LEGEND``."""
    return Counter(peak).total() * (1 + HEADROOM) + CONTEXT * GIB <= card * GIB


def memory_table(counts: Sequence[Mapping[str, Any]]) -> str:
    """Format the memory of one experiment, a column for each setting."""
    header = ("GiB", *(_heading(each) for each in counts))
    kinds = [[kind, *(_gib(each["peak"][kind]) for each in counts)] for kind in KINDS]
    totals = ["all, at the peak", *(_gib(sum(each["peak"].values())) for each in counts)]
    where = ["which is in", *(each["phase"] for each in counts)]
    names = dict.fromkeys(name for each in counts for name in each["phases"])
    phases = [
        [f"peak of {name}", *(_gib(each["phases"].get(name, 0)) for each in counts)]
        for name in names
        if name != "rest"
    ]
    cards = [
        [f"{card} GB", *("fits" if fits(each["peak"], card) else "does not fit" for each in counts)]
        for card in CARDS
    ]
    table = align(header, kinds, [totals, where], phases, cards)
    return "\n".join([_workload(counts[0]), "", table, "", LEGEND])


def cards_table(counts: Sequence[Mapping[str, Any]]) -> str:
    """Format a row for each experiment and precision, as Markdown."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in counts:
        groups.setdefault((_workload(each), each["settings"]["precision"]), []).append(each)
    names = {False: "GiB", True: "with checkpointing"}
    rows = [("what", "precision", *names.values(), *(f"{card} GB" for card in CARDS))]
    rows.append(("---",) * len(rows[0]))
    for (work, precision), group in groups.items():
        peaks = {each["settings"]["activation_checkpointing"]: each["peak"] for each in group}
        sizes = [_gib(sum(peaks[saves].values())) if saves in peaks else "" for saves in names]
        rows.append((work, precision, *sizes, *(_verdict(peaks, card) for card in CARDS)))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{table}\n\n{LEGEND}"


def _verdict(peaks: Mapping[bool, Mapping[str, int]], card: int) -> str:
    if False in peaks and fits(peaks[False], card):
        return "fits"
    return (
        "fits with checkpointing" if True in peaks and fits(peaks[True], card) else "does not fit"
    )


def _heading(count: Mapping[str, Any]) -> str:
    settings = count["settings"]
    saves = settings["activation_checkpointing"]
    return settings["precision"] + (", checkpointing" if saves else "")


def _workload(count: Mapping[str, Any]) -> str:
    work = count["workload"]
    return f"{count['title']}, batch {work['batch']} + {work['batch']}, crop {work['crop']}"


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}"
