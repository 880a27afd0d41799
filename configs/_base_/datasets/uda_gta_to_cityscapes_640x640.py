# GTA (labelled, cropped to 640x640) to Cityscapes (unlabelled, whole: the method crops it).
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(1280, 720), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(640, 640), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
target_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1280, 640), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1280, 640), keep_ratio=True),
    # Behind the resize: the labels stay at their own size, where the metric is taken.
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
data_preprocessor = dict(
    type="SegDataPreProcessor",
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    bgr_to_rgb=True,
    size=(640, 640),
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
    dataset=dict(
        type="UDADataset",
        source=dict(
            type="GTADataset",
            data_root="data/gta/",
            data_prefix=dict(img_path="images", seg_map_path="labels"),
            pipeline=source_pipeline,
        ),
        target=dict(
            type="CityscapesDataset",
            data_root="data/cityscapes/",
            data_prefix=dict(img_path="leftImg8bit/train"),
            pipeline=target_pipeline,
        ),
        rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5),
    ),
)
val_dataloader = dict(
    # For GPUs: images of one size are predicted together, which does not change the results.
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CityscapesDataset",
        data_root="data/cityscapes/",
        data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
