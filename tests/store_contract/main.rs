//! What every store promises, held against each implementation; and what only the embedded one can promise.
//! A new implementation brings a [`factory::StoreFactory`] and one line at the end of this file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what is not as promised ends the test")]
#![allow(clippy::disallowed_methods, reason = "the senders of a test are tasks of its own")]

mod bench;
mod deliveries;
mod documents;
mod factory;
mod lifecycle;
mod notifications;
mod order;
mod outbox;
mod registry;
mod rejects;
mod repeats;
mod replay;
mod routing;
mod sqlite;

/// Makes a test of each promise. Only a macro can: a test is an item with a name.
macro_rules! promises {
    ($fresh:expr; $($subject:ident { $($promise:ident)* })*) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            crate::$subject::$promise($fresh).await;
        }
    )*)*};
}

/// All promises, held against the stores that `fresh` makes.
macro_rules! the_contract_holds_for {
    ($store:ident, $fresh:expr) => {
        mod $store {
            promises! { $fresh;
                order {
                    positions_grow_and_the_head_is_the_last_of_them
                    an_event_says_what_the_contract_lists_in_its_order
                    a_vendors_own_uuid_is_the_documents_id_and_others_get_version_1
                    an_id_minted_here_may_come_back_as_a_vendors_own
                    ten_thousand_documents_in_one_millisecond_have_ids_of_their_own
                    time_takes_no_small_step_backwards
                    a_clock_that_was_ahead_is_believed_when_it_is_set_back
                    a_title_once_known_stays_with_the_document
                    the_tail_the_history_and_the_positions_agree_under_eight_senders
                    every_tail_hears_everything_and_one_that_left_holds_up_nobody
                    a_tail_that_is_not_read_slows_the_senders_and_skips_nothing
                    nothing_is_stored_for_an_unknown_client
                    hostile_text_comes_back_as_it_went_in
                }
                repeats {
                    a_key_is_known_for_thirty_days_and_no_longer
                    a_key_is_known_after_the_store_was_opened_again
                    of_many_at_the_same_moment_one_is_stored
                    without_a_key_the_same_status_is_no_news
                    a_document_is_registered_once_and_an_early_event_counts
                    clients_and_vendors_share_neither_keys_nor_documents
                    a_key_outlives_the_event_that_brought_it
                    a_key_from_a_clock_that_was_ahead_goes_with_those_that_came_after_it
                }
                replay {
                    pages_cut_by_number_or_bytes_join_without_gap_or_repeat
                    the_event_that_passes_the_bytes_is_the_last_of_its_page
                    an_uncut_page_reaches_the_head_though_others_wrote_last
                    an_uncut_page_promises_nothing_that_is_not_in_it
                    the_head_is_never_behind_what_an_answer_has_shown
                    the_oldest_go_when_they_are_too_many_too_large_or_too_old
                    a_position_is_never_used_again_even_when_all_is_pruned
                    senders_are_served_while_the_history_is_pruned
                    an_events_request_is_given_back_byte_for_byte_to_its_owner_only
                    events_from_a_clock_that_was_ahead_go_with_those_that_came_after_them
                    a_clock_that_is_behind_for_a_while_takes_no_history
                    pruning_gets_to_its_end_while_senders_fill_every_batch
                }
                documents {
                    a_document_stands_where_its_last_event_put_it
                    a_listing_is_filtered_and_paged_newest_first
                    a_stream_after_a_listings_head_continues_it
                    events_are_counted_by_minute_and_status_up_to_a_bound
                    a_history_has_the_documents_events_oldest_first
                    a_history_shows_the_latest_thousand_and_ends_where_pruning_cut
                    a_silent_document_is_remembered_for_thirty_days
                    a_uuid_in_either_case_names_one_document
                    silent_documents_are_forgotten_though_the_clock_was_ahead_once
                }
                registry {
                    clients_and_hooks_are_found_again_after_a_restart
                    names_and_keys_are_given_once
                    what_is_not_there_cannot_be_changed
                    a_changed_hook_keeps_its_address_and_its_place
                    a_rotated_secret_survives_a_restart
                    a_removed_client_is_gone_at_once_with_all_it_owned
                }
                notifications {
                    notifications_are_found_again_after_a_restart
                    a_client_has_few_notifications_and_names_them_once
                    one_notification_at_most_is_the_default
                    a_changed_notification_keeps_its_name_and_its_place
                    a_notification_that_is_not_there_cannot_be_changed
                    a_notification_that_was_changed_meanwhile_is_left_as_it_is
                    what_waits_for_a_removed_notification_is_dead_and_a_new_one_inherits_nothing
                    a_removed_client_leaves_no_delivery
                }
                routing {
                    an_event_goes_to_the_named_notification_else_to_the_default_one
                    a_callback_gets_the_documents_events_beside_the_notification
                    a_late_route_gets_the_latest_event_once
                    a_callback_is_called_as_it_is_now
                    what_a_format_has_no_words_for_is_not_queued
                    the_state_of_a_notification_keeps_nothing_from_being_queued
                }
                outbox {
                    deliveries_are_stored_with_their_event_and_survive_a_restart
                    a_documents_events_go_one_after_the_other
                    first_attempts_go_before_retries_and_each_group_by_its_time
                    a_page_says_when_to_look_again
                    one_lane_does_not_show_in_another
                    what_is_settled_is_settled
                    hurrying_makes_a_lane_due_and_lets_nothing_overtake
                    changed_lanes_are_named_once_and_none_is_lost
                }
                deliveries {
                    attempts_are_kept_in_order_and_answers_are_cut
                    deliveries_are_listed_newest_first_by_state_and_notification
                    a_retry_by_hand_begins_anew_and_waits_its_turn
                    recovering_sends_again_what_has_died_since
                    settled_deliveries_go_when_they_are_too_old_too_many_or_too_large
                    a_delivery_outlives_its_event
                }
                rejects {
                    a_reject_is_kept_whole_and_across_a_restart
                    rejects_are_listed_newest_first_page_by_page
                    the_oldest_rejects_make_room_for_the_newest
                    a_replayed_reject_is_removed_by_its_owner_only
                }
                lifecycle {
                    everything_is_there_when_the_store_is_opened_again
                    a_closed_store_says_so_and_its_tails_end
                    whoever_waits_when_the_store_closes_is_answered
                    a_probe_answers_and_leaves_no_trace
                }
            }
            promises! { ($fresh, $fresh); lifecycle { two_stores_have_two_epochs } }
        }
    };
}

the_contract_holds_for!(sqlite_files, crate::factory::SqliteFiles::new());
