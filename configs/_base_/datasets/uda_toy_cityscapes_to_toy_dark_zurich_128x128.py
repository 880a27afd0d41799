# Toy scenes in the formats of Cityscapes and Dark Zurich.
_base_ = "uda_cityscapes_to_dark_zurich_640x640.py"
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(256, 128), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(128, 128), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
target_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 144), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
# For methods that do not crop the target themselves, nor use day images.
cropped_target = dict(
    corresp=None,
    pipeline=[
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(256, 144), keep_ratio=True),
        dict(type="RandomCrop", crop_size=(128, 128), cat_max_ratio=1.0),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PackSegInputs"),
    ],
)
val_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 144), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 144), keep_ratio=True),
    dict(type="PackSegInputs"),
]
data_preprocessor = dict(size=(128, 128))
# No workers: for small images, starting them takes longer than loading.
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(
        source=dict(data_root="data/toy/cityscapes/", pipeline=source_pipeline),
        target=dict(data_root="data/toy/dark_zurich/", pipeline=target_pipeline),
        rare_class_sampling=dict(min_pixels=120),
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(data_root="data/toy/dark_zurich/", pipeline=val_pipeline),
)
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(data_root="data/toy/dark_zurich/", pipeline=test_pipeline),
)
