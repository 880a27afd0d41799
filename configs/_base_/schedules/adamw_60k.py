# 60k iterations, for Cityscapes to Dark Zurich.
_base_ = "adamw.py"
param_scheduler = [
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, end=60001),
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, end=1501),
]
train_cfg = dict(max_iters=60000)
