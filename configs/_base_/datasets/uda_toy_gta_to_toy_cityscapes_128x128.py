# Toy scenes in the formats of GTA and Cityscapes, see tools/make_toy_data.py.
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(256, 144), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(128, 128), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
target_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 128), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 128), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
data_preprocessor = dict(
    type="SegDataPreProcessor",
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    bgr_to_rgb=True,
    size=(128, 128),
    pad_val=0,
    seg_pad_val=255,
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="UDASampler"),
    dataset=dict(
        type="UDADataset",
        source=dict(
            type="GTADataset",
            data_root="data/toy/gta/",
            data_prefix=dict(img_path="images", seg_map_path="labels"),
            pipeline=source_pipeline,
        ),
        target=dict(
            type="CityscapesDataset",
            data_root="data/toy/cityscapes/",
            data_prefix=dict(img_path="leftImg8bit/train"),
            ignored_edges=(0.0, 0.0),  # the toy bonnet is a few rows high
            pipeline=target_pipeline,
        ),
        rare_class_sampling=dict(min_pixels=120, class_temp=0.01, min_crop_ratio=0.5),
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CityscapesDataset",
        data_root="data/toy/cityscapes/",
        data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
