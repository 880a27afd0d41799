"""Runs side by side: names, colours, scores and gains over source only."""

from collections.abc import Sequence
from typing import Any

from .runs import Run, data_of, labels_of, method_of, network_of
from .scores import Final, baselines_of, best_of, difference, finals_of, mean_and_std

MOST_NUMBERS = 4  # at the top of the page
GAIN, BEST = "over source only", "best mIoU"  # headings of tables


class Overview:
    """Runs with what follows from comparing them.

    Args:
        runs: the runs.

    Attributes:
        labels: names of the runs, all different.
        members: name of a group of runs that differ only in their seed -> indices of these.
        has_seeds: whether a group has several runs.
        colors: number of the colour of each run; the runs of a group share one.
        finals: last scores of each run.
        metric: name of the mean that runs are compared by: mIoU or, if the ground truth of all
            scores lacks classes, mIoU_gt. In mIoU a missing class has IoU 0 once it is predicted.
        methods: name of the method of each run.
        baselines: index of the source-only run that each adapted run is compared with.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self.labels, groups = labels_of(runs)
        self.members = {
            group: [i for i, own in enumerate(groups) if own == group]
            for group in dict.fromkeys(groups)
        }
        self.has_seeds = len(self.members) < len(runs)
        names = groups if self.has_seeds else self.labels
        self.colors = [list(dict.fromkeys(names)).index(name) for name in names]
        self.legend = dict(zip(names, self.colors, strict=True))
        self.finals = finals_of(runs)
        summaries = [final.result["summary"] for final in self.finals if final]
        lacking = summaries and all("mIoU_gt" in summary for summary in summaries)
        self.metric = "mIoU_gt" if lacking else "mIoU"
        self.methods = [method_of(run.config) for run in runs]
        self.baselines = baselines_of(runs, self.methods, self.finals)

    def columns(self) -> dict[str, list[int]]:
        """Return the columns of tables: groups if there are several seeds, else runs."""
        if self.has_seeds:
            return self.members
        return {label: [i] for i, label in enumerate(self.labels)}

    def score(self, i: int) -> float | None:
        """Return the last :attr:`metric` of a run in percent, if it was evaluated."""
        final = self.finals[i]
        return final.result["summary"].get(self.metric) if final else None

    def gain(self, i: int) -> float | None:
        """Return the score of a run minus that of source only, if there is one to compare with."""
        base = self.baselines[i]
        return None if base is None else difference(self.score(i), self.score(base))

    def best(self) -> int:
        """Return the run with the largest gain; without source only, with the best score."""
        gains = [self.gain(i) for i in range(len(self.runs))]
        return max(
            range(len(self.runs)),
            key=lambda i: (gains[i] is not None, gains[i] or 0, self.score(i) or 0),
        )


def headline_of(overview: Overview) -> dict[str, Any]:
    """Return title, subtitle and the numbers at the top of the page."""
    runs, labels = overview.runs, overview.labels
    data = list(dict.fromkeys(data_of(run.config) for run in runs))
    return {
        "title": labels[0] if len(runs) == 1 else f"{len(runs)} training runs",
        "subtitle": "; ".join(data),
        "metric": overview.metric,
        "stats": _numbers(overview),
    }


def _numbers(overview: Overview) -> list[dict[str, Any]]:
    if len(overview.runs) == 1:
        final = overview.finals[0]
        text = f"{final.data}, iteration {final.iteration}" if final else "not evaluated"
        return [{"value": overview.score(0), "sign": False, "kind": "", "text": text}]
    columns = overview.columns()
    means = {n: mean_and_std([overview.score(i) for i in own]) for n, own in columns.items()}
    known = sorted(((mean[0], name) for name, mean in means.items() if mean), reverse=True)
    stats = [
        {"value": value, "sign": False, "kind": "", "text": name}
        for value, name in known[:MOST_NUMBERS]
    ]
    gains = {n: mean_and_std([overview.gain(i) for i in own]) for n, own in columns.items()}
    gained = [(gain[0], name) for name, gain in gains.items() if gain]
    if gained:
        gain, name = max(gained)
        kind = "up" if gain > 0 else "down"
        stats.append(
            {"value": gain, "sign": True, "kind": kind, "text": f"{name} over source only"}
        )
    return stats


def run_row(overview: Overview, i: int) -> dict[str, Any]:
    """Return what a run is and its scores."""
    run, final = overview.runs[i], overview.finals[i]
    summary = final.result["summary"] if final else {}
    best = best_of(run)
    most = run.config.train_cfg.max_iters
    return {
        "label": overview.labels[i],
        "color": overview.colors[i],
        "method": overview.methods[i],
        "network": network_of(run.config),
        "data": data_of(run.config),
        "device": run.environment.get("device", "-"),
        "scores": {
            "mIoU": summary.get("mIoU"),
            overview.metric: overview.score(i),
            GAIN: overview.gain(i),
            BEST: best and best[0],
            "teacher": _teacher_of(run),
            "aAcc": summary.get("aAcc"),
            "mAcc": summary.get("mAcc"),
            **_other_means(final),
        },
        "best_at": best and best[1],
        "scored": final.data if final else "-",
        "seed": run.seed,
        "iteration": run.iteration,
        "progress": f"{run.iteration}"
        if run.finished is not None
        else f"{run.iteration} of {most}",
    }


def _teacher_of(run: Run) -> float | None:
    """Return the mIoU of the teacher in the last validation, if it was evaluated."""
    curve = run.curves.get("teacher/mIoU")
    return None if curve is None else float(curve.values[-1])


def _other_means(final: Final | None) -> dict[str, float | None]:
    """Return the means of IoU over some classes, such as mIoU16, and in each condition."""
    if final is None:
        return {}
    summary = final.result["summary"]
    means = {name: v for name, v in summary.items() if name.startswith("mIoU") and name != "mIoU"}
    conditions = final.result.get("per_condition", {})
    return means | {f"mIoU, {name}": r["summary"]["mIoU"] for name, r in conditions.items()}


def group_rows(overview: Overview) -> list[dict[str, Any]]:
    """Return mean and standard deviation of groups of seeds; empty if no run has several."""
    rows = []
    for name, members in overview.members.items() if overview.has_seeds else ():
        mean, std = mean_and_std([overview.score(i) for i in members]) or (None, None)
        gain = mean_and_std([overview.gain(i) for i in members])
        rows.append(
            {
                "label": name,
                "color": overview.colors[members[0]],
                "count": len(members),
                "mean": mean,
                "std": std,
                "difference": gain and gain[0],
            }
        )
    return rows
