"""Checkpoints and pretrained weights in the layouts of other projects."""
