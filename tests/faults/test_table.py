"""Every row of the fault table has a test, and this says which.

docs/faults.md tells users what each row means to them.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ROW = re.compile(r"def (test_row_(\d+)_\w+)")

# Rows whose tests live beside the code they are about.
ELSEWHERE: dict[int, tuple[str, ...]] = {
    1: (
        "backends/localdb/test_damage.py::test_damaged_database_is_moved_aside_once",
        "backends/localdb/test_damage.py::test_eight_processes_meet_one_damaged_database",
    ),
    2: (
        "backends/localdb/test_damage.py::test_flipped_bits_never_make_a_wrong_answer",
    ),
    3: (
        (
            "backends/localdb/test_processes.py::"
            "test_foreign_writer_is_waited_for_and_then_done_without"
        ),
        "backends/localdb/test_processes.py::test_stopped_lock_holder_delays_only_writes",
    ),
    4: ("backends/localdb/test_place.py::test_disk_full",),
    5: (
        "backends/localdb/test_place.py::test_read_only_directory",
        "backends/localdb/test_place.py::test_another_owners_database_is_not_used",
    ),
    6: (
        (
            "backends/localdb/test_place.py::"
            "test_network_file_system_gets_a_rollback_journal"
        ),
    ),
    13: (
        (
            "backends/localdb/test_processes.py::"
            "test_killed_processes_lose_nothing_acknowledged"
        ),
    ),
    15: (
        (
            "backends/localdb/test_processes.py::"
            "test_databases_in_one_process_exclude_each_other"
        ),
    ),
    16: (
        "backends/localdb/test_database.py::test_clock_steps_lead_to_misses_at_worst",
        "faults/test_truth.py::TestImages",
    ),
    37: (
        "bundle/test_upload.py::test_endlessly_changing_file_is_named",
        "tree/test_scan.py::test_a_file_that_keeps_changing_is_named",
    ),
    38: ("tree/test_scan.py::test_unreadable_files_and_directories_are_named",),
    39: ("tree/test_scan.py::test_special_files_are_skipped_and_never_opened",),
    40: (
        "tree/test_scan.py::test_symlinks_that_lead_out_are_errors",
        "tree/test_scan.py::test_a_file_replaced_by_something_else_is_named",
    ),
    41: ("bundle/test_model.py::test_what_goes_in_comes_out",),
    42: (
        "tree/test_scan.py::test_a_tree_over_its_limit_names_the_largest_files",
        "faults/test_peer_defects.py::test_24_an_upload_needs_little_memory",
    ),
    43: ("tree/test_scan.py::test_collisions_are_told",),
    44: (
        "archive/test_escapes.py::test_links_that_lead_out_are_refused",
        "bundle/test_hostile.py::test_harmful_packs_are_refused",
    ),
    45: (
        "tree/test_rules.py::test_secrets_and_junk_stay_home_and_are_told",
        "faults/test_secrets.py::test_a_whole_run_shows_no_secret",
    ),
    46: ("faults/test_secrets.py::test_the_engine_knows_no_secret_of_a_local_image",),
    48: ("image/test_recall.py::test_keys_keep_scopes_and_names_apart",),
    49: ("image/test_dockerfile.py::test_python_steps_share_one_environment",),
    50: (
        "backends/test_credentials.py::test_a_hanging_helper_is_killed",
        "backends/test_credentials.py::test_a_broken_helper_means_the_next_source",
    ),
    57: ("backends/localdb/test_database.py::test_two_versions_take_turns",),
    58: (
        "backends/localdb/test_damage.py::test_replaced_while_open_is_noticed_by_reads",
    ),
}


def own_rows() -> set[int]:
    """Return the rows that tests of this folder name."""
    texts = (path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    return {int(row) for text in texts for _, row in ROW.findall(text)}


@pytest.mark.parametrize("row", range(1, 60))
def test_the_row_has_a_test(row: int) -> None:
    """A row without a test, or with one that is gone, is noticed here."""
    named = ELSEWHERE.get(row, ())
    for name in named:
        file, _, function = name.partition("::")
        text = (TESTS / file).read_text()
        assert function, name
        assert re.search(rf"\b{function}\b", text), name
    assert named or row in own_rows()
