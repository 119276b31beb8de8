use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use micro_core::{Error, Kind, Result};
use simple_dns::rdata::{PTR, RData, SRV, TXT};
use simple_dns::{
    CLASS, CharacterString, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE,
};

/// The largest packet: RFC 6762 §17 allows 9,000 bytes with the headers of IP and UDP.
pub(crate) const MAX_PACKET: usize = 8_972;

/// How many nodes of one packet are heard: each may unpack to a megabyte. go-micro puts one in a packet.
const MAX_ENTRIES: usize = 32;

/// How many records of one packet are looked at.
const MAX_RECORDS: usize = 256;

/// The service under which go-micro lists the others.
pub(crate) const LIST: &str = "_services";

/// What the records of one node say. Names are without the last dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `<node id>.<service>.<domain>`.
    pub(crate) instance: String,
    pub(crate) host: String,
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    pub(crate) ttl: u32,
    /// The strings of the TXT record, put together.
    pub(crate) txt: String,
}

/// One question of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds {
    kind: QTYPE,
    unicast: bool,
}

/// What came in.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) id: u16,
    /// Names asked for, with what of them; none in an answer.
    pub(crate) questions: Vec<(String, Kinds)>,
    /// Somebody looks whether a name is free.
    pub(crate) probe: bool,
    pub(crate) entries: Vec<Entry>,
}

impl Kinds {
    /// Tells whether the question is for the service or the list: PTR or any.
    pub(crate) fn lists(self) -> bool {
        matches!(self.kind, QTYPE::ANY | QTYPE::TYPE(TYPE::PTR))
    }

    /// Tells whether the question is for what a node's own records say.
    pub(crate) fn describes(self) -> bool {
        matches!(self.kind, QTYPE::ANY | QTYPE::TYPE(TYPE::SRV | TYPE::TXT | TYPE::A | TYPE::AAAA))
    }
}

/// Makes the question for the nodes of a service.
pub(crate) fn query(id: u16, name: &str) -> Result<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.questions.push(Question::new(check(name)?, TYPE::PTR.into(), CLASS::IN.into(), false));
    finish(&packet, name)
}

/// Makes the packet that looks whether a node's name is free.
pub(crate) fn probe(entry: &Entry) -> Result<Vec<u8>> {
    let mut packet = Packet::new_query(fastrand::u16(..));
    packet.questions.push(Question::new(check(&entry.instance)?, TYPE::PTR.into(), CLASS::IN.into(), false));
    packet.name_servers.push(srv(entry, 0, 0)?);
    packet.name_servers.push(txt(entry)?);
    finish(&packet, &entry.instance)
}

/// Makes the unasked announcement; with a time to live of 0, the farewell.
pub(crate) fn announcement(entry: &Entry) -> Result<Vec<u8>> {
    let mut packet = Packet::new_reply(0);
    describe(&mut packet, entry)?;
    finish(&packet, &entry.instance)
}

/// Makes the answer to a question. go-micro drops one that does not repeat the question.
///
/// `service` is the name that points to the node, where it was asked for.
pub(crate) fn answer(id: u16, asked: &(String, Kinds), service: Option<&str>, entry: &Entry) -> Result<Vec<u8>> {
    let mut packet = Packet::new_reply(id);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    let (name, kinds) = asked;
    packet.questions.push(Question::new(check(name)?, kinds.kind, QCLASS::CLASS(CLASS::IN), kinds.unicast));
    if let Some(service) = service {
        packet.answers.push(record(check(service)?, entry.ttl, RData::PTR(PTR(check(&entry.instance)?))));
    }
    describe(&mut packet, entry)?;
    finish(&packet, &entry.instance)
}

/// Makes the entry that stands for a service in the list: go-micro's wildcard.
pub(crate) fn listed(service: &str, domain: &str, host: &str, ttl: u32) -> Entry {
    let instance = format!("{service}.{LIST}.{domain}");
    let (ip, txt) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), String::new());
    Entry { instance, host: host.to_owned(), ip, port: 9999, ttl, txt }
}

/// The order matters: go-micro takes the last record as the one the packet is about.
fn describe<'a>(packet: &mut Packet<'a>, entry: &'a Entry) -> Result<()> {
    packet.answers.push(srv(entry, 10, 1)?);
    let address = match entry.ip {
        IpAddr::V4(ip) => RData::A(ip.into()),
        IpAddr::V6(ip) => RData::AAAA(ip.into()),
    };
    packet.answers.push(record(check(&entry.host)?, entry.ttl, address));
    packet.answers.push(txt(entry)?);
    Ok(())
}

