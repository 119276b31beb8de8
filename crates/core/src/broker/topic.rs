use std::fmt;
use std::sync::Arc;

use crate::{Error, Kind, Result};

/// The name of a topic, in the form every broker can carry: `[A-Za-z][A-Za-z0-9._-]{2,63}`.
///
/// # Examples
///
/// ```
/// use micro_core::broker::Topic;
///
/// let topic = Topic::new("orders.created")?;
/// assert_eq!(topic.dead().as_str(), "orders.created.dead");
/// assert!(Topic::new("9 lives").is_err());
/// # Ok::<(), micro_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// The name of a queue: the members that use it share its messages. The rule is that of [`Topic`], from one character on.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue(Arc<str>);

impl Topic {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidTopic`] with the rule.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        match portable(name, 3) {
            true => Ok(Self(name.into())),
            false => Err(Error::new(
                Kind::InvalidTopic,
                format!("the topic {name:?} is not portable: use 3 to 64 of A-Z a-z 0-9 . _ - with a letter first"),
            )),
        }
    }

    /// Returns the topic that failed messages of this one go to: `<topic>.dead`.
    #[must_use]
    pub fn dead(&self) -> Self {
        Self(format!("{}.dead", self.0).into())
    }

    /// Returns the topic on which a log keeps long pauses of a queue: `<topic>.<queue>.retry`.
    #[must_use]
    pub fn retry(&self, queue: &Queue) -> Self {
        Self(format!("{}.{}.retry", self.0, queue.0).into())
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Queue {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidTopic`] with the rule.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        match portable(name, 1) {
            true => Ok(Self(name.into())),
            false => Err(Error::new(
                Kind::InvalidTopic,
                format!("the queue {name:?} is not portable: use 1 to 64 of A-Z a-z 0-9 . _ - with a letter first"),
            )),
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn portable(name: &str, min: usize) -> bool {
    (min..=64).contains(&name.len())
        && name.as_bytes()[0].is_ascii_alphabetic()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<&str> for $name {
            type Error = Error;
            fn try_from(name: &str) -> Result<Self> {
                Self::new(name)
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(name: String) -> Result<Self> {
                Self::new(name)
            }
        }
        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(name: &str) -> Result<Self> {
                Self::new(name)
            }
        }
    };
}
text!(Topic);
text!(Queue);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portable_rule_and_nothing_else() {
        for good in ["abc", "go.micro.srv.message", "A-b_9", &"x".repeat(64)] {
            assert!(Topic::new(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", "1bc", ".abc", "a b c", "a/b", "träger", &"x".repeat(65)] {
            let text = Topic::new(bad).unwrap_err().to_string();
            assert!(text.contains(&format!("{bad:?}")) && text.contains("3 to 64"), "{text}");
        }
    }
}
