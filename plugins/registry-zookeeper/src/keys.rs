//! go-micro's paths: `/micro-registry/<service>/<node id>`.

/// The domain of go-micro's own paths.
pub(crate) const DOMAIN: &str = "micro";

/// Returns the path of a domain.
pub(crate) fn root(domain: &str) -> String {
    if domain == DOMAIN { "/micro-registry".to_owned() } else { format!("/micro-registry-{domain}") }
}

/// Returns the path of a service.
pub(crate) fn service(root: &str, service: &str) -> String {
    format!("{root}/{}", part(service))
}

/// Returns the path of a node.
pub(crate) fn node(root: &str, service: &str, id: &str) -> String {
    format!("{root}/{}/{}", part(service), part(id))
}

/// Tells whether a path is that of a node.
pub(crate) fn is_node(root: &str, path: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/') && rest.matches('/').count() == 2)
}

fn part(name: &str) -> String {
    name.replace('/', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_are_go_micros() {
        let root = root(DOMAIN);
        assert_eq!(node(&root, "greeter", "greeter-6d1f"), "/micro-registry/greeter/greeter-6d1f");
        assert_eq!(node(&root, "a/b", "c/d"), "/micro-registry/a-b/c-d");
        assert_eq!(service(&root, "a/b"), "/micro-registry/a-b");
    }

    #[test]
    fn only_what_lies_two_below_is_a_node() {
        assert!(is_node("/r", "/r/s/n"));
        for path in ["/r", "/r/s", "/r/s/n/x", "/r-x/s/n", "/x"] {
            assert!(!is_node("/r", path), "{path}");
        }
    }
}
