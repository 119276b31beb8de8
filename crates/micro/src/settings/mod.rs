//! What a service is told: by its code, a file, the environment and flags.

pub(crate) mod duration;
mod file;
mod flags;
mod layers;
mod listen;
mod load;
mod policy;
mod registries;
mod table;
mod tls;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use micro_core::address::Address;
use micro_core::tls::{ClientTls, ServerTls};
use micro_core::{Error, Kind, Result};

pub(crate) use flags::Stop;
pub use flags::{Args, Flag};
pub(crate) use layers::{Layers, Source};
use listen::loopback_unless_said;
pub(crate) use listen::{Listen, advertised};
pub(crate) use load::Load;
use policy::Policy;

use crate::logging::{Format, Level};
use table::{TABLE, variable};

/// A plugin as it was asked for: its name and where its server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) name: String,
    pub(crate) address: Address,
}

/// Every setting, read and checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) id: String,
    pub(crate) listen: Listen,
    pub(crate) advertise: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) register_ttl: Duration,
    /// Zero: never refreshed.
    pub(crate) register_interval: Duration,
    pub(crate) registries: Vec<Choice>,
    pub(crate) registry_source: Source,
    pub(crate) broker: Choice,
    pub(crate) broker_source: Source,
    pub(crate) selector: String,
    pub(crate) selector_source: Source,
    pub(crate) server_tls: Option<ServerTls>,
    pub(crate) load: Load,
    pub(crate) client_tls: Option<ClientTls>,
    pub(crate) zone: Option<String>,
    pub(crate) request_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) policy: Policy,
    pub(crate) pool_size: usize,
    pub(crate) pool_ttl: Duration,
    pub(crate) drain: Duration,
    /// Unset: as long as the registry makes sense of it.
    pub(crate) drain_wait: Option<Duration>,
    pub(crate) level: Level,
    pub(crate) format: Format,
    pub(crate) tracing: bool,
    pub(crate) http_address: Option<String>,
    pub(crate) cores: Option<usize>,
    /// The folder of the embedded plugins.
    pub(crate) home: Option<String>,
    /// Words of the command line that are no flags.
    pub(crate) words: Vec<String>,
    /// The values of the program's own flags.
    pub(crate) own: BTreeMap<String, String>,
    /// `name=value (source)` of all that differs from the default, secrets hidden.
    pub(crate) shown: Vec<String>,
}

