"""The environment is built again when, and only when, something that goes into it changed."""

from pathlib import Path

from tools.dev.bootstrap import pinned, stamp


def test_the_stamp_changes_with_any_file_and_any_fact(tmp_path: Path) -> None:
    lock, project = tmp_path / "requirements.lock", tmp_path / "pyproject.toml"
    lock.write_text("a==1")
    stamps = {stamp([lock, project], "3.11")}
    project.write_text("")
    stamps.add(stamp([lock, project], "3.11"))
    lock.write_text("a==2")
    stamps.add(stamp([lock, project], "3.11"))
    stamps.add(stamp([lock, project], "3.12"))
    assert len(stamps) == 4
    assert stamp([lock, project], "3.12") in stamps


def test_text_moved_from_one_file_to_the_next_changes_the_stamp(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("ab")
    two.write_text("c")
    before = stamp([one, two])
    one.write_text("a")
    two.write_text("bc")
    assert stamp([one, two]) != before


def test_versions_are_read_from_a_lock_file_with_their_markers() -> None:
    text = "aiohttp==3.14.5 \\\n    --hash=sha256:00\nwinloop==1 ; sys_platform == 'win32' \\\n    --hash=sha256:11\n"
    assert pinned(text) == ["aiohttp==3.14.5", "winloop==1 ; sys_platform == 'win32'"]
