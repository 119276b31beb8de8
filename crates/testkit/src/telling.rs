//! What an assertion that fails says happened instead.

use std::fmt::Write;

use crate::journal::{LIMIT, State, shown};

/// So many lines of each kind.
const LINES: usize = 20;

/// Tells everything that was published.
pub(crate) fn publications(state: &State) -> String {
    if state.published.is_empty() {
        return "nothing was published".to_owned();
    }
    let mut text = "published were:".to_owned();
    for one in state.published.iter().take(LINES) {
        let body = shown(&one.message.body, one.message.headers.get_str("Content-Type"));
        let _ = write!(text, "\n  {}{} by {}: {body}", one.topic, keyed(one.message.key.as_deref()), one.by);
    }
    more(&mut text, state.published.len());
    if state.forgotten > 0 {
        let _ = write!(text, "\n  (and {} before them; a kit remembers {LIMIT})", state.forgotten);
    }
    text
}

/// Tells every delivery and what became of it.
pub(crate) fn deliveries(state: &State) -> String {
    let mut text = String::new();
    for story in state.stories().take(LINES) {
        let _ = write!(text, "\n  {story}");
    }
    match state.stories().count() {
        0 => "nothing was delivered".to_owned(),
        count => {
            more(&mut text, count);
            format!("deliveries were:{text}")
        }
    }
}

/// Tells the refusals that nobody ran into, as a misspelt topic leaves them.
pub(crate) fn refusals(state: &State) -> String {
    let mut left: Vec<_> = state.refusals().map(|(topic, count)| format!("{count} on {topic}")).collect();
    left.sort();
    if left.is_empty() { String::new() } else { format!("\nstill to be refused by fail_next: {}", left.join(", ")) }
}

/// Tells a key.
pub(crate) fn keyed(key: Option<&[u8]>) -> String {
    key.map_or_else(String::new, |key| format!(" (key {})", String::from_utf8_lossy(key)))
}

fn more(text: &mut String, count: usize) {
    if count > LINES {
        let _ = write!(text, "\n  and {} more", count - LINES);
    }
}
