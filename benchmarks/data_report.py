"""What was measured of a data loader, as text."""

from mmseg.evaluation.report import align

from .report import Result, machine_line

LEGEND = """\
One sample: means of what one process makes with one thread, files in the cache of the system; the
tries of rare class sampling are part of crop; rest: draws, seeds, freeing memory. Workers: batches
taken as fast as they come. Step: it only sleeps, taking no time of the CPU from the workers; it is
idle while it waits for a batch."""


def loading_text(result: Result) -> str:
    """The stages of making a sample, rates, and what a step waits for."""
    stages = result["stages"]
    names = list(dict.fromkeys(name for each in stages.values() for name in each))
    total = sum(sum(each.values()) for each in stages.values())
    rows = []
    for name in names:
        seconds = [each.get(name) for each in stages.values()]
        share = 100 * sum(filter(None, seconds)) / total
        rows.append([name, *map(_milliseconds, seconds), f"{share:.1f}"])
    sums = ["all", *(_milliseconds(sum(each.values())) for each in stages.values()), "100.0"]
    header = ("one sample, ms", *stages, "%")
    machine = result["machine"]
    head = [
        f"{result['title']}, {result['batches']} batches of {result['batch_size']} samples",
        *(f"{domain}: {place}" for domain, place in result["data"].items()),
        f"{machine_line(machine)}, {machine['cores']} cores",
    ]
    return "\n".join([*head, "", align(header, rows, [sums]), "", *_rates(result), "", LEGEND])


def _rates(result: Result) -> list[str]:
    wait = result["wait"]
    return [
        f"one process: {result['worker_images_per_second']:.1f} images/s",
        f"{result['workers']} workers: {result['images_per_second']:.1f} images/s",
        f"a step of {1e3 * result['step_seconds']:g} ms waits {1e3 * wait['median']:.2f} ms "
        f"(median; p90 {1e3 * wait['p90']:.2f}): idle {100 * result['idle_share']:.1f} %",
        f"to the device: {result['bytes'] / 2**20:.1f} MiB a batch in {result['tensors']} tensors, "
        f"{result['pinned']} of them pinned",
    ]


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.2f}"
