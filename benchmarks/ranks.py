"""Measure a training step of several CPU processes for each way to exchange gradients.

Run it by ``python -m benchmarks.ranks --exp 4 --crop 128``. The processes communicate by gloo on
this machine, with one thread each unless OMP_NUM_THREADS is set. "overlapped" is what training does
(``DistributedDataParallel``, during the last backward pass of a step), "after the step" is one
exchange of all gradients when they are complete, and "none" is the time of the computation alone.
"""

import os
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce_params, get_rank
from mmengine.registry import OPTIM_WRAPPERS
from torch import distributed

from experiments import experiment, experiment_config
from mmseg.engine.distributed import process_group
from mmseg.engine.optim import StudentOptimWrapper
from mmseg.utils.cli import run_main
from mmseg.utils.phases import PhaseClock
from tools.common.parser import Parser
from tools.experiments.launch import launch

from .measure import sized, spread, synthetic_batches
from .step import TrainingStep, time_steps
from .training import TrainingSettings, Workload

CPU = torch.device("cpu")


@OPTIM_WRAPPERS.register_module()
class NoExchange(StudentOptimWrapper):
    """Exchange no gradients: each process learns from its own images alone."""

    def backward_of(self, model: Any, compute: Any, last: bool = True) -> dict[str, torch.Tensor]:
        """Treat no backward pass as the last one."""
        return super().backward_of(model, compute, last=False)


@OPTIM_WRAPPERS.register_module()
class ExchangeAfterStep(NoExchange):
    """Exchange all gradients at once, after all backward passes."""

    def finish_step(self) -> dict[str, torch.Tensor]:
        """Average the gradients, then make the step."""
        parameters = [each for group in self.param_groups for each in group["params"]]
        all_reduce_params([p.grad for p in parameters if p.grad is not None], op="mean")
        return super().finish_step()


WAYS = {"overlapped": "OptimWrapper", "after the step": "ExchangeAfterStep", "none": "NoExchange"}


def work(cfg: Config, workload: Workload, rounds: int) -> None:
    """Measure each way in turn, as one of the processes."""
    with process_group("pytorch", CPU, {}):
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        steps = {}
        for way, wrapper in WAYS.items():
            torch.manual_seed(0)
            chosen = cfg.copy()
            chosen.optim_wrapper.type = wrapper
            steps[way] = TrainingStep(chosen, TrainingSettings(), CPU)
        batches = synthetic_batches(steps["none"].model, workload)
        for _ in range(rounds):
            for way, step in steps.items():
                distributed.barrier()
                seconds[way] += time_steps(step, batches, workload, PhaseClock(CPU))[0]
        if get_rank() == 0:
            print(f"| exchange | median s a step | p10 | p90 | ({len(seconds['none'])} steps)")
            for way, each in seconds.items():
                times = spread(each)
                print(
                    f"| {way} | {times['median']:.3f} | {times['p10']:.3f} | {times['p90']:.3f} |"
                )


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, and measure."""
    parser = Parser(prog="python -m benchmarks.ranks", description=__doc__)
    add = parser.add_argument
    add("--exp", type=experiment, default=4, metavar="N", help="experiment to measure (4)")
    add("--crop", type=int, default=128, metavar="PX", help="side of the crops (128)")
    add(
        "--processes",
        type=int,
        default=2,
        metavar="K",
        help="each with one image per domain (2)",
    )
    add("--iters", type=int, default=4, metavar="K", help="steps per round (4)")
    add("--rounds", type=int, default=3, metavar="K", help="rounds, each of all ways in turn (3)")
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cfg = sized(experiment_config(args.exp), args.crop)
    workload = Workload(args.crop, batch=1, iters=args.iters, warmup=1)
    launch(work, cfg, workload, args.rounds, processes=args.processes, device="cpu")


if __name__ == "__main__":
    run_main(main)
