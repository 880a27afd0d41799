import pathlib
import pickle
import resource
import sys
import types

import pytest
import torch

from mmseg.utils import InputError
from mmseg.utils.checkpoint import load_checkpoint
from tools.conversion.files import Missing, Unpickling, save_checkpoint


@pytest.mark.parametrize("zipped", [True, False])
def test_trust_loads_everything_that_is_installed(tmp_path, monkeypatch, zipped):
    config = types.ModuleType("old_mmcv.config")
    config.ConfigDict = type("ConfigDict", (dict,), {"__module__": "old_mmcv.config"})
    config.Names = type("Names", (list,), {"__module__": "old_mmcv.config"})
    for name, module in (("old_mmcv", types.ModuleType("old_mmcv")), ("old_mmcv.config", config)):
        monkeypatch.setitem(sys.modules, name, module)
    strange = config.ConfigDict(a=1)
    strange.text = "an attribute"
    meta = {"cfg": strange, "names": config.Names("ab"), "path": pathlib.PurePosixPath("x")}
    path = tmp_path / "c.pth"
    content = {"state_dict": {"weight": torch.ones(1, 2)}, "meta": meta}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    for name in ("old_mmcv", "old_mmcv.config"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match="needs old_mmcv.config.ConfigDict to be loaded"):
        load_checkpoint(path)
    loaded = load_checkpoint(path, trusted_by=Unpickling)
    assert loaded["state_dict"]["weight"].tolist() == [[1, 1]]
    assert loaded["meta"]["path"] == pathlib.PurePosixPath("x")
    assert {type(loaded["meta"][key]) for key in ("cfg", "names")} == {Missing}
    path.write_bytes(pickle.dumps(meta["path"])[:9])
    with pytest.raises(InputError, match="c.pth is not a readable checkpoint"):
        load_checkpoint(path, trusted_by=Unpickling)


def test_a_full_disk_while_saving_names_the_file(tmp_path):
    path = tmp_path / "c.pth"
    save_checkpoint({"a": torch.zeros(3)}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50000, limits[1]))
    try:
        with pytest.raises(OSError) as raised:
            save_checkpoint({"a": torch.zeros(30000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(raised.value) == f"[Errno 27] File too large: '{path}'"
    assert torch.equal(load_checkpoint(path)["a"], torch.zeros(3))
    assert list(tmp_path.iterdir()) == [path]
