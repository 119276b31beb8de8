use micro_core::registry::{Service, Unreadable};
use micro_core::{Error, Kind, Result};

/// What a member says of a node: the record, or that it is gone. Of several the greatest stamp counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    pub(crate) stamp: u64,
    pub(crate) record: Option<Service>,
}

/// What fits into one packet beside the list of members.
const LARGEST: usize = 32 << 10;

/// Returns the key of a node; names may have any characters but NUL, which no name has.
pub(crate) fn key(service: &str, node: &str) -> String {
    format!("{service}\0{node}")
}

/// Returns the record's JSON, if it is not too large.
pub(crate) fn json(key: &str, record: &Service) -> Result<String> {
    let json = serde_json::to_string(record)
        .map_err(|error| Error::new(Kind::Encode, "the record of a service is no JSON").source(error))?;
    match key.len() + json.len() {
        size if size > LARGEST => Err(Error::new(
            Kind::TooLarge,
            format!("a record of {size} bytes does not fit into a packet; {LARGEST} bytes do. Leave out metadata"),
        )),
        _ => Ok(json),
    }
}

/// Returns what others read: the stamp and the JSON; no JSON for a node that is gone.
pub(crate) fn write(stamp: u64, json: &str) -> String {
    format!("{stamp} {json}")
}

/// Reads what another member wrote. What is not its key's is left out.
pub(crate) fn read(unreadable: &Unreadable, at: &str, value: &str) -> Option<Held> {
    let shown = at.replace('\0', "/");
    let Some((stamp, json)) = value.split_once(' ') else {
        return unreadable.leave_out(&shown, &"it has no stamp");
    };
    let Ok(stamp) = stamp.parse() else { return unreadable.leave_out(&shown, &"its stamp is no number") };
    if json.is_empty() {
        return Some(Held { stamp, record: None });
    }
    let record = unreadable.read(&shown, json.as_bytes())?;
    match record.nodes.as_slice() {
        [node] if key(&record.name, &node.id) == at => Some(Held { stamp, record: Some(record) }),
        _ => unreadable.leave_out(&shown, &"it is the record of another node"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_core::registry::Node;

    #[test]
    fn what_is_written_is_read_and_nonsense_is_left_out() {
        let unreadable = Unreadable::new("gossip");
        let record = Service::new("s", "1").node(Node::new("a", "h:1"));
        let at = key("s", "a");
        let value = write(7, &json(&at, &record).unwrap());
        assert_eq!(read(&unreadable, &at, &value), Some(Held { stamp: 7, record: Some(record) }));
        assert_eq!(read(&unreadable, &at, "8 "), Some(Held { stamp: 8, record: None }));
        for bad in ["", "x", "x {}", "1 {", "-1 "] {
            assert_eq!(read(&unreadable, &at, bad), None, "{bad:?}");
        }
        assert_eq!(read(&unreadable, &key("s", "b"), &value), None, "it is another node's");
    }

    #[test]
    fn a_record_that_fits_into_no_packet_is_too_large() {
        let record = Service::new("s", "1").node(Node::new("a", "h:1").with("k", "x".repeat(LARGEST)));
        assert_eq!(json("s", &record).unwrap_err().kind(), Kind::TooLarge);
    }
}
