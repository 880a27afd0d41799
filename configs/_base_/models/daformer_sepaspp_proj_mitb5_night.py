# The same network with class weights, for Cityscapes to Dark Zurich.
_base_ = ["daformer_sepaspp_proj_mitb5.py", "cityscapes_class_weights.py"]
segmentor = dict(
    decode_head=dict(loss_decode=dict(class_weight={{_base_.train_class_weight}})),
    test_cfg=dict(class_weight={{_base_.test_class_weight}}),
)
