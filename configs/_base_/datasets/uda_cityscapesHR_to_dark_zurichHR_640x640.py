# Cityscapes to Dark Zurich by night, without day images: sizes and crops as for ACDC.
_base_ = "uda_cityscapesHR_to_acdcHR_640x640.py"
train_dataloader = dict(
    dataset=dict(
        target=dict(
            _delete_=True,
            type="DarkZurichDataset",
            data_root="data/dark_zurich/",
            data_prefix=dict(img_path="rgb_anon/train/night"),
            pipeline={{_base_.target_pipeline}},
        ),
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="DarkZurichDataset",
        data_root="data/dark_zurich/",
        data_prefix=dict(img_path="rgb_anon/val", seg_map_path="gt/val"),
        pipeline={{_base_.test_pipeline}},
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
