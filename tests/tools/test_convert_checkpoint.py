import pathlib

import pytest
import torch

from mmseg.utils.checkpoint import load_checkpoint
from tests.tools.failing import error_of
from tools.convert_checkpoint import main


@pytest.fixture
def path(tmp_path):
    """Save a checkpoint that is read with ``--trust`` only."""
    weights = {f"{role}.a": torch.zeros(250000) for role in ("model", "ema_model")}
    content = {"state_dict": weights, "meta": {"CLASSES": ("road",)}, "args": pathlib.PurePath("x")}
    torch.save(content, tmp_path / "in.pth")
    return tmp_path / "in.pth"


def test_the_command_named_by_the_error_works(path, tmp_path, capsys):
    out = tmp_path / "deep" / "out.pth"
    message = error_of(main, path, out)
    assert f"`python -m tools.convert_checkpoint --trust {path} OUT` and use OUT" in message
    assert not out.parent.exists()
    main(["--trust", str(path), str(out)])
    assert capsys.readouterr().out == f"wrote {out}: 2.0 MB\nleft out: args\n"
    assert load_checkpoint(out)["meta"] == {"dataset_meta": {"classes": ("road",)}}
    main([str(out), str(tmp_path / "published.pth"), "--to", "published"])
    assert capsys.readouterr().out == f"wrote {tmp_path / 'published.pth'}: 2.0 MB\n"
    assert load_checkpoint(tmp_path / "published.pth")["meta"] == {"CLASSES": ("road",)}


def test_mistakes_are_one_line(path, tmp_path):
    assert error_of(main, tmp_path / "x.pth", tmp_path / "y.pth") == (
        f"no checkpoint at {tmp_path / 'x.pth'}"
    )
    assert error_of(main, "--trust", path, path).startswith(f"cannot write to {path}")
    (tmp_path / "file").touch()
    assert error_of(main, "--trust", path, tmp_path / "file" / "y.pth").startswith(
        f"cannot write to {tmp_path / 'file'} ("
    )
