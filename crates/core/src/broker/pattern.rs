use std::fmt;
use std::sync::Arc;

use super::Topic;
use crate::{Error, Kind, Result};

/// Which topics a subscription means, in the form every broker with patterns can be given: NATS's.
///
/// Between dots stand the tokens of a name. `*` stands for one token, `>` for all that follow, at least one, and only at
/// the end; everything else is itself. An empty token, as in `a..b`, is stood for by none of them. All topics of the
/// form are meant, dead letters and retry topics too.
///
/// # Examples
///
/// ```
/// use micro_core::broker::{Pattern, Topic};
///
/// let orders = Pattern::new("orders.*.created")?;
/// assert!(orders.matches(&Topic::new("orders.eu.created")?));
/// assert!(!orders.matches(&Topic::new("orders.created")?));
/// assert!(Pattern::new("orders.>.created").is_err());
/// # Ok::<(), micro_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Checks a pattern.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidTopic`] with the rule that it breaks.
    pub fn new(pattern: impl AsRef<str>) -> Result<Self> {
        let pattern = pattern.as_ref();
        match broken_rule(pattern) {
            None => Ok(Self(pattern.into())),
            Some(rule) => {
                Err(Error::new(Kind::InvalidTopic, format!("the pattern {pattern:?} is not portable: {rule}")))
            }
        }
    }

    /// Tells whether it means a topic.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut tokens = topic.as_str().split('.');
        for wanted in self.0.split('.') {
            let fits = match (wanted, tokens.next()) {
                (_, None) => false,
                (">", Some(first)) => return !first.is_empty() && tokens.all(|token| !token.is_empty()),
                ("*", Some(token)) => !token.is_empty(),
                (wanted, Some(token)) => wanted == token,
            };
            if !fits {
                return false;
            }
        }
        tokens.next().is_none()
    }

    /// Returns the pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns what a pattern does wrong, and what to do.
fn broken_rule(pattern: &str) -> Option<&'static str> {
    let is_wild = |token: &str| token == "*" || token == ">";
    let plain = |token: &str| token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if pattern.is_empty() || pattern.len() > 64 {
        return Some("use 1 to 64 characters");
    }
    let tokens: Vec<&str> = pattern.split('.').collect();
    if tokens.iter().any(|token| token.is_empty()) {
        return Some("between two dots, before the first and after the last must stand a token");
    }
    if tokens[..tokens.len() - 1].contains(&">") {
        return Some("> stands for all that follows, so that it must be the last token; use * for one token");
    }
    if tokens.iter().any(|token| !is_wild(token) && token.contains(['*', '>'])) {
        return Some("* and > stand for whole tokens; write them between dots, with nothing beside them");
    }
    if !tokens.iter().all(|token| is_wild(token) || plain(token)) {
        return Some("use A-Z a-z 0-9 _ - in tokens, with dots between them");
    }
    if !is_wild(tokens[0]) && !tokens[0].as_bytes()[0].is_ascii_alphabetic() {
        return Some("topics begin with a letter, so that it means none; begin with a letter, * or >");
    }
    if !tokens.iter().any(|token| is_wild(token)) && Topic::new(pattern).is_err() {
        return Some("without * and > it is the name of a topic, and those have 3 to 64 characters");
    }
    None
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::str::FromStr for Pattern {
    type Err = Error;
    fn from_str(pattern: &str) -> Result<Self> {
        Self::new(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portable_form_and_nothing_else() {
        for good in ["*", ">", "abc", "a.*", "a.>", "*.b", "*.*.>", "a-1.*.B_2", &format!("{}.>", "x".repeat(62))] {
            assert!(Pattern::new(good).is_ok(), "{good}");
        }
        for (bad, rule) in [
            ("", "1 to 64"),
            (&"x".repeat(65), "1 to 64"),
            ("a..b", "must stand a token"),
            (".a", "must stand a token"),
            ("a.*.", "must stand a token"),
            ("a.>.b", "must be the last"),
            (">.>", "must be the last"),
            ("a.b*", "whole tokens"),
            ("a.**", "whole tokens"),
            ("a.*>", "whole tokens"),
            ("a b.*", "A-Z"),
            ("ä.*", "A-Z"),
            ("1a.*", "begin with a letter"),
            ("-.*", "begin with a letter"),
            ("ab", "3 to 64"),
        ] {
            let text = Pattern::new(bad).unwrap_err().to_string();
            assert!(text.contains(&format!("{bad:?}")) && text.contains(rule), "{bad}: {text}");
        }
    }

    /// What matching means, told anew: token by token from the end of both, by what remains.
    fn means(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            ([], []) => true,
            ([">"], rest) => !rest.is_empty() && rest.iter().all(|token| !token.is_empty()),
            (["*", pattern @ ..], [token, topic @ ..]) => !token.is_empty() && means(pattern, topic),
            ([wanted, pattern @ ..], [token, topic @ ..]) => wanted == token && means(pattern, topic),
            _ => false,
        }
    }

    fn products(tokens: &[&'static str], length: usize) -> Vec<Vec<&'static str>> {
        (0..length).fold(vec![Vec::new()], |lists, _| {
            let longer =
                |list: Vec<_>| tokens.iter().map(move |token| list.iter().copied().chain([*token]).collect::<Vec<_>>());
            lists.into_iter().flat_map(longer).collect()
        })
    }

    #[test]
    fn every_short_pattern_means_exactly_its_topics() {
        let (mut pairs, mut meant) = (0, 0);
        let lengths = 1..=4;
        let topics: Vec<_> = lengths.clone().flat_map(|length| products(&["abc", "abd", ""], length)).collect();
        for pattern in lengths.flat_map(|length| products(&["abc", "*", ">"], length)) {
            let Ok(checked) = Pattern::new(pattern.join(".")) else { continue };
            for topic in &topics {
                let Ok(name) = Topic::new(topic.join(".")) else { continue };
                let expected = means(&pattern, topic);
                assert_eq!(checked.matches(&name), expected, "{checked} and {name}");
                pairs += 1;
                meant += usize::from(expected);
            }
        }
        assert!(pairs > 1000 && meant > 50 && meant < pairs / 2, "{meant} of {pairs}");
    }
}
