"""Back ends of the visualizer that log to Weights & Biases and MLflow.

Those of mmengine do not fit. ``WandbVisBackend`` drops the iterations of scores, and uploads all
code in the current folder. ``MLflowVisBackend`` can no longer write to a folder. Both start another
run when training is resumed, and even for training that fails before its first iteration.
"""

import importlib.util
import json
import logging
import os
import re
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.visualization.vis_backend import BaseVisBackend
from numpy.typing import NDArray

from mmseg.registry import VISBACKENDS
from mmseg.utils import InputError, atomic_path

#: Name of the project in W&B and of the experiment in MLflow, unless an environment variable of the
#: service names another.
PROJECT = "sepico-mmseg"
#: What MLflow takes: characters of a setting, and settings at once.
LONGEST_SETTING, MOST_SETTINGS = 6000, 100


class ServiceVisBackend(BaseVisBackend):
    """Base class of back ends that log to a service: one run there for each work dir.

    The service's run starts with the first value that is logged. Its id is stored in the work dir,
    so that resumed training continues it.

    Args:
        save_dir: folder of the logs of this start; not used.

    Raises:
        ImportError: if the service's package is missing.
    """

    #: Module of the service, and the package that has it.
    MODULE: ClassVar[str]
    PACKAGE: ClassVar[str]

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        if importlib.util.find_spec(self.MODULE) is None:
            raise ImportError(f'Please run "pip install {self.PACKAGE}"')
        self.cfg = Config()
        self.run: Any = None

    @property
    def experiment(self) -> Any:
        """The service's own object for the run, which it starts if there is none yet."""
        if self.run is None:
            self._init_env()
        return self.run

    def _init_env(self) -> None:
        note = self.work_dir / f"{self.MODULE}_run.txt"
        known = note.read_text().strip() if self.cfg.get("resume") and note.is_file() else None
        run_id = self.start(known)
        if run_id != known:
            with atomic_path(note) as temporary:
                temporary.write_text(run_id)

    @property
    def work_dir(self) -> Path:
        """Folder of the training."""
        return Path(self.cfg.work_dir).absolute()

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.cfg.get("experiment_name") or self.work_dir.name

    def settings(self) -> dict[str, Any]:
        """Return the config as values of JSON; others, as of ``.py`` configs, become text."""
        return json.loads(json.dumps(self.cfg.to_dict(), default=str))

    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Keep the config until the run starts."""
        self.cfg = config

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Log a scalar of an iteration."""
        self.add_scalars({name: value}, step)

    def close(self, failed: bool = False) -> None:
        """End the run.

        Args:
            failed: whether training has ended with an error.
        """
        if self.run is not None:
            self.end(failed)
            self.run = None

    @abstractmethod
    def start(self, run_id: str | None) -> str:
        """Start a run, or continue the one with this id; set ``run`` and return the id."""

    @abstractmethod
    def end(self, failed: bool) -> None:
        """End ``run``."""


@VISBACKENDS.register_module()
class WandbBackend(ServiceVisBackend):
    """Log to Weights & Biases, as its environment variables say (``WANDB_MODE``, ...).

    Values are plotted over ``iteration``. Files are in ``wandb/`` in the work dir.
    """

    MODULE = PACKAGE = "wandb"

    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Keep the config, and check or ask for the API key before training starts."""
        import wandb

        super().add_config(config)
        if wandb.setup().settings.mode == "online":
            with _errors_of_wandb():
                wandb.login()

    def start(self, run_id: str | None) -> str:
        """Start or continue a run."""
        import wandb

        with _errors_of_wandb():
            self.run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                name=os.environ.get("WANDB_NAME", self.name),
                id=run_id,
                resume="allow" if run_id else None,
                dir=self.work_dir,
            )
        self.run.config.update(self.settings(), allow_val_change=True)
        self.run.define_metric("iteration")
        self.run.define_metric("*", step_metric="iteration")
        return self.run.id

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Log scalars of an iteration."""
        self.experiment.log({**scalar_dict, "iteration": step})

    def add_image(self, name: str, image: NDArray[np.uint8], step: int = 0, **kwargs: Any) -> None:
        """Log an image (H, W, 3) of an iteration."""
        import wandb

        self.experiment.log({name: wandb.Image(image), "iteration": step})

    def end(self, failed: bool) -> None:
        """Wait until all is sent, and end the process that sends it."""
        import wandb

        self.run.finish(exit_code=int(failed))
        wandb.teardown()


