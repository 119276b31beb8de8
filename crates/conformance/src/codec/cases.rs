use super::{Need, Stage, damage, form, values};

/// One rule of a codec, and what shows it.
pub type Case = crate::Case<Stage, Need>;

/// Returns the cases, subject by subject.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    const ALL: [&[Case]; 3] = [values::CASES, form::CASES, damage::CASES];
    ALL.into_iter().flatten()
}

/// Makes a test of each codec case, for a [`Fixture`](crate::codec::Fixture) that the expression makes.
#[macro_export]
macro_rules! codec_cases {
    ($fixture:expr) => {
        $crate::cases_as_tests! { codec every_codec_case_is_a_test $fixture;
            what_is_written_is_read_as_it_was
            unknown_fields_go_as_declared
            the_content_type_is_exact
            a_body_that_is_cut_is_a_decode_error
            any_bytes_are_read_or_refused
            depth_and_announced_sizes_are_bounded
        }
    };
}