fn srv(entry: &Entry, priority: u16, weight: u16) -> Result<ResourceRecord<'_>> {
    let srv = SRV { priority, weight, port: entry.port, target: check(&entry.host)? };
    Ok(record(check(&entry.instance)?, entry.ttl, RData::SRV(srv)))
}

fn txt(entry: &Entry) -> Result<ResourceRecord<'_>> {
    let mut txt = TXT::new();
    for part in entry.txt.as_bytes().chunks(255) {
        let part = CharacterString::new(part).map_err(|error| broken(&entry.instance, &error))?;
        txt.add_char_string(part);
    }
    Ok(record(check(&entry.instance)?, entry.ttl, RData::TXT(txt)))
}

fn record<'a>(name: Name<'a>, ttl: u32, data: RData<'a>) -> ResourceRecord<'a> {
    ResourceRecord::new(name, CLASS::IN, ttl, data)
}

fn check(name: &str) -> Result<Name<'_>> {
    Name::new(name).map_err(|error| broken(name, &error))
}

fn broken(name: &str, error: &dyn std::fmt::Debug) -> Error {
    Error::new(
        Kind::InvalidArgument,
        format!(
            "mDNS cannot carry the name {name:?} ({error:?}): each part between dots has at most 63 bytes and the whole at \
             most 255; shorten the service's name or the node's id"
        ),
    )
}

fn finish(packet: &Packet<'_>, name: &str) -> Result<Vec<u8>> {
    let bytes = packet.build_bytes_vec_compressed().map_err(|error| broken(name, &error))?;
    if bytes.len() > MAX_PACKET {
        return Err(Error::new(
            Kind::TooLarge,
            format!(
                "the record of {name:?} makes a packet of {} bytes, and mDNS carries {MAX_PACKET}; shorten its metadata, or \
                 use another registry",
                bytes.len()
            ),
        ));
    }
    Ok(bytes)
}

/// Reads a packet; `None` if it is none or says nothing.
pub(crate) fn read(bytes: &[u8]) -> Option<Incoming> {
    // The counts are the sender's word: no more is made room for than the bytes can hold.
    let counts = bytes.get(4..12)?.chunks(2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])));
    if counts.sum::<usize>() * 5 > bytes.len() {
        return None;
    }
    let packet = Packet::parse(bytes).ok()?;
    if packet.opcode() != OPCODE::StandardQuery || packet.rcode() != RCODE::NoError {
        return None;
    }
    let mut incoming = Incoming { id: packet.id(), probe: !packet.name_servers.is_empty(), ..Incoming::default() };
    if !packet.has_flags(PacketFlag::RESPONSE) {
        let questions = packet.questions.iter();
        incoming.questions =
            questions.map(|q| (q.qname.to_string(), Kinds { kind: q.qtype, unicast: q.unicast_response })).collect();
        return Some(incoming);
    }
    let records: Vec<&ResourceRecord<'_>> =
        packet.answers.iter().chain(&packet.additional_records).take(MAX_RECORDS).collect();
    for record in &records {
        let RData::SRV(srv) = &record.rdata else { continue };
        if incoming.entries.len() == MAX_ENTRIES {
            break;
        }
        let txt = records.iter().find_map(|other| match &other.rdata {
            RData::TXT(txt) if other.name == record.name => Some(String::try_from(txt.clone()).ok()),
            RData::Empty(TYPE::TXT) if other.name == record.name => Some(Some(String::new())),
            _ => None,
        });
        let address = |wanted: fn(&RData<'_>) -> Option<IpAddr>| {
            records.iter().filter(|other| other.name == srv.target).find_map(|other| wanted(&other.rdata))
        };
        // As go-micro does: IPv4 where there is one.
        let (Some(Some(txt)), Some(ip)) = (txt, address(v4).or_else(|| address(v6))) else { continue };
        incoming.entries.push(Entry {
            instance: record.name.to_string(),
            host: srv.target.to_string(),
            ip,
            port: srv.port,
            ttl: record.ttl,
            txt,
        });
    }
    Some(incoming)
}

fn v4(data: &RData<'_>) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
        _ => None,
    }
}

