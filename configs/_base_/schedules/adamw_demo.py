# 400 iterations, for a network without ImageNet weights.
_base_ = "adamw.py"
optim_wrapper = dict(
    optimizer=dict(lr=4e-3), paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=1.0)))
)
param_scheduler = [
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, end=401),
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, end=21),
]
train_cfg = dict(max_iters=400, val_interval=400)
