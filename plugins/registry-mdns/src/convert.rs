use std::collections::BTreeMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use micro_core::registry::{Endpoint, Node, Service};
use micro_core::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

use crate::packet::Entry;

/// The longest record that is unpacked.
const MAX_RECORD: u64 = 1 << 20;

/// The JSON in a TXT record: `mdnsTxt` of go-micro's `registry/mdns_registry.go`.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Text {
    #[serde(rename = "Service", default)]
    service: String,
    #[serde(rename = "Version", default)]
    version: String,
    #[serde(rename = "Endpoints", default)]
    endpoints: Option<Vec<Endpoint>>,
    #[serde(rename = "Metadata", default)]
    metadata: Option<BTreeMap<String, String>>,
    /// Ours; go-micro drops it.
    #[serde(rename = "ServiceMetadata", default, skip_serializing_if = "Option::is_none")]
    service_metadata: Option<BTreeMap<String, String>>,
}

/// Packs the record of one node: JSON, zlib, lower-case hex. The strings of the TXT record are cut from it.
pub(crate) fn pack(service: &Service, node: &Node) -> Result<String> {
    let text = Text {
        service: service.name.clone(),
        // A watcher of go-micro passes over a record without a version.
        version: if service.version.is_empty() { "latest".to_owned() } else { service.version.clone() },
        endpoints: Some(service.endpoints.clone()),
        metadata: Some(node.metadata.clone()),
        service_metadata: Some(service.metadata.clone()).filter(|metadata| !metadata.is_empty()),
    };
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(Kind::Encode, format!("the record of node {} does not pack: {error}", node.id))
    };
    let json = serde_json::to_vec(&text).map_err(|error| failed(&error))?;
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&json).map_err(|error| failed(&error))?;
    Ok(to_hex(&zlib.finish().map_err(|error| failed(&error))?))
}

/// Reads what another node says of itself; `None` if it is none of ours.
pub(crate) fn unpack(entry: &Entry, domain: &str) -> Option<Service> {
    let mut json = Vec::new();
    ZlibDecoder::new(&*from_hex(&entry.txt)?).take(MAX_RECORD).read_to_end(&mut json).ok()?;
    let text: Text = serde_json::from_slice(&json).ok()?;
    let id = entry.instance.strip_suffix(&format!(".{}.{domain}", text.service))?;
    if text.service.is_empty() || text.version.is_empty() || id.is_empty() {
        return None;
    }
    let mut node = Node::new(id, std::net::SocketAddr::new(entry.ip, entry.port).to_string());
    node.metadata = text.metadata.unwrap_or_default();
    let mut service = Service::new(text.service, text.version).node(node);
    service.endpoints = text.endpoints.unwrap_or_default();
    service.metadata = text.service_metadata.unwrap_or_default();
    Some(service)
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The strings that go-micro v2.9.1 writes for two records.
    const PLAIN: &str = "789c1cccb10903310c05d05d7eed09d4a74c15482f7c9f601092919534c6bb076e81b7f162fe4627049f248b898637738d70084c8babd0f0f06bc6f05a10ff9a353c597a692964636654f4b01b991de7fc030000ffff43cb1e97";
    const LONG: [&str; 2] = [
        "789c8c90c14ac5301045ffe5ae831f90bdb872a3e046de22b6430da69338332d3c4afe5d126b7dc58dab21873339301b9e49d638103c2621321238bc9068cc0c8f148cd4e070cf63c9914de15f377098dbc6c3f7c65d9f7010fa5c9aee0fe369270e762d67b086b4d0e9bb3e0e534d224f37222f29d54b6d192d99954e9d1dd",
        "d840ef2b734ebf49fd04c16c660017eabf5e2f0f8fbc69be40f1278bc9b153814c996879cfa21cbd0af314535b9b6dec80a072559fbce6e9804d692c57e50ad5f010000ffff90c88815",
    ];

    fn entry(txt: &str, instance: &str) -> Entry {
        Entry {
            instance: instance.to_owned(),
            host: "host".to_owned(),
            ip: [127, 0, 0, 1].into(),
            port: 37903,
            ttl: 120,
            txt: txt.to_owned(),
        }
    }

    #[test]
    fn a_record_of_go_micro_is_read() {
        let service = unpack(&entry(PLAIN, "greeter-b3c8.greeter.micro"), "micro").unwrap();
        let node = Node::new("greeter-b3c8", "127.0.0.1:37903").with("protocol", "grpc");
        assert_eq!(service, Service::new("greeter", "latest").node(node));
    }

    #[test]
    fn a_record_of_two_strings_is_read() {
        let service = unpack(&entry(&LONG.concat(), "greeter-b3c8.greeter.micro"), "micro").unwrap();
        assert_eq!(service.endpoints[0].name, "Greeter.Greet");
        assert_eq!(service.endpoints[0].response.as_ref().unwrap().values[0].name, "msg");
        assert_eq!(service.nodes[0].metadata["broker"], "http");
    }

    #[test]
    fn what_we_write_is_what_go_micro_writes() {
        let node = Node::new("greeter-b3c8", "127.0.0.1:37903").with("protocol", "grpc");
        let packed = pack(&Service::new("greeter", "latest"), &node).unwrap();
        let json = |hex: &str| -> serde_json::Value {
            let mut text = String::new();
            ZlibDecoder::new(&*from_hex(hex).unwrap()).read_to_string(&mut text).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let (mut ours, mut gos) = (json(&packed), json(PLAIN));
        // Go writes null where there is no endpoint.
        for value in [&mut ours, &mut gos] {
            let endpoints = value.as_object_mut().unwrap().remove("Endpoints").unwrap();
            assert!(endpoints.is_null() || endpoints.as_array().unwrap().is_empty());
        }
        assert_eq!(ours, gos);
    }

    #[test]
    fn a_node_comes_back_as_it_was_packed() {
        let mut service = Service::new("go.micro.srv.greeter", "1.0").endpoint(Endpoint::new("Greeter.Greet"));
        service.metadata.insert("team".to_owned(), "blå".to_owned());
        let node = Node::new("a.b-1", "[::1]:80").with("region", "Österreich");
        let mut entry = entry(&pack(&service, &node).unwrap(), "a.b-1.go.micro.srv.greeter.micro");
        (entry.ip, entry.port) = ("::1".parse().unwrap(), 80);
        assert_eq!(unpack(&entry, "micro"), Some(service.node(node)));
    }

    #[test]
    fn what_is_none_of_ours_is_passed_over() {
        for (txt, instance) in [
            ("", "a.greeter.micro"),
            ("zz", "a.greeter.micro"),
            ("789", "a.greeter.micro"),
            (PLAIN, "a.other.micro"),
            (PLAIN, ".greeter.micro"),
            (PLAIN, "a.greeter.local"),
            (&PLAIN[..100], "a.greeter.micro"),
        ] {
            assert_eq!(unpack(&entry(txt, instance), "micro"), None, "{txt} {instance}");
        }
    }

    #[test]
    fn a_record_that_unpacks_to_no_end_is_given_up() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(&vec![b' '; 8 << 20]).unwrap();
        assert_eq!(unpack(&entry(&to_hex(&zlib.finish().unwrap()), "a.greeter.micro"), "micro"), None);
    }
}