fn v6(data: &RData<'_>) -> Option<IpAddr> {
    match data {
        RData::AAAA(aaaa) => Some(Ipv6Addr::from(aaaa.address).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> Entry {
        Entry {
            instance: "greeter-b3c8.greeter.micro".to_owned(),
            host: "vm".to_owned(),
            ip: [127, 0, 0, 1].into(),
            port: 37903,
            ttl: 120,
            txt: "ab".repeat(300),
        }
    }

    #[test]
    fn a_question_is_go_micros_byte_for_byte() {
        let expected = b"\x45\x95\0\0\0\x01\0\0\0\0\0\0\x07greeter\x05micro\0\0\x0c\0\x01";
        assert_eq!(query(0x4595, "greeter.micro.").unwrap(), expected);
    }

    #[test]
    fn an_answer_repeats_the_question_and_comes_back_whole() {
        let asked = read(&query(7, "greeter.micro").unwrap()).unwrap().questions.remove(0);
        assert!(asked.1.lists() && !asked.1.describes());
        let bytes = answer(7, &asked, Some("greeter.micro"), &entry()).unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        assert!(packet.has_flags(PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER));
        assert_eq!((packet.id(), packet.questions[0].qname.to_string().as_str()), (7, "greeter.micro"));
        let kinds: Vec<TYPE> = packet.answers.iter().map(|record| record.rdata.type_code()).collect();
        assert_eq!(kinds, [TYPE::PTR, TYPE::SRV, TYPE::A, TYPE::TXT]);
        assert!(packet.answers.iter().all(|record| record.ttl == 120 && !record.cache_flush));
        assert_eq!(read(&bytes).unwrap().entries, [entry()]);
    }

    #[test]
    fn an_announcement_has_no_question_and_no_pointer() {
        let bytes = announcement(&entry()).unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        assert!(packet.questions.is_empty() && !packet.has_flags(PacketFlag::AUTHORITATIVE_ANSWER));
        assert!(packet.answers.iter().all(|record| record.rdata.type_code() != TYPE::PTR));
        assert_eq!(read(&bytes).unwrap().entries, [entry()]);
    }

    #[test]
    fn a_probe_is_a_question_with_the_records_to_come() {
        let incoming = read(&probe(&entry()).unwrap()).unwrap();
        assert!(incoming.probe && incoming.entries.is_empty());
        assert_eq!(incoming.questions[0].0, "greeter-b3c8.greeter.micro");
    }

    #[test]
    fn an_ipv6_node_gets_an_aaaa_record() {
        let entry = Entry { ip: "fe80::1".parse().unwrap(), ..entry() };
        assert_eq!(read(&announcement(&entry).unwrap()).unwrap().entries, [entry]);
    }

    #[test]
    fn what_mdns_cannot_carry_is_named() {
        let long = Entry { instance: format!("{}.greeter.micro", "x".repeat(64)), ..entry() };
        let error = announcement(&long).unwrap_err();
        assert!(error.kind() == Kind::InvalidArgument && error.to_string().contains("63 bytes"), "{error}");
        let large = Entry { txt: "ab".repeat(5_000), ..entry() };
        let error = announcement(&large).unwrap_err();
        assert!(error.kind() == Kind::TooLarge && error.to_string().contains("8972"), "{error}");
    }

    #[test]
    fn one_packet_says_no_more_than_so_many_nodes() {
        let entries: Vec<Entry> = (0..MAX_ENTRIES + 9)
            .map(|n| Entry { instance: format!("n{n}.greeter.micro"), txt: "ab".to_owned(), ..entry() })
            .collect();
        let mut packet = Packet::new_reply(0);
        entries.iter().for_each(|entry| describe(&mut packet, entry).unwrap());
        let bytes = packet.build_bytes_vec_compressed().unwrap();
        assert_eq!(read(&bytes).unwrap().entries.len(), MAX_ENTRIES);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_change_to_a_true_packet_makes_it_panic(at in 0usize..700, to in any::<u8>(), cut in 0usize..700) {
            let mut bytes = answer(7, &("greeter.micro".to_owned(), Kinds { kind: TYPE::PTR.into(), unicast: false }), Some("greeter.micro"), &entry()).unwrap();
            let length = bytes.len();
            bytes[at % length] = to;
            bytes.truncate(cut.max(1));
            if let Some(incoming) = read(&bytes) {
                for entry in incoming.entries {
                    let _ = crate::convert::unpack(&entry, "micro");
                }
            }
        }
    }
}
