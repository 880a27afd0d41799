# DeepLab-v2 with two dilations on ResNet-101-V1c (DACS, and the ablations of DAFormer, HRDA, MIC).
segmentor = dict(
    type="EncoderDecoder",
    backbone=dict(
        type="ResNetV1c",
        depth=101,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
        init_cfg=dict(type="Pretrained", checkpoint="pretrained/resnet101_v1c.pth"),
    ),
    decode_head=dict(
        type="DLV2Head",
        in_channels=2048,
        in_index=3,
        dilations=(6, 12),
        num_classes=19,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    test_cfg=dict(mode="whole"),
)
