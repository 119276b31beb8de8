//! The error for a name that no plugin has.

use micro_core::{Error, Kind};

/// What is known of one kind of plugin.
pub(super) struct Known {
    /// `broker`, `registry`, `selector`.
    pub(super) kind: &'static str,
    /// The plugins of this build.
    pub(super) here: &'static [&'static str],
    /// Plugins that a feature would add, with the feature.
    pub(super) by_feature: &'static [(&'static str, &'static str)],
    /// Names that go-micro has and this project has not.
    pub(super) go_micro: &'static [&'static str],
}

impl Known {
    /// Says that a name is unknown, lists the known ones, and says what would help.
    pub(super) fn unknown(&self, name: &str) -> Error {
        let kind = self.kind;
        let here = self.here.join(", ");
        let all = self.here.iter().chain(self.by_feature.iter().map(|(name, _)| name)).copied();
        let help = if let Some((_, feature)) = self.by_feature.iter().find(|(known, _)| *known == name) {
            format!("add the feature {feature:?} of micro-rs in Cargo.toml")
        } else if self.go_micro.contains(&name) {
            format!(
                "go-micro has a {kind} of that name, micro-rs has none yet; give one of your own by Service::builder().{kind}(…)"
            )
        } else if let Some(near) = all.into_iter().find(|known| strsim::jaro_winkler(name, known) > 0.8) {
            format!("did you mean {near}?")
        } else {
            format!("give one of your own by Service::builder().{kind}(…)")
        };
        let text = format!("no {kind} in this program is named {name:?}; known are: {here}; {help}");
        Error::new(Kind::UnknownPlugin, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known {
        kind: "broker",
        here: &["embedded", "memory"],
        by_feature: &[("pigeon", "broker-pigeon")],
        go_micro: &["nats"],
    };

    // features: D18
    #[test]
    fn an_unknown_name_lists_the_known_and_says_what_would_help() {
        let text = |name| KNOWN.unknown(name).to_string();
        let begin = "no broker in this program is named \"pigeon\"; known are: embedded, memory; ";
        assert_eq!(text("pigeon"), format!("{begin}add the feature \"broker-pigeon\" of micro-rs in Cargo.toml"));
        assert!(text("nats").contains("go-micro has a broker of that name, micro-rs has none yet"));
        assert!(text("embeded").ends_with("did you mean embedded?"));
        assert!(text("zzz").ends_with("give one of your own by Service::builder().broker(…)"));
    }
}
