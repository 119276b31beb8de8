use std::fmt;
use std::sync::OnceLock;

use bytes::{Buf as _, BufMut, Bytes};

use crate::{Error, Kind, Result};

/// An ordered list of names and values that travels with a message or a call.
///
/// Names keep their case and are found without it. A name may stand more than once. Names and values are
/// reference-counted slices: those of a received message can share the received buffer, and the framework's own names
/// are static, so neither is copied. What a plugin received as one piece ([`packed`](Self::packed)) is taken apart only
/// when somebody asks for more than a value.
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
#[derive(Clone)]
pub struct Headers(Kept);

type Pair = (Bytes, Bytes);

#[derive(Clone)]
enum Kept {
    List(Vec<Pair>),
    /// One piece, and its pairs once somebody asked for them.
    Packed(Bytes, OnceLock<Box<[Pair]>>),
}

impl Headers {
    /// Creates an empty list, without allocating.
    #[must_use]
    pub const fn new() -> Self {
        Self(Kept::List(Vec::new()))
    }

    /// Creates an empty list with room.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Kept::List(Vec::with_capacity(capacity)))
    }

    /// Creates a list from pairs that [`pack`](Self::pack) wrote one behind the other; allocates nothing.
    ///
    /// It ends before a pair that is cut off.
    ///
    /// # Examples
    ///
    /// ```
    /// use micro_core::Headers;
    ///
    /// let mut piece = Vec::new();
    /// Headers::pack(&mut piece, b"Tenant", b"acme");
    /// assert_eq!(Headers::packed(piece.into()).get_str("tenant"), Some("acme"));
    /// ```
    #[must_use]
    #[inline]
    pub fn packed(piece: Bytes) -> Self {
        if piece.is_empty() { Self::new() } else { Self(Kept::Packed(piece, OnceLock::new())) }
    }

    /// Writes a pair as [`packed`](Self::packed) reads it: the lengths of name and value as 32 bits each, name, value.
    ///
    /// # Panics
    ///
    /// If one of them has 4 GiB or more.
    pub fn pack(piece: &mut impl BufMut, name: &[u8], value: &[u8]) {
        for part in [name, value] {
            piece.put_u32(u32::try_from(part.len()).expect("a header has less than 4 GiB"));
        }
        piece.put_slice(name);
        piece.put_slice(value);
    }

    fn list(&self) -> &[Pair] {
        match &self.0 {
            Kept::List(list) => list,
            Kept::Packed(piece, list) => list.get_or_init(|| {
                let pairs = Packed(piece).map(|(name, value)| (piece.slice_ref(name), piece.slice_ref(value)));
                pairs.collect()
            }),
        }
    }

    fn list_mut(&mut self) -> &mut Vec<Pair> {
        if let Kept::Packed(..) = self.0 {
            self.0 = Kept::List(self.list().to_vec());
        }
        match &mut self.0 {
            Kept::List(list) => list,
            Kept::Packed(..) => unreachable!("it was taken apart above"),
        }
    }

    /// The pairs as they lie, without taking a packed piece apart.
    fn slices(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (list, piece) = match &self.0 {
            Kept::List(list) => (&list[..], &[][..]),
            Kept::Packed(piece, _) => (&[][..], &piece[..]),
        };
        list.iter().map(|(name, value)| (&name[..], &value[..])).chain(Packed(piece))
    }

    /// Adds a pair at the end, whether or not the name stands there already.
    pub fn append(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.list_mut().push((name.into(), value.into()));
    }

    /// Sets a name to one value: the first pair of that name is replaced, further ones go.
    pub fn set(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (name, value) = (name.into(), value.into());
        let list = self.list_mut();
        match list.iter().position(|(n, _)| n.eq_ignore_ascii_case(&name)) {
            Some(first) => {
                list[first].1 = value;
                let mut i = 0;
                list.retain(|(n, _)| {
                    i += 1;
                    i - 1 <= first || !n.eq_ignore_ascii_case(&name)
                });
            }
            None => list.push((name, value)),
        }
    }

    /// Removes every pair of a name and returns the first value.
    pub fn remove(&mut self, name: &str) -> Option<Bytes> {
        self.get(name)?;
        let first = self.get_bytes(name).cloned();
        self.list_mut().retain(|(n, _)| !n.eq_ignore_ascii_case(name.as_bytes()));
        first
    }

    /// Keeps the pairs that the condition holds for.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.list_mut().retain(|(n, v)| keep(n, v));
    }

    /// Returns the first value of a name.
    #[must_use]
    #[inline]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.slices().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }

    /// Returns the first value of a name, to be shared.
    #[must_use]
    pub fn get_bytes(&self, name: &str) -> Option<&Bytes> {
        self.list().iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }

    /// Returns the first value of a name if it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Returns every value of a name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.slices().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }

    /// Returns the pairs in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Bytes, &Bytes)> {
        self.list().iter().map(|(n, v)| (n, v))
    }

    /// Returns how many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slices().count()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slices().next().is_none()
    }

    /// Refuses names and values that would break a text protocol further on: an empty name, CR, LF or NUL in a name, CR
    /// or LF in a value.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidArgument`], naming the header.
    pub fn check(&self) -> Result<()> {
        for (name, value) in self.slices() {
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

/// Reads the pairs of one piece.
struct Packed<'a>(&'a [u8]);

impl<'a> Iterator for Packed<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.0;
        let (name, value) = (rest.try_get_u32().ok()?, rest.try_get_u32().ok()?);
        let (name, rest) = rest.split_at_checked(name as usize)?;
        let (value, rest) = rest.split_at_checked(value as usize)?;
        self.0 = rest;
        Some((name, value))
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.slices().eq(other.slices())
    }
}

