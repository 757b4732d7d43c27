//! The contract that every store fulfils, run against each implementation; and tests of the embedded store's own files.
//! A new implementation adds a [`factory::StoreFactory`] and one line at the end of this file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken contract ends the test")]
#![allow(clippy::disallowed_methods, reason = "a test spawns its senders and joins them")]

mod append;
mod attempts;
mod bench;
mod bounds;
mod client_limits;
mod copies;
mod deduplication;
mod deliveries;
mod documents;
mod factory;
mod lifecycle;
mod maintenance;
mod migration;
mod notifications;
mod outbox;
mod outbox_model;
mod registry;
mod rejects;
mod replay;
mod reseal;
mod routing;
mod sqlite;
mod threads;
mod usage;

/// Makes a test of each function of the contract. Only a macro can make items with names.
macro_rules! tests_of {
    ($fresh:expr; $($subject:ident { $($test:ident)* })*) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            crate::$subject::$test($fresh).await;
        }
    )*)*};
}

/// Runs the contract against the stores that `fresh` makes.
macro_rules! test_store {
    ($store:ident, $fresh:expr) => {
        mod $store {
            tests_of! { $fresh;
                append {
                    sequences_increase_and_head_is_the_last
                    event_json_has_documented_keys_in_order
                    vendor_uuid_becomes_document_id_else_version_1
                    generated_id_is_accepted_as_vendor_uuid
                    documents_of_one_millisecond_get_distinct_ids
                    event_time_ignores_small_clock_steps_back
                    event_time_follows_clock_set_back_far
                    title_is_kept_in_later_events
                    tail_and_log_agree_under_concurrent_senders
                    every_tail_gets_all_events_after_one_drops
                    unread_tail_blocks_senders_and_skips_nothing
                    append_for_unknown_client_is_refused
                    hostile_text_is_stored_unchanged
                }
                attempts {
                    failure_of_an_attempt_keeps_a_retry_by_hand_since_its_begin
                    attempt_recorded_twice_counts_once
                    failure_of_a_former_owner_keeps_the_due_time_of_the_new_one
                }
                bounds {
                    history_bounds_hold_without_pruning_pass
                    largest_client_is_pruned_beyond_total_bytes
                    titles_count_in_history_bytes
                    callbacks_and_rows_of_documents_count_in_history_bytes
                    deliveries_and_rejects_beyond_total_bytes_are_removed_before_foreign_events
                    delivery_bounds_hold_without_pruning_pass
                    deduplication_key_bound_holds_without_pruning_pass
                    document_bounds_hold_without_pruning_pass
                    removed_rows_are_counted_by_kind
                }
                client_limits {
                    limits_of_a_client_survive_reopen_and_secret_rotation
                    concurrent_change_of_limits_is_a_conflict
                    successor_of_a_client_does_not_inherit_limits
                    own_limit_of_notifications_replaces_the_common_one
                    own_limit_of_stored_bytes_replaces_the_common_one
                }
                deduplication {
                    deduplication_key_expires_after_thirty_days
                    oldest_deduplication_keys_are_pruned_by_number
                    deduplication_key_survives_reopen
                    concurrent_duplicates_store_one_event
                    same_status_without_key_is_a_duplicate
                    registration_after_first_event_is_a_duplicate
                    keys_and_documents_are_separate_by_client_and_vendor
                    deduplication_key_outlives_its_pruned_event
                    key_with_future_time_expires_with_its_successors
                }
                replay {
                    pages_join_without_gap_or_duplicate
                    event_beyond_byte_limit_ends_its_page
                    complete_page_reaches_head_written_by_other_clients
                    complete_page_skips_no_concurrent_event
                    head_is_never_behind_read_results
                    document_pages_hold_events_of_these_documents_only
                    document_with_very_many_events_is_paged_completely
                    oldest_events_are_pruned_by_count_bytes_and_age
                    sequences_are_not_reused_after_full_prune
                    append_succeeds_during_prune
                    raw_request_is_returned_unchanged_to_its_client_only
                    events_with_future_time_are_pruned_with_their_successors
                    slow_clock_prunes_no_newer_events
                    prune_completes_under_constant_load
                }
                documents {
                    document_state_follows_its_last_event
                    documents_are_filtered_and_paged_newest_first
                    stream_from_list_head_misses_nothing
                    event_counts_by_minute_and_status_are_bounded
                    history_lists_document_events_oldest_first
                    history_is_limited_to_newest_unpruned_thousand
                    document_list_and_history_are_cut_by_bytes
                    inactive_document_is_forgotten_after_thirty_days
                    uuid_lookup_ignores_case
                    inactive_documents_are_forgotten_despite_future_time
                }
                registry {
                    clients_and_hooks_survive_reopen
                    duplicate_names_and_keys_are_refused
                    change_of_unknown_client_or_hook_is_refused
                    changed_hook_keeps_url_and_list_position
                    rotated_client_secret_survives_reopen
                    removed_client_disappears_at_once_with_its_data
                    concurrent_client_or_hook_change_is_a_conflict
                    call_of_removed_client_does_not_reach_successor
                }
                notifications {
                    notifications_survive_a_reopen
                    notification_count_and_names_are_limited
                    default_notification_is_unique_per_client
                    changed_notification_keeps_name_and_list_position
                    change_of_unknown_notification_is_refused
                    concurrent_notification_change_is_a_conflict
                    removed_notification_fails_pending_and_successor_inherits_nothing
                    removed_client_leaves_no_delivery
                }
                routing {
                    event_goes_to_named_else_default_notification
                    callback_gets_document_events_beside_notification
                    callbacks_to_one_origin_share_a_queue_in_document_order
                    late_route_gets_latest_event_once
                    delivery_uses_current_callback
                    status_without_representation_in_format_is_not_queued
                    events_are_queued_in_every_notification_state
                }
                outbox {
                    deliveries_are_stored_with_event_and_survive_reopen
                    events_of_one_document_are_delivered_in_order
                    first_attempts_precede_retries_each_by_due_time
                    first_attempt_does_not_wait_for_a_clock_that_is_ahead
                    due_page_reports_next_due_time
                    page_of_two_has_a_first_attempt_and_a_retry
                    queues_are_reported_when_their_deliveries_become_due
                    all_queues_are_reported_after_opening_and_rescan
                    delivery_queues_are_isolated
                    finished_delivery_cannot_be_recorded_again
                    making_queue_due_keeps_document_order
                    ready_queues_are_reported_once_without_loss
                }
                deliveries {
                    attempts_keep_order_and_truncate_responses
                    delivery_list_is_cut_by_bytes
                    deliveries_are_filtered_and_listed_newest_first
                    manual_retry_restarts_schedule_in_document_order
                    retry_failed_requeues_deliveries_failed_since
                    finished_deliveries_are_pruned_by_age_count_and_bytes
                    delivery_outlives_its_pruned_event
                    delivery_is_given_up_at_the_end_of_its_schedule
                    oldest_pending_deliveries_are_given_up_beyond_the_limits
                    attempts_of_pending_deliveries_are_bounded
                }
                rejects {
                    reject_is_stored_completely_and_survives_reopen
                    rejects_are_paged_newest_first
                    reject_list_is_cut_by_bytes
                    oldest_rejects_are_pruned_by_count_bytes_and_age
                    unverified_rejects_displace_only_each_other
                    reject_is_removed_by_its_client_only
                }
                lifecycle {
                    events_and_documents_survive_reopen
                    closed_store_refuses_calls_and_ends_tails
                    pending_appends_are_answered_on_close
                    probe_succeeds_and_stores_nothing
                }
            }
            tests_of! { ($fresh, $fresh); lifecycle { new_stores_get_distinct_epochs } }
        }
    };
}

test_store!(sqlite_files, crate::factory::SqliteFiles::new());
