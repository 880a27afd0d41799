"""Read and write videos with OpenCV, with errors that name the file; write short ones as GIF."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmseg.utils import InputError, atomic_path

DEFAULT_FPS = 25.0
CODEC = "mp4v"  # every build of OpenCV can write it
# Few, which makes a GIF small, and without dithering, which would flicker.
GIF_COLORS = 64
# Share of the announced frames that must be readable; the announced number is an estimate.
COMPLETE = 0.95

# FFmpeg reads this with the first video; otherwise it prints errors of damaged ones to stderr.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


@dataclass(frozen=True)
class Video:
    """A video that can be read.

    Attributes:
        path: path of the file.
        fps: frames per second.
        num_frames: number of frames that the file announces; None if unknown.
    """

    path: Path
    fps: float
    num_frames: int | None

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames, (H, W, 3) uint8, BGR.

        Raises:
            InputError: after the last readable frame, if many are missing.
        """
        capture = _opened(self.path)
        read = 0
        try:
            while True:
                there, frame = capture.read()
                if not there:
                    break
                read += 1
                yield frame.astype(np.uint8, copy=False)
        finally:
            capture.release()
        if read < COMPLETE * (self.num_frames or 1):
            raise InputError(
                f"{self.path} is damaged: {read} of {self.num_frames or 'its'} frames can be read"
            )


def open_video(path: str | os.PathLike) -> Video:
    """Open a video and read its header.

    Raises:
        InputError: if it cannot be read.
    """
    capture = _opened(Path(path))
    fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    capture.release()
    known_fps = fps if 0 < fps < 1000 else DEFAULT_FPS
    return Video(Path(path), known_fps, int(count) if count >= 1 else None)


@contextmanager
def write_video(path: str | os.PathLike, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Write an MP4 file atomically.

    Args:
        path: path that ends with ``.mp4``; its folders are created.
        fps: frames per second.

    Yields:
        A function that adds a frame (H, W, 3) uint8, RGB; all must have one size. The codec drops
        the last row or column of an odd size.

    Raises:
        InputError: if this build of OpenCV cannot write videos.
    """
    writer: cv2.VideoWriter | None = None
    with atomic_path(path) as temporary:

        def write(frame: np.ndarray) -> None:
            nonlocal writer
            if writer is None:
                size = (frame.shape[1], frame.shape[0])
                writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*CODEC), fps, size)
                if not writer.isOpened():
                    raise InputError(f"{path} cannot be written: OpenCV has no {CODEC} encoder")
            writer.write(np.ascontiguousarray(frame[..., ::-1]))

        try:
            yield write
        finally:
            if writer is not None:
                writer.release()


def write_gif(path: str | os.PathLike, video: Video, width: int) -> None:
    """Write a short video as an endless GIF, atomically.

    Args:
        path: path that ends with ``.gif``; its folders are created.
        video: the video; all its frames are kept in memory in the size of the GIF.
        width: width of the GIF in pixels; the frames keep their proportions.

    Raises:
        InputError: if the video is damaged.
    """
    frames = [Image.fromarray(frame[..., ::-1]) for frame in video.frames()]
    size = (width, round(width * frames[0].height / frames[0].width))
    frames = [frame.resize(size, Image.Resampling.BOX) for frame in frames]
    sheet = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames]))
    palette = sheet.quantize(GIF_COLORS)  # one for all frames, which would flicker otherwise
    first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    with atomic_path(path) as temporary:
        first.save(
            temporary, save_all=True, append_images=others, duration=1000 / video.fps, loop=0
        )


def _opened(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise InputError(f"{path} cannot be read: there is no such file")
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(str(path))
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise InputError(f"{path} cannot be decoded as a video: copy or write it again")
    return capture