@contextmanager
def _errors_of_wandb() -> Iterator[None]:
    import wandb

    try:
        yield
    except wandb.errors.Error as error:
        raise InputError(
            f"cannot log to Weights & Biases: {error} (WANDB_MODE=offline logs to the work dir)"
        ) from error


@VISBACKENDS.register_module()
class MLflowBackend(ServiceVisBackend):
    """Log to the server that ``MLFLOW_TRACKING_URI`` names, or to ``mlruns/`` in the work dir.

    If the server stops answering, training goes on without it.
    """

    MODULE, PACKAGE = "mlflow", "mlflow-skinny"

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        self.answers = True

    def start(self, run_id: str | None) -> str:
        """Start or continue a run."""
        from mlflow import MlflowClient, MlflowException

        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            uri = (self.work_dir / "mlruns").as_uri()
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # its default are databases
        self.client = MlflowClient(uri)
        try:
            if run_id is None:
                run_id = self._new_run()
            self.client.update_run(run_id, status="RUNNING")
            self.run = self.client.get_run(run_id)
            self.client.log_dict(run_id, self.settings(), "config.json")
        except MlflowException as error:
            raise InputError(f"cannot log to MLflow at {uri}: {error}") from error
        return run_id

    def _new_run(self) -> str:
        """Create a run with the settings as parameters, which MLflow cannot change later."""
        from mlflow.entities import Param

        title = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self.client.get_experiment_by_name(title)
        place = experiment.experiment_id if experiment else self.client.create_experiment(title)
        run_id = self.client.create_run(place, run_name=self.name).info.run_id
        settings = [
            Param(_allowed(name), text[:LONGEST_SETTING]) for name, text in _flat(self.settings())
        ]
        for first in range(0, len(settings), MOST_SETTINGS):
            self.client.log_batch(run_id, params=settings[first : first + MOST_SETTINGS])
        return run_id

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Log scalars of an iteration."""
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        metrics = [Metric(_allowed(name), value, now, step) for name, value in scalar_dict.items()]
        self._send("log_batch", metrics)

    def add_image(self, name: str, image: NDArray[np.uint8], step: int = 0, **kwargs: Any) -> None:
        """Log an image (H, W, 3) of an iteration."""
        self._send("log_image", image, key=name, step=step)

    def end(self, failed: bool) -> None:
        """Set the status of the run."""
        self._send("set_terminated", "FAILED" if failed else "FINISHED")

    def _send(self, method: str, *arguments: Any, **options: Any) -> None:
        """Call a method of MLflow's client, unless it has failed: each try may take minutes."""
        from mlflow import MlflowException

        if not self.answers:
            return
        run = self.experiment
        try:
            getattr(self.client, method)(run.info.run_id, *arguments, **options)
        except MlflowException as error:
            self.answers = False
            what_now = "nothing more is logged there until training is resumed"
            print_log(f"MLflow: {error}; {what_now}", logger="current", level=logging.WARNING)


def _allowed(name: str) -> str:
    """Replace characters that MLflow does not allow in names."""
    return re.sub(r"[^\w./: -]", "_", name)


def _flat(settings: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted path of each setting, and its value as text."""
    if isinstance(settings, dict) and settings:
        for name, value in settings.items():
            yield from _flat(value, f"{path}.{name}" if path else name)
    else:
        yield path, str(settings)
