"""Describe what was found in the folders of a task, and what to do next."""

from collections.abc import Sequence
from pathlib import Path

from experiments import METHODS

from .inspect import Findings
from .labels import Meaning

# Number of classes to list.
_SHOWN = 40


def page(found: Findings, path: Path, notes: Sequence[str]) -> str:
    """Describe the findings in a short page.

    Args:
        found: what was found.
        path: path of the config.
        notes: what to do before training, a line each.
    """
    task = found.task
    lines = [
        f"source   {task.source.describe()}, {found.source_sizes}",
        f"labels   {task.source.describe_labels()}, {_kind(task.meaning)} "
        f"({found.looked_at} looked at)",
        f"target   {task.target.describe()}, {found.target_sizes}",
        f"scores   {task.val.describe() if task.val else 'none'}",
        f"classes  {len(task.meaning.classes)}, their names: {task.meaning.names_from}",
        *_class_lines(found),
        f"training {METHODS[task.method].title} with {task.network_title}: {task.iterations} "
        f"iterations on crops of {task.scales.crop}x{task.scales.crop}",
    ]
    remarks = [f"unsure: {doubt}" for doubt in found.doubts] + [f"note: {note}" for note in notes]
    lines += ["", *remarks] if remarks else []
    lines += ["", f"{path} is written. Look at it, change what is wrong, then:"]
    return "\n".join(lines + [f"  {command}" for command in _commands(found, path)])


def _kind(meaning: Meaning) -> str:
    kind = meaning.coding.get("labels", "indices")
    if kind == "colors":
        return "classes are colours"
    channel = "the red channel holds " if kind == "red" else ""
    return channel + ("values, see label_map" if "label_map" in meaning.coding else "class indices")


def _class_lines(found: Findings) -> list[str]:
    """List classes with their value or colour and share of the pixels."""
    meaning, frequencies = found.task.meaning, found.statistics.frequencies
    width = max(map(len, meaning.classes))
    lines = []
    for index, name in enumerate(meaning.classes[:_SHOWN]):
        share = f"{100 * frequencies.get(index, 0):.2f} %" if index in frequencies else "absent"
        line = f"         {index:3} {name:{width}}  {share:>8}  {_pixels(meaning, index)}"
        lines.append(line.rstrip())
    if len(meaning.classes) > _SHOWN:
        lines.append(f"         and {len(meaning.classes) - _SHOWN} more")
    return lines


def _pixels(meaning: Meaning, index: int) -> str:
    """Describe the pixels of a class in label maps, if they are not its index."""
    label_map = meaning.coding.get("label_map")
    if label_map is not None:
        names = (index, meaning.classes[index])
        return "drawn as " + ", ".join(v for v, target in label_map.items() if target in names)
    if meaning.coding.get("labels") == "colors" and meaning.palette:
        return f"drawn as {' '.join(map(str, meaning.palette[index]))}"
    return ""


def _commands(found: Findings, path: Path) -> list[str]:
    commands = [f"python run_experiments.py --config {path}"]
    last = f"work_dirs/{path.stem}/iter_{found.task.iterations}.pth"
    ending = "--eval mIoU" if found.task.val else f"--show-dir predictions/{path.stem}"
    return [*commands, f"python -m tools.test {path} {last} {ending}"]
