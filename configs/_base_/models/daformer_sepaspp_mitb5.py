# DAFormer's decoder on SegFormer's MiT-B5 (DAFormer).
segmentor = dict(
    type="EncoderDecoder",
    backbone=dict(
        type="mit_b5",
        init_cfg=dict(type="Pretrained", checkpoint="pretrained/mit_b5.pth"),
    ),
    decode_head=dict(
        type="DAFormerHead",
        in_channels=(64, 128, 320, 512),
        in_index=(0, 1, 2, 3),
        embed_dims=256,
        channels=256,
        dilations=(1, 6, 12, 18),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type="BN", requires_grad=True),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    test_cfg=dict(mode="whole"),
)
