# SYNTHIA 1280x760 to Cityscapes, both cropped at random to 512x512 (DAFormer).
_base_ = "uda_gta_to_cityscapes_512x512.py"
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(1280, 760), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(512, 512), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    dataset=dict(
        source=dict(
            type="SynthiaDataset",
            data_root="data/synthia/",
            data_prefix=dict(img_path="RGB", seg_map_path="GT/LABELS"),
            pipeline=source_pipeline,
        ),
    ),
)
# SYNTHIA lacks terrain, truck and train; older results also leave out wall, fence and pole.
val_evaluator = dict(iou_metrics=["mIoU", "mIoU16", "mIoU13"])
test_evaluator = val_evaluator
