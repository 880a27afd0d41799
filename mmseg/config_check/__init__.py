"""Check the settings of a config before anything is built from them."""

from .check import check_config, check_override, top_level_settings

__all__ = ["check_config", "check_override", "top_level_settings"]
