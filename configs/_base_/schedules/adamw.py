# AdamW on the student; experiments.py adds which parameters learn faster or do not decay.
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="StudentOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=6e-05, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))),
)
