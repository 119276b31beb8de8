//! Which lines are logged, and in which form.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// What is logged: a level, or levels by module as `info,micro_rpc=debug`.
///
/// # Examples
///
/// ```
/// use micro::logging::Level;
///
/// assert!(Level::parse("warn").is_some());
/// assert!(Level::parse("info,micro_rpc=debug").is_some());
/// assert!(Level::parse("loud").is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Level(Targets);

impl Default for Level {
    fn default() -> Self {
        Self(Targets::new().with_default(LevelFilter::INFO))
    }
}

impl Level {
    /// Reads go-micro's words `trace`, `debug`, `info`, `warn`, `error`, `fatal`, or a list by module. `fatal` is
    /// `error`: no line here is fatal.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut targets = Targets::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            targets = match part.split_once('=') {
                Some((module, level)) => targets.with_target(module, word(level)?),
                None => targets.with_default(word(part)?),
            };
        }
        Some(Self(targets))
    }

    pub(super) fn into_targets(self) -> Targets {
        self.0
    }
}

fn word(text: &str) -> Option<LevelFilter> {
    match text.to_ascii_lowercase().as_str() {
        "trace" => Some(LevelFilter::TRACE),
        "debug" => Some(LevelFilter::DEBUG),
        "info" => Some(LevelFilter::INFO),
        "warn" => Some(LevelFilter::WARN),
        "error" | "fatal" => Some(LevelFilter::ERROR),
        "off" => Some(LevelFilter::OFF),
        _ => None,
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// go-micro's: `2021-05-07 00:50:11  file=service.rs:200 level=info Starting [service] greeter`.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Reads `text` or `json`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}
