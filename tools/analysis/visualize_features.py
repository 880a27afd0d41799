"""Show how a model separates the classes in both domains: a picture, a chart and numbers."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from mmengine.config import Config

from mmseg.apis.init_model import init_model
from mmseg.evaluation.report import align
from mmseg.utils import InputError, atomic_path, check_writable
from mmseg.utils.checkpoint import Role
from tools.analysis.charts import draw_bars, draw_clouds
from tools.analysis.feature_samples import (
    PIXELS_PER_IMAGE,
    DomainFeatures,
    projector_of,
    sample_features,
    source_and_target,
)
from tools.analysis.features import check_tsne, pixel_discrimination_distance, sample_equally, tsne

Part = Literal["tsne", "pdd"]
TSNE_FILE, PDD_FILE, JSON_FILE = "tsne.png", "pdd.png", "pdd.json"


def visualize_features(
    cfg: Config,
    checkpoint: str | os.PathLike,
    out_dir: Path,
    parts: tuple[Part, ...] = ("tsne", "pdd"),
    role: Role = "student",
    num_images: int = 50,
    pixels: int = 100,
    seed: int = 0,
    device: str = "auto",
    pixels_per_image: int = PIXELS_PER_IMAGE,
) -> dict[str, Any]:
    """Show the projection features of labelled source and target images.

    Args:
        cfg: config of a run that adapts a labelled source to a target with labelled validation
            images.
        checkpoint: checkpoint of that run.
        out_dir: folder for ``tsne.png``, pixels in a plane, coloured by class and by domain, and
            ``pdd.png`` and ``pdd.json``, the
            :func:`~tools.analysis.features.pixel_discrimination_distance` of each class in each
            domain.
        parts: which of the two.
        role: whether the student or the teacher projects.
        num_images: number of images of each domain.
        pixels: number of pixels of each class and domain in the plane; fewer if a domain has fewer
            of the class.
        seed: seed of all random draws.
        device: ``auto``, ``cpu`` or ``cuda``.
        pixels_per_image: largest number of pixels of each class in an image.

    Returns:
        The content of ``pdd.json``, without "pdd" if ``parts`` does not have it.

    Raises:
        InputError: if there is a mistake in the input.
    """
    _check(parts, num_images, pixels)
    check_writable(out_dir, "--out")
    datasets = source_and_target(cfg)
    model = init_model(cfg, checkpoint, device, role)
    projector_of(model)
    generator = torch.Generator().manual_seed(seed)
    domains = {
        name: sample_features(model, dataset, num_images, generator, name, pixels_per_image)
        for name, dataset in datasets.items()
    }
    meta = datasets["target"].metainfo
    result: dict[str, Any] = {
        "checkpoint": str(checkpoint),
        "config": cfg.filename,
        "model": role,
        "seed": seed,
        "images": {name: domain.num_images for name, domain in domains.items()},
    }
    if "pdd" in parts:
        result["pdd"] = _pdd(domains, meta["classes"])
        draw_bars(out_dir / PDD_FILE, result["pdd"], "pixel-wise discrimination distance")
        with atomic_path(out_dir / JSON_FILE) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if "tsne" in parts:
        _draw_plane(out_dir / TSNE_FILE, domains, meta, pixels, generator, seed)
    return result


def _check(parts: tuple[Part, ...], num_images: int, pixels: int) -> None:
    unknown = [part for part in parts if part not in get_args(Part)]
    if unknown or not parts:
        raise InputError(f"--what {unknown}: choose from {', '.join(get_args(Part))}")
    for option, value in (("--images", num_images), ("--pixels", pixels)):
        if value < 1:
            raise InputError(f"{option} must be at least 1, not {value}")
    if "tsne" in parts:
        check_tsne()


def _pdd(
    domains: Mapping[str, DomainFeatures], classes: tuple[str, ...]
) -> dict[str, dict[str, float | None]]:
    """Compute domain -> class -> distance, None for an absent class."""
    result = {}
    for name, domain in domains.items():
        values = pixel_discrimination_distance(domain.features, domain.label, len(classes))
        result[name] = {
            label: round(value, 6) if math.isfinite(value) else None
            for label, value in zip(classes, values.tolist(), strict=True)
        }
    return result


def _draw_plane(
    path: Path,
    domains: Mapping[str, DomainFeatures],
    meta: Mapping[str, Any],
    pixels: int,
    generator: torch.Generator,
    seed: int,
) -> None:
    chosen = sample_equally([d.label for d in domains.values()], pixels, generator)
    parts = list(zip(domains.values(), chosen, strict=True))
    features = torch.cat([domain.features[index] for domain, index in parts])
    if len(features) < 4:
        raise InputError("source and target share too few pixels of a class: increase --images")
    draw_clouds(
        path,
        tsne(features, seed).numpy(),
        torch.cat([domain.label[index] for domain, index in parts]).numpy(),
        [name for name, index in zip(domains, chosen, strict=True) for _ in index],
        meta["classes"],
        meta["palette"],
    )


def pdd_table(result: Mapping[str, Any]) -> str:
    """Format the distances of :func:`visualize_features`, one row per class, and their means."""
    pdd = result["pdd"]
    rows = [
        (label, *(_number(values[label]) for values in pdd.values()))
        for label in next(iter(pdd.values()))
    ]
    means = ("mean", *(_number(_mean(values)) for values in pdd.values()))
    return align(("PDD", *pdd), rows, [means])


def _mean(values: Mapping[str, float | None]) -> float | None:
    known = [value for value in values.values() if value is not None]
    return sum(known) / len(known) if known else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
