"""Check which layers import which others, including imports within functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The parts of the project that a folder or file may import in addition to itself.
LOWEST = {"mmseg.registry"}
BASIC = LOWEST | {"mmseg.utils"}
PARTS = BASIC | {"mmseg.structures", "mmseg.visualization", "mmseg.datasets", "mmseg.models"}
CHECKED = PARTS | {"mmseg.engine"}
PACKAGE = CHECKED | {"mmseg.evaluation", "mmseg.config_check", "mmseg.apis"}
LAYERS = {
    "mmseg.registry": set(),
    "mmseg.utils": LOWEST,
    "mmseg.structures": BASIC,
    "mmseg.visualization": BASIC,
    "mmseg.datasets": BASIC | {"mmseg.structures"},
    "mmseg.models": BASIC | {"mmseg.structures"},
    "mmseg.evaluation": BASIC | {"mmseg.structures", "mmseg.visualization", "mmseg.datasets"},
    "mmseg.engine": PARTS | {"mmseg.evaluation"},
    "mmseg.config_check": CHECKED,
    "mmseg.apis": PACKAGE,
    "tools.common": BASIC | {"mmseg.config_check"},
    "tools.analysis": PACKAGE,
    "tools.convert_datasets": PACKAGE | {"tools.common"},
    "tools.experiments": PACKAGE | {"demo", "tools.common", "tools.prediction", "tools.reporting"},
    "tools.exporting": PACKAGE | {"tools.prediction"},
    "tools.prediction": PACKAGE,
    "tools.reporting": PACKAGE | {"experiments", "tools.analysis"},
    "tools.tasks": PACKAGE | {"experiments", "tools.convert_datasets"},
    "tools.rows": set(),
    "demo": PACKAGE | {"tools.common", "tools.convert_datasets"},
    "experiments": BASIC | {"tools.rows"},
    "run_experiments": PACKAGE
    | {"demo", "experiments", "tools.common", "tools.experiments"}
    | {"tools.reporting"},
    "benchmarks": PACKAGE
    | {
        "demo",
        "experiments",
        "tools.common",
        "tools.convert_datasets",
        "tools.experiments",
        "tools.prediction",
    },
    "tools": PACKAGE
    | {
        "benchmarks",
        "demo",
        "experiments",
        "run_experiments",
        "tools.analysis",
        "tools.common",
        "tools.convert_datasets",
        "tools.experiments",
        "tools.exporting",
        "tools.prediction",
        "tools.reporting",
        "tools.tasks",
    },
}


def imported_modules(path: Path) -> Iterator[str]:
    """Yield the dotted names of everything that a file imports, at its top or later."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def sources_of(layer: str) -> Iterator[Path]:
    path = ROOT.joinpath(*layer.split("."))
    return path.rglob("*.py") if path.is_dir() else iter([path.with_suffix(".py")])


def layer_of(module: str) -> str | None:
    """Return the layer of a module, or of a name in it; None for other packages."""
    parts = module.split(".")
    names = (".".join(parts[:depth]) for depth in (2, 1))
    return next((name for name in names if name in LAYERS), None)


def test_nothing_imports_from_a_layer_above_it():
    wrong = set()
    for path in sorted(file for name in LAYERS for file in sources_of(name)):
        name = path.relative_to(ROOT)
        layer = layer_of(".".join(name.with_suffix("").parts))
        for module in imported_modules(path):
            if layer_of(module) not in {None, layer} | LAYERS[layer]:
                wrong.add((str(name), module.rpartition(".")[0]))
    assert not wrong


def test_every_folder_of_the_package_has_a_layer():
    parts = {path.stem for path in (ROOT / "mmseg").glob("[a-z]*") if path.name != "py.typed"}
    assert {f"mmseg.{part}" for part in parts} == {
        name for name in LAYERS if name.startswith("mmseg.")
    }
