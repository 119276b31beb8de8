//! Several registries in one setting.

/// Takes apart what names several: names by commas, and whatever has an address by semicolons.
///
/// A semicolon begins the next one where a name follows, alone or with `://`; any other belongs to the address, as in
/// `static://a=h:1;b=h:2`.
pub(super) fn apart(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.match_indices(';').map(|(at, _)| at).find(|at| begins(&rest[at + 1..])).unwrap_or(rest.len());
        let one = &rest[..end];
        match one.contains("://") {
            true => all.push(one.trim()),
            false => all.extend(one.split(',').map(str::trim).filter(|name| !name.is_empty())),
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    all
}

fn begins(text: &str) -> bool {
    let next = text.split(';').next().unwrap_or_default().trim();
    let is_name = |name: &str| {
        name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    match next.split_once("://") {
        Some((name, _)) => is_name(name),
        None => next.split(',').all(|name| is_name(name.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_apart_where_a_name_follows() {
        for (text, expected) in [
            ("memory", &["memory"][..]),
            ("embedded,mdns", &["embedded", "mdns"]),
            ("etcd://h1,h2", &["etcd://h1,h2"]),
            ("etcd://h1,h2;consul://h3", &["etcd://h1,h2", "consul://h3"]),
            ("etcd://h1,h2 ; embedded,mdns;dns://?domain=x", &["etcd://h1,h2", "embedded", "mdns", "dns://?domain=x"]),
            ("static://a=h:1,h:2;b=h:3", &["static://a=h:1,h:2;b=h:3"]),
            ("static://a=h:1;b=h:3;etcd://h", &["static://a=h:1;b=h:3", "etcd://h"]),
            ("etcd://u:a;b@h;mdns", &["etcd://u:a;b@h", "mdns"]),
            ("etcd://h;", &["etcd://h;"]),
            (";mdns", &["mdns"]),
        ] {
            assert_eq!(apart(text), expected, "{text}");
        }
    }
}
