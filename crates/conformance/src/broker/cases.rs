use futures_util::future::BoxFuture;

use super::{Need, Stage, groups, life, options, order, replay, routing, settlement};
use crate::Failed;

/// One rule, and what shows it.
#[non_exhaustive]
pub struct Case {
    /// Its number in the list of cases.
    pub id: &'static str,
    /// Its name, as a function's.
    pub name: &'static str,
    /// What it asserts.
    pub rule: &'static str,
    /// What a plugin must declare for it to run.
    pub needs: &'static [Need],
    pub(super) body: fn(Stage) -> BoxFuture<'static, Result<(), Failed>>,
}

impl Case {
    /// Finds a case by its name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        cases().find(|case| case.name == name)
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Writes down cases: number, name (of a function in the same module), needs, rule.
macro_rules! rules {
    ($($id:ident $name:ident [$($need:ident),*] $rule:literal;)*) => {
        pub(super) const CASES: &[$crate::broker::Case] = &[$($crate::broker::Case {
            id: stringify!($id),
            name: stringify!($name),
            rule: $rule,
            needs: &[$($crate::broker::Need::$need),*],
            body: |stage| Box::pin($name(stage)),
        }),*];
    };
}
pub(super) use rules;

/// Returns the cases, in the order of their numbers.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    const ALL: [&[Case]; 7] =
        [routing::CASES, settlement::CASES, groups::CASES, order::CASES, options::CASES, life::CASES, replay::CASES];
    ALL.into_iter().flatten()
}

/// Makes a test of each broker case, for a [`Fixture`](crate::broker::Fixture) that the expression makes.
#[macro_export]
macro_rules! broker_cases {
    ($fixture:expr) => {
        $crate::broker_cases! { @ $fixture;
            a_published_message_arrives_as_it_was
            topics_are_apart
        }
    };
    (@ $fixture:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::broker::run(stringify!($name), $fixture);
            }
        )*

        #[test]
        fn every_broker_case_is_a_test() {
            let cases: Vec<_> = $crate::broker::cases().map(|case| case.name).collect();
            assert_eq!(cases, [$(stringify!($name)),*]);
        }
    };
}
