"""Find the settings in which runs differ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

# Names and values that say nothing about what was computed, or that the report shows elsewhere.
NOT_COMPARED = ("experiment_name", "work_dir", "git_rev", "resume")
ABSENT = "-"


def settings_of(config: Config) -> dict[str, Any]:
    """Return the settings of a config without variables and names, for JSON."""
    return {
        name: value
        for name, value in config.to_dict().items()
        if name not in NOT_COMPARED and not name.endswith("_pipeline")
    }


def differing_settings(configs: Sequence[Config]) -> dict[str, list[str]]:
    """Find the settings that not all configs have in common.

    Returns:
        Dotted key -> its value in each config, as short text. A part that some configs lack is one
        entry.
    """
    rows: dict[str, list[str]] = {}
    _compare([settings_of(config) for config in configs], "", rows)
    return rows


_NONE = object()


def _compare(values: Sequence[Any], key: str, rows: dict[str, list[str]]) -> None:
    if all(isinstance(value, Mapping) for value in values):
        for name in dict.fromkeys(name for value in values for name in value):
            inner = [value.get(name, _NONE) for value in values]
            _compare(inner, f"{key}.{name}" if key else str(name), rows)
        return
    shown = [_short(value) for value in values]
    if len(set(shown)) > 1:
        rows[key] = shown


def _short(value: Any) -> str:
    if value is _NONE:
        return ABSENT
    if isinstance(value, str):
        return value.rstrip("/")  # of folders
    text = json.dumps(value, default=str)
    return text.replace('"', "") if isinstance(value, dict | list | tuple) else text
