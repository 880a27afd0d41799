# DAFormer's decoder on a backbone of timm, tested by windows; experiments.py sets the backbone.
_base_ = "daformer_sepaspp_mitb5.py"
segmentor = dict(
    backbone=dict(
        _delete_=True,
        type="TIMMViT",
        model_name="vit_base_patch14_dinov2",
        init_cfg=dict(type="Pretrained", checkpoint="pretrained/vit_base_patch14_dinov2.pth"),
    ),
    decode_head=dict(in_channels=(768, 768, 768, 768)),
    test_cfg=dict(mode="slide", crop_size=(1024, 1024), stride=(512, 512)),
)
