# Logging, checkpoints and reproducibility, the same for all experiments.
default_scope = "mmseg"
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
randomness = dict(seed=76)
log_level = "INFO"
log_processor = dict(by_epoch=False, window_size=50)
visualizer = dict(
    type="Visualizer",
    vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")],
)
default_hooks = dict(
    runtime_info=dict(type="DeferredRuntimeInfoHook", interval=50),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    # Keep two, so that a run killed while saving still has the previous one.
    checkpoint=dict(
        type="CheckpointHook",
        by_epoch=False,
        interval=1000,
        max_keep_ckpts=2,
        save_best="mIoU",
        rule="greater",
        backend_args=dict(backend="atomic"),
    ),
    iteration_seed=dict(type="IterationSeedHook"),
    resume_validation=dict(type="ResumeValidationHook"),
    panels=dict(type="TrainingPanelHook", interval=1000),
)
# See mmseg/engine/performance.py; tools/train.py has an option for each of these.
performance = dict(
    precision="fp32", compile=False, channels_last=False, activation_checkpointing=False
)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
load_from = None
resume = False
