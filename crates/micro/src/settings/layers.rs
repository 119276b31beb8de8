//! Who said what: default < code < file < environment < flag.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use micro_core::{Error, Kind, Result};

use super::table::{TABLE, variable};

/// Where a value comes from. A later one wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Default,
    Code,
    File(PathBuf),
    Environment,
    Flag,
    /// Code that lets nobody change it.
    Sealed,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Code => f.write_str("code"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
            Self::Sealed => f.write_str("sealed"),
        }
    }
}

/// The values in force, each with who said it.
#[derive(Debug, Default)]
pub(crate) struct Layers(BTreeMap<String, (String, Source)>);

impl Layers {
    /// Creates the layer of defaults.
    pub(crate) fn defaults() -> Self {
        let set = TABLE.iter().filter(|setting| !setting.default.is_empty());
        Self(set.map(|s| (s.name.to_owned(), (s.default.to_owned(), Source::Default))).collect())
    }

    /// Sets a value, unless a stronger source has set it.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>, source: Source) {
        match self.0.get(name) {
            Some((_, stronger)) if *stronger > source => {}
            _ => _ = self.0.insert(name.to_owned(), (value.into(), source)),
        }
    }

    /// Returns a value; an empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Returns who said it.
    pub(crate) fn source(&self, name: &str) -> Source {
        self.0.get(name).map_or(Source::Default, |(_, source)| source.clone())
    }

    /// Returns every value with its source, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Source)> {
        self.0.iter().map(|(name, (value, source))| (name.as_str(), value.as_str(), source))
    }

    /// Reads a value by a function, or says who wrote it wrong and what is right.
    pub(crate) fn read<T>(&self, name: &str, right: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match read(value) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::new(Kind::Config, format!("{} is not valid: write {right}", self.shown(name, value)))),
        }
    }

    /// Returns a setting as its writer wrote it, for an error's text.
    pub(crate) fn shown(&self, name: &str, value: &str) -> String {
        match self.source(name) {
            Source::Flag => format!("the flag --{name} {value}"),
            Source::Environment => format!("the variable {}={value}", variable(name)),
            Source::File(path) => format!("the setting {name} = {value} in {}", path.display()),
            Source::Sealed | Source::Code | Source::Default => format!("the setting {name} = {value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // features: A2
    #[test]
    fn a_flag_beats_the_environment_beats_a_file_beats_code_beats_the_default() {
        let sources = [Source::Default, Source::Code, Source::File("f".into()), Source::Environment, Source::Flag];
        for strongest in 0..sources.len() {
            let mut layers = Layers::default();
            // In whatever order they come.
            for i in (0..=strongest).rev() {
                layers.set("broker", format!("b{i}"), sources[i].clone());
            }
            assert_eq!(layers.get("broker"), Some(&*format!("b{strongest}")));
        }
    }

    #[test]
    fn a_wrong_value_is_told_in_the_words_it_was_written_in() {
        let mut layers = Layers::default();
        let number = |text: &str| text.parse::<u32>().ok();
        layers.set("client_retries", "x", Source::Environment);
        let text = layers.read("client_retries", "a number, as 3", number).unwrap_err().to_string();
        assert_eq!(text, "the variable MICRO_CLIENT_RETRIES=x is not valid: write a number, as 3");
        layers.set("client_retries", "y", Source::Flag);
        let text = layers.read("client_retries", "a number, as 3", number).unwrap_err().to_string();
        assert!(text.starts_with("the flag --client_retries y"), "{text}");
    }
}
