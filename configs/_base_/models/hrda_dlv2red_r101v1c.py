# HRDA: DeepLab-v2 with two dilations at two scales, and another decoder for the attention.
_base_ = "dlv2red_r101v1c.py"
segmentor = dict(
    type="HRDAEncoderDecoder",
    decode_head=dict(
        _delete_=True,
        type="HRDAHead",
        head={{_base_.segmentor.decode_head}},
        scale_attention=dict(
            type="DLV2Head",
            in_channels=2048,
            in_index=3,
            dilations=(6, 12),
            num_classes=19,
            align_corners=False,
        ),
        detail_loss_weight=0.1,
    ),
    context_scale=0.5,
    detail_size=(512, 512),
    detail_divisor=8,
)
