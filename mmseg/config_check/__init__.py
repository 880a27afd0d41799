"""Check the settings of a config before anything is built from them."""

from .check import check_config

__all__ = ["check_config"]