/// What the code says, before the others are heard.
#[derive(Debug, Default)]
pub(crate) struct Code {
    pub(crate) values: Vec<(&'static str, String)>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) endpoint_limits: BTreeMap<String, usize>,
    pub(crate) flags: Vec<Flag>,
    pub(crate) args: Args,
    /// What beats everything else.
    pub(crate) sealed: Vec<(&'static str, String)>,
}

impl Settings {
    /// Hears all sources. `environment` is the process's, but for tests.
    pub(crate) fn read(program: &str, code: Code, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Stop> {
        let mut layers = Layers::defaults();
        for (name, value) in code.values {
            layers.set(name, value, Source::Code);
        }
        for flag in &code.flags {
            if table::find(&flag.name).is_some() || ["help", "words"].contains(&&*flag.name) {
                let text =
                    format!("the program's own flag --{} is one of the framework's; give it another name", flag.name);
                return Err(Error::new(Kind::Config, text).into());
            }
            if let Some(value) = &flag.default {
                layers.set(&flag.name, value, Source::Code);
            }
        }
        let own: Vec<_> = code.flags.iter().map(|flag| flag.name.as_str()).collect();
        for name in TABLE.iter().map(|setting| setting.name).chain(own.iter().copied()) {
            if let Some(value) = environment(&variable(name)).filter(|value| !value.is_empty()) {
                layers.set(name, value, Source::Environment);
            }
        }
        let args = match code.args {
            Args::Process => std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect(),
            Args::None => Vec::new(),
            Args::Given(args) => args,
        };
        let words = flags::read(program, &args, &code.flags, &mut layers)?;
        if let Some(path) = layers.get("config_file").map(PathBuf::from) {
            file::read(&path, &own, &mut layers)?;
        }
        for (name, value) in code.sealed {
            layers.set(name, value, Source::Sealed);
        }
        Ok(Self::check(program, &layers, (code.metadata, code.endpoint_limits), &code.flags, words)?)
    }

    fn check(
        program: &str,
        layers: &Layers,
        (mut metadata, endpoint_limits): (BTreeMap<String, String>, BTreeMap<String, usize>),
        own: &[Flag],
        words: Vec<String>,
    ) -> Result<Self> {
        let text = |name: &str| layers.get(name).map(str::to_owned);
        let duration = |name, example: &str| {
            let right = format!("a duration, as {example}");
            Ok::<_, Error>(layers.read(name, &right, duration::parse)?.unwrap_or_default())
        };
        let seconds = |name| {
            Ok::<_, Error>(
                layers
                    .read(name, "seconds, as 60, or a duration, as 90s", duration::parse_seconds)?
                    .unwrap_or_default(),
            )
        };
        metadata.extend(layers.read("server_metadata", "pairs, as zone=a,rack=7", pairs)?.unwrap_or_default());
        let zone = text("zone").filter(|zone| !zone.is_empty());
        if let Some(zone) = &zone {
            metadata.entry("zone".to_owned()).or_insert_with(|| zone.clone());
        }
        let register_ttl = seconds("register_ttl")?;
        let register_interval = seconds("register_interval")?;
        if register_ttl.is_zero() || register_interval >= register_ttl {
            return Err(Error::new(
                Kind::Config,
                format!(
                    "a registration that lives {register_ttl:?} and is refreshed every {register_interval:?} would come and go; \
                     give a --register_ttl above the --register_interval"
                ),
            ));
        }
        let right = "HOST:PORT, as :8088, 127.0.0.1:0 or :8000-8010";
        let listen = layers.read("server_address", right, Listen::parse)?.unwrap_or_default();
        let cores = layers.read("cores", "a number from 1 to 1024", |text| {
            text.parse().ok().filter(|cores| (1..=1024).contains(cores))
        })?;
        let pool_size = layers.read("client_pool_size", "a number from 1 to 1024", |text| {
            text.parse().ok().filter(|size| (1..=1024).contains(size))
        })?;
        Ok(Self {
            name: text("server_name").unwrap_or_else(|| program.to_owned()),
            version: text("server_version").unwrap_or_else(|| "latest".to_owned()),
            id: text("server_id").unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            listen,
            advertise: text("server_advertise"),
            metadata,
            register_ttl,
            register_interval,
            registries: choices(layers, "registry")?,
            registry_source: layers.source("registry"),
            broker: choices(layers, "broker")?.swap_remove(0),
            broker_source: layers.source("broker"),
            selector: text("selector").unwrap_or_default(),
            selector_source: layers.source("selector"),
            server_tls: tls::server(layers)?,
            load: Load::read(layers, endpoint_limits)?,
            client_tls: tls::client(layers)?,
            zone,
            request_timeout: duration("client_request_timeout", "5s")?,
            policy: Policy::read(layers)?,
            retries: layers.read("client_retries", "a number, as 3", |text| text.parse().ok())?.unwrap_or(1),
            pool_size: pool_size.unwrap_or(4),
            pool_ttl: duration("client_pool_ttl", "1m")?,
            drain: duration("drain", "10s")?,
            drain_wait: layers.read("drain_wait", "a duration, as 1s", duration::parse)?,
            level: layers
                .read("log_level", "a level, as info, or info,micro_rpc=debug", Level::parse)?
                .unwrap_or_default(),
            format: layers.read("log_format", "text or json", Format::parse)?.unwrap_or_default(),
            tracing: layers.read("tracing", "on or off", switch)?.unwrap_or(true),
            http_address: layers.read("http_address", "HOST:PORT, as 127.0.0.1:9090", loopback_unless_said)?,
            cores,
            home: text("home"),
            words,
            own: own.iter().filter_map(|flag| Some((flag.name.clone(), text(&flag.name)?))).collect(),
            shown: shown(layers, own),
        })
    }
}

/// Reads `on` or `off`.
fn switch(text: &str) -> Option<bool> {
    match text {
        "on" | "true" => Some(true),
        "off" | "false" => Some(false),
        _ => None,
    }
}

/// Reads `k=v,k=v`.
fn pairs(text: &str) -> Option<BTreeMap<String, String>> {
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| pair.split_once('=').map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned())))
        .collect()
}

