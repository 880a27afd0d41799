"""SePiCo-mmseg: domain-adaptive semantic segmentation by semantic-guided pixel contrast."""

__version__ = "0.1.0"
