# DACS as in DAFormer's release: self-training on mixed images, source and target drawn uniformly.
model = dict(
    type="DACS",
    alpha=0.99,
    pseudo_threshold=0.968,
    augment_source_and_target=False,
    augment_mixed=True,
    color_jitter_strength=0.2,
    color_jitter_threshold=0.2,
    blur=True,
)
