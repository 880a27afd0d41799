# SYNTHIA 2560x1520 to Cityscapes 2048x1024, both cropped at random to 640x640.
_base_ = "uda_synthiaHR_to_cityscapesHR_1024x1024.py"
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(2560, 1520), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(640, 640), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
target_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(2048, 1024), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(640, 640), cat_max_ratio=1.0),
    dict(type="RandomFlip", prob=0.5),
    # Top, bottom, left and right of 2048x1024: 30, 240, 30 and 30 pixels.
    dict(type="IgnoreMargins", margins=(30 / 1024, 240 / 1024, 30 / 2048, 30 / 2048)),
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
