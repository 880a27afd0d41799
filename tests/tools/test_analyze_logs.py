from tests.tools.analysis.test_logs import training, write_log
from tests.tools.failing import error_of
from tools.analyze_logs import main


def test_it_prints_what_is_drawn_and_where(tmp_path, capsys):
    for seed in (0, 1):
        write_log(tmp_path / f"a_seed{seed}", "t", training(10, loss_seg=1.0 + seed))
    out = tmp_path / "c.png"
    main([str(tmp_path), "--out", str(out), "--smooth", "0.5", "--keys", "loss_seg"])
    assert capsys.readouterr().out.splitlines() == [
        f"seed0: {tmp_path}/a_seed0",
        f"seed1: {tmp_path}/a_seed1",
        f"wrote {out}",
    ]
    assert out.stat().st_size > 1000


def test_a_mistake_is_one_line(tmp_path):
    assert (
        error_of(main, tmp_path)
        == f"{tmp_path} is not a run: there is no <time>/vis_data/scalars.json in it"
    )
