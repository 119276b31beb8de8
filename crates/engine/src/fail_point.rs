//! Places in our own code that fail when a test says so.
//!
//! They are there only with the feature `fail-points`, which dev-dependencies alone turn on: without it
//! [`fail_point!`](crate::fail_point!) is the constant `Ok(())`.
//!
//! A point is set by a text, in process for the files below one folder with [`set`], or for a whole child process by the
//! variable `MICRO_FAIL_POINTS`, several apart by `;`:
//!
//! ```text
//! engine.sync=error(EIO):2          the first two times the disk refuses
//! engine.commit=panic@3             from the third time on it panics
//! engine.sync=delay(200);engine.synced=kill
//! ```
//!
//! | what | does |
//! |---|---|
//! | `error(NAME)` | the system's error: EIO, ENOSPC, EDQUOT, EFBIG, EROFS, EACCES, ENOMEM |
//! | `panic` | panics |
//! | `delay(ms)` | takes longer |
//! | `kill` | the process ends by SIGKILL: nothing is unwound, flushed or said |
//!
//! | point | where |
//! |---|---|
//! | `engine.begin` | this process has the turn, the transaction has not begun |
//! | `engine.commit` | everything is in the transaction, nothing is committed |
//! | `engine.sync` | committed and seen by all, the write-ahead log not yet synced |
//! | `engine.synced` | the log is synced, nobody has been answered |
//! | `engine.hole` | after a failed sync, before other processes are told by a file |
//! | `engine.heal` | after a failed sync, before the log is emptied into the file |
//! | `engine.roll_back` | a transaction failed or panicked, and is not yet rolled back |
//! | `broker.read` | the reader thread of the embedded broker is about to read for a subscription |
//! | `broker.settle` | the writer of the embedded broker is about to store answers to deliveries |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

/// Every point there is: one that is misspelt would never fail, and its test always pass.
const POINTS: [&str; 9] = [
    "engine.begin",
    "engine.commit",
    "engine.sync",
    "engine.synced",
    "engine.hole",
    "engine.heal",
    "engine.roll_back",
    "broker.read",
    "broker.settle",
];

/// Errors of the system by name.
const ERRORS: [(&str, Errno); 7] = [
    ("EIO", Errno::IO),
    ("ENOSPC", Errno::NOSPC),
    ("EDQUOT", Errno::DQUOT),
    ("EFBIG", Errno::FBIG),
    ("EROFS", Errno::ROFS),
    ("EACCES", Errno::ACCESS),
    ("ENOMEM", Errno::NOMEM),
];

/// The variable that sets the points of a child process.
pub const VARIABLE: &str = "MICRO_FAIL_POINTS";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Error(Errno),
    Panic,
    Delay(Duration),
    Kill,
}

#[derive(Debug, PartialEq, Eq)]
struct Point {
    name: &'static str,
    action: Action,
    /// How often it fails; `None` is always.
    times: Option<u64>,
    /// Counted from 1, the first time that it fails.
    from: u64,
    /// How often the place was passed.
    passed: u64,
    /// How often it failed.
    failed: u64,
}

#[derive(Debug)]
struct Armed {
    /// `None`: whatever the file.
    folder: Option<PathBuf>,
    points: Mutex<Vec<Point>>,
}

/// Fail points that are set; dropped, they do nothing any more.
#[derive(Debug)]
#[must_use = "dropped, the points do nothing"]
pub struct FailPoints(Arc<Armed>);

impl FailPoints {
    /// Returns how often one of them has failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        lock(&self.0.points).iter().map(|point| point.failed).sum()
    }
}

impl Drop for FailPoints {
    fn drop(&mut self) {
        lock(table()).retain(|armed| !Arc::ptr_eq(armed, &self.0));
    }
}

/// Sets points for the files below a folder.
///
/// # Errors
///
/// The text is none that this module describes; the error says what is wrong in it.
pub fn set(folder: &Path, text: &str) -> Result<FailPoints, String> {
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let armed = Arc::new(Armed { folder: Some(folder), points: Mutex::new(parse(text)?) });
    lock(table()).push(Arc::clone(&armed));
    Ok(FailPoints(armed))
}

/// Passes a point on the way to a file; called by [`fail_point!`](crate::fail_point!).
///
/// # Errors
///
/// The one that the test has set.
///
/// # Panics
///
/// If the test has set that, or if `MICRO_FAIL_POINTS` cannot be read.
pub fn pass(name: &str, file: &Path) -> io::Result<()> {
    let armed: Vec<Arc<Armed>> = lock(table()).clone();
    let concerns = |armed: &&Arc<Armed>| armed.folder.as_ref().is_none_or(|folder| file.starts_with(folder));
    // No lock is held while it acts.
    let actions: Vec<Action> = armed.iter().filter(concerns).filter_map(|armed| due(armed, name)).collect();
    actions.into_iter().try_for_each(|action| act(name, action))
}

