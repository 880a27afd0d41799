"""Registries of this package, children of mmengine's, so that names of both are found.

A registry imports its ``locations`` when it first builds something, so that nothing has to be
imported before ``Runner.from_cfg``.
"""

from mmengine import registry as _mmengine
from mmengine.registry import Registry


def _child(name: str, *locations: str) -> Registry:
    parent = getattr(_mmengine, name)
    return Registry(parent.name, parent=parent, scope="mmseg", locations=list(locations))


MODELS = _child("MODELS", "mmseg.models")
DATASETS = _child("DATASETS", "mmseg.datasets")
TRANSFORMS = _child("TRANSFORMS", "mmseg.datasets.transforms")
DATA_SAMPLERS = _child("DATA_SAMPLERS", "mmseg.datasets.samplers")
METRICS = _child("METRICS", "mmseg.evaluation")
HOOKS = _child("HOOKS", "mmseg.engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child("OPTIM_WRAPPER_CONSTRUCTORS", "mmseg.engine")
# Nothing of ours is in these; without them mmengine warns that it has to look in its own.
EVALUATOR = _child("EVALUATOR", "mmseg.engine")
LOOPS = _child("LOOPS", "mmseg.engine")
OPTIM_WRAPPERS = _child("OPTIM_WRAPPERS", "mmseg.engine")
OPTIMIZERS = _child("OPTIMIZERS", "mmseg.engine")
PARAM_SCHEDULERS = _child("PARAM_SCHEDULERS", "mmseg.engine")
VISBACKENDS = _child("VISBACKENDS", "mmseg.engine")
VISUALIZERS = _child("VISUALIZERS", "mmseg.engine")
WEIGHT_INITIALIZERS = _child("WEIGHT_INITIALIZERS", "mmseg.models")
#: All registries that a config can use: ours first, then mmengine's.
REGISTRIES = [
    each
    for names in (globals(), vars(_mmengine))
    for each in names.values()
    if isinstance(each, Registry)
]
