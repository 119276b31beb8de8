use super::{Need, Stage, churn, life, outage, records, refusing, watching};

/// One rule of a registry, and what shows it.
pub type Case = crate::Case<Stage, Need>;

/// Returns the cases, subject by subject.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    const ALL: [&[Case]; 6] =
        [records::CASES, refusing::CASES, life::CASES, watching::CASES, outage::CASES, churn::CASES];
    ALL.into_iter().flatten()
}

/// Makes a test of each registry case, for a [`Fixture`](crate::registry::Fixture) that the expression makes.
#[macro_export]
macro_rules! registry_cases {
    ($fixture:expr) => {
        $crate::cases_as_tests! { registry every_registry_case_is_a_test $fixture;
            what_is_registered_is_found_as_it_was
            a_service_that_is_not_there_is_an_empty_answer
            the_nodes_of_a_service_are_all_found
            each_version_is_a_record_of_its_own
            registering_again_changes_a_node_and_does_not_double_it
            the_list_names_every_service_once_and_sorted
            fifty_that_register_at_once_are_all_found
            large_metadata_unicode_and_ipv6_come_back_or_are_refused
            another_domain_is_another_world
            of_two_nodes_of_one_id_the_last_is_found
            no_time_to_live_is_refused
            what_has_no_name_or_no_node_is_refused_whole
            no_secret_is_shown
            what_is_deregistered_is_gone_and_nothing_else
            without_a_heart_beat_a_node_is_gone_in_time
            a_heart_beat_keeps_a_node_and_is_no_change
            the_node_of_a_killed_process_is_gone_in_time
            deregistering_leaves_another_version_alone
            a_dropped_client_takes_nobody_along_and_keeps_nothing
            a_watch_tells_everything_first_and_then_what_changes
            a_watch_hears_of_coming_changing_and_going_in_order
            a_watch_of_one_service_hears_of_no_other
            every_watch_hears_everything
            a_watch_that_is_dropped_leaves_the_others
            a_watch_hears_that_a_time_to_live_ended
            what_registers_again_is_found_again_after_an_outage
            what_is_known_is_served_while_the_registry_is_away
            no_change_is_lost_to_an_outage
            under_churn_every_change_is_heard_and_the_picture_is_right
        }
    };
}
