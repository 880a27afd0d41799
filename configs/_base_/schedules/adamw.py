# AdamW for the student, with ten times the learning rate for heads, and 40k iterations:
# lr(t) = lr * (1 - t / T), times a linear warm-up from 1e-6 at t = 0 to 1. The `end` of a
# schedule in mmengine counts its last point, so it is one more than the number of iterations.
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="StudentOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=6e-05, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))),
)
param_scheduler = [
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, end=40001),
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, end=1501),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=40000, val_interval=1000)
