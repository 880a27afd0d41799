# Masked image consistency (MIC), a term of any method: 32-pixel blocks for crops of 512.
mic_term = dict(
    type="MaskedConsistency",
    block_size=64,
    mask_ratio=0.7,
    mask_mode="separatetrgaug",
    loss_weight=1.0,
)
