use super::{
    Need, Stage, away, clock, cluster, events, groups, holding, life, options, order, outage, patterns, replay,
    requests, routing, secrets, settlement, transactions,
};

/// One rule of a broker, and what shows it.
pub type Case = crate::Case<Stage, Need>;

/// Returns the cases, subject by subject.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    const ALL: &[&[Case]] = &[
        routing::CASES,
        settlement::CASES,
        holding::CASES,
        groups::CASES,
        order::CASES,
        options::CASES,
        life::CASES,
        replay::CASES,
        transactions::CASES,
        requests::CASES,
        patterns::CASES,
        clock::CASES,
        events::CASES,
        outage::CASES,
        away::CASES,
        secrets::CASES,
        cluster::CASES,
    ];
    ALL.iter().copied().flatten()
}

/// Returns the cases that need a server which can be killed, subject by subject.
pub fn fault_cases() -> impl Iterator<Item = &'static Case> {
    cases().filter(|case| case.needs.iter().any(|need| matches!(need, Need::Server | Need::Cluster)))
}

/// Makes a test of each broker case, for a [`Fixture`](crate::broker::Fixture) that the expression makes.
#[macro_export]
macro_rules! broker_cases {
    ($fixture:expr) => {
        $crate::cases_as_tests! { broker every_broker_case_is_a_test $fixture;
            a_published_message_arrives_as_it_was
            topics_are_apart
            many_topics_at_once_are_apart
            bytes_arrive_as_they_were
            headers_arrive_as_they_were
            what_is_too_large_is_refused_and_the_next_goes_on
            a_topics_name_is_never_changed
            a_missing_topic_is_made
            a_publisher_opens_no_consumer
            the_time_of_publishing_is_told
            what_was_acknowledged_does_not_come_again
            what_is_to_be_retried_comes_again_with_its_count
            many_that_are_retried_all_arrive
            a_retry_comes_after_its_pause
            what_is_rejected_is_gone
            what_is_dropped_unsettled_comes_again
            what_a_dead_member_had_in_hand_goes_to_another
            answers_may_come_in_any_order
            the_second_answer_changes_nothing
            an_answer_after_the_end_is_an_error
            failures_are_counted_across_a_reconnect
            a_confirmed_acknowledgement_outlives_its_client
            no_more_is_out_than_may_be
            what_is_not_answered_within_its_lease_comes_again
            while_one_of_a_key_is_handled_the_next_waits
            subscribers_without_a_queue_all_get_everything
            each_queue_gets_everything
            members_of_a_queue_share_it
            a_member_that_joins_gets_its_part
            when_a_member_leaves_the_others_take_over_and_nothing_comes_twice
            when_a_member_dies_the_others_get_what_it_had
            a_queue_that_was_away_gets_what_came_meanwhile
            one_name_on_two_topics_is_two_queues
            many_members_get_everything_and_nothing_twice
            closing_and_opening_again_loses_nothing
            one_subscriber_gets_one_key_in_order
            each_key_keeps_its_order_across_members
            in_strict_order_what_failed_comes_before_what_follows
            a_message_lies_in_the_partition_it_names
            a_slow_subscriber_slows_no_other
            a_delayed_message_comes_in_its_time
            an_expired_message_does_not_come
            a_paused_subscription_is_silent_and_loses_nothing
            a_pull_brings_no_more_than_asked_for
            a_bad_entry_of_a_batch_harms_no_other
            a_duplicate_comes_once
            making_a_client_does_no_io
            a_stopped_subscription_gives_no_more_and_still_takes_answers
            what_is_published_before_the_end_arrives
            a_publish_amid_the_end_arrives_or_says_so
            the_end_may_be_asked_for_often
            dropping_without_closing_hurts_nobody
            after_the_end_everything_is_closed
            after_unsubscribe_others_live_on
            subscribing_again_gets_what_is_unsettled
            many_clients_open_at_once
            subscribing_and_leaving_in_a_hurry_never_hangs
            two_clients_are_independent
            a_client_works_from_another_runtime
            a_next_that_is_dropped_loses_nothing
            a_subscription_begins_where_it_is_told
            a_seek_moves_back_and_an_unknown_position_does_not
            everyone_new_reads_all_of_the_history
            what_a_transaction_holds_comes_all_or_not_at_all
            each_request_gets_its_own_reply
            a_request_without_a_reply_says_why
            a_pattern_means_exactly_its_topics
            a_clock_that_jumps_stops_no_timer
            an_event_without_a_content_type_is_a_named_dead_letter
            different_keys_run_in_parallel_and_one_key_never_does
            a_key_that_hangs_stops_no_other
            a_handler_that_always_fails_is_called_so_often_and_then_there_is_a_dead_letter
            the_pauses_between_tries_grow
            a_dead_letter_is_the_message_and_its_story
            what_cannot_become_a_dead_letter_is_not_settled
            a_poison_message_does_not_block_the_others
            what_cannot_be_decoded_is_a_dead_letter_at_once
            a_requeued_dead_letter_comes_back_to_its_queue_only
            a_panic_is_a_failure_and_the_subscription_lives_on
            a_handler_over_its_time_is_cancelled_and_tried_again
            stopping_is_no_failure
            only_what_failed_of_a_batch_comes_again
            the_last_part_of_a_batch_is_handled_at_a_stop
            connecting_to_nobody_says_so_in_time
            what_is_confirmed_survives_a_killed_server
            after_a_cut_a_subscription_goes_on_by_itself
            a_half_open_connection_loses_nothing
            what_is_published_while_the_server_is_down_arrives_or_says_so
            health_tells_whether_the_server_answers
            order_survives_cuts_and_a_killed_server
            a_buffer_is_bounded_while_the_server_is_away
            an_absent_server_is_waited_for_as_long_as_was_said
            a_wrong_password_is_refused_once_and_for_all
            nothing_shows_a_secret
            while_one_node_is_down_everything_goes_on
            after_a_total_outage_what_was_sent_is_what_is_received
        }
    };
}

/// Makes a test of each broker case that needs a server which can be killed: for a [`Fixture`](crate::broker::Fixture) of
/// another kind of server than the one that runs all cases. In the report its name begins with `faults-`.
///
/// Where a server is too dear to start for each case, see [`run_fault_cases`](crate::broker::run_fault_cases).
#[macro_export]
macro_rules! broker_fault_cases {
    ($fixture:expr) => {
        $crate::broker_fault_cases! { @ $fixture;
            what_is_confirmed_survives_a_killed_server
            after_a_cut_a_subscription_goes_on_by_itself
            a_half_open_connection_loses_nothing
            what_is_published_while_the_server_is_down_arrives_or_says_so
            health_tells_whether_the_server_answers
            order_survives_cuts_and_a_killed_server
            a_buffer_is_bounded_while_the_server_is_away
            an_absent_server_is_waited_for_as_long_as_was_said
            while_one_node_is_down_everything_goes_on
            after_a_total_outage_what_was_sent_is_what_is_received
        }
    };
    (@ $fixture:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::broker::run_fault_case(stringify!($name), $fixture);
            }
        )*

        #[test]
        fn every_broker_fault_case_is_a_test() {
            let cases: Vec<_> = $crate::broker::fault_cases().map(|case| case.name).collect();
            assert_eq!(cases, [$(stringify!($name)),*]);
        }
    };
}
