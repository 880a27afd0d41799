import sys

from mmseg.utils.jobs import with_progress


def test_no_bar_is_drawn_if_stderr_is_not_a_terminal(capsys):
    assert list(with_progress(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_bar_goes_to_stderr(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert list(with_progress(iter("ab"), "counting", total=2)) == ["a", "b"]
    out, err = capsys.readouterr()
    assert out == "" and "counting" in err and "100%" in err
