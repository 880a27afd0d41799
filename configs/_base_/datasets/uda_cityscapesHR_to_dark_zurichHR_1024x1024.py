# Cityscapes 2048x1024 to Dark Zurich by night, without day images, both cropped at random to
# 1024x1024 (HRDA).
_base_ = "uda_gtaHR_to_cityscapesHR_1024x1024.py"
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(2048, 1024), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(1024, 1024), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
target_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1920, 1080), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(1024, 1024), cat_max_ratio=1.0),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1920, 1080), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    dataset=dict(
        source=dict(
            type="CityscapesDataset",
            data_root="data/cityscapes/",
            data_prefix=dict(img_path="leftImg8bit/train", seg_map_path="gtFine/train"),
            pipeline=source_pipeline,
        ),
        target=dict(
            _delete_=True,
            type="DarkZurichDataset",
            data_root="data/dark_zurich/",
            data_prefix=dict(img_path="rgb_anon/train/night"),
            pipeline=target_pipeline,
        ),
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="DarkZurichDataset",
        data_root="data/dark_zurich/",
        data_prefix=dict(img_path="rgb_anon/val", seg_map_path="gt/val"),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
# As in the release. A server scores the test split (tools/submit.py).
test_dataloader = val_dataloader
