//! `${NAME}` in a step: a variable of the run.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Variable;
use crate::Result;

/// A word that no other run has, for names on a server that runs share.
const RUN: &str = "RUN";

/// The variables that steps may name.
pub(super) struct Variables(Vec<(&'static str, String)>);

impl Variables {
    pub(super) fn new(env: &[Variable]) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = format!("{:x}-{:x}", now.as_millis(), std::process::id());
        let given = env.iter().map(|(name, value)| (*name, value.to_string_lossy().into_owned()));
        Self(given.chain([(RUN, run)]).collect())
    }

    /// Puts values in the place of names.
    pub(super) fn fill(&self, text: &str) -> Result<String> {
        let mut parts = text.split("${");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').ok_or_else(|| format!("{text:?} has ${{ without }}"))?;
            let found = self.0.iter().find(|(known, _)| *known == name);
            let (_, value) = found.ok_or_else(|| {
                let known: Vec<_> = self.0.iter().map(|(known, _)| *known).collect();
                format!(
                    "{text:?} names {name}, and the run has only {}; servers are there with `services = true`",
                    known.join(", ")
                )
            })?;
            filled.push_str(value);
            filled.push_str(rest);
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_an_unknown_one_is_an_error_with_the_known_ones() {
        let variables = Variables::new(&[("HOST", "h:1".into()), ("HOSTS", "h:2".into())]);
        assert_eq!(variables.fill("kafka://${HOSTS}?a=${HOST}").unwrap(), "kafka://h:2?a=h:1");
        assert_eq!(variables.fill("$HOST {} }").unwrap(), "$HOST {} }");
        assert!(variables.fill("${POST}").unwrap_err().contains("HOST, HOSTS, RUN"));
        assert!(variables.fill("${HOST").is_err());
        assert_ne!(variables.fill("${RUN}").unwrap(), "${RUN}");
    }
}
