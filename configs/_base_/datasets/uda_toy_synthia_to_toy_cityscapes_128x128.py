# Toy scenes in the formats of SYNTHIA and Cityscapes.
_base_ = "uda_synthia_to_cityscapes_640x640.py"
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(256, 152), keep_ratio=True),
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
# For methods that do not crop the target themselves.
cropped_target = dict(
    pipeline=[
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(256, 128), keep_ratio=True),
        dict(type="RandomCrop", crop_size=(128, 128), cat_max_ratio=1.0),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PackSegInputs"),
    ],
)
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 128), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
data_preprocessor = dict(size=(128, 128))
# No workers: for small images, starting them takes longer than loading.
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(
        source=dict(data_root="data/toy/synthia/", pipeline=source_pipeline),
        target=dict(
            data_root="data/toy/cityscapes/",
            ignored_edges=(0.0, 0.0),  # the toy bonnet is a few rows high
            pipeline=target_pipeline,
        ),
        rare_class_sampling=dict(min_pixels=120),
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(data_root="data/toy/cityscapes/", pipeline=test_pipeline),
)
test_dataloader = val_dataloader
