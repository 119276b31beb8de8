use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Kind, Result};

/// One version of a service with some of its nodes, in go-micro's form.
///
/// Its JSON is go-micro's: `null` and a missing field are read as empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Service {
    /// The name that callers use.
    pub name: String,
    /// The version of these nodes, `latest` by default.
    #[serde(default, deserialize_with = "or_default")]
    pub version: String,
    /// About the service as a whole.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
    /// What can be called, and which topics it hears.
    #[serde(default, deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
    /// The running copies.
    #[serde(default, deserialize_with = "or_default")]
    pub nodes: Vec<Node>,
}

/// One running copy of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Node {
    /// `name-uuid`.
    pub id: String,
    /// `host:port`; an IPv6 host stands in brackets.
    pub address: String,
    /// `protocol`, `broker`, `registry`, `server`, `transport`, and the user's own.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
}

/// One method, or one subscription, of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Endpoint {
    /// `Greeter.Greet`.
    pub name: String,
    /// What goes in.
    #[serde(default, deserialize_with = "or_default")]
    pub request: Option<Value>,
    /// What comes out.
    #[serde(default, deserialize_with = "or_default")]
    pub response: Option<Value>,
    /// `stream=true` for streams, `subscriber=true` and `topic` for subscriptions.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
}

/// The shape of a message: a field and its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Value {
    /// The field's name; at the top, the type's.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The type, in Go's words: `string`, `int64`, `[]string`, `Address`.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub kind: String,
    /// The fields of a message.
    #[serde(default, deserialize_with = "or_default")]
    pub values: Vec<Value>,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

impl Service {
    /// Creates a record without nodes.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), ..Self::default() }
    }

    /// Adds a node.
    #[must_use]
    pub fn node(mut self, node: Node) -> Self {
        self.nodes.push(node);
        self
    }

    /// Adds an endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// Returns the record without nodes.
    #[must_use]
    pub fn with_no_nodes(&self) -> Self {
        Self { nodes: Vec::new(), ..self.clone() }
    }

    /// Returns the record with one node only.
    #[must_use]
    pub fn with_only(&self, node: Node) -> Self {
        Self {
            name: self.name.clone(),
            version: self.version.clone(),
            metadata: self.metadata.clone(),
            endpoints: self.endpoints.clone(),
            nodes: vec![node],
        }
    }

    /// Checks what every registry asks of a record that is registered, for this time to live.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidArgument`] for a record without a name or without nodes, for a node without an id, and for a time to
    /// live of zero: some would take it for no time, others for all time.
    pub fn check_registration(&self, ttl: Duration) -> Result<()> {
        let refused = |text: String| Err(Error::new(Kind::InvalidArgument, text));
        if self.name.is_empty() || self.nodes.is_empty() {
            return refused("a record to register needs a name and a node".to_owned());
        }
        if self.nodes.iter().any(|node| node.id.is_empty()) {
            return refused(format!("a node of {} has no id; give it one that no other node has", self.name));
        }
        if ttl.is_zero() {
            return refused(format!(
                "{} cannot be registered for no time; give a time to live, and register again before it ends",
                self.name
            ));
        }
        Ok(())
    }
}

impl Node {
    /// Creates a node.
    #[must_use]
    pub fn new(id: impl Into<String>, address: impl Into<String>) -> Self {
        Self { id: id.into(), address: address.into(), metadata: BTreeMap::new() }
    }

    /// Adds a metadata pair.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Reads the address, if its host is an IP address.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        self.address.parse().ok()
    }

    /// Returns host and port, if the address is one that can be called; brackets round an IPv6 host are taken off. One
    /// without brackets, no host and the port 0 are none.
    #[must_use]
    pub fn host_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.address.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inside) => inside.strip_suffix(']')?,
            // Where the port begins is not known.
            None if host.contains(':') => return None,
            None => host,
        };
        let is_name = |host: &str| !host.bytes().any(|b| b.is_ascii_whitespace() || b"[]/@?#".contains(&b));
        let port = port.parse().ok().filter(|port| *port > 0)?;
        (!host.is_empty() && is_name(host)).then_some((host, port))
    }

    /// Returns the IP address, if the host is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host_port()?.0.parse().ok()
    }
}

impl Endpoint {
    /// Creates an endpoint.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets the shape of what goes in.
    #[must_use]
    pub fn request(mut self, value: Value) -> Self {
        self.request = Some(value);
        self
    }

    /// Sets the shape of what comes out.
    #[must_use]
    pub fn response(mut self, value: Value) -> Self {
        self.response = Some(value);
        self
    }

    /// Adds a metadata pair.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }
}

impl Value {
    /// Creates a field.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { name: name.into(), kind: kind.into(), values: Vec::new() }
    }

    /// Adds a field of this message.
    #[must_use]
    pub fn field(mut self, field: Value) -> Self {
        self.values.push(field);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_go_program_is_read() {
        let text = r#"{"name":"greeter","version":"latest","metadata":null,"endpoints":[{"name":"Greeter.Greet",
            "request":{"name":"Request","type":"Request","values":[{"name":"name","type":"string","values":null}]},
            "response":null,"metadata":{}}],"nodes":[{"id":"greeter-1","address":"127.0.0.1:37903","metadata":{"protocol":"grpc"}}]}"#;
        let service: Service = serde_json::from_str(text).unwrap();
        assert_eq!(service.endpoints[0].request.as_ref().unwrap().values[0].kind, "string");
        assert_eq!(service.nodes[0].host_port(), Some(("127.0.0.1", 37903)));
    }

    #[test]
    fn an_address_that_cannot_be_called_has_no_host_and_port() {
        for bad in [
            "",
            ":",
            "host",
            "host:",
            ":80",
            "host:0",
            "host:99999",
            "host:x",
            "::1:80",
            "2001:db8::1",
            "[::1]",
            "[::1:80",
        ]
        .into_iter()
        .chain(["[]:80", "[::1]x:80", "a b:80", "http://h:80", "u@h:80"])
        {
            assert_eq!(Node::new("n", bad).host_port(), None, "{bad:?}");
        }
        assert_eq!(Node::new("n", "h-1.example:65535").host_port(), Some(("h-1.example", 65535)));
        assert_eq!(Node::new("n", "[fe80::1%eth0]:1").host_port(), Some(("fe80::1%eth0", 1)));
    }

    #[test]
    fn an_ipv6_address_loses_its_brackets() {
        assert_eq!(Node::new("n", "[::1]:80").host_port(), Some(("::1", 80)));
    }
}
