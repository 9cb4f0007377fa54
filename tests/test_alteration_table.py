"""The table of alterations, of exports and clips: each row is what `verify` says today. The card's part is in
test_alteration_classes.py, the page's freshness in test_docs.py."""

from collections.abc import Callable

import pytest

from tests.alteration_table import CLIPS, FILES, UNSEEN, Files, Unseen, expected_clips, expected_file
from tests.export_edits import ALTERED, IN_THE_BOX
from tests.media import Sample


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files.made(tmp_path_factory.mktemp("files"))


def test_every_edit_of_an_export_has_its_row() -> None:
    assert list(FILES) == [*ALTERED, *IN_THE_BOX]
    assert len(FILES) == 57


@pytest.mark.parametrize("done", [*ALTERED, *IN_THE_BOX])
def test_an_altered_export_is_caught_and_its_first_bad_second_named(files: Files, done: str) -> None:
    assert files.file(done) == expected_file(done)


@pytest.mark.parametrize(("n", "done", "edit"), [(n, done, edit) for n, (done, edit, *_) in enumerate(CLIPS)])
def test_an_altered_clip_is_judged_by_its_signatures(
    files: Files, n: int, done: str, edit: Callable[[list[Sample]], list[Sample]]
) -> None:
    assert files.clip(done, edit) == expected_clips()[n]


@pytest.mark.parametrize(("n", "unseen"), list(enumerate(UNSEEN)))
def test_what_a_clip_can_not_tell_is_said_with_what_closes_it(files: Files, n: int, unseen: Unseen) -> None:
    row = files.unseen(unseen)
    assert row == expected_clips()[len(CLIPS) + n]
    assert row[1] == "unaltered"
    assert "Card: ALTERED, 00000" in row[4] or "Card: ALTERED, init.mp4.age" in row[4]
    assert "Export: ALTERED, " in row[4]
