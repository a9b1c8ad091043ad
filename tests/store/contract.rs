//! The contract of a job store: what every one of them promises, one function a promise.
//!
//! Rules take a [`Lab`] and know no particular store. The macros make one test of each rule for
//! each store. Must not know: any particular store.

pub(crate) mod admission;
pub(crate) mod attempts;
pub(crate) mod claiming;
pub(crate) mod deliveries;
pub(crate) mod endings;
pub(crate) mod entering;
pub(crate) mod keeping;
pub(crate) mod leases;
pub(crate) mod looking;
pub(crate) mod owing;
pub(crate) mod reopening;

use std::sync::Arc;

use async_trait::async_trait;
use beagle::store::{JobStore, StoreLimits};

/// A place for one queue, empty at first and its own alone.
#[async_trait]
pub(crate) trait Lab: Send + Sync {
    /// Opens the queue. A durable one has what was there before; the former value is closed or
    /// dropped by then.
    async fn open(&self, limits: StoreLimits) -> Arc<dyn JobStore>;
}

/// One test a rule; `$lab` has an `async fn new() -> Self`.
macro_rules! rules {
    ($lab:ty: $($part:ident::$rule:ident,)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let lab = <$lab>::new().await;
            $crate::fixture::soon(crate::contract::$part::$rule(&lab)).await;
        }
    )+};
}

/// What every store promises.
macro_rules! every_store {
    ($lab:ty) => {
        $crate::contract::rules! { $lab:
            admission::an_accepted_job_is_queued_with_everything_it_was_offered_with,
            admission::a_job_keeps_its_callback_and_its_span,
            admission::a_full_queue_refuses_and_says_so,
            admission::claimed_and_running_jobs_count_and_ended_ones_make_room,
            admission::the_same_job_offered_twice_is_one_job,
            admission::the_same_job_offered_twice_is_accepted_by_a_full_queue_too,
            admission::a_job_offered_again_after_its_end_stays_ended,
            admission::a_refused_job_leaves_no_trace_and_may_come_again,
            admission::a_known_key_for_another_request_is_refused,
            admission::a_job_with_a_key_offered_twice_is_accepted_twice,
            admission::a_key_is_free_again_after_its_time,
            admission::many_callers_with_one_key_get_one_job,
            admission::many_callers_do_not_pass_the_bound,
            entering::an_entered_job_runs_with_everything_it_was_offered_with,
            entering::an_entered_job_is_nobody_elses_and_ends_once,
            entering::an_entered_job_that_fails_comes_again_with_its_attempt,
            entering::a_job_entered_twice_is_one_job,
            entering::a_job_entered_under_a_known_key_is_the_first_one,
            entering::a_job_entered_after_its_deadline_expires,
            claiming::a_claim_gives_everything_that_the_job_was_offered_with,
            claiming::a_claim_takes_what_there_is_without_waiting_for_more,
            claiming::a_claim_waits_for_a_job,
            claiming::every_waiting_claim_is_woken_by_its_job,
            claiming::concurrent_claims_never_give_a_job_twice,
            claiming::a_claimed_job_is_still_queued_to_who_looks,
            claiming::an_expired_job_is_never_claimed,
            claiming::a_cancelled_job_is_never_claimed,
            claiming::dropped_claims_lose_nothing,
            leases::a_lost_lease_is_worth_nothing,
            leases::a_running_job_whose_lease_is_lost_comes_again_with_its_attempt,
            leases::a_result_after_a_lost_lease_is_stale,
            leases::the_fence_grows_with_every_claim,
            leases::a_heartbeat_keeps_its_lease_and_no_other,
            leases::a_heartbeat_does_not_bring_a_lost_lease_back,
            leases::a_release_under_an_old_lease_changes_nothing,
            leases::a_started_job_is_not_released,
            leases::a_job_that_lost_its_lease_wakes_a_waiting_claim,
            attempts::a_start_is_on_record_at_once,
            attempts::starts_are_answered_in_the_order_given,
            attempts::a_start_repeated_under_its_lease_is_charged_once,
            attempts::a_cancelled_job_does_not_start,
            attempts::an_expired_job_does_not_start,
            attempts::the_last_failure_makes_a_dead_letter_with_its_reason,
            attempts::a_job_whose_runners_die_becomes_a_dead_letter,
            attempts::a_job_that_was_claimed_and_never_started_is_not_charged,
            attempts::a_failure_under_an_old_lease_is_stale,
            attempts::a_failure_of_a_cancelled_job_is_stale,
            attempts::a_failure_under_a_full_queue_is_recorded,
            attempts::a_dead_letter_that_is_retried_starts_anew,
            attempts::only_dead_letters_are_retried,
            endings::the_first_result_wins,
            endings::results_are_answered_in_the_order_given,
            endings::a_queued_job_is_cancelled,
            endings::a_claimed_job_is_cancelled,
            endings::a_running_job_is_cancelled_and_its_result_dropped,
            endings::an_ended_job_is_not_cancelled,
            endings::a_job_nobody_knows_is_not_cancelled,
            endings::a_running_job_does_not_expire,
            endings::a_failed_job_whose_deadline_has_passed_expires,
            endings::a_claimed_job_that_was_not_started_expires,
            endings::every_end_is_told,
            endings::an_end_is_told_once,
            deliveries::a_delivery_is_due_with_the_end_and_not_before,
            deliveries::every_end_is_due_with_what_is_known_of_it,
            deliveries::a_delivery_that_is_tried_is_nobody_elses_until_the_lease_ends,
            deliveries::concurrent_claims_never_give_a_delivery_twice,
            deliveries::a_delivered_end_is_told_no_more,
            deliveries::a_failed_delivery_comes_again_after_its_wait,
            deliveries::a_postponed_delivery_was_not_tried,
            deliveries::a_delivery_is_given_up_by_who_tries,
            deliveries::a_delivery_is_given_up_after_its_time,
            owing::what_is_due_outlives_its_outcomes_time,
            owing::callbacks_are_bounded_until_they_have_ended,
            owing::a_retried_dead_letter_is_told_again,
            owing::what_came_of_an_earlier_end_says_nothing_of_a_later_one,
            owing::a_purge_forgets_what_is_due,
            keeping::an_outcome_is_forgotten_after_its_time,
            keeping::an_outcome_with_a_key_lives_as_long_as_the_key,
            keeping::a_purge_forgets_one_state_alone,
            keeping::a_purge_leaves_what_is_queued_or_running,
            keeping::a_purged_key_is_free,
            looking::an_empty_queue_has_nothing_to_show,
            looking::stats_count_every_state,
            looking::a_job_that_has_ended_has_none_before_it,
            looking::a_list_has_no_results,
            looking::a_healthy_store_has_no_danger,
            looking::a_store_says_where_it_is_and_what_it_promises,
            reopening::a_closed_store_refuses_everything,
            reopening::a_close_ends_waiting_claims,
        }
    };
}

