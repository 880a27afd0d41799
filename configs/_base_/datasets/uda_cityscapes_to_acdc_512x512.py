# Cityscapes 1024x512 to ACDC in all its conditions, both cropped at random to
# 512x512 (DAFormer).
_base_ = "uda_gta_to_cityscapes_512x512.py"
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(1024, 512), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(512, 512), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
target_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(960, 540), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(512, 512), cat_max_ratio=1.0),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(960, 540), keep_ratio=True),
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
            type="ACDCDataset",
            data_root="data/acdc/",
            split="train",
            data_prefix=dict(img_path="rgb_anon"),
            pipeline=target_pipeline,
            ignored_edges=(15 / 512, 120 / 512),
        ),
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ACDCDataset",
        data_root="data/acdc/",
        split="val",
        data_prefix=dict(img_path="rgb_anon", seg_map_path="gt"),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
# As in the release. A server scores the test split (tools/submit.py).
test_dataloader = val_dataloader
