import torch

from tests.tools.failing import error_of
from tools.publish_model import main


def test_it_prints_the_path_and_size_of_the_model(tmp_path, capsys):
    weights = {
        f"{role}.a": torch.full((250000,), i) for i, role in enumerate(("model", "ema_model"))
    }
    torch.save({"state_dict": weights, "optimizer": {}}, tmp_path / "in.pth")
    main([str(tmp_path / "in.pth"), str(tmp_path / "out")])
    main([str(tmp_path / "in.pth"), str(tmp_path / "out"), "--model", "teacher"])
    printed = capsys.readouterr().out.splitlines()
    assert len(set(printed)) == 2
    paths = sorted(tmp_path.glob("out-????????.pth"))
    assert sorted(printed) == [f"wrote {path}: 2.0 MB, from 4.0 MB" for path in paths]


def test_mistakes_are_one_line(tmp_path):
    assert error_of(main, tmp_path / "in.pth", tmp_path / "out").startswith("no checkpoint at")
    torch.save({"model.a": torch.zeros(1)}, tmp_path / "in.pth")
    message = error_of(main, tmp_path / "in.pth", tmp_path / "out", "--model", "teacher")
    assert "holds no teacher" in message
    assert [path.name for path in tmp_path.iterdir()] == ["in.pth"]
