//! The one error type: what was tried, where, and what to do next.

mod kind;
mod wire;

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

pub use kind::Kind;
pub use wire::{WireError, status_text};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Tells whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same attempt fails again.
    Never,
    /// Another attempt may succeed at once.
    Now,
    /// Another attempt may succeed after this pause.
    After(Duration),
}

/// Anything that went wrong, one word wide.
///
/// `Display` is one line: the detail, the context pairs, the cause. `Debug` is many lines, for logs.
/// It carries go-micro's `{id, code, detail, status}`, so that it crosses to a Go program and back.
///
/// # Examples
///
/// ```
/// use micro_core::{Error, Kind};
///
/// let error = Error::new(Kind::NotFound, "no node is registered")
///     .operation("client.call")
///     .with("service", "greeter");
/// assert_eq!(error.code(), 404);
/// assert_eq!(error.to_string(), "no node is registered (service greeter)");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    code: i32,
    retry: Retry,
    id: String,
    detail: String,
    operation: &'static str,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error of a kind, with the text a person reads first.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: kind.code(),
            retry: kind.retry(),
            id: String::new(),
            detail: detail.into(),
            operation: "",
            context: Vec::new(),
            source: None,
        }))
    }

    /// Creates go-micro's `BadRequest`: 400.
    #[must_use]
    pub fn bad_request(id: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::InvalidArgument, detail).id(id)
    }

    /// Creates go-micro's `Unauthorized`: 401.
    #[must_use]
    pub fn unauthorized(id: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Unauthenticated, detail).id(id)
    }

    /// Creates go-micro's `Forbidden`: 403.
    #[must_use]
    pub fn forbidden(id: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, detail).id(id)
    }

    /// Creates go-micro's `NotFound`: 404.
    #[must_use]
    pub fn not_found(id: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, detail).id(id)
    }

    /// Creates go-micro's `Timeout`: 408.
    #[must_use]
    pub fn timeout(id: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Timeout, detail).id(id)
    }

    /// Creates go-micro's `Conflict`: 409.
    #[must_use]
    pub fn conflict(id: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, detail).id(id)
    }

    /// Creates go-micro's `InternalServerError`: 500.
    #[must_use]
    pub fn internal(id: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Internal, detail).id(id)
    }

    /// Creates the answer to something a plugin does not declare in its capability.
    #[must_use]
    pub fn unsupported(plugin: &'static str, what: impl fmt::Display) -> Self {
        Self::new(Kind::Unsupported, format!("{plugin} does not support {what}"))
    }

    /// Sets who speaks: go-micro's `id`, a service's name or `go.micro.client`.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.0.id = id.into();
        self
    }

    /// Sets an HTTP-like code that differs from the kind's own.
    #[must_use]
    pub fn with_code(mut self, code: i32) -> Self {
        self.0.code = code;
        self
    }

    /// Sets whether trying again can help, where it differs from the kind's own answer.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Sets what was being done, as `broker.publish`; the outermost layer that knows wins.
    #[must_use]
    pub fn operation(mut self, operation: &'static str) -> Self {
        self.0.operation = operation;
        self
    }

    /// Adds a name and a value, as `("address", "127.0.0.1:9092")`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns the HTTP-like code, as go-micro's `code`.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.0.code
    }

    /// Returns whether trying again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Returns who speaks, empty if nobody said.
    #[must_use]
    pub fn get_id(&self) -> &str {
        &self.0.id
    }

    /// Returns the text without context and cause: go-micro's `detail`.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Returns what was being done, empty if nobody said.
    #[must_use]
    pub fn get_operation(&self) -> &'static str {
        self.0.operation
    }

    /// Returns the value of a context pair.
    #[must_use]
    pub fn context(&self, name: &str) -> Option<&str> {
        self.0.context.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    /// Makes a second error of the same kind and text, for one cause that answers several callers.
    ///
    /// The source is carried as text, because a source need not be `Clone`.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(Box::new(Inner {
            kind: self.0.kind,
            code: self.0.code,
            retry: self.0.retry,
            id: self.0.id.clone(),
            detail: self.0.detail.clone(),
            operation: self.0.operation,
            context: self.0.context.clone(),
            source: self.0.source.as_ref().map(|source| source.to_string().into()),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)?;
        for (i, (name, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{name} {value}", if i == 0 { " (" } else { ", " })?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: {}", self.0.kind, self.0.code, self.0.detail)?;
        if !self.0.id.is_empty() {
            write!(f, "\n  id: {}", self.0.id)?;
        }
        if !self.0.operation.is_empty() {
            write!(f, "\n  operation: {}", self.0.operation)?;
        }
        for (name, value) in &self.0.context {
            write!(f, "\n  {name}: {value}")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, "\n  cause: {source:?}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn display_is_one_line_with_context_and_cause() {
        let error = Error::new(Kind::Unavailable, "cannot reach the broker")
            .with("address", "127.0.0.1:9")
            .with("tried", 3)
            .source(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(error.to_string(), "cannot reach the broker (address 127.0.0.1:9, tried 3): connection refused");
    }
}