/// What a store promises beside that keeps all jobs in one place: an order among all of them, and
/// bounds to the last job and byte.
macro_rules! one_place_store {
    ($lab:ty) => {
        $crate::contract::rules! { $lab:
            admission::a_queue_full_of_bytes_refuses_and_says_so,
            admission::a_known_key_names_the_first_job_even_when_full,
            admission::a_refused_job_does_not_take_its_key,
            entering::an_entered_job_overtakes_nobody,
            entering::a_full_queue_refuses_an_entered_job,
            claiming::jobs_come_by_priority_and_then_in_the_order_of_arrival,
            claiming::lower_priorities_have_their_share,
            claiming::a_claim_takes_no_more_than_there_is_room,
            leases::a_released_job_comes_again_in_its_place_without_charge,
            attempts::a_failed_job_comes_again_before_younger_ones,
            attempts::a_failed_job_does_not_pass_a_higher_priority,
            attempts::a_retry_is_refused_by_a_full_queue,
            endings::a_result_is_recorded_by_a_full_queue,
            endings::a_claim_expires_what_it_passes_over,
            owing::what_is_due_takes_no_room_among_what_is_kept,
            deliveries::those_that_wait_longest_come_first,
            keeping::the_oldest_outcome_goes_when_there_are_too_many,
            keeping::the_oldest_dead_letter_goes_when_there_are_too_many,
            keeping::dead_letters_do_not_count_as_outcomes,
            keeping::dead_letters_take_no_room_in_the_queue,
            looking::stats_know_the_oldest_arrival,
            looking::a_job_has_those_before_it_that_came_earlier_and_have_not_ended,
            looking::a_list_is_by_state_oldest_first_and_bounded,
        }
    };
}

/// The same, where jobs outlive the store's value.
macro_rules! durable_one_place_store {
    ($lab:ty) => {
        $crate::contract::rules! { $lab:
            reopening::a_job_with_more_attempts_than_it_may_have_is_a_dead_letter_at_its_turn,
        }
    };
}

/// What a store promises whose jobs outlive its value.
macro_rules! durable_store {
    ($lab:ty) => {
        $crate::contract::rules! { $lab:
            reopening::queued_jobs_are_there_again_in_their_order,
            reopening::claimed_jobs_come_back_at_close_without_charge,
            reopening::running_jobs_come_back_with_their_attempts,
            reopening::entered_jobs_come_back_with_their_attempts,
            reopening::results_are_there_again,
            reopening::callbacks_and_spans_are_there_again,
            deliveries::deliveries_are_there_again,
            reopening::dead_letters_are_there_again_with_their_pixels,
            reopening::keys_are_there_again,
            reopening::bounds_count_what_was_there,
            reopening::fences_go_on_growing,
        }
    };
}

pub(crate) use {durable_one_place_store, durable_store, every_store, one_place_store, rules};