/// Reads a plugin's name and address: `kafka`, `kafka` with an address beside it, or `kafka://h1,h2?acks=all` at once;
/// for registries also several, as `embedded,mdns` or `etcd://h1,h2;consul://h3`.
fn choices(layers: &Layers, kind: &'static str) -> Result<Vec<Choice>> {
    let text = layers.get(kind).unwrap_or("memory");
    let beside = match (kind, layers.source(kind), layers.source(&format!("{kind}_address"))) {
        // An address that a weaker source gave for another plugin is not this one's.
        (_, plugin, address) if address < plugin => None,
        ("broker", ..) => layers.get("broker_address"),
        _ => layers.get("registry_address"),
    };
    let names = if kind == "broker" { vec![text] } else { registries::apart(text) };
    let wrong = |name: &'static str, value: &str, error: Error| {
        Error::new(Kind::Config, format!("{} is not valid", layers.shown(name, value))).source(error)
    };
    let mut choices = Vec::new();
    for (i, text) in names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).enumerate() {
        let (name, address) = match text.split_once("://") {
            Some((name, _)) => {
                let address = Address::parse(text).map_err(|error| {
                    Error::new(Kind::Config, format!("the --{kind} address is not valid")).source(error)
                })?;
                (name, address)
            }
            // The address belongs to the first plugin of a list.
            None => match beside.filter(|_| i == 0) {
                Some(address) => {
                    let name = if kind == "broker" { "broker_address" } else { "registry_address" };
                    (text, Address::parse(address).map_err(|error| wrong(name, "…", error))?)
                }
                None => (text, Address::default()),
            },
        };
        choices.push(Choice { name: name.to_owned(), address });
    }
    if choices.is_empty() {
        return Err(Error::new(Kind::Config, format!("--{kind} is empty; name one, as memory")));
    }
    Ok(choices)
}

