//! The files that a node is started with.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::certificates::Certificates;
use super::setup::Setup;
use crate::{Failure, Result};

pub(super) const SERVER: &str = "server.properties";
pub(super) const LOG4J: &str = "log4j.properties";
pub(super) const LOG4J2: &str = "log4j2.properties";

/// Ports that a node may use, in the order in which they are taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listener {
    Plain,
    Controller,
    /// For the node itself, where clients are sent to another address.
    Internal,
    Ssl,
    SaslSsl,
    SaslPlain,
}

pub(super) const LISTENERS: usize = 6;

impl Listener {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAINTEXT",
            Self::Controller => "CONTROLLER",
            Self::Internal => "INTERNAL",
            Self::Ssl => "SSL",
            Self::SaslSsl => "SASL_SSL",
            Self::SaslPlain => "SASL_PLAINTEXT",
        }
    }
}

/// The port of a node, counted from 1.
pub(super) type Port<'a> = &'a dyn Fn(usize, Listener) -> u16;

/// Writes the properties of one node and the log's.
pub(super) fn write(
    folder: &Path,
    node: usize,
    setup: &Setup,
    port: Port<'_>,
    certificates: Option<&Certificates>,
) -> Result<()> {
    let files = [
        (SERVER, server(folder, node, setup, port, certificates)),
        (LOG4J, LOG4J_TEXT.to_owned()),
        (LOG4J2, LOG4J2_TEXT.to_owned()),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|e| Failure::new(format!("cannot write {}: {e}", path.display())))?;
    }
    Ok(())
}

fn server(folder: &Path, node: usize, setup: &Setup, port: Port<'_>, certificates: Option<&Certificates>) -> String {
    let mut listeners = vec![Listener::Plain];
    let advertise = setup.advertise.get(node - 1);
    if advertise.is_some() {
        listeners.push(Listener::Internal);
    }
    if certificates.is_some() {
        listeners.extend([Listener::Ssl, Listener::SaslSsl, Listener::SaslPlain]);
    }
    let here = |listener: Listener| format!("{}://127.0.0.1:{}", listener.name(), port(node, listener));
    let advertised = listeners.iter().map(|listener| match (listener, advertise) {
        (Listener::Plain, Some(address)) => format!("{}://{address}", listener.name()),
        _ => here(*listener),
    });
    let advertised = join(advertised);
    let listening = join(listeners.iter().copied().chain([Listener::Controller]).map(here));
    let voters = (1..=setup.nodes).map(|n| format!("{n}@127.0.0.1:{}", port(n, Listener::Controller)));
    let between = if advertise.is_some() { Listener::Internal } else { Listener::Plain };
    let replicas = setup.nodes.min(3);
    let mut text = format!(
        "process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners={listening}
advertised.listeners={advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name={between}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,\
         SASL_PLAINTEXT:SASL_PLAINTEXT
log.dirs={data}
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
unclean.leader.election.enable=false
controlled.shutdown.enable=true
group.initial.rebalance.delay.ms=0
default.replication.factor={replicas}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={acknowledging}
# A killed node is missed soon, and may come back under its number as soon.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
",
        voters = join(voters),
        between = between.name(),
        data = folder.join("data").display(),
        acknowledging = setup.nodes.min(2),
    );
    if let Some(certificates) = certificates {
        text.push_str(&secure(certificates));
    }
    for (name, value) in &setup.properties {
        // The later line counts.
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

fn secure(certificates: &Certificates) -> String {
    let mut text = format!(
        "ssl.keystore.type=PKCS12
ssl.keystore.location={store}
ssl.keystore.password={password}
ssl.key.password={password}
ssl.client.auth=none
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:alice;User:ANONYMOUS
",
        store = certificates.store().display(),
        password = Certificates::PASSWORD,
    );
    const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                         user_alice=\"alice-secret\" user_bob=\"bob-secret\";";
    const BEARER: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";
    for listener in ["sasl_ssl", "sasl_plaintext"] {
        let mechanisms =
            [("PLAIN", PLAIN), ("SCRAM-SHA-256", SCRAM), ("SCRAM-SHA-512", SCRAM), ("OAUTHBEARER", BEARER)];
        let names = join(mechanisms.iter().map(|(name, _)| (*name).to_owned()));
        let _ = writeln!(text, "listener.name.{listener}.sasl.enabled.mechanisms={names}");
        for (name, module) in mechanisms {
            let _ = writeln!(text, "listener.name.{listener}.{}.sasl.jaas.config={module}", name.to_lowercase());
        }
    }
    text
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

const LOG4J_TEXT: &str = "\
log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{HH:mm:ss.SSS} %p %c{1}: %m%n
log4j.logger.kafka.server.KafkaConfig=WARN
log4j.logger.org.apache.kafka.common.config=WARN
log4j.logger.org.apache.kafka.clients=WARN
";

const LOG4J2_TEXT: &str = "\
status=warn
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1}: %m%n
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
logger.config.name=kafka.server.KafkaConfig
logger.config.level=warn
logger.values.name=org.apache.kafka.common.config
logger.values.level=warn
logger.clients.name=org.apache.kafka.clients
logger.clients.level=warn
";
