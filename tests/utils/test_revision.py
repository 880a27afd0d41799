import re
import subprocess

from mmseg.utils.work_dir import git_revision


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_revision_is_the_commit_and_marks_changes(tmp_path):
    root = tmp_path / "a; touch b"
    root.mkdir()
    git(root, "init", "-q")
    (root / "code.py").write_text("x = 1\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    git(root, "tag", "v1.0")
    head = git(root, "rev-parse", "HEAD")
    assert re.fullmatch("[0-9a-f]{40}", head)
    (root / "results.txt").write_text("")
    assert git_revision(root) == head
    (root / "code.py").write_text("x = 2\n")
    assert git_revision(root) == f"{head}-dirty"


def test_the_repository_around_a_folder_is_not_used(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    (tmp_path / "site-packages").mkdir()
    assert git_revision(tmp_path / "site-packages") is None
    (tmp_path / "site-packages" / ".git").write_text("gitdir: nowhere\n")
    assert git_revision(tmp_path / "site-packages") is None
    monkeypatch.setenv("PATH", str(tmp_path))  # no git there
    assert git_revision(tmp_path) is None
