# The default runtime, for runs of a few minutes.
_base_ = "default_runtime.py"
randomness = dict(seed=0)
default_hooks = dict(
    runtime_info=dict(interval=20),
    logger=dict(interval=20),
    checkpoint=dict(interval=100),
    panels=dict(interval=100),
)
