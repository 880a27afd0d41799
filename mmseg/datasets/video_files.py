"""Reading and writing videos with OpenCV, with an error that names the file."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mmseg.utils import InputError, atomic_path

DEFAULT_FPS = 25.0
CODEC = "mp4v"  # what every build of OpenCV can write
# Of the frames that a file announces; counts are estimates.
COMPLETE = 0.95

# Read once, with the first video: else FFmpeg itself would write about damaged ones to stderr.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


@dataclass(frozen=True)
class Video:
    """A video that can be read.

    Attributes:
        path: of the file.
        fps: frames a second.
        num_frames: as announced by the file; None if it says nothing.
    """

    path: Path
    fps: float
    num_frames: int | None

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """The frames, (H, W, 3) uint8, BGR.

        Raises:
            InputError: if behind the last frame that can be read, if many are missing.
        """
        capture = _opened(self.path)
        read = 0
        try:
            while True:
                there, frame = capture.read()
                if not there:
                    break
                read += 1
                yield frame
        finally:
            capture.release()
        if read < COMPLETE * (self.num_frames or 1):
            raise InputError(
                f"{self.path} is damaged: {read} of {self.num_frames or 'its'} frames can be read"
            )


def open_video(path: str | os.PathLike) -> Video:
    """Look into a video.

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
    """Write an MP4 file, whole or not at all.

    Args:
        path: ends with ``.mp4``; its folders are made.
        fps: frames a second.

    Yields:
        A function that adds a frame (H, W, 3) uint8, RGB; all of one size. The codec drops the
        last row or column of an odd size.

    Raises:
        InputError: if this build of OpenCV cannot write videos.
    """
    writer: cv2.VideoWriter | None = None
    with atomic_path(path) as temporary:

        def write(frame: np.ndarray) -> None:
            nonlocal writer
            if writer is None:
                size = (frame.shape[1], frame.shape[0])
                writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter_fourcc(*CODEC), fps, size)
                if not writer.isOpened():
                    raise InputError(f"{path} cannot be written: OpenCV has no {CODEC} encoder")
            writer.write(np.ascontiguousarray(frame[..., ::-1]))

        try:
            yield write
        finally:
            if writer is not None:
                writer.release()


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
