use std::fmt;

use bytes::Bytes;

use crate::{Error, Kind, Result};

/// An ordered list of names and values that travels with a message or a call.
///
/// Names keep their case and are found without it. A name may stand more than once. Names and values are
/// reference-counted slices: those of a received message can share the received buffer, and the framework's own names
/// are static, so neither is copied.
///
/// # Examples
///
/// ```
/// use micro_core::Headers;
///
/// let mut headers = Headers::new();
/// headers.append("Content-Type", "application/json");
/// assert_eq!(headers.get_str("content-type"), Some("application/json"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Bytes, Bytes)>);

impl Headers {
    /// Creates an empty list, without allocating.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Creates an empty list with room.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Adds a pair at the end, whether or not the name stands there already.
    pub fn append(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push((name.into(), value.into()));
    }

    /// Sets a name to one value: the first pair of that name is replaced, further ones go.
    pub fn set(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter().position(|(n, _)| n.eq_ignore_ascii_case(&name)) {
            Some(first) => {
                self.0[first].1 = value;
                let mut i = 0;
                self.0.retain(|(n, _)| {
                    i += 1;
                    i - 1 <= first || !n.eq_ignore_ascii_case(&name)
                });
            }
            None => self.0.push((name, value)),
        }
    }

    /// Removes every pair of a name and returns the first value.
    pub fn remove(&mut self, name: &str) -> Option<Bytes> {
        let first = self.get_bytes(name).cloned();
        if first.is_some() {
            self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name.as_bytes()));
        }
        first
    }

    /// Keeps the pairs that the condition holds for.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.0.retain(|(n, v)| keep(n, v));
    }

    /// Returns the first value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_bytes(name).map(|value| &value[..])
    }

    /// Returns the first value of a name, to be shared.
    #[must_use]
    pub fn get_bytes(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }

    /// Returns the first value of a name if it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Returns every value of a name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| &v[..])
    }

    /// Returns the pairs in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Bytes, &Bytes)> {
        self.0.iter().map(|(n, v)| (n, v))
    }

    /// Returns how many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses names and values that would break a text protocol further on: an empty name, CR, LF or NUL in a name, CR
    /// or LF in a value.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidArgument`], naming the header.
    pub fn check(&self) -> Result<()> {
        for (name, value) in &self.0 {
            let shown = || String::from_utf8_lossy(name).escape_debug().to_string();
            if name.is_empty() || name.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
                return Err(Error::new(
                    Kind::InvalidArgument,
                    format!(
                        "the header name {:?} is empty or has a line break or NUL in it; use letters, digits and dashes",
                        shown()
                    ),
                ));
            }
            if value.iter().any(|b| matches!(b, b'\r' | b'\n')) {
                return Err(Error::new(
                    Kind::InvalidArgument,
                    format!(
                        "the value of the header {:?} has a line break in it; encode it, or put it in the body",
                        shown()
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Shows text values, and the values of names that carry credentials as `***`.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in &self.0 {
            let name = String::from_utf8_lossy(name);
            if is_secret(&name) {
                map.entry(&name, &"***");
            } else {
                map.entry(&name, &String::from_utf8_lossy(value));
            }
        }
        map.finish()
    }
}

/// Tells whether a header's value must not be printed.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "authorization" | "proxy-authorization" | "cookie" | "set-cookie")
        || ["token", "secret", "password"].iter().any(|word| name.contains(word))
}

impl<N: Into<Bytes>, V: Into<Bytes>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect())
    }
}

impl<N: Into<Bytes>, V: Into<Bytes>> Extend<(N, V)> for Headers {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, pairs: I) {
        self.0.extend(pairs.into_iter().map(|(n, v)| (n.into(), v.into())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_kept_and_does_not_matter_for_finding() {
        let headers: Headers = [("Foo-Bar", "1"), ("foo-bar", "2")].into_iter().collect();
        assert_eq!(headers.get("FOO-BAR"), Some(&b"1"[..]));
        assert_eq!(headers.get_all("foo-BAR").count(), 2);
        assert_eq!(headers.iter().next().unwrap().0, "Foo-Bar");
    }

    #[test]
    fn set_leaves_one_pair_of_the_name_in_its_place() {
        let mut headers: Headers = [("a", "1"), ("b", "2"), ("A", "3")].into_iter().collect();
        headers.set("A", "9");
        assert_eq!(headers.iter().map(|(_, v)| v.clone()).collect::<Vec<_>>(), ["9", "2"]);
    }

    #[test]
    fn a_line_break_is_refused_by_name() {
        let headers: Headers = [("X-Note", "a\r\nInjected: 1")].into_iter().collect();
        assert!(headers.check().unwrap_err().to_string().contains("X-Note"));
    }

    #[test]
    fn credentials_are_not_printed() {
        let headers: Headers = [("Authorization", "Bearer abc"), ("X-Api-Token", "abc")].into_iter().collect();
        assert!(!format!("{headers:?}").contains("abc"));
    }
}
