use std::fmt;
use std::sync::Arc;

use super::Candidate;

/// Keeps some of the nodes before the choice.
///
/// # Examples
///
/// ```
/// use micro_core::selector::Filter;
///
/// let filters = [Filter::version("1.2.0"), Filter::label("zone", "a")];
/// ```
#[derive(Clone)]
pub struct Filter {
    text: String,
    keep: Arc<dyn Fn(&Candidate) -> bool + Send + Sync>,
}

impl Filter {
    /// Keeps the nodes of one version.
    #[must_use]
    pub fn version(version: impl Into<String>) -> Self {
        let version = version.into();
        Self { text: format!("version={version}"), keep: Arc::new(move |candidate| *candidate.version == *version) }
    }

    /// Keeps the nodes with this metadata pair.
    #[must_use]
    pub fn label(name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        Self {
            text: format!("{name}={value}"),
            keep: Arc::new(move |candidate| candidate.node.metadata.get(&name) == Some(&value)),
        }
    }

    /// Keeps the nodes that a condition holds for; `text` names it in errors.
    #[must_use]
    pub fn custom(text: impl Into<String>, keep: impl Fn(&Candidate) -> bool + Send + Sync + 'static) -> Self {
        Self { text: text.into(), keep: Arc::new(keep) }
    }

    /// Tells whether a node passes.
    #[must_use]
    pub fn keeps(&self, candidate: &Candidate) -> bool {
        (self.keep)(candidate)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Node;

    #[test]
    fn filters_keep_by_version_and_label() {
        let candidate = Candidate::new("greeter", "1.0", Node::new("n", "h:1").with("zone", "a"));
        assert!(Filter::version("1.0").keeps(&candidate) && !Filter::version("2.0").keeps(&candidate));
        assert!(Filter::label("zone", "a").keeps(&candidate) && !Filter::label("zone", "b").keeps(&candidate));
    }
}
