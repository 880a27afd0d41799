"""Install with ``pip install -e .``: `mmseg` is then importable from any folder."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "mmseg" / "__init__.py").read_text())[1]


def requirements(name: str, package: str = "") -> list[str]:
    """The requirements in a file, without comments; of ``package`` alone if it is given."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    kept = [re.sub(r"(^|\s+)#.*", "", line).strip() for line in lines]
    return [line for line in kept if line and line.startswith(package)]


setup(
    name="sepico-mmseg",
    version=VERSION,
    description="SePiCo: semantic-guided pixel contrast for domain adaptive semantic segmentation",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["mmseg", "mmseg.*"]),
    python_requires=">=3.10",
    install_requires=requirements("requirements.txt"),
    extras_require={
        "features": requirements("requirements-dev.txt", "scikit-learn"),
        "dev": requirements("requirements-dev.txt"),
    },
)
