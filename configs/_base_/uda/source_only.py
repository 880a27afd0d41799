# The baseline: the same network and source images, without a target.
model = dict(
    type="SourceOnly",
    augment_source_and_target=True,
    color_jitter_strength=0.2,
    color_jitter_threshold=0.2,
    blur=True,
)
