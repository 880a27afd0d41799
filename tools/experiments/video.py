"""Show a trained run on a video, as MP4 and as GIF."""

from pathlib import Path

from mmseg.utils import InputError
from mmseg.utils.config import load_config
from mmseg.utils.work_dir import latest_checkpoint
from tools.prediction.predict import PredictionFiles, predict
from tools.prediction.videos import open_video, write_gif

#: Pixels; a GIF of a few seconds of this width has less than 1 MB.
GIF_WIDTH = 360


def predict_video(config: Path, video: str, device: str = "auto") -> list[Path]:
    """Predict a video with the last weights of a run, and draw the classes over it.

    Args:
        config: the config in the folder of the run.
        video: file to predict.
        device: see :func:`~tools.prediction.predict.predict`.

    Returns:
        The files in ``overlay/`` next to the config, an MP4 and a small GIF.

    Raises:
        InputError: if the video cannot be read.
    """
    files = PredictionFiles(config.parent, kinds=("overlay",))
    checkpoint = latest_checkpoint(config.parent)
    report = predict(load_config(config), checkpoint, [video], files, device=device)
    if report.problems:
        raise InputError(report.problems[0])
    predicted = config.parent / "overlay" / f"{Path(video).stem}.mp4"
    gif = predicted.with_suffix(".gif")
    write_gif(gif, open_video(predicted), GIF_WIDTH)
    return [predicted, gif]
