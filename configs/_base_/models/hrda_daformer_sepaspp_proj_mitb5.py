# HRDA with a projection of the context from all levels (SePiCo on HRDA).
_base_ = "hrda_daformer_sepaspp_mitb5.py"
segmentor = dict(
    type="HRDAEncoderDecoderProjector",
    auxiliary_head=dict(
        type="ProjHead",
        in_channels=(64, 128, 320, 512),
        in_index=(0, 1, 2, 3),
        input_transform="resize_concat",
        channels=512,
        num_convs=2,
        norm_cfg=dict(type="BN", requires_grad=True),
        align_corners=False,
    ),
)
