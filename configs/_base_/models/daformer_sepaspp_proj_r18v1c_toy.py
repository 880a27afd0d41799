# The demo's network: DAFormer's decoder and a projection on ResNet-18-V1c of half the width.
_base_ = "daformer_sepaspp_proj_mitb5.py"
segmentor = dict(
    backbone=dict(
        _delete_=True,
        type="ResNetV1c",
        depth=18,
        base_channels=32,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type="BN", requires_grad=True),
    ),
    decode_head=dict(in_channels=(32, 64, 128, 256), embed_dims=32, channels=32),
    auxiliary_head=dict(in_channels=(32, 64, 128, 256), channels=64),
)
