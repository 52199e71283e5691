"""What strangers' files, servers and faults were seen to do at commit 7d96c5c, and the tests that hold each of them."""

from typing import NamedTuple


class Item(NamedTuple):
    """One promise.

    Attributes:
        group: the heading of the table it stands under.
        title: what must hold.
        tests: what pytest is given, below `tests/`: files, or `file::test`.
    """

    group: str
    title: str
    tests: tuple[str, ...]


READ, COST, ROW, DAY, RANDOM = (
    "What a file may read, or send",
    "What a file may cost",
    "One bad row costs one row, one bad file one sentence",
    "Second days",
    "Files changed at random",
)


def _of(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{file}.py::{name}" for name in names)


_MAPS, _GALLERY = "serving/galleries/test_foreign_maps", "serving/galleries/test_foreign_gallery"
_FETCH, _UNPACK, _OPENED = "ingest/test_fetch", "ingest/test_unpack", "serving/photos/test_never_opened"

ITEMS = (
    Item(READ, "A map's metadata opens no other file and asks no server", _of(
        _MAPS, "test_a_map_that_names_its_overviews_is_not_followed",
        "test_masks_and_a_data_sets_own_map_come_through_the_same_door",
    )),
    Item(READ, "Nor do files beside a map, other drivers or grids of coordinate systems", _of(
        _MAPS, "test_a_file_of_another_driver_is_no_map_whatever_its_name", "test_a_file_beside_a_map_is_not_followed",
        "test_a_pipe_beside_a_map_is_not_waited_for", "test_a_coordinate_system_opens_no_file",
    ) + _of("serving/galleries/test_gallery_beside", "test_a_map_whose_metadata_name_another_file_is_refused")),
    Item(READ, "A gallery's backdrop is a picture of the gallery", _of(
        _GALLERY, "test_a_backdrop_is_a_picture_of_the_gallery", "test_a_backdrop_is_the_plain_file_that_was_written",
    )),
    Item(READ, "Names in galleries and indexes are those of their own plain files", _of(
        _GALLERY, "test_a_shard_has_a_shards_name", "test_a_shard_is_no_link", "test_a_shards_files_are_listed",
        "test_a_shards_files_are_no_links", "test_an_index_is_no_link",
    )),
    Item(READ, "So are names in manifests and cards", _of(
        "io/test_nolinks", "test_a_manifest_names_plain_files_below_its_folder",
        "test_a_card_names_plain_files_below_its_folder", "test_the_list_itself_is_a_plain_file",
        "test_a_list_without_end_is_refused_before_it_fills_the_memory", "test_what_is_opened_must_be_listed",
    )),
    Item(READ, "So are names in journals", ("tracking/test_tracking_names.py", *_of(
        "io/test_nolinks", "test_a_journal_keeps_no_file_that_a_link_leads_to",
    ))),
    Item(READ, "No dependency tells anybody anything, in any process", (
        "serving/sessions/test_quiet.py",
        *_of("flows/test_flow_localize", "test_nobody_is_told_by_a_flow_and_its_workers"),
        *_of("export/test_export_stage", "test_nobody_is_told_by_an_export"),
    )),
    Item(READ, "An ONNX file holds its weights itself, ends, and is made of ONNX's own operators", (
        "serving/sessions/test_graph.py",
    )),
    Item(READ, "Secrets are neither said nor stored; signed addresses are refused in params.yaml", (
        "io/test_redaction.py", *_of("tracking/test_tracking", "test_no_password_of_the_store_is_said_or_written"),
    )),
    Item(READ, "No file is made through a link; the umask is honoured", _of(
        "io/test_nolinks", "test_a_lock_writes_through_no_link", "test_a_lock_that_is_a_pipe_is_not_waited_for",
        "test_a_journal_writes_through_no_link", "test_a_file_replaces_a_link_and_not_what_it_leads_to",
        "test_what_is_made_has_the_rights_that_the_umask_leaves",
    )),
    Item(READ, "No name is a formula in a spreadsheet, or breaks KML", _of(
        "serving/jobs/test_locate", "test_names_survive_and_formulas_do_not",
    ) + _of("serving/jobs/test_formats", "test_no_character_breaks_kml")),
    Item(COST, "What an image costs is known before it is decoded", _of(
        "view/test_image_bounds", "test_b7_what_costs_too_much_is_refused_before_decoding",
        "test_b7_what_cameras_and_encoders_write_is_read", "test_b7_a_gigabyte_of_nothing_is_not_read",
        "test_b7_a_block_of_exif_without_end_costs_the_exif_alone",
    )),
    Item(COST, "Members, dictionaries and headers of archives are bounded before they are in memory", _of(
        _UNPACK, "test_b8_members_are_counted_before_a_directory_is_taken_into_memory",
        "test_b8_a_directory_of_something_else_is_refused", "test_b8_a_dictionary_of_a_gibibyte_is_refused",
        "test_b8_streams_with_nothing_in_them_have_an_end", "test_b8_sparse_files_are_refused_by_their_header",
        "test_b8_names_without_end_are_refused", "test_b8_notes_upon_notes_are_refused",
    )),
    Item(COST, "Slow, forgetful and talkative servers have an end", _of(
        _FETCH, "test_b9_bytes_that_come_again_and_again_are_no_progress",
        "test_b9_a_file_that_changes_in_every_answer_is_given_up", "test_b9_a_byte_a_request_is_no_progress",
        "test_b9_a_least_rate_is_held", "test_b9_a_deadline_holds_for_all_attempts_together",
        "test_b9_heads_that_never_end_are_cut_off", "test_b9_a_server_that_says_when_is_asked_then",
        "test_b9_damaged_notes_begin_the_download_anew", "test_b9_what_a_server_says_moves_no_cursor",
    )),
    Item(COST, "Pipes, devices and endless files are never opened", _of(
        _OPENED, "test_b10_what_is_no_plain_file_is_a_sentence",
        "test_b10_a_file_of_the_system_that_says_no_size_is_not_read_on_and_on",
        "test_b10_and_c11_each_of_them_costs_its_own_row_of_a_job",
    )),
    Item(ROW, "A name with a NUL, a size that is none: one reason", _of(
        _OPENED, "test_c11_a_name_with_a_nul_is_a_reason", "test_c11_sizes_that_are_none_are_sentences",
    )),
    Item(ROW, "Ragged tables are refused by their line", _of(
        "ingest/test_usertables", "test_what_is_no_table_is_refused_by_its_line",
    ) + _of("ingest/test_own", "test_a_ragged_table_is_refused_by_its_line")
      + _of("ingest/test_cvusa", "test_c11_ragged_rows_are_refused_by_their_line")),
    Item(ROW, "Damaged plans, summaries, results, photo lists and weights are sentences", (
        "serving/jobs/test_damaged.py", "nn/test_model_damaged.py",
    )),
    Item(ROW, "Settings in another encoding, or none at all, are sentences", _of(
        "io/test_params", "test_c11_a_file_that_is_no_settings_is_a_sentence",
    )),
    Item(ROW, "A gallery's numbers are those a builder writes", _of(
        _GALLERY, "test_descriptors_are_held_to_unit_length_width_and_type", "test_an_archive_of_arrays_is_no_array",
        "test_tiles_lie_on_the_earth_and_their_pictures_in_their_file", "test_every_tile_has_a_name_of_its_own",
        "test_a_table_without_a_column_is_no_table_of_tiles", "test_a_manifest_says_nothing_impossible",
    )),
    Item(ROW, "Without memory, handles or threads a job ends in one sentence", _of(
        "io/test_terminal", "test_c13_what_a_machine_lacks_is_named",
        "test_c13_under_a_limit_a_job_ends_in_one_sentence",
    )),
    Item(ROW, "A full disk is blamed for what a full disk does", _of(
        "serving/jobs/test_disk_full", "test_c13_a_full_disk_is_blamed_for_what_a_full_disk_does",
        "test_c13_what_is_no_matter_of_the_disk_passes",
    )),
    Item(ROW, "What libraries say stays out of the terminal", _of(
        "io/test_terminal", "test_c14_warnings_and_logs_of_libraries_stay_out",
    )),
    Item(ROW, "Reasons are ours, not a decoder's", _of(
        "view/test_image_bounds", "test_c14_reasons_are_ours_and_not_a_decoders",
    )),
    Item(DAY, "A second store gets all that the first has; what could not be sent counts as failed", _of(
        "tracking/test_tracking_stores", "test_a_second_store_has_all_the_first_has",
        "test_what_lies_where_it_came_from_is_sent_from_there", "test_what_could_not_be_sent_is_failed_until_it_can",
        "test_a_journal_that_cannot_be_sent_does_not_stop_the_others",
        "test_a_damaged_cursor_sends_again_and_doubles_nothing",
    ) + _of("test_cli_pipeline", "test_sync_fails_when_something_could_not_be_sent")),
    Item(DAY, "A local store is never out of reach", _of(
        "tracking/test_tracking", "test_a_local_store_is_never_out_of_reach",
        "test_a_local_store_that_refuses_is_not_called_out_of_reach",
    )),
    Item(DAY, "With MLflow dead the champion last fetched serves", _of(
        "tracking/test_tracking_registry", "test_without_a_registry_the_champion_last_fetched_serves",
    ) + _of("flows/test_flow_localize", "test_a_dead_mlflow_server_stops_no_night")),
    Item(DAY, "A run outlives Prefect's worker, killed while it logs", ("flows/test_flow_worker.py",)),
    Item(DAY, "A pipeline told to stop ends at once, leaves no server, and keeps its state in the project's root", _of(
        "flows/test_flow_pipeline", "test_a_run_by_hand_that_is_told_to_stop_ends_at_once_and_leaves_no_server",
    )),
    Item(DAY, "A project can be moved", _of(
        "tracking/test_tracking_stores", "test_a_moved_project_keeps_its_artefacts",
        "test_an_experiment_kept_elsewhere_stays_there",
    ) + _of("tracking/test_tracking_places", "test_a_project_moved_beside_itself_is_mended")),
    Item(RANDOM, "Tags of maps", _of(_MAPS, "test_mutations_of_a_maps_tags")),
    Item(RANDOM, "Galleries, indexes, cards, networks, jobs", ("serving/test_fuzz.py",)),
    Item(RANDOM, "Photos, archives, tables, settings", ("test_fuzz_files.py",)),
)  # fmt: skip
