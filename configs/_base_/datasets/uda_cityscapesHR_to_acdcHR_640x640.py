# Cityscapes 2048x1024 to ACDC in all its conditions, both cropped at random to 640x640.
_base_ = "uda_cityscapesHR_to_acdcHR_1024x1024.py"
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(2048, 1024), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(640, 640), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
target_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1920, 1080), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(640, 640), cat_max_ratio=1.0),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
data_preprocessor = dict(size=(640, 640))
train_dataloader = dict(
    dataset=dict(
        source=dict(pipeline=source_pipeline),
        target=dict(pipeline=target_pipeline),
        # As many pixels in relation to the crop as with 1024x1024: 2400.
        rare_class_sampling=dict(min_crop_ratio=0.8),
    ),
)
