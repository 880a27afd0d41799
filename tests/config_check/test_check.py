import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg.apis.test_data import tta_pipeline
from mmseg.config_check import check_config
from mmseg.utils import InputError
from mmseg.utils.config import load_config
from tests.training import ROOT, small_config


@pytest.fixture(autouse=True)
def scope():
    init_default_scope("mmseg")


@pytest.fixture
def cfg(toy_root, tmp_path) -> Config:
    return small_config(toy_root, tmp_path)


def test_own_configs_and_their_variants_pass(cfg):
    check_config(cfg)
    cfg.test_dataloader.dataset.pipeline = tta_pipeline(cfg.test_dataloader.dataset.pipeline)
    cfg.tta_model = {"type": "SegTTAModel"}
    check_config(cfg)


@pytest.mark.parametrize(
    "options",
    [
        {
            "custom_hooks": [
                {"type": "EMAHook", "momentum": 0.1},
                {"type": "mmengine.EmptyCacheHook"},
            ]
        },
        {"custom_hooks": [{"type": "SyncBuffersHook", "priority": "LOW"}]},
        {"default_hooks.sampler_seed": {"type": "DistSamplerSeedHook"}},
        {"default_hooks.visualization": {"type": "NaiveVisualizationHook"}, "my_variable": 3},
        {"optim_wrapper.type": "AmpOptimWrapper", "optim_wrapper.loss_scale": "dynamic"},
        {"optim_wrapper.accumulative_counts": 2, "optim_wrapper.clip_grad": {"max_norm": 1}},
        {"optim_wrapper.optimizer": {"_delete_": True, "type": "SGD", "lr": 0.1, "momentum": 0.9}},
        {"model.segmentor.decode_head.norm_cfg": {"type": "SyncBN", "requires_grad": True}},
        {"model.segmentor.decode_head.act_cfg": {"type": "LeakyReLU", "negative_slope": 0.1}},
        {
            "model.segmentor.backbone.init_cfg": {
                "type": "Pretrained",
                "checkpoint": "a.pth",
                "prefix": "backbone.",
            }
        },
        {
            "model.segmentor.decode_head.init_cfg": {
                "type": "Normal",
                "std": 0.01,
                "layer": "Conv2d",
                "override": {"type": "Constant", "name": "conv_seg", "val": 0},
            }
        },
        {"model.type": "mmseg.SePiCo"},
        {
            "model.segmentor.test_cfg": {
                "mode": "slide",
                "crop_size": (64, 64),
                "stride": (32, 32),
            }
        },
        {
            "param_scheduler": [
                {"type": "CosineAnnealingLR", "T_max": 9, "by_epoch": True, "end": 9}
            ]
        },
        {"param_scheduler.0.convert_to_iter_based": True},
        {"train_cfg": {"_delete_": True, "by_epoch": False, "max_iters": 4}},
        {"train_dataloader.collate_fn": {"type": "pseudo_collate"}, "launcher": "none"},
        {
            "train_dataloader.prefetch_factor": 4,
            "train_dataloader.multiprocessing_context": "spawn",
        },
        {"randomness": {"seed": 1, "deterministic": True}, "auto_scale_lr": {"enable": False}},
        {"visualizer.vis_backends": [{"type": "WandbVisBackend", "init_kwargs": {"project": "p"}}]},
        {"train_dataloader.dataset.source.pipeline.2.type": "mmcv.transforms.Resize"},
    ],
)
def test_valid_options_pass(cfg, options):
    cfg.merge_from_dict(options)
    check_config(cfg)


def test_types_of_custom_imports_are_known(tmp_path):
    (tmp_path / "c.py").write_text(
        'custom_imports = dict(imports=["tests.apis.color_world"])\n'
        'model = dict(type="EncoderDecoder", backbone=dict(type="ThePixels"),\n'
        'decode_head=dict(type="DLV2Head", in_channels=3, num_classes=3))\n'
    )
    check_config(load_config(tmp_path / "c.py"))


