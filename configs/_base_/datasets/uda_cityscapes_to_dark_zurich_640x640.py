# Cityscapes (labelled, cropped to 640x640) to Dark Zurich by night (unlabelled, whole), with class
# weights.
_base_ = ["uda_gta_to_cityscapes_640x640.py", "cityscapes_class_weights.py"]
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(1280, 640), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(640, 640), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
# Applied alike to a night image and the day image of the same place.
target_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1280, 720), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
val_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1280, 720), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
# The test split has no public labels: a server scores it (tools/submit.py).
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1280, 720), keep_ratio=True),
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
            type="DarkZurichDataset",
            data_root="data/dark_zurich/",
            data_prefix=dict(img_path="rgb_anon/train/night"),
            corresp="corresp/train/night",
            pipeline=target_pipeline,
        ),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type="DarkZurichDataset",
        data_root="data/dark_zurich/",
        data_prefix=dict(img_path="rgb_anon/val/night", seg_map_path="gt/val/night"),
        pipeline=val_pipeline,
    ),
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="DarkZurichDataset",
        data_root="data/dark_zurich/",
        data_prefix=dict(img_path="rgb_anon/test/night"),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
