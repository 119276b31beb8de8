use super::{Need, Stage, calls, load, secure, service, stopping, streams, time};

/// One rule of a transport, and what shows it.
pub type Case = crate::Case<Stage, Need>;

/// Returns the cases, subject by subject.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    const ALL: [&[Case]; 7] =
        [calls::CASES, streams::CASES, time::CASES, stopping::CASES, secure::CASES, load::CASES, service::CASES];
    ALL.into_iter().flatten()
}

/// Makes a test of each transport case, for a [`Fixture`](crate::transport::Fixture) that the expression makes.
#[macro_export]
macro_rules! transport_cases {
    ($fixture:expr) => {
        $crate::cases_as_tests! { transport every_transport_case_is_a_test $fixture;
            a_call_is_answered
            an_empty_message_is_a_message
            four_mebibytes_come_and_go
            what_is_too_large_is_refused
            metadata_arrives_as_it_was
            an_error_arrives_as_it_was
            streams_carry_all_messages_in_order
            either_side_may_end_first
            a_caller_that_gives_up_ends_the_handler
            a_handler_may_end_a_stream_early
            a_deadline_shrinks_from_hop_to_hop
            a_call_ends_by_its_time
            a_dead_peer_is_an_error
            a_half_open_connection_is_found
            a_stop_lets_running_calls_finish
            a_stop_keeps_its_limit
            callers_follow_to_the_next_server
            an_idle_connection_does_not_hold_up_a_stop
            over_tls_calls_and_streams_go_as_in_clear_text
            with_mutual_tls_only_known_clients_are_served
            a_client_calls_no_server_that_it_does_not_believe
            a_renewed_certificate_is_shown_without_a_restart
            a_thousand_calls_share_a_connection
            a_slow_reader_holds_back_the_sender
            ten_thousand_calls_leave_nothing_behind
            a_slow_handler_holds_back_the_caller
            a_panic_is_an_internal_error
            an_unknown_method_is_named
            a_server_tells_whether_it_serves
            a_server_tells_what_it_offers
        }
    };
}
