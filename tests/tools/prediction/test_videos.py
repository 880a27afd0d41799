import numpy as np
import pytest
from PIL import Image

from mmseg.utils import InputError
from tools.prediction.videos import open_video, write_gif, write_video


@pytest.fixture
def clip(tmp_path):
    """Write five frames of 32x48 pixels, from black to red."""
    path = tmp_path / "deep" / "clip.mp4"
    with write_video(path, fps=10) as write:
        for i in range(5):
            write(np.full((32, 48, 3), (50 * i, 0, 0), np.uint8))
    return path


def test_a_written_video_can_be_read(clip):
    video = open_video(clip)
    assert (video.fps, video.num_frames) == (10, 5)
    frames = list(video.frames())
    assert [frame.shape for frame in frames] == [(32, 48, 3)] * 5
    reds = [frame[..., 2].mean() for frame in frames]  # BGR
    np.testing.assert_allclose(reds, [0, 50, 100, 150, 200], atol=12)
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_an_unfinished_video_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), write_video(tmp_path / "a.mp4", fps=10) as write:
        write(np.zeros((32, 48, 3), np.uint8))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_missing_damaged_and_short_videos_are_refused(clip, tmp_path, capfd):
    (tmp_path / "noise.mp4").write_bytes(b"no video")
    for path, message in ((tmp_path / "noise.mp4", "decoded as"), ("nowhere.mp4", "no such file")):
        with pytest.raises(InputError, match=f"{path} .*{message}"):
            open_video(path)
    assert capfd.readouterr().err == ""
    video = open_video(clip)
    object.__setattr__(video, "num_frames", 50)
    with pytest.raises(InputError, match="is damaged: 5 of 50 frames can be read"):
        list(video.frames())


def test_a_gif_has_the_frames_and_their_duration(clip):
    gif = clip.with_suffix(".gif")
    write_gif(gif, open_video(clip), width=24)
    with Image.open(gif) as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (5, (24, 16), 100)
        reds = []
        for place in range(image.n_frames):
            image.seek(place)
            reds.append(np.asarray(image.convert("RGB"))[..., 0].mean())
    np.testing.assert_allclose(reds, [0, 50, 100, 150, 200], atol=12)
    assert {path.name for path in clip.parent.iterdir()} == {"clip.gif", "clip.mp4"}
