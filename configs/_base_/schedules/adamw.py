# AdamW on the student, heads ten times as fast; 40k iterations: lr(t) = lr * (1 - t / T), times a
# line from 1e-6 at t = 0 to 1 at the end of the warm-up. mmengine counts the last point of a
# schedule: its `end` is one more than the iterations.
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