fn due(armed: &Armed, name: &str) -> Option<Action> {
    let mut points = lock(&armed.points);
    let point = points.iter_mut().find(|point| point.name == name)?;
    point.passed += 1;
    let due = point.passed >= point.from && point.times.is_none_or(|times| point.failed < times);
    point.failed += u64::from(due);
    due.then_some(point.action)
}

fn act(name: &str, action: Action) -> io::Result<()> {
    match action {
        Action::Error(error) => Err(error.into()),
        Action::Panic => panic!("the fail point {name}"),
        Action::Delay(pause) => {
            std::thread::sleep(pause);
            Ok(())
        }
        Action::Kill => {
            kill_process(getpid(), Signal::KILL)?;
            // The signal may take a moment, in which nothing more may happen.
            loop {
                std::thread::park();
            }
        }
    }
}

fn table() -> &'static Mutex<Vec<Arc<Armed>>> {
    static TABLE: OnceLock<Mutex<Vec<Arc<Armed>>>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        let points = parse(&text).unwrap_or_else(|wrong| panic!("{VARIABLE}: {wrong}"));
        Mutex::new(vec![Arc::new(Armed { folder: None, points: Mutex::new(points) })])
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parse(text: &str) -> Result<Vec<Point>, String> {
    text.split(';').map(str::trim).filter(|point| !point.is_empty()).map(parse_point).collect()
}

fn parse_point(text: &str) -> Result<Point, String> {
    let number = |digits: &str| digits.parse::<u64>().map_err(|_| format!("{digits} in {text} is no number"));
    let (name, rest) = text.split_once('=').ok_or_else(|| format!("{text} has no ="))?;
    let name = POINTS
        .into_iter()
        .find(|known| *known == name)
        .ok_or_else(|| format!("there is no fail point {name}; there are {}", POINTS.join(", ")))?;
    let (rest, from) = match rest.split_once('@') {
        Some((rest, from)) => (rest, number(from)?),
        None => (rest, 1),
    };
    let (action, times) = match rest.split_once(':') {
        Some((action, times)) => (action, Some(number(times)?)),
        None => (rest, None),
    };
    let argument = |kind: &str| action.strip_prefix(kind)?.strip_prefix('(')?.strip_suffix(')');
    let action = if let Some(error) = argument("error") {
        let known = ERRORS.into_iter().find(|(name, _)| *name == error);
        Action::Error(known.ok_or_else(|| format!("the error {error} in {text} is not known"))?.1)
    } else if let Some(millis) = argument("delay") {
        Action::Delay(Duration::from_millis(number(millis)?))
    } else {
        match action {
            "panic" => Action::Panic,
            "kill" => Action::Kill,
            _ => return Err(format!("{action} in {text} is none of error(NAME), panic, delay(ms), kill")),
        }
    };
    Ok(Point { name, action, times, from, passed: 0, failed: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_fails_how_often_and_from_when_on() {
        let points = parse("engine.sync=error(EIO):2@3; engine.commit=delay(200);").unwrap();
        let point = |name, action, times, from| Point { name, action, times, from, passed: 0, failed: 0 };
        assert_eq!(
            points,
            [
                point("engine.sync", Action::Error(Errno::IO), Some(2), 3),
                point("engine.commit", Action::Delay(Duration::from_millis(200)), None, 1)
            ]
        );
        for (wrong, word) in [
            ("engine.sink=panic", "no fail point engine.sink"),
            ("engine.sync", "no ="),
            ("engine.sync=error(EWRONG)", "EWRONG"),
            ("engine.sync=explode", "explode"),
            ("engine.sync=panic:x", "no number"),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }

    #[test]
    fn a_point_fails_as_often_as_it_was_told_and_only_below_its_folder() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let set = set(one.path(), "engine.sync=error(ENOSPC):2@2").unwrap();
        let pass = |folder: &tempfile::TempDir| {
            let file = folder.path().canonicalize().unwrap().join("x.db");
            super::pass("engine.sync", &file).map_err(|error| error.kind())
        };
        let full = Err(io::ErrorKind::StorageFull);
        assert_eq!(pass(&other), Ok(()));
        assert_eq!([pass(&one), pass(&one), pass(&one), pass(&one)], [Ok(()), full, full, Ok(())]);
        assert_eq!((set.failed(), pass(&other)), (2, Ok(())));
        drop(set);
        let again = super::set(one.path(), "engine.sync=error(ENOSPC)").unwrap();
        assert_eq!(pass(&one), full);
        drop(again);
        assert_eq!(pass(&one), Ok(()));
    }
}
