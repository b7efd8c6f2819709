"""Files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from selfnorm._files import write_file


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        write_file(tmp_path / "f", content)
        assert (tmp_path / "f").read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError("no space left on device")

    write_file(tmp_path / "f", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_file(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_first_error_is_the_one_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError) as error:
        write_file(tmp_path / "file" / "f", b"new")
    assert error.value.__context__ is None
