//! What a program writes down as it goes, a line an entry, so that it is there however the program ended.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

/// A message: who published it, and as his which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    pub(super) publisher: usize,
    pub(super) number: u64,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is about to be published.
    Try(Id),
    /// Its receipt is there.
    Receipt(Id),
    /// It was delivered.
    Got(Duration, Id),
    /// The same, and the broker says that it was handed out before.
    GotAgain(Duration, Id),
    /// It is about to be handed back, to come again.
    Retry(Duration, Id),
    /// It is about to be acknowledged.
    Ack(Duration, Id),
    /// Its acknowledgement was answered with an error.
    Unsure(Duration, Id),
    /// Its acknowledgement was confirmed.
    Done(Duration, Id),
    /// Something came that nobody published like this.
    Strange(String),
}

/// The time of the machine's own clock, which all processes share.
pub(super) fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Where a program writes.
#[derive(Debug)]
pub(super) struct Book(File);

impl Book {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        File::options().create_new(true).append(true).open(path).map(Self)
    }

    /// Writes entries with one call to the system: they are there when it returns, whatever becomes of us.
    pub(super) fn write(&self, entries: &[Entry]) -> io::Result<()> {
        let mut text = String::new();
        for entry in entries {
            let (letter, time, id) = match entry {
                Entry::Try(id) => ('t', None, id),
                Entry::Receipt(id) => ('k', None, id),
                Entry::Got(time, id) => ('g', Some(time), id),
                Entry::GotAgain(time, id) => ('h', Some(time), id),
                Entry::Retry(time, id) => ('r', Some(time), id),
                Entry::Ack(time, id) => ('a', Some(time), id),
                Entry::Unsure(time, id) => ('u', Some(time), id),
                Entry::Done(time, id) => ('d', Some(time), id),
                Entry::Strange(what) => {
                    let _ = writeln!(text, "x {}", what.replace('\n', " "));
                    continue;
                }
            };
            let time = time.map_or(0, Duration::as_nanos);
            let _ = writeln!(text, "{letter} {time} {} {}", id.publisher, id.number);
        }
        (&self.0).write_all(text.as_bytes())
    }
}

/// Reads what a program wrote. A last line without an end was being written when it was killed, and is left out.
pub(super) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        // Killed before it came to open its book.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&text);
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    Ok(whole.lines().map(|line| parse(line).unwrap_or_else(|| Entry::Strange(line.to_owned()))).collect())
}

fn parse(line: &str) -> Option<Entry> {
    let (letter, rest) = line.split_once(' ')?;
    if letter == "x" {
        return Some(Entry::Strange(rest.to_owned()));
    }
    let mut numbers = rest.split(' ').map(|number| number.parse::<u64>().ok());
    let (time, publisher, number) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let (time, id) = (Duration::from_nanos(time), Id { publisher: usize::try_from(publisher).ok()?, number });
    match letter {
        "t" => Some(Entry::Try(id)),
        "k" => Some(Entry::Receipt(id)),
        "g" => Some(Entry::Got(time, id)),
        "h" => Some(Entry::GotAgain(time, id)),
        "r" => Some(Entry::Retry(time, id)),
        "a" => Some(Entry::Ack(time, id)),
        "u" => Some(Entry::Unsure(time, id)),
        "d" => Some(Entry::Done(time, id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_but_for_a_line_that_a_kill_cut() {
        let path = std::env::temp_dir().join(format!("soak-book-{}", uuid::Uuid::new_v4().simple()));
        let (id, time) = (Id { publisher: 1, number: 42 }, Duration::from_nanos(12_345_678_901));
        let entries = [
            Entry::Try(id),
            Entry::Receipt(id),
            Entry::Got(time, id),
            Entry::GotAgain(time, id),
            Entry::Retry(time, id),
            Entry::Ack(time, id),
            Entry::Unsure(time, id),
            Entry::Done(time, id),
            Entry::Strange("two\nlines".to_owned()),
        ];
        let book = Book::open(&path).unwrap();
        book.write(&entries).unwrap();
        (&book.0).write_all(b"d 12345 1 4").unwrap();
        let read = read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read[..8], entries[..8]);
        assert_eq!(read[8..], [Entry::Strange("two lines".to_owned())]);
    }

    #[test]
    fn a_book_that_was_never_opened_is_empty() {
        assert_eq!(read(Path::new("/nowhere/at/all")).unwrap(), []);
    }
}
