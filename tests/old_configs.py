"""Build configs of the authors' releases in their schema: the recorded ones and variants."""

import json
from typing import Any

from tests.golden import DATA

RECORDED = range(1, 9)
# Experiment -> the recorded experiment that it resembles, and its variant.
_LIKE = {exp: (exp - 8, None) for exp in range(9, 15)}
_LIKE |= {15: (7, "BankCL"), 16: (7, "ProtoCL"), 17: (8, "BankCL"), 18: (8, "ProtoCL")}
_MEMORY_LENGTH = 200
#: Folder of the configs of DAFormer, HRDA and MIC.
BASELINES = DATA / "baselines" / "original_configs"
#: File there -> its release, number of the experiment there and name of the run.
BASELINE_INDEX = json.loads((BASELINES / "index.json").read_text())


def old_config(exp: int) -> dict[str, Any]:
    """Return the config to which the release resolves an experiment of the model zoo.

    Args:
        exp: 1 to 8 are recorded. 9 to 14 are 1 to 6 with SYNTHIA as the source; 15 to 18 are 7 and
            8 with the other variants.
    """
    like, variant = _LIKE.get(exp, (exp, None))
    old = json.loads((DATA / "original_configs" / f"exp{like}.json").read_text())
    if exp in RECORDED:
        return old
    old["exp"] = exp
    if variant is None:
        _from_synthia(old)
    else:
        _with_variant(old, variant)
    return old


def baseline_config(name: str) -> dict[str, Any]:
    """Return a recorded config of DAFormer, HRDA or MIC, such as ``hrda_exp40_0``."""
    return json.loads((BASELINES / f"{name}.json").read_text())


def _from_synthia(old: dict[str, Any]) -> None:
    source = old["data"]["train"]["source"]
    source |= {"type": "SynthiaDataset", "data_root": "data/synthia/"}
    source |= {"img_dir": "RGB", "ann_dir": "GT/LABELS"}
    source["pipeline"][2]["img_scale"] = [1280, 760]
    old["name"] = old["name"].replace("gta2cs", "syn2cs")


def _with_variant(old: dict[str, Any], variant: str) -> None:
    loss = old["model"]["auxiliary_head"]["loss_decode"]
    loss |= {"use_dist": False, "use_bank": variant == "BankCL"}
    if variant == "BankCL":
        old["uda"]["memory_length"] = _MEMORY_LENGTH
    old["name"] = old["name"].replace("DistCL", variant)
