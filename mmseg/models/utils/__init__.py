"""Functions of tensors that the methods use, and the class statistics."""

from .label_downscale import downscale_label
from .proto_estimator import ProtoEstimator, class_moments

__all__ = ["ProtoEstimator", "class_moments", "downscale_label"]
