use std::fmt;

use futures_util::future::BoxFuture;

use crate::report::Outcome;
use crate::{Failed, runner};

/// One rule, and what shows it. `S` is the stage it runs on, `N` what it needs of a plugin.
#[non_exhaustive]
pub struct Case<S: 'static, N: 'static> {
    /// Its number in the list of cases.
    pub id: &'static str,
    /// Its name, as a function's.
    pub name: &'static str,
    /// What it asserts.
    pub rule: &'static str,
    /// What a plugin must declare for it to run.
    pub needs: &'static [N],
    pub(crate) body: fn(S) -> BoxFuture<'static, Result<(), Failed>>,
}

impl<S, N> fmt::Debug for Case<S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl<S, N> Case<S, N> {
    /// Runs it by its name among the cases of its interface, and writes what became of it.
    ///
    /// # Panics
    ///
    /// If the rule is broken, or the name is that of no case.
    pub(crate) fn run(
        name: &str,
        mut cases: impl Iterator<Item = &'static Self>,
        plugin: &str,
        check: impl FnOnce(&Self) -> Outcome,
    ) {
        let case = cases.find(|case| case.name == name).unwrap_or_else(|| panic!("there is no case {name}"));
        let concluded = runner::conclude(plugin, case.id, case.rule, check(case));
        concluded.unwrap_or_else(|failed| panic!("{failed}"));
    }

    /// Runs cases one after the other, and writes what became of each when it is done.
    ///
    /// # Panics
    ///
    /// If rules are broken, after the last case.
    pub(crate) fn run_all(cases: impl Iterator<Item = &'static Self>, plugin: &str, check: impl Fn(&Self) -> Outcome) {
        let only = std::env::var("MICRO_CASE").ok();
        let cases = cases.filter(|case| only.as_ref().is_none_or(|only| only.split(',').any(|id| id == case.id)));
        let concluded = cases.map(|case| runner::conclude(plugin, case.id, case.rule, check(case)));
        let failed: Vec<_> = concluded.filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}

/// Writes down cases of an interface: number, name (of a function in the same module), needs where there are any, rule.
macro_rules! rules {
    ($suite:ident: $($id:ident $name:ident $([$($need:ident),*])? $rule:literal;)*) => {
        pub(super) const CASES: &[$crate::$suite::Case] = &[$($crate::$suite::Case {
            id: stringify!($id),
            name: stringify!($name),
            rule: $rule,
            needs: &[$($($crate::$suite::Need::$need),*)?],
            body: |stage| Box::pin($name(stage)),
        }),*];
    };
}
pub(crate) use rules;

/// Makes a test of each case of an interface, and one that says when a case is no test.
#[doc(hidden)]
#[macro_export]
macro_rules! cases_as_tests {
    ($suite:ident $all:ident $fixture:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::$suite::run(stringify!($name), $fixture);
            }
        )*

        #[test]
        fn $all() {
            let cases: Vec<_> = $crate::$suite::cases().map(|case| case.name).collect();
            assert_eq!(cases, [$(stringify!($name)),*]);
        }
    };
}
