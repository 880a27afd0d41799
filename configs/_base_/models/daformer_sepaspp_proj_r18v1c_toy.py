# The demo's network: DAFormer's decoder on ResNet-18-V1c, decoder and projection of 64 channels.
segmentor = dict(
    type="EncoderDecoderProjector",
    backbone=dict(
        type="ResNetV1c",
        depth=18,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type="BN", requires_grad=True),
    ),
    decode_head=dict(
        type="DAFormerHead",
        in_channels=(64, 128, 256, 512),
        in_index=(0, 1, 2, 3),
        embed_dims=64,
        channels=64,
        dilations=(1, 6, 12, 18),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type="BN", requires_grad=True),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type="ProjHead",
        in_channels=(64, 128, 256, 512),
        in_index=(0, 1, 2, 3),
        input_transform="resize_concat",
        channels=64,
        num_convs=2,
        norm_cfg=dict(type="BN", requires_grad=True),
        align_corners=False,
    ),
    test_cfg=dict(mode="whole"),
)
