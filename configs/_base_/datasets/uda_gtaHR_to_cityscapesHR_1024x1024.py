# GTA 2560x1440 to Cityscapes 2048x1024, both cropped at random to 1024x1024 (HRDA).
_base_ = "uda_gta_to_cityscapes_512x512.py"
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(2560, 1440), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(1024, 1024), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
target_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(2048, 1024), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(1024, 1024), cat_max_ratio=1.0),
    dict(type="RandomFlip", prob=0.5),
    # Top, bottom, left and right of 2048x1024: 30, 240, 30 and 30 pixels.
    dict(type="IgnoreMargins", margins=(30 / 1024, 240 / 1024, 30 / 2048, 30 / 2048)),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(2048, 1024), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
data_preprocessor = dict(size=(1024, 1024))
train_dataloader = dict(
    dataset=dict(
        source=dict(pipeline=source_pipeline),
        target=dict(ignored_edges=(0.0, 0.0), pipeline=target_pipeline),
        # Ratios above 1 ask for more pixels than the image must have: 6000.
        rare_class_sampling=dict(min_crop_ratio=2.0),
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
