"""The pictures of the passes are what the passes do now."""

from __future__ import annotations

from docs import pass_pictures


def test_the_pictures_are_what_the_passes_do():
    found = {path.name: path.read_text("utf-8") for path in pass_pictures.FOLDER.glob("*.svg")}
    assert dict(pass_pictures.pictures()) == found, "run python -m docs.pass_pictures"


def test_the_page_shows_every_picture():
    page = (pass_pictures.FOLDER.parent / "passes.md").read_text("utf-8")
    assert all(f"(pictures/{name})" in page for name, _ in pass_pictures.pictures())
