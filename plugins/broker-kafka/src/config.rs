use std::path::PathBuf;
use std::time::Duration;

use micro_core::address::{Address, Secret};
use micro_core::broker::SubscribeOptions;
use micro_core::{Error, Kind, Result};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

const DEFAULT_PORT: u16 = 9092;

/// So that four times as much, where publishes are refused, stays below what the library is told to take.
const MAX_BUFFER_MESSAGES: usize = 200_000;
const MAX_BUFFER_KB: usize = 196_608;

const KNOWN: [&str; 24] = [
    "partitions",
    "replication",
    "create",
    "compression",
    "linger_ms",
    "timeout_ms",
    "connect_timeout_ms",
    "max_message_bytes",
    "buffer_messages",
    "buffer_kb",
    "partitioner",
    "tls",
    "ca",
    "cert",
    "key",
    "key_password",
    "verify",
    "sasl",
    "token",
    "dialect",
    "envelope",
    "transactional_id",
    "topic.<config of topics that are created>",
    "kafka.<property of librdkafka>",
];

/// How records look to other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Native headers and keys. An envelope that another program wrote is opened, unless that is switched off.
    Native { open_envelopes: bool },
    /// go-micro's plugin: everything in a JSON envelope, no key; groups share as sarama's do.
    GoMicro,
}

/// What an address asks for; the table is in the documentation of [`Kafka`](crate::Kafka).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) servers: Vec<String>,
    pub(crate) client_id: String,
    /// Partitions of the topics that are created.
    pub(crate) partitions: i32,
    /// Copies of the topics that are created; `None` is the server's default.
    pub(crate) replication: Option<i32>,
    pub(crate) create: bool,
    pub(crate) topic_config: Vec<(String, String)>,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_message_bytes: usize,
    /// From how many messages, or bytes of bodies, on their way `ready` waits.
    pub(crate) buffer: (usize, usize),
    pub(crate) dialect: Dialect,
    pub(crate) transactional_id: Option<String>,
    pub(crate) token: Option<Secret>,
    compression: String,
    linger: Duration,
    partitioner: String,
    tls: bool,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    key_password: Option<Secret>,
    verify: bool,
    sasl: Option<Sasl>,
    properties: Vec<(String, Secret)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Sasl {
    mechanism: &'static str,
    user: String,
    password: Secret,
}

