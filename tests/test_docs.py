"""Check that the links, files, commands and options on the pages exist."""

import ast
import contextlib
import io
import re
from collections.abc import Iterator
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import pytest

from tools.convert_datasets import convert

ROOT = Path(__file__).parents[1]
PAGES = {str(page.relative_to(ROOT)): page.read_text() for page in ROOT.glob("*.md")}
PAGES |= {str(page.relative_to(ROOT)): page.read_text() for page in ROOT.glob("[a-z]*/*.md")}
TOOLS = [f"tools.{path.stem}" for path in (ROOT / "tools").glob("[a-z]*.py")]

LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
FILE = re.compile(
    r"`((?:mmseg|tools|tests|configs/_base_|docs|benchmarks|demo)/[\w./-]*"
    r"|[\w-]+\.(?:py|md|toml|cff|lock)|requirements[\w-]*\.txt|pretrained/README\.md)`"
)
COMMAND = re.compile(
    r"(?:python |-m )(?:-m )?((?:tools|tests)[./][\w./]*\w|run_experiments\.py)"
    r"((?:[^\n`#|;&\\]|\\\n)*)"
)
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
# Options of other programs: torchrun, srun and sbatch, Docker, TensorBoard, uv, ruff, MLflow.
FOREIGN = {
    *("--standalone", "--nproc_per_node", "--nnodes", "--rdzv-backend", "--rdzv-endpoint"),
    *("--job-name", "--nodes", "--ntasks-per-node", "--gres", "--cpus-per-task", "--time"),
    *("--gpus-per-task", "--kill-on-bad-exit", "--shm-size", "--logdir", "--upgrade", "--check"),
    "--backend-store-uri",
}
USERS_FILES = {"mine.py", "whole.py"}


@cache
def options(program: str, *first: str) -> set[str]:
    """Return the options that a command's ``--help`` lists, after its first argument if given."""
    name = program.removesuffix(".py").replace("/", ".")
    _, _, converter = name.partition("convert_datasets.")
    main = getattr(import_module(name), "main", partial(convert, converter, ""))
    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.raises(SystemExit) as end:
        main(argv=[*first, "--help"])
    assert end.value.code == 0, (program, first)
    return set(OPTION.findall(text.getvalue()))


def test_readme_has_at_most_200_lines():
    assert len(PAGES["README.md"].splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES)
def test_links_and_files_exist(page):
    folder = (ROOT / page).parent
    for target, anchor in LINK.findall(PAGES[page]):
        path = (folder / target).resolve() if target else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = HEADING.findall(path.read_text())
            slugs = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
            assert anchor in slugs, (target, anchor)
    for name in set(FILE.findall(PAGES[page])) - USERS_FILES:
        assert (ROOT / name).exists() or (folder / name).exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_commands_take_the_options_shown(page):
    for program, arguments in COMMAND.findall(PAGES[page]):
        given = arguments.split()
        first = given[:1] if given and given[0][0] not in "-." else []
        assert set(OPTION.findall(arguments)) <= options(program, *first), (program, arguments)


@pytest.mark.parametrize("page", PAGES)
def test_options_in_the_text_exist(page):
    known = FOREIGN | options("run_experiments").union(*map(options, TOOLS))
    known |= options("tools.submit", "dark_zurich") | options("tools.submit", "check")
    known |= options("tools.benchmark", "inference") | options("tools.benchmark", "data")
    known |= options("tests.campaigns.kills") | options("benchmarks.ranks")
    assert set(OPTION.findall(PAGES[page])) <= known


def test_messages_of_the_troubleshooting_page_exist():
    sources = [*ROOT.glob("mmseg/**/*.py"), *ROOT.glob("tools/**/*.py")]
    texts = [string for path in sources for string in strings(ast.parse(path.read_text()))]
    texts.append((ROOT / "Makefile").read_text())
    rows = re.findall(r"^\| (.*?) \|", PAGES["docs/troubleshooting.md"], re.M)
    messages = [m for row in rows for m in re.findall(r"`([^`]+ [^`]+)`", row)]
    ours = [m for m in messages if m.split()[0] not in ("THESE", "ModuleNotFoundError:", "out")]
    for message in ours:
        pattern = re.escape(message).replace(re.escape("..."), ".+")
        assert any(re.search(pattern, text) for text in texts), message
    assert len(ours) > 15


def strings(tree: ast.AST) -> Iterator[str]:
    """Yield the strings of a module, with an ellipsis for each computed part of an f-string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) else "..." for part in node.values
            )
