"""Which version of the code is running."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def git_revision(root: Path = ROOT) -> str | None:
    """Ask git for the commit of a checkout.

    mmengine's ``get_git_hash`` asks for that of the current folder, which may be another project's.

    Args:
        root: top folder of the checkout; that of this code by default.

    Returns:
        40 hexadecimal digits, followed by ``-dirty`` if a file that git tracks has been changed;
        None if ``root`` is no checkout or git cannot tell.
    """
    if not (root / ".git").exists():  # git would look for one in the folders above
        return None
    command = ["git", "--no-optional-locks", f"--git-dir={root / '.git'}", f"--work-tree={root}"]
    command += ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(
            command, cwd=root, check=True, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):  # not installed, or a folder of somebody else
        return None
    return answer.stdout.strip()
