"""Convert checkpoints and pretrained weights from and to the layouts of other projects."""