impl Eq for Headers {}

/// Shows text values, and the values of names that carry credentials as `***`.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.slices() {
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
        Self(Kept::List(pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect()))
    }
}

impl<N: Into<Bytes>, V: Into<Bytes>> Extend<(N, V)> for Headers {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, pairs: I) {
        self.list_mut().extend(pairs.into_iter().map(|(n, v)| (n.into(), v.into())));
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

    fn packed(pairs: &[(&str, &str)]) -> Headers {
        let mut piece = Vec::new();
        for (name, value) in pairs {
            Headers::pack(&mut piece, name.as_bytes(), value.as_bytes());
        }
        Headers::packed(piece.into())
    }

    #[test]
    fn one_piece_reads_as_the_list_of_its_pairs() {
        let pairs = [("Foo-Bar", "1"), ("a", ""), ("foo-bar", "2")];
        let (piece, list): (_, Headers) = (packed(&pairs), pairs.into_iter().collect());
        assert_eq!(piece, list);
        assert_eq!((piece.len(), piece.is_empty(), piece.get("A")), (3, false, Some(&b""[..])));
        assert_eq!(piece.get_all("FOO-BAR").collect::<Vec<_>>(), [b"1", b"2"]);
        assert!(piece.iter().eq(list.iter()));
        let mut changed = piece.clone();
        assert_eq!(changed.remove("foo-bar").as_deref(), Some(&b"1"[..]));
        changed.append("b", "3");
        assert_eq!(changed, packed(&[("a", ""), ("b", "3")]));
        assert_eq!(piece, list);
    }

    #[test]
    fn a_pair_that_is_cut_off_ends_the_list() {
        let mut piece = Vec::new();
        Headers::pack(&mut piece, b"whole", b"1");
        let whole = piece.len();
        Headers::pack(&mut piece, b"cut", b"2");
        for end in whole..piece.len() {
            let headers = Headers::packed(Bytes::copy_from_slice(&piece[..end]));
            assert_eq!((headers.len(), headers.iter().len()), (1, 1), "{end}");
        }
        piece.splice(whole.., [255; 8]);
        assert_eq!(Headers::packed(piece.into()).len(), 1);
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
