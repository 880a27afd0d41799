# A network of the demos: DAFormer's decoder and a projection on a tiny DINOv3 without its weights.
_base_ = "daformer_sepaspp_proj_mitb5.py"
segmentor = dict(
    backbone=dict(
        _delete_=True,
        type="TIMMViT",
        model_name="vit_small_patch16_dinov3",
        patch_size=8,
        options=dict(depth=8, embed_dim=128, num_heads=4),
    ),
    decode_head=dict(in_channels=(128, 128, 128, 128), embed_dims=32, channels=32),
    auxiliary_head=dict(in_channels=(128, 128, 128, 128), channels=64),
)
