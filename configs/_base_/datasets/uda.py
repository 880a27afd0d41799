# Loaders and normalisation; other files add the data sets, their pipelines and sizes.
data_preprocessor = dict(
    type="SegDataPreProcessor",
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    non_blocking=True,
)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type="UDASampler"),
    dataset=dict(type="UDADataset"),
)
val_dataloader = dict(
    # For GPUs: images of one size are predicted together, which does not change the results.
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
