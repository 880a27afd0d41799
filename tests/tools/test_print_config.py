from mmseg.utils.config import load_config
from tests.golden import DATA
from tests.tools.failing import error_of
from tools.print_config import main


def test_what_is_printed_is_the_config_without_bases(tmp_path, capsys):
    (tmp_path / "base.py").write_text("model = dict(a=1, b=dict(c=2))\n")
    (tmp_path / "child.py").write_text('_base_ = "base.py"\nmodel = dict(a=3)\n')
    main([str(tmp_path / "child.py"), "--cfg-options", "model.b.c=4"])
    assert capsys.readouterr().out == "model = dict(a=3, b=dict(c=4))\n"


def test_an_old_config_is_printed_translated(tmp_path, capsys):
    old = DATA / "original_configs" / "exp7.json"
    main([str(old), "--cfg-options", "model.alpha=0.5"])
    (tmp_path / "new.py").write_text(capsys.readouterr().out)
    expected = load_config(old).to_dict()
    expected["model"]["alpha"] = 0.5
    assert load_config(tmp_path / "new.py").to_dict() == expected


def test_mistakes_are_one_line(tmp_path):
    assert error_of(main, tmp_path / "c.py") == f"no config at {tmp_path / 'c.py'}"
    (tmp_path / "c.json").write_text('{"model": {}, "data": {"test": {}}}')
    assert error_of(main, tmp_path / "c.json") == (
        f"{tmp_path / 'c.json'}, a config of mmseg 0.x: model.type is missing"
    )
