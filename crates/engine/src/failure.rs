use std::any::Any;
use std::io;
use std::path::Path;

use micro_core::{Error, Kind, Result, Retry};
use rusqlite::ErrorCode;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::database::with_ending;

/// Less than this is a full disk: SQLite writes a page and its frame at a time, and a file system keeps a reserve.
const ROOM: u64 = 1 << 20;

/// Turns a failure of the database into an error that names the file and what to do.
#[must_use]
pub fn failure(file: &Path, tried: &'static str, error: rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    let shown = file.display();
    let made = match code {
        Some(ErrorCode::DiskFull) => disk_full(file),
        Some(ErrorCode::SystemIoFailure) if no_room(file) => disk_full(file),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::new(
            Kind::Corrupt,
            format!(
                "the database {shown} is damaged; nothing was changed in it. Stop the programs that use it and move it \
                 aside: mv '{shown}' '{shown}.damaged' (with its -wal and -shm, if they are there); a new one is made at \
                 the next start, and `sqlite3 '{shown}.damaged' .recover` reads what can be read"
            ),
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Error::new(
            Kind::ReadOnly,
            format!("cannot {tried}: {shown} cannot be opened for writing; check who owns it, or set MICRO_HOME"),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::new(
            Kind::Unavailable,
            format!(
                "cannot {tried}: another process keeps {shown} locked; see who holds it with `fuser '{shown}'` and try again"
            ),
        ),
        Some(ErrorCode::SystemIoFailure) => {
            Error::new(Kind::Unavailable, disk_error(tried, file)).with_retry(Retry::Never)
        }
        _ => Error::new(Kind::Internal, format!("cannot {tried} in {shown}")),
    };
    made.source(error)
}

/// Turns a failure of the file system into an error that names the path and what to do.
#[must_use]
pub fn io_failure(path: &Path, tried: &'static str, error: &io::Error) -> Error {
    let shown = path.display();
    let made = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => disk_full(path),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Error::new(
            Kind::ReadOnly,
            format!(
                "cannot {tried}: {shown} cannot be written; make it writable for this user, or set MICRO_HOME to a folder that is"
            ),
        ),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Error::new(
            Kind::Config,
            format!("cannot {tried}: a part of {shown} is a file, not a folder; set MICRO_HOME to a folder"),
        ),
        _ if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
            Error::new(Kind::Unavailable, disk_error(tried, path)).with_retry(Retry::Never)
        }
        _ => Error::new(Kind::Unavailable, format!("cannot {tried} at {shown}; check MICRO_HOME"))
            .with_retry(Retry::Never),
    };
    made.source(io::Error::new(error.kind(), error.to_string()))
}

/// Turns a panic that was caught in a thread of the database into an error; `who` is that thread.
#[must_use]
pub fn panicked(who: &'static str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    let text = format!(
        "the {who} of the embedded database panicked ({text}); what it was about may be done or not, and what comes next \
         is done again. It is a defect of micro-rs: report it with the trace on stderr"
    );
    Error::new(Kind::Internal, text)
}

fn disk_error(tried: &str, file: &Path) -> String {
    format!(
        "cannot {tried}: reading or writing {} failed; look for disk errors in the kernel's log. What was acknowledged \
         before is safe, this batch may be there or not",
        file.display()
    )
}

fn disk_full(file: &Path) -> Error {
    let free = match free(file) {
        Ok(bytes) => format!("{} KiB free", bytes / 1024),
        Err(_) => "free space unknown".to_owned(),
    };
    let limit = match getrlimit(Resource::Fsize).current {
        Some(bytes) => format!(", files limited to {} KiB by ulimit -f", bytes / 1024),
        None => String::new(),
    };
    Error::new(
        Kind::DiskFull,
        format!(
            "the disk is full: {} cannot grow ({free}{limit}); make room, and writing goes on by itself. What was \
             acknowledged is safe, this batch is not stored",
            file.display()
        ),
    )
}

fn free(file: &Path) -> Result<u64, rustix::io::Errno> {
    let folder = if file.is_dir() { file } else { file.parent().unwrap_or(file) };
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail * stat.f_frsize)
}

/// Tells whether a write may have failed for want of room: SQLite calls anything but ENOSPC (a quota, a file size
/// limit) an I/O failure.
fn no_room(file: &Path) -> bool {
    let near_limit = || {
        let limit = getrlimit(Resource::Fsize).current?;
        let largest = ["", "-wal", "-shm"]
            .iter()
            .filter_map(|ending| Some(std::fs::metadata(with_ending(file, ending)).ok()?.len()));
        Some(largest.max()? + ROOM > limit)
    };
    free(file).is_ok_and(|bytes| bytes < ROOM) || near_limit().unwrap_or(false)
}
