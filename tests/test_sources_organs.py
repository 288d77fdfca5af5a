"""What every reader of a source of other organs keeps: the checks of the colon sources, reused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import kumar as fake_kumar
from fakes import monuseg as fake_monuseg
from test_sources_colon import (  # the checks; they run here on the cases below
    Case,
    test_another_folder_says_what_is_expected_and_how_to_get_it,
    test_file_cut_short_is_named,
    test_image_without_companion_is_left_out_and_told,
    test_partial_source_harmonises_only_if_told_to,
    test_records_are_of_their_dataset,
    test_two_copies_are_refused,
    test_zip_folder_and_double_nesting_read_alike,
)

from cerberus_bench.loaders.reader import Reader
from cerberus_bench.loaders.sources import kumar

__all__ = [
    "test_another_folder_says_what_is_expected_and_how_to_get_it",
    "test_file_cut_short_is_named",
    "test_image_without_companion_is_left_out_and_told",
    "test_partial_source_harmonises_only_if_told_to",
    "test_records_are_of_their_dataset",
    "test_two_copies_are_refused",
    "test_zip_folder_and_double_nesting_read_alike",
]


def _case(
    reader: Reader,
    write: Callable[[Path], Path],
    n_images: int,
    *damaged: str,
    companion: str | None = None,
    sentence: str = "",
) -> Case:
    return Case(reader, write, n_images, companion, sentence, damaged)


_KUMAR = f"{fake_monuseg.TRAIN}/Annotations/{next(iter(fake_kumar.PARTS))}.xml"

CASES = {
    "kumar": _case(
        kumar.READER, fake_kumar.write, 3, _KUMAR, companion=_KUMAR, sentence="has no .xml"
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]
