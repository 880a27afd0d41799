"""Sample, measure and embed projection features of pixels.

N: pixels, A: feature dimensions, C: classes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.datasets.class_names import IGNORE_INDEX
from mmseg.utils import InputError


def sample_per_class(label: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Draw up to ``most`` pixels of each class that occurs, without replacement.

    Args:
        label: (N,) integers; 255 is ignored.
        most: largest number of pixels per class.
        generator: generator on the CPU.

    Returns:
        (n,) long, ascending indices.
    """
    label = label.cpu()
    chosen = [
        _draw((label == value).nonzero()[:, 0], most, generator)
        for value in label.unique().tolist()
        if value != IGNORE_INDEX
    ]
    return torch.cat(chosen).sort().values if chosen else torch.zeros(0, dtype=torch.long)


def sample_equally(labels: Sequence[Tensor], most: int, generator: torch.Generator) -> list[Tensor]:
    """Draw from each domain the same number of pixels of each class.

    It is at most ``most``, and the number in the domain with the fewest pixels of the class.

    Args:
        labels: (N_d,) for each domain.
        most: largest number of pixels per class.
        generator: generator on the CPU.

    Returns:
        (n,) long indices for each domain, all of the same length.
    """
    counts = torch.stack([torch.bincount(label, minlength=256) for label in labels])
    number = counts.amin(0).clamp_max(most)
    return [
        torch.cat(
            [
                _draw((label == value).nonzero()[:, 0], count, generator)
                for value, count in enumerate(number.tolist())
            ]
        )
        for label in labels
    ]


def _draw(index: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return index[torch.randperm(len(index), generator=generator)[:count]]


def class_centroids(features: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Compute the mean feature of each class, (C, A); ``nan`` for absent classes."""
    one_hot = F.one_hot(label, num_classes).to(features)
    return one_hot.T @ features / one_hot.sum(0)[:, None]


def pixel_discrimination_distance(features: Tensor, label: Tensor, num_classes: int) -> Tensor:
    r"""Measure how well the pixels of a class are separated from other classes (PDD).

    For class c, with the centroids :math:`\mu_k` of all classes k that occur,

    .. math:: PDD(c) = \operatorname{mean}_{i \in c}
              \frac{\cos(f_i, \mu_c)}{\sum_{k \neq c} \cos(f_i, \mu_k)}

    as in the analysis of features in SePiCo (Xie et al., TPAMI 2023, "pixel-wise discrimination
    distance"). Higher is better. It assumes non-negative cosines, as of features after a ReLU, and
    depends on the number of classes: compare models on the same pixels.

    Args:
        features: (N, A).
        label: (N,) long in [0, C).
        num_classes: C.

    Returns:
        (C,) float64; ``nan`` for an absent class, or if there is only one.
    """
    features = F.normalize(features.double(), dim=1)
    centroids = F.normalize(class_centroids(features, label, num_classes), dim=1)
    cosines = (features @ centroids.T).nan_to_num(0)  # (N, C); 0 for absent classes
    own = cosines.gather(1, label[:, None])[:, 0]
    ratio = own / (cosines.sum(1) - own)
    per_class = class_centroids(ratio[:, None], label, num_classes)[:, 0]
    alone = len(label.unique()) < 2
    return torch.full_like(per_class, torch.nan) if alone else per_class


def check_tsne() -> None:
    """Raise InputError unless scikit-learn is installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise InputError(
            "t-SNE needs scikit-learn: pip install scikit-learn, or leave it out with --what pdd"
        ) from error


def tsne(features: Tensor, seed: int) -> Tensor:
    """Embed features (N, A) in the plane by t-SNE, (N, 2) float32.

    t-SNE of scikit-learn (van der Maaten and Hinton, JMLR 2008), initialised by the two principal
    components; the result is the same for the same seed.
    """
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    layout = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return torch.from_numpy(layout.fit_transform(features.float().numpy()))
