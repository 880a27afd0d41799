# GTA (labelled, cropped to 640x640) to Cityscapes (unlabelled, whole: the method crops it).
_base_ = "uda.py"
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
data_preprocessor = dict(size=(640, 640))
train_dataloader = dict(
    dataset=dict(
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
    dataset=dict(
        type="CityscapesDataset",
        data_root="data/cityscapes/",
        data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
