use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use super::plan::{Soak, Target};
use super::round::{Played, play};
use super::verdict::Tally;
use super::{Fixture, IN_FLIGHT};
use crate::Failed;

/// The variable that names the folder where reports are written.
const FOLDER: &str = "MICRO_SOAK_REPORT";

/// Plays the rounds one after the other.
///
/// With `MICRO_SOAK_REPORT` set to a folder, it writes what they came to into a file of the plugin's name there; there is
/// none after a round in which something did not hold.
///
/// # Panics
///
/// If something does not hold, with the round's seed; its books are kept, and the text says where. If the report cannot be
/// written: one that is missing would tell too much good.
pub fn run(soak: &Soak, fixture: &dyn Fixture) {
    let begin = Instant::now();
    let mut sum = Sum::default();
    for round in 0..soak.rounds {
        let seed = soak.seed.wrapping_add(round);
        let folder = std::env::temp_dir().join(format!("micro-soak-{}-{seed}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let made = std::fs::create_dir_all(&folder);
        let played = made
            .map_err(|error| Failed::new(format!("a folder for the books: {error}")))
            .and_then(|()| play(soak, seed, fixture, &folder));
        match played {
            Ok(played) => sum.add(&played),
            Err(failed) => panic!(
                "{} round {round} of {}: {failed}\nto play it again: MICRO_SOAK_SEED={seed} MICRO_SOAK_ROUNDS=1\nits books: {}",
                fixture.name(),
                soak.rounds,
                folder.display()
            ),
        }
        let _ = std::fs::remove_dir_all(&folder);
    }
    let text = sum.text(soak, begin.elapsed().as_secs());
    #[expect(clippy::print_stdout, reason = "the runner shows it when asked")]
    {
        println!("{}: {text}", fixture.name());
    }
    if let Some(folder) = std::env::var_os(FOLDER) {
        let file = Path::new(&folder).join(fixture.name());
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, text)).expect("the report can be written");
    }
}

#[derive(Debug, Default)]
struct Sum {
    tally: Tally,
    publishers: usize,
    consumers: usize,
    servers: usize,
}

impl Sum {
    fn add(&mut self, played: &Played) {
        self.tally.add(played.tally);
        for target in &played.killed {
            match target {
                Target::Publisher(_) => self.publishers += 1,
                Target::Consumer(_) => self.consumers += 1,
                Target::Server => self.servers += 1,
            }
        }
    }

    /// Lines of name and value.
    fn text(&self, soak: &Soak, seconds: u64) -> String {
        let Self { tally, publishers, consumers, servers } = self;
        let mut text = String::new();
        let mut line = |name: &str, value: u64| {
            let _ = writeln!(text, "{name}: {value}");
        };
        line("rounds", soak.rounds);
        line("first seed", soak.seed);
        line("seconds", seconds);
        line("publishers killed", *publishers as u64);
        line("consumers killed", *consumers as u64);
        line("servers killed", *servers as u64);
        line("published", tally.published);
        line("with a receipt", tally.confirmed);
        line("came again after a kill", tally.duplicates);
        line("came again after a retry", tally.retries);
        line("most in one member's hands", tally.in_hand as u64);
        line("most allowed", IN_FLIGHT as u64);
        text
    }
}
