# The same network with class weights, for Cityscapes to Dark Zurich.
_base_ = ["dlv2_proj_r101v1c.py", "cityscapes_class_weights.py"]
segmentor = dict(
    decode_head=dict(loss_decode=dict(class_weight={{_base_.train_class_weight}})),
    test_cfg=dict(class_weight={{_base_.test_class_weight}}),
)
