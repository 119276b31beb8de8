//! go-micro's keys: `/micro/registry/<service>/<node id>`.

/// The domain of go-micro's own keys.
pub(crate) const DOMAIN: &str = "micro";

/// Returns what every key of a domain begins with. That of no domain begins with that of another.
pub(crate) fn prefix(domain: &str) -> String {
    if domain == DOMAIN { "/micro/registry/".to_owned() } else { format!("/micro/registry-{domain}/") }
}

/// Returns what every key of a service begins with, or of all services.
pub(crate) fn services(prefix: &str, service: Option<&str>) -> String {
    match service {
        Some(service) => format!("{prefix}{}/", part(service)),
        None => prefix.to_owned(),
    }
}

/// Returns the key of a node.
pub(crate) fn node(prefix: &str, service: &str, id: &str) -> String {
    format!("{}{}", services(prefix, Some(service)), part(id))
}

/// Returns the first key behind all that begin with this, which ends with a slash.
pub(crate) fn end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

fn part(name: &str) -> String {
    name.replace('/', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_go_micros() {
        let prefix = prefix(DOMAIN);
        assert_eq!(node(&prefix, "greeter", "greeter-6d1f"), "/micro/registry/greeter/greeter-6d1f");
        assert_eq!(node(&prefix, "a/b", "c/d"), "/micro/registry/a-b/c-d");
        assert_eq!(end(&services(&prefix, Some("a"))), b"/micro/registry/a0");
    }

    #[test]
    fn no_domain_lies_in_another() {
        let all = ["micro", "a", "ab", "micro2"].map(prefix);
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (one, other))) {
            assert!(one == other || !one.starts_with(other.as_str()), "{one} {other}");
        }
    }
}
