use std::fmt;

/// Why a .proto could not be compiled: file, line and column where they are known, and what to do.
///
/// `Debug` is the same text, because that is what a failing `main` of a build script prints.
pub struct Error(String);

impl Error {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self(format!("cannot {what} {}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<protox::Error> for Error {
    fn from(error: protox::Error) -> Self {
        // protox's Debug is `file:line:column: text`; its Display is the text alone.
        let mut text = format!("{error:?}");
        if text.ends_with("found 'edition'") {
            text.push_str("; editions are not read: write syntax = \"proto3\"");
        }
        Self(text)
    }
}
