"""The command line that converts pretrained weights."""

import huggingface_hub
import pytest
import torch

from mmseg.models.backbones import load_pretrained, mit_b0
from tests.tools.failing import error_of
from tools import convert_pretrained


@pytest.fixture
def source(tmp_path):
    """Save weights in NVlabs' layout."""
    path = tmp_path / "nvlabs.pth"
    head = {"head.weight": torch.zeros(5, 256), "head.bias": torch.zeros(5)}
    torch.save({"state_dict": mit_b0().state_dict() | head}, path)
    return path


def test_report(source, tmp_path, capsys):
    target = tmp_path / "out" / "mit_b0.pth"
    convert_pretrained.main([str(source), str(target)])
    assert capsys.readouterr().out.splitlines() == [
        "recognised: NVlabs' MiT (our names)",
        "converted:  mit_b0: 3.32 M parameters, 176 entries",
        "left out:   2 entries of head",
        f"wrote {target}",
    ]
    load_pretrained(mit_b0(), target)


def test_from_hub(source, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repository, name: str(source))
    convert_pretrained.main(["--from-hub", "nvidia/mit-b0", str(tmp_path / "mit_b0.pth")])
    assert "converted:  mit_b0" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["out.pth"], ["in.pth", "out.pth", "--from-hub", "a/b"]])
def test_one_source(arguments):
    message = error_of(convert_pretrained.main, *arguments)
    assert message.startswith("name what to convert: either IN and OUT, or --from-hub NAME and OUT")


def test_error_is_one_line(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    message = error_of(convert_pretrained.main, tmp_path / "a.pth", tmp_path / "b.pth")
    assert "match no known pretrained backbone" in message
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]
