import pytest

from mmseg.utils import InputError
from mmseg.utils.config import load_config


def test_bases_are_merged_and_values_overridden(tmp_path):
    (tmp_path / "base.py").write_text("model = dict(a=1, b=dict(c=2))\n")
    (tmp_path / "child.py").write_text('_base_ = "base.py"\nmodel = dict(a=3)\n')
    cfg = load_config(tmp_path / "child.py", {"model.b.c": 4})
    assert cfg.model.to_dict() == {"a": 3, "b": {"c": 4}}


def test_json_is_read(tmp_path):
    (tmp_path / "c.json").write_text('{"model": {"a": 1}}')
    assert load_config(tmp_path / "c.json").model.a == 1


@pytest.mark.parametrize(
    "text, message",
    [("model = (", "SyntaxError"), ('_base_ = "nowhere.py"', "nowhere.py"), ("1 / 0", "division")],
)
def test_a_bad_config_is_an_input_error(tmp_path, text, message):
    (tmp_path / "c.py").write_text(text)
    with pytest.raises(InputError, match=f"c.py cannot be read.*{message}"):
        load_config(tmp_path / "c.py")


def test_a_missing_config_and_a_bad_override_are_refused(tmp_path):
    with pytest.raises(InputError, match="no config at"):
        load_config(tmp_path / "c.py")
    (tmp_path / "c.py").write_text("items = [1]")
    with pytest.raises(InputError, match="--cfg-options do not fit"):
        load_config(tmp_path / "c.py", {"items.5": 2})


def test_a_top_level_segmentor_is_moved_into_the_model(tmp_path):
    (tmp_path / "base.py").write_text("segmentor = dict(a=1, b=2)\n")
    child = tmp_path / "child.py"
    child.write_text('_base_ = "base.py"\nsegmentor = dict(b=3)\nmodel = dict(type="SePiCo")\n')
    cfg = load_config(child)
    assert cfg.to_dict() == {"model": {"type": "SePiCo", "segmentor": {"a": 1, "b": 3}}}
    child.write_text('_base_ = "base.py"\nmodel = dict(segmentor=dict(a=1, b=2))\n')
    assert load_config(child).model.segmentor == {"a": 1, "b": 2}
    child.write_text(
        '_base_ = "base.py"\nsegmentor = dict(b=3)\nmodel = dict(segmentor=dict(a=1))\n'
    )
    with pytest.raises(InputError, match="next to another model.segmentor, and only one can count"):
        load_config(child)
