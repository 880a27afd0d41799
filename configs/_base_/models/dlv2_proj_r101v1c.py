# DeepLab-v2 with four dilations and a projection from the last stage (SePiCo, experiments 1-3).
_base_ = "dlv2red_r101v1c.py"
segmentor = dict(
    type="EncoderDecoderProjector",
    decode_head=dict(dilations=(6, 12, 18, 24)),
    auxiliary_head=dict(
        type="ProjHead",
        in_channels=2048,
        in_index=3,
        input_transform=None,
        channels=512,
        num_convs=2,
        norm_cfg=dict(type="BN", requires_grad=True),
        align_corners=False,
    ),
)
