# Drawn streets in the format of GTA (labelled) to photographs of motorways (unlabelled).
_base_ = "uda_toy_gta_to_toy_cityscapes_128x128.py"
target_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 144), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
# For methods that do not crop the target themselves.
cropped_target = dict(
    pipeline=[
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(256, 144), keep_ratio=True),
        dict(type="RandomCrop", crop_size=(128, 128), cat_max_ratio=1.0),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PackSegInputs"),
    ],
)
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 144), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    dataset=dict(
        target=dict(
            type="FolderDataset",
            data_root="data/motorway/",
            data_prefix=dict(img_path="target"),
            pipeline=target_pipeline,
        ),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type="FolderDataset",
        data_root="data/motorway/",
        data_prefix=dict(img_path="val/images", seg_map_path="val/labels"),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
