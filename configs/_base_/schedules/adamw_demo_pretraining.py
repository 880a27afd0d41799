# 800 iterations on the source, whose weights the runs of a demo start from.
_base_ = "adamw_demo.py"
param_scheduler = [
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, end=801),
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, end=21),
]
train_cfg = dict(max_iters=800, val_interval=800)