def test_user_variables_pass():
    check_config(Config({"img_scale": (1, 2), "num_classes": 3, "source_pipeline": [], "x": {}}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model.type": "SePiCoo"}, "model.type is 'SePiCoo'.*did you mean 'SePiCo'"),
        ({"model.type": "nowhere.Model"}, "model.type is 'nowhere.Model', .* not registered"),
        ({"model.alfa": 1}, "model: SePiCo has no argument 'alfa': did you mean 'alpha'"),
        (
            {"model.zzz": 1},
            "SePiCo has no argument 'zzz': it takes .'alpha', 'augment_mixed', 'augment_source_",
        ),
        ({"optim_wraper": {}}, "'optim_wraper': did you mean 'optim_wrapper'"),
        ({"workdir": "x"}, "'workdir': did you mean 'work_dir'"),
        ({"optim_wrapper.optimiser": {}}, "did you mean 'optimizer'"),
        ({"optim_wrapper.optimizer.weightdecay": 1}, "AdamW has no .* did you mean 'weight_decay'"),
        ({"param_scheduler.0.powr": 1}, r"param_scheduler\[0\]: PolyLR .* did you mean 'power'"),
        ({"default_hooks.panels.intervall": 1}, r"hooks.panels: .* did you mean 'interval'"),
        ({"default_hooks.chekpoint": {}}, "default_hooks has no .* did you mean 'checkpoint'"),
        ({"default_hooks.checkpoint.intervall": 1}, "CheckpointHook has no .* 'interval'"),
        ({"train_dataloader.batchsize": 1}, "train_dataloader has no .* did you mean 'batch_size'"),
        ({"val_dataloader.num_worker": 1}, "val_dataloader has no .* did you mean 'num_workers'"),
        (
            {"train_dataloader.dataset.rare_class_sampling.min_pixel": 1},
            "rare_class_sampling has no setting 'min_pixel': did you mean 'min_pixels'",
        ),
        (
            {"train_dataloader.dataset.source.data_prefix.seg_map_pth": "x"},
            "data_prefix has no setting 'seg_map_pth': did you mean 'seg_map_path'",
        ),
        (
            {"train_dataloader.dataset.source.pipeline.3.cropsize": 1},
            r"source.pipeline\[3\]: RandomCrop has no .* did you mean 'crop_size'",
        ),
        ({"train_cfg.max_iter": 1}, "IterBasedTrainLoop has no .* did you mean 'max_iters'"),
        (
            {"train_cfg": {"_delete_": True, "by_epoch": False, "max_iter": 4}},
            "train_cfg has no setting 'max_iter': did you mean 'max_iters'",
        ),
        ({"val_evaluator.iou_metric": 1}, "IoUMetric has no .* did you mean 'iou_metrics'"),
        ({"randomness": {"sed": 1}}, "randomness has no .* did you mean 'seed'"),
        ({"env_cfg.cudnn_benchmarc": 1}, "env_cfg has no .* did you mean 'cudnn_benchmark'"),
        ({"env_cfg.mp_cfg.start_method": 1}, "did you mean 'mp_start_method'"),
        ({"log_processor.windowsize": 1}, "log_processor has no .* did you mean 'window_size'"),
    ],
)
def test_misspelt_settings_are_named(cfg, options, message):
    cfg.merge_from_dict(options)
    with pytest.raises(InputError, match=message):
        check_config(cfg)


def test_only_the_wanted_parts(cfg):
    cfg.optim_wrapper.type = "Optim"
    check_config(cfg, parts=("model", "test_dataloader"))
    cfg.test_dataloader.batchsize = 1
    with pytest.raises(InputError, match="test_dataloader"):
        check_config(cfg, parts=("model", "test_dataloader"))


BASES = ROOT / "configs" / "_base_"


@pytest.mark.parametrize("name", sorted(str(p.relative_to(BASES)) for p in BASES.rglob("*.py")))
def test_base_configs_pass(name):
    check_config(load_config(BASES / name), is_fragment=True)