fn shown(layers: &Layers, own: &[Flag]) -> Vec<String> {
    let address = |text: &str| Address::parse(text).map_or_else(|_| "***".to_owned(), |address| address.to_string());
    let secret = |name: &str| own.iter().any(|flag| flag.secret && flag.name == name);
    layers
        .iter()
        .filter(|(.., source)| **source != Source::Default)
        .map(|(name, value, source)| {
            let value = match name {
                name if secret(name) => "***".to_owned(),
                "registry" => registries::apart(value).into_iter().map(address).collect::<Vec<_>>().join(";"),
                "broker" | "broker_address" | "registry_address" => address(value),
                _ => value.to_owned(),
            };
            format!("{name}={value} ({source})")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(code: &[(&'static str, &str)], env: &[(&str, &str)], args: &[&str]) -> Result<Settings> {
        let code = Code {
            values: code.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            args: args.into(),
            flags: vec![Flag::new("password", "The shop's").secret()],
            ..Code::default()
        };
        let find = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        match Settings::read("greeter", code, &find) {
            Ok(settings) => Ok(settings),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Help(text)) => panic!("{text}"),
        }
    }

    #[test]
    fn the_defaults_are_go_micros() {
        let settings = read(&[], &[], &[]).unwrap();
        assert_eq!((&*settings.name, &*settings.version), ("greeter", "latest"));
        assert_eq!((settings.register_ttl.as_secs(), settings.register_interval.as_secs()), (60, 30));
        assert_eq!((settings.request_timeout.as_secs(), settings.retries), (5, 1));
        assert_eq!(settings.listen, Listen::default());
        assert!(settings.http_address.is_none() && settings.shown.is_empty());
    }

    // features: A2, A3
    #[test]
    fn a_flag_beats_the_variable_beats_the_code() {
        let code = [("server_address", "127.0.0.1:1"), ("server_version", "1"), ("drain", "1s")];
        let env = [("MICRO_SERVER_ADDRESS", ":2"), ("MICRO_SERVER_VERSION", "2"), ("MICRO_BROKER", "")];
        let settings = read(&code, &env, &["--server_address", ":8088"]).unwrap();
        assert_eq!(settings.listen, Listen::parse(":8088").unwrap());
        assert_eq!((&*settings.version, settings.drain.as_secs()), ("2", 1));
    }

    // features: A2
    #[test]
    fn a_file_stands_between_code_and_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        std::fs::write(&path, r#"{"server_version": "file", "drain": "3s"}"#).unwrap();
        let path = path.to_str().unwrap();
        let settings = read(&[("drain", "1s")], &[("MICRO_SERVER_VERSION", "env")], &["--config_file", path]).unwrap();
        assert_eq!((&*settings.version, settings.drain.as_secs()), ("env", 3));
    }

    // features: D18
    #[test]
    fn a_uri_says_plugin_and_address_at_once() {
        let settings = read(&[], &[], &["--broker", "kafka://u:secret@h1:9092,h2?acks=all"]).unwrap();
        assert_eq!((&*settings.broker.name, settings.broker.address.hosts().len()), ("kafka", 2));
        let settings = read(&[], &[], &["--broker", "kafka", "--broker_address", "h1:9092,h2"]).unwrap();
        assert_eq!((&*settings.broker.name, settings.broker.address.hosts().len()), ("kafka", 2));
    }

    #[test]
    fn an_address_for_another_plugin_is_not_taken_over() {
        let code = [("broker", "kafka"), ("broker_address", "h1:9092")];
        let settings = read(&code, &[], &["--broker", "memory"]).unwrap();
        assert_eq!(settings.broker, Choice { name: "memory".into(), address: Address::default() });
    }

    #[test]
    fn several_registries_are_a_list() {
        let settings = read(&[], &[], &["--registry", "memory,mdns"]).unwrap();
        assert_eq!(settings.registries.iter().map(|choice| &*choice.name).collect::<Vec<_>>(), ["memory", "mdns"]);
    }

    #[test]
    fn each_of_several_registries_has_its_own_address() {
        let hosts = |settings: &Settings| -> Vec<(String, Vec<String>)> {
            let each = settings.registries.iter();
            each.map(|choice| (choice.name.clone(), choice.address.hosts().to_vec())).collect()
        };
        let expected = [
            ("etcd".to_owned(), vec!["h1:2379".to_owned(), "h2".to_owned()]),
            ("consul".to_owned(), vec!["h3".to_owned()]),
        ];
        for args in [
            &["--registry", "etcd://h1:2379,h2;consul://h3"][..],
            &["--registry", "etcd://h1:2379,h2", "--registry", "consul://h3"],
        ] {
            assert_eq!(hosts(&read(&[], &[], args).unwrap()), expected);
        }
        let env = [("MICRO_REGISTRY", "etcd://u:hush@h1;consul://v:hush@h3?token=hush;memory")];
        let settings = read(&[], &env, &[]).unwrap();
        assert_eq!(settings.registries.len(), 3);
        let shown = settings.shown.join(" ");
        assert!(!shown.contains("hush") && shown.contains("consul://v:***@h3"), "{shown}");
        // What stands beside is still the first one's.
        let settings = read(&[], &[], &["--registry", "etcd;mdns", "--registry_address", "h1"]).unwrap();
        assert_eq!(hosts(&settings), [("etcd".to_owned(), vec!["h1".to_owned()]), ("mdns".to_owned(), vec![])]);
        let error = read(&[], &[], &["--registry", "embedded,etcd://h1"]).unwrap_err();
        assert!(error.to_string().contains("the --registry address is not valid"), "{error}");
    }

    #[test]
    fn the_zone_is_a_label_of_the_node_unless_it_has_one() {
        let settings = read(&[], &[("MICRO_ZONE", "a")], &[]).unwrap();
        assert_eq!((settings.zone.as_deref(), &*settings.metadata["zone"]), (Some("a"), "a"));
        let settings = read(&[], &[("MICRO_ZONE", "a")], &["--server_metadata", "zone=b"]).unwrap();
        assert_eq!((settings.zone.as_deref(), &*settings.metadata["zone"]), (Some("a"), "b"));
        assert!(read(&[], &[], &[]).unwrap().zone.is_none());
    }

    #[test]
    fn what_is_shown_hides_secrets() {
        let settings = read(&[], &[("MICRO_PASSWORD", "hush")], &["--broker", "kafka://u:hush@h?token=hush"]).unwrap();
        let shown = settings.shown.join(" ");
        assert!(shown.contains("password=*** (environment)") && shown.contains("kafka://u:***@h"), "{shown}");
        assert!(!shown.contains("hush") && settings.own["password"] == "hush");
    }

    #[test]
    fn a_bad_value_says_what_would_be_right() {
        for (args, text) in [
            (
                ["--client_request_timeout", "5"],
                "the flag --client_request_timeout 5 is not valid: write a duration, as 5s",
            ),
            (["--register_ttl", "soon"], "write seconds, as 60, or a duration, as 90s"),
            (["--register_ttl", "20"], "would come and go"),
            (["--server_address", "8088"], "write HOST:PORT, as :8088"),
            (["--server_metadata", "zone"], "write pairs, as zone=a"),
            (
                ["--server_endpoint_limits", "Greeter.Greet"],
                "write endpoints and numbers of 1 or more, as Greeter.Greet=10",
            ),
            (["--server_endpoint_limits", "Greeter.Greet=0"], "write endpoints and numbers of 1 or more"),
            (["--log_level", "loud"], "write a level, as info"),
            (["--log_format", "xml"], "write text or json"),
            (["--cores", "0"], "a number from 1 to 1024"),
            (["--config_file", "/no/such/file"], "cannot be read; check --config_file (file /no/such/file)"),
            (["--broker", "://h"], "the --broker address is not valid"),
        ] {
            let error = read(&[], &[], &args).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
            assert_eq!(error.kind(), Kind::Config);
        }
    }
}