impl Settings {
    pub(crate) fn read(address: &Address, client_id: Option<&str>) -> Result<Self> {
        address.check_plugin(
            &["kafka", "kafkas"],
            "kafka://host:9092,host:9092",
            "topics are named in code, not here",
        )?;
        check_names(address)?;
        let prefixed =
            |prefix| address.params().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value)));
        let positive = |name, default| address.positive(name, default);
        let tls = address.parsed("tls")?.unwrap_or(address.scheme() == Some("kafkas"));
        let path = |name| address.param(name).map(PathBuf::from);
        let settings = Self {
            servers: address.servers(DEFAULT_PORT)?,
            client_id: client_id.unwrap_or("micro-rs").to_owned(),
            partitions: i32::try_from(positive("partitions", 16)?).unwrap_or(i32::MAX),
            replication: address.parsed::<u16>("replication")?.map(i32::from),
            create: address.parsed("create")?.unwrap_or(true),
            topic_config: prefixed("topic.").map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            timeout: Duration::from_millis(positive("timeout_ms", 30_000)?),
            connect_timeout: Duration::from_millis(positive("connect_timeout_ms", 10_000)?),
            max_message_bytes: usize::try_from(positive("max_message_bytes", 1_000_000)?).unwrap_or(usize::MAX),
            buffer: (
                limited(positive("buffer_messages", 65_536)?, "buffer_messages", MAX_BUFFER_MESSAGES)?,
                limited(positive("buffer_kb", 65_536)?, "buffer_kb", MAX_BUFFER_KB)? << 10,
            ),
            dialect: dialect(address)?,
            transactional_id: address.param("transactional_id").map(str::to_owned),
            token: address.param("token").map(Secret::new),
            compression: one_of(address, "compression", &["none", "gzip", "snappy", "lz4", "zstd"])?.to_owned(),
            linger: Duration::from_millis(address.parsed("linger_ms")?.unwrap_or(5)),
            partitioner: one_of(
                address,
                "partitioner",
                &["murmur2_random", "consistent_random", "fnv1a_random", "murmur2", "consistent", "fnv1a", "random"],
            )?
            .to_owned(),
            tls,
            ca: path("ca"),
            cert: path("cert"),
            key: path("key"),
            key_password: address.param("key_password").map(Secret::new),
            verify: address.parsed("verify")?.unwrap_or(true),
            sasl: sasl(address)?,
            properties: prefixed("kafka.").map(|(name, value)| (name.to_owned(), Secret::new(value))).collect(),
        };
        if !settings.tls && [&settings.ca, &settings.cert, &settings.key].into_iter().any(Option::is_some) {
            return Err(config("the address names certificates but asks for no TLS: add tls=true".to_owned()));
        }
        Ok(settings)
    }

    /// The servers as one text.
    pub(crate) fn address(&self) -> String {
        self.servers.join(",")
    }

    /// What every client of this broker is set to.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", self.address())
            .set("client.id", &self.client_id)
            .set(
                "security.protocol",
                match (self.tls, &self.sasl) {
                    (false, None) => "plaintext",
                    (true, None) => "ssl",
                    (false, Some(_)) => "sasl_plaintext",
                    (true, Some(_)) => "sasl_ssl",
                },
            )
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("socket.connection.setup.timeout.ms", "5000")
            // A server that stands still is given up after this; requests of a fetch or a join have their own time.
            .set("socket.timeout.ms", "15000")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000")
            .set("log.connection.close", "false");
        let debugging = self.properties.iter().any(|(name, _)| name == "debug");
        client.set_log_level(if debugging { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Warning });
        if self.tls {
            for (name, path) in [
                ("ssl.ca.location", &self.ca),
                ("ssl.certificate.location", &self.cert),
                ("ssl.key.location", &self.key),
            ] {
                if let Some(path) = path {
                    client.set(name, path.to_string_lossy());
                }
            }
            if let Some(password) = &self.key_password {
                client.set("ssl.key.password", password.reveal());
            }
            let verify = if self.verify { "https" } else { "none" };
            client.set("ssl.endpoint.identification.algorithm", verify);
            client.set("enable.ssl.certificate.verification", self.verify.to_string());
        }
        if let Some(sasl) = &self.sasl {
            client.set("sasl.mechanism", sasl.mechanism);
            if sasl.mechanism != "OAUTHBEARER" {
                client.set("sasl.username", &sasl.user).set("sasl.password", sasl.password.reveal());
            }
        }
        for (name, value) in &self.properties {
            client.set(name, value.reveal());
        }
        client
    }

    /// The publishing side: acknowledged by all in-sync copies, each record once and in order.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut producer = self.client();
        let defaults = [
            ("acks", "all".to_owned()),
            ("enable.idempotence", "true".to_owned()),
            ("compression.type", self.compression.clone()),
            ("linger.ms", self.linger.as_millis().to_string()),
            ("message.timeout.ms", self.timeout.as_millis().to_string()),
            ("message.max.bytes", self.max_message_bytes.to_string()),
            ("partitioner", self.partitioner.clone()),
            // Ours is the smaller limit, so that the library never refuses.
            ("queue.buffering.max.messages", "1000000".to_owned()),
            ("queue.buffering.max.kbytes", "1048576".to_owned()),
            ("topic.metadata.propagation.max.ms", "5000".to_owned()),
        ];
        self.fill(&mut producer, defaults);
        producer
    }

    /// One subscriber's side, a member of `group`.
    pub(crate) fn consumer(&self, group: &str, options: &SubscribeOptions) -> ClientConfig {
        let session = options.lease.clamp(Duration::from_secs(6), Duration::from_secs(1800));
        let strategy = match self.dialect {
            Dialect::Native { .. } => "cooperative-sticky",
            // What sarama, and so go-micro's plugin, shares a group by.
            Dialect::GoMicro => "range",
        };
        let mut consumer = self.client();
        let defaults = [
            ("group.id", group.to_owned()),
            ("enable.auto.commit", "false".to_owned()),
            ("enable.auto.offset.store", "false".to_owned()),
            // We always say where to begin; if that is gone, we must hear of it.
            ("auto.offset.reset", "error".to_owned()),
            ("isolation.level", "read_committed".to_owned()),
            ("partition.assignment.strategy", strategy.to_owned()),
            ("session.timeout.ms", session.as_millis().to_string()),
            ("heartbeat.interval.ms", (session.as_millis() / 3).min(1000).to_string()),
            ("max.poll.interval.ms", session.as_millis().max(300_000).to_string()),
            ("topic.metadata.refresh.interval.ms", "10000".to_owned()),
            // What is read ahead, beside what is in flight.
            ("queued.max.messages.kbytes", "4096".to_owned()),
            ("queued.min.messages", "12500".to_owned()),
            ("fetch.queue.backoff.ms", "2".to_owned()),
            // A fetch asks for all partitions that have room. If those are the empty ones, it waits so long, and the full
            // ones run dry meanwhile.
            ("fetch.wait.max.ms", "20".to_owned()),
            ("fetch.error.backoff.ms", "100".to_owned()),
            ("statistics.interval.ms", "5000".to_owned()),
        ];
        self.fill(&mut consumer, defaults);
        consumer
    }

    /// Sets what the address did not set itself.
    fn fill<const N: usize>(&self, client: &mut ClientConfig, defaults: [(&'static str, String); N]) {
        for (name, value) in defaults {
            if !self.properties.iter().any(|(given, _)| given == name) {
                client.set(name, value);
            }
        }
    }
}

fn check_names(address: &Address) -> Result<()> {
    let known = |name: &str| KNOWN.contains(&name) || name.starts_with("topic.") || name.starts_with("kafka.");
    match address.params().find(|(name, _)| !known(name)) {
        None => Ok(()),
        Some((name, _)) => Err(config(format!(
            "the address has a parameter {name:?} that is not known here; known are: {}",
            KNOWN.join(", ")
        ))),
    }
}

fn dialect(address: &Address) -> Result<Dialect> {
    let open_envelopes = one_of(address, "envelope", &["auto", "off"])? == "auto";
    match one_of(address, "dialect", &["native", "gomicro"])? {
        "gomicro" if !open_envelopes => {
            Err(config("dialect=gomicro is the envelope; leave out envelope=off, or the dialect".to_owned()))
        }
        "gomicro" => Ok(Dialect::GoMicro),
        _ => Ok(Dialect::Native { open_envelopes }),
    }
}

fn sasl(address: &Address) -> Result<Option<Sasl>> {
    const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
    let asked = address.param("sasl").map(str::to_ascii_uppercase);
    let mechanism = match (&asked, address.user()) {
        (None, None) => return Ok(None),
        (None, Some(_)) => "PLAIN",
        (Some(name), _) => MECHANISMS.into_iter().find(|known| known == name).ok_or_else(|| {
            config(format!("sasl={name} of the address is not known; known are: {}", MECHANISMS.join(", ")))
        })?,
    };
    match (mechanism, address.user(), address.password()) {
        ("OAUTHBEARER", user, _) => {
            Ok(Some(Sasl { mechanism, user: user.unwrap_or_default().to_owned(), password: Secret::default() }))
        }
        (_, Some(user), Some(password)) => {
            Ok(Some(Sasl { mechanism, user: user.to_owned(), password: password.clone() }))
        }
        _ => Err(config(format!("sasl={mechanism} needs a user and a password: kafka://user:password@host:9092"))),
    }
}

/// The value of a parameter that takes one of some words; the first is the default.
fn one_of<'a>(address: &'a Address, name: &str, words: &[&'static str]) -> Result<&'a str>
where
    'static: 'a,
{
    match address.param(name) {
        None => Ok(words[0]),
        Some(word) if words.contains(&word) => Ok(word),
        Some(other) => {
            Err(config(format!("{name}={other} of the address is not known; known are: {}", words.join(", "))))
        }
    }
}

fn limited(value: u64, name: &str, most: usize) -> Result<usize> {
    match usize::try_from(value) {
        Ok(value) if value <= most => Ok(value),
        _ => Err(config(format!("{name}={value} of the address must be at most {most}"))),
    }
}

fn config(text: String) -> Error {
    Error::new(Kind::Config, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Result<Settings> {
        Settings::read(&Address::parse(address).unwrap(), None)
    }

    #[test]
    fn an_address_says_servers_account_topics_and_properties() {
        let settings = read(
            "kafkas://anna:hush@h1:9093,h2?sasl=scram-sha-512&ca=/etc/ca.pem&partitions=4&replication=3\
             &topic.retention.ms=1000&kafka.linger.ms=1&compression=lz4",
        )
        .unwrap();
        assert_eq!(settings.address(), "h1:9093,h2:9092");
        assert_eq!((settings.partitions, settings.replication), (4, Some(3)));
        assert_eq!(settings.topic_config, [("retention.ms".to_owned(), "1000".to_owned())]);
        let producer = settings.producer();
        for (name, value) in [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.password", "hush"),
            ("linger.ms", "1"),
            ("compression.type", "lz4"),
            ("acks", "all"),
        ] {
            assert_eq!(producer.get(name), Some(value), "{name}");
        }
        assert!(!format!("{settings:?}").contains("hush"));
    }

    #[test]
    fn nothing_said_is_the_local_server_in_plain() {
        let settings = read("").unwrap();
        assert_eq!(settings.address(), "127.0.0.1:9092");
        assert_eq!(settings.client().get("security.protocol"), Some("plaintext"));
    }

    #[test]
    fn a_senseless_setting_is_refused_by_name() {
        for (address, word) in [
            ("amqp://h:1", "kafka://host:9092"),
            ("kafka://h:1/orders", "topics are named in code"),
            ("kafka://h:x", "has no port but"),
            ("kafka://h:1?partitions=0", "partitions=0"),
            ("kafka://h:1?partitons=3", "known are: partitions"),
            ("kafka://h:1?compression=zip", "known are: none, gzip"),
            ("kafka://h:1?sasl=kerberos", "known are: PLAIN"),
            ("kafka://h:1?sasl=plain", "needs a user and a password"),
            ("kafka://h:1?ca=/x.pem", "add tls=true"),
            ("kafka://h:1?buffer_kb=0", "buffer_kb=0"),
            ("kafka://h:1?buffer_kb=1000000", "at most 196608"),
            ("kafka://h:1?dialect=gomicro&envelope=off", "is the envelope"),
        ] {
            let error = read(address).unwrap_err().to_string();
            assert!(error.contains(word), "{address}: {error}");
        }
    }
}
