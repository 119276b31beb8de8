use std::time::Duration;

use super::{CONSUMERS, Fixture, PUBLISHERS};

/// The longest that a killed program is away.
const LONGEST_AWAY: Duration = Duration::from_millis(200);

/// How many rounds there are, and where their chances come from.
#[derive(Debug, Clone)]
pub struct Soak {
    pub(super) rounds: u64,
    pub(super) seed: u64,
    pub(super) role: String,
}

impl Soak {
    /// Sets how many rounds are played, unless `MICRO_SOAK_ROUNDS` says otherwise. Seeds are chosen anew each time, unless
    /// `MICRO_SOAK_SEED` gives the first.
    ///
    /// # Panics
    ///
    /// If a variable is no number.
    #[must_use]
    pub fn rounds(rounds: u64) -> Self {
        Self {
            rounds: number("MICRO_SOAK_ROUNDS").unwrap_or(rounds),
            seed: number("MICRO_SOAK_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32)),
            role: String::new(),
        }
    }

    /// Sets the name of the test that calls [`role`](super::role), with its modules: as the test runner lists it.
    #[must_use]
    pub fn role(mut self, test: impl Into<String>) -> Self {
        self.role = test.into();
        self
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Somebody who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Publisher(usize),
    Consumer(usize),
    Server,
}

/// What a round does to whom, and when.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The members ask for strict order within a key.
    pub(super) ordered: bool,
    pub(super) kills: Vec<Kill>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kill {
    pub(super) at: Duration,
    pub(super) target: Target,
    pub(super) away: Duration,
}

impl Plan {
    /// The plan of a seed; the same seed gives the same plan.
    pub(super) fn new(seed: u64, fixture: &dyn Fixture) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut targets: Vec<_> = (0..PUBLISHERS).map(Target::Publisher).collect();
        targets.extend((0..CONSUMERS).map(Target::Consumer));
        let mut within = |limit: Duration| limit.mul_f64(chance.f64());
        let mut moments: Vec<_> =
            (0..fixture.kills()).map(|_| (within(fixture.trouble()), within(LONGEST_AWAY))).collect();
        moments.sort();
        let fewer = chance.usize(..fixture.kills().div_ceil(2).max(1));
        moments.truncate(fixture.kills() - fewer);
        let mut kills: Vec<_> = moments
            .into_iter()
            .map(|(at, away)| Kill { at, away, target: targets[chance.usize(..targets.len())] })
            .collect();
        // One a round: starting a server again takes far longer than everything else.
        if fixture.server().is_some() && !kills.is_empty() {
            let place = chance.usize(..kills.len());
            kills[place].target = Target::Server;
        }
        Self { ordered: chance.bool(), kills }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Somewhere;

    impl Fixture for Somewhere {
        fn name(&self) -> &'static str {
            "somewhere"
        }

        fn address(&self) -> String {
            String::new()
        }
    }

    #[test]
    fn a_seed_gives_its_plan_again_and_another_gives_another() {
        assert_eq!(Plan::new(7, &Somewhere), Plan::new(7, &Somewhere));
        assert_ne!(Plan::new(7, &Somewhere), Plan::new(8, &Somewhere));
    }

    #[test]
    fn over_some_rounds_everybody_is_killed_in_either_order() {
        let plans: Vec<_> = (0..20).map(|seed| Plan::new(seed, &Somewhere)).collect();
        let mut killed: Vec<_> = plans.iter().flat_map(|plan| plan.kills.iter().map(|kill| kill.target)).collect();
        killed.sort();
        killed.dedup();
        assert_eq!(killed.len(), PUBLISHERS + CONSUMERS);
        assert!(plans.iter().any(|plan| plan.ordered) && plans.iter().any(|plan| !plan.ordered));
        assert!(plans.iter().all(|plan| (3..=6).contains(&plan.kills.len())));
    }
}
