# DAFormer's network with a projection from all levels (SePiCo, experiments 4-6).
_base_ = "daformer_sepaspp_mitb5.py"
segmentor = dict(
    type="EncoderDecoderProjector",
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
