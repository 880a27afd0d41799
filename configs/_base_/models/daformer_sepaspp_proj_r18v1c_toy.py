# The demo's network: DAFormer's decoder on ResNet-18-V1c, decoder and projection of 64 channels.
_base_ = "daformer_sepaspp_proj_mitb5.py"
segmentor = dict(
    backbone=dict(
        _delete_=True,
        type="ResNetV1c",
        depth=18,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type="BN", requires_grad=True),
    ),
    decode_head=dict(in_channels=(64, 128, 256, 512), embed_dims=64, channels=64),
    auxiliary_head=dict(in_channels=(64, 128, 256, 512), channels=64),
)
