# DAFormer's decoder and SePiCo's projection on a backbone of timm.
_base_ = "daformer_sepaspp_timm.py"
segmentor = dict(
    type="EncoderDecoderProjector",
    auxiliary_head=dict(
        type="ProjHead",
        in_channels=(768, 768, 768, 768),
        in_index=(0, 1, 2, 3),
        input_transform="resize_concat",
        channels=512,
        num_convs=2,
        norm_cfg=dict(type="BN", requires_grad=True),
        align_corners=False,
    ),
)
