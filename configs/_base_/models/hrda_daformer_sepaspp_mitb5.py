# HRDA: DAFormer's network at two scales, and a smaller decoder for the attention between them.
_base_ = "daformer_sepaspp_mitb5.py"
segmentor = dict(
    type="HRDAEncoderDecoder",
    decode_head=dict(
        _delete_=True,
        type="HRDAHead",
        head={{_base_.segmentor.decode_head}},
        scale_attention=dict(
            type="DAFormerHead",
            in_channels=(64, 128, 320, 512),
            in_index=(0, 1, 2, 3),
            embed_dims=256,
            channels=256,
            dilations=None,
            dropout_ratio=0.1,
            num_classes=19,
            norm_cfg=dict(type="BN", requires_grad=True),
            align_corners=False,
        ),
        detail_loss_weight=0.1,
    ),
    context_scale=0.5,
    detail_size=(512, 512),
    detail_divisor=8,
    test_cfg=dict(mode="slide", crop_size=(1024, 1024), stride=(512, 512)),
)
