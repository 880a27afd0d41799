from tests.tools.failing import error_of
from tools import visualize_features as tool


def test_the_table_is_printed(tmp_path, monkeypatch, capsys):
    (tmp_path / "config.py").write_text("model = dict(type='SePiCo')")
    asked = {}

    def visualize_features(cfg, checkpoint, out, **options):
        asked.update(options, checkpoint=checkpoint, out=str(out), model=cfg.model.alpha)
        return {"pdd": {"source": {"road": 1.5}, "target": {"road": None}}}

    monkeypatch.setattr("tools.analysis.visualize_features.visualize_features", visualize_features)
    options = ["--what", "pdd", "--images", "3", "--seed", "7", "--cfg-options", "model.alpha=0.5"]
    tool.main([str(tmp_path / "config.py"), "x.pth", "--out", "here", *options])
    assert asked == {
        "checkpoint": "x.pth",
        "out": "here",
        "model": 0.5,
        "parts": ("pdd",),
        "role": "student",
        "num_images": 3,
        "pixels": 100,
        "seed": 7,
        "device": "auto",
    }
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["road", "1.5000", "-"] and lines[-1] == "wrote here"


def test_a_mistake_is_one_line(tmp_path):
    (tmp_path / "config.py").write_text("model = dict(type='SePiCo')")
    error = error_of(tool.main, tmp_path / "config.py", "x.pth", "--out", tmp_path / "out")
    assert error.startswith("the config has no train_dataloader.dataset.source with labels")
