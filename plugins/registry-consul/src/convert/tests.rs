use super::*;
use crate::api::{AgentNode, Listed, Status};

/// What go-micro's own encoder wrote.
const LATEST: &str = "v-789cca492c492d2e01040000ffff08cc028e";
const NUMBERED: &str = "v-789c32d433d03300040000ffff02ce00ee";
const NO_VERSION: &str = "v-789c010000ffff00000001";
const GRPC: &str = "t-789caa562a28ca2fc94fcecf51b2524a2f2a4856aa05040000ffff468306d9";
const GREET: &str = "e-789caa56ca4bcc4d55b252722f4a4d2d492dd203d34a3a4a45a985a5a9c5254a5670154150111da592ca025481b2c49cd2d46225abbcd29c9c5a90dee282fcbce25488808e526e6a49624a6249a29255756d2d200000ffffb36f278b";

fn entry(tags: &[&str]) -> Entry {
    Entry {
        node: AgentNode { node: "machine".to_owned(), address: "10.0.0.1".to_owned() },
        service: Listed {
            id: "greeter-1".to_owned(),
            service: "greeter".to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            address: "127.0.0.1".to_owned(),
            port: 37903,
            meta: BTreeMap::new(),
        },
        checks: vec![Status { status: "passing".to_owned(), service_name: String::new() }],
    }
}

fn read(entry: Entry) -> Option<Service> {
    record(entry, "", &Unreadable::new("consul")).map(|(_, record)| record)
}

#[test]
fn what_go_micro_wrote_is_read() {
    let service = read(entry(&[GRPC, GREET, LATEST])).unwrap();
    assert_eq!((service.name.as_str(), service.version.as_str()), ("greeter", "latest"));
    assert_eq!(service.nodes, [Node::new("greeter-1", "127.0.0.1:37903").with("protocol", "grpc")]);
    assert_eq!(service.endpoints[0].name, "Greeter.Greet");
    assert_eq!(service.endpoints[0].request.as_ref().unwrap().kind, "Request");
    assert_eq!(read(entry(&[NUMBERED])).unwrap().version, "1.0.0");
    assert_eq!(read(entry(&[NO_VERSION])).unwrap().version, "");
}

#[test]
fn the_plain_form_of_older_programs_is_read() {
    let service = read(entry(&[r#"t={"protocol":"grpc"}"#, r#"e={"name":"Greeter.Greet"}"#, "v=1.2.0"])).unwrap();
    assert_eq!(service.version, "1.2.0");
    assert_eq!(service.nodes[0].metadata["protocol"], "grpc");
    assert_eq!(service.endpoints[0].name, "Greeter.Greet");
}

#[test]
fn a_service_of_another_program_counts_too() {
    let mut other = entry(&["primary"]);
    other.service.address.clear();
    other.service.meta.insert("protocol".to_owned(), "http".to_owned());
    let service = read(other).unwrap();
    assert_eq!(service.version, "");
    assert_eq!(service.nodes, [Node::new("greeter-1", "10.0.0.1:37903").with("protocol", "http")]);
}

#[test]
fn a_tag_that_cannot_be_read_is_left_out_and_nothing_else() {
    let bomb = encode("e", &vec![b' '; LARGEST_TAG as usize + 10]).unwrap();
    for bad in ["v-", "v-7", "v-zz", "v-00", "t-789c010000ffff00000001", "e={", "t-shirt", "e-ä", "v-789cca", &bomb] {
        let service = read(entry(&[bad, GRPC])).unwrap();
        assert_eq!((service.version.as_str(), service.endpoints.len()), ("", 0), "{bad}");
        assert_eq!(service.nodes[0].metadata.len(), 1, "{bad}");
    }
}

#[test]
fn a_node_with_a_check_that_failed_is_left_out() {
    for (status, found) in [("critical", false), ("warning", true), ("passing", true)] {
        let mut entry = entry(&[LATEST]);
        entry.checks.push(Status { status: status.to_owned(), service_name: "greeter".to_owned() });
        assert_eq!(read(entry).is_some(), found, "{status}");
    }
}

#[test]
fn what_is_written_is_in_go_micros_order_and_read_again() {
    let mut service = Service::new("greeter", "1.2.0").endpoint(Endpoint::new("Greeter.Greet"));
    service.metadata.insert("team".to_owned(), "größe".to_owned());
    let node = Node::new("greeter-1", "[::1]:80").with("a", "1").with("größe", "2").with("long", "x".repeat(600));
    service.nodes.push(node.clone());
    let written = registration(&service, &node, "", Duration::from_secs(90)).unwrap();
    let letters: String = written.tags.iter().map(|tag| &tag[..1]).collect();
    assert_eq!(letters, "tttevs");
    assert_eq!((written.address.as_str(), written.port), ("::1", 80));
    assert_eq!(written.meta, BTreeMap::from([("a".to_owned(), "1".to_owned())]), "only what Consul takes");
    assert_eq!((&*written.check.ttl, &*written.check.deregister_critical_service_after), ("1m30s", "1m35s"));
    let mut entry = entry(&[]);
    (entry.service.tags, entry.service.address, entry.service.port) = (written.tags, written.address, written.port);
    assert_eq!(read(entry), Some(service));
}

#[test]
fn what_is_too_large_is_refused() {
    let random: String = (0..600 << 10).map(|_| fastrand::alphanumeric()).collect();
    let service = Service::new("s", "1").node(Node::new("a", "h:1").with("huge", random));
    let error = registration(&service, &service.nodes[0], "", Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
}

#[test]
fn domains_are_apart_also_where_their_names_run_together() {
    let of = |domain: &str| vec![format!("{DOMAIN}{domain}")];
    assert_eq!(out_of_domain("a", &in_domain("a", "b.c"), &of("a")), Some("b.c"));
    assert_eq!(out_of_domain("a", "a.b", &[]), None);
    assert_eq!(out_of_domain("a", "a.b", &of("b")), None);
    assert_eq!(out_of_domain("", "a.b", &of("a")), None);
    assert_eq!(out_of_domain("", "go.micro.srv.greeter", &[]), Some("go.micro.srv.greeter"));
}

#[test]
fn a_version_is_known_however_it_was_packed() {
    let ours = version_tag("latest").unwrap();
    assert_ne!(ours, LATEST);
    for tag in [&*ours, LATEST, "v=latest"] {
        assert!(is_version(&[tag.to_owned()], "latest", &ours), "{tag}");
    }
    assert!(!is_version(&[NUMBERED.to_owned()], "latest", &ours));
    assert!(is_version(&["primary".to_owned()], "", &version_tag("").unwrap()));
}

#[test]
fn times_are_written_as_go_reads_them() {
    for (millis, text) in
        [(1_000, "1s"), (1_500, "1.5s"), (60_000, "1m0s"), (65_000, "1m5s"), (3_600_000, "1h0m0s"), (250, "0.25s")]
    {
        assert_eq!(go_duration(Duration::from_millis(millis)), text);
    }
}
