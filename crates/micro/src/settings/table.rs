//! Every setting: its flag, its default and what `--help` says. The variable is `MICRO_` and the flag in capitals.

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The name of the flag, and the key in a configuration file.
    pub(crate) name: &'static str,
    /// What stands for the value in `--help`.
    pub(crate) value: &'static str,
    /// The value if nobody says anything; empty is unset.
    pub(crate) default: &'static str,
    /// One line.
    pub(crate) help: &'static str,
}

const fn setting(name: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, value, default, help }
}

/// The settings, in the order of `--help`.
pub(crate) const TABLE: &[Setting] = &[
    setting("server_name", "NAME", "", "Name that callers use; the program's own by default"),
    setting("server_version", "VERSION", "latest", "Version of this node"),
    setting("server_id", "ID", "", "Last part of the node's id; a new uuid by default"),
    setting("server_address", "HOST:PORT", ":0", "Where to listen; 0 is any free port, 8000-8010 the first free one"),
    setting("server_advertise", "HOST:PORT", "", "Address to register instead of the one listened on"),
    setting("server_metadata", "K=V,…", "", "Labels of this node; may be given more than once"),
    setting("server_tls_cert", "FILE", "", "Certificate of the server, in PEM: calls come over TLS"),
    setting("server_tls_key", "FILE", "", "Its private key"),
    setting("server_tls_ca", "FILE", "", "Authority that callers need a certificate of (mutual TLS)"),
    setting("server_max_in_flight", "N", "", "Most calls at once in the whole server; the others are refused"),
    setting("server_endpoint_max_in_flight", "N", "", "Most calls at once of each endpoint; the others are refused"),
    setting("server_endpoint_limits", "ENDPOINT=N,…", "", "Most calls at once of these endpoints, as Greeter.Greet=10"),
    setting("server_shed", "DURATION", "", "Refuses calls while all wait longer than this for their turn, as 50ms"),
    setting("register_ttl", "SECONDS", "60", "How long a registration lives without being refreshed"),
    setting("register_interval", "SECONDS", "30", "How often the registration is refreshed; 0 is never"),
    setting(
        "registry",
        "NAME|URI",
        DEFAULT_REGISTRY,
        "Where nodes are found; several, by ; or again, are asked in this order",
    ),
    setting("registry_address", "ADDRESS,…", "", "Servers or folder of the registry"),
    setting("broker", "NAME|URI", DEFAULT_BROKER, "What carries events"),
    setting("broker_address", "ADDRESS,…", "", "Servers or folder of the broker"),
    setting(
        "selector",
        "NAME|URI",
        "p2c",
        "How a node is chosen: p2c, random, roundrobin, weighted, consistenthash, sticky",
    ),
    setting("zone", "ZONE", "", "Zone of this node: its label, and where its calls stay while nodes there are well"),
    setting("client_request_timeout", "DURATION", "5s", "Limit of a call, all its tries together"),
    setting("client_retries", "N", "1", "Further tries of what surely did not run, or is idempotent"),
    setting("client_retry_budget", "SHARE|off", "10%", "Further tries of all calls together, hedged ones included"),
    setting("client_hedge", "DURATION|off", "off", "Idempotent calls ask a second node after this time"),
    setting("client_breaker", "on|off", "off", "A circuit breaker for each endpoint of each node"),
    setting("client_concurrency", "N|off", "off", "Most calls at once; ten times as many wait"),
    setting("client_rate", "N|off", "off", "Most calls a second"),
    setting("client_pool_size", "N", "4", "Most connections to one node, from each core"),
    setting("client_pool_ttl", "DURATION", "1m", "How long an idle connection is kept"),
    setting("client_tls", "on|off|unverified", "", "Calls over TLS; unverified believes any certificate"),
    setting("client_tls_ca", "FILE", "", "Authority of the servers' certificates; the system's by default"),
    setting("client_tls_cert", "FILE", "", "Certificate that is shown to servers (mutual TLS)"),
    setting("client_tls_key", "FILE", "", "Its private key"),
    setting("client_tls_name", "NAME", "", "Name that every server's certificate must have; the host by default"),
    setting("drain", "DURATION", "10s", "How long handlers may finish when the service stops"),
    setting(
        "drain_wait",
        "DURATION",
        "",
        "How long calls are still taken after leaving the registry; 500ms, memory 0s",
    ),
    setting("log_level", "LEVEL", "info", "trace, debug, info, warn, error, fatal; or info,micro_rpc=debug"),
    setting("log_format", "FORMAT", "text", "text or json"),
    setting("http_address", "HOST:PORT", "", "Serves /metrics, /live and /ready; :9090 is loopback only"),
    setting("tracing", "on|off", "on", "Begins traces, and keeps calls for Debug.Trace, up to 256 a second"),
    setting("cores", "N", "", "Threads that serve calls; all cores by default"),
    setting("home", "FOLDER", "", "Folder of the embedded plugins; ~/.micro by default"),
    setting("config_file", "FILE", "", "JSON file with any of these settings"),
];

/// The broker of a program that says nothing: the embedded one where it is built in.
pub(crate) const DEFAULT_BROKER: &str = if cfg!(feature = "broker-embedded") { "embedded" } else { "memory" };

/// The registry of a program that says nothing.
pub(crate) const DEFAULT_REGISTRY: &str = match (cfg!(feature = "registry-embedded"), cfg!(feature = "registry-mdns")) {
    (true, true) => "embedded,mdns",
    (true, false) => "embedded",
    (false, true) => "mdns",
    (false, false) => "memory",
};

/// Flags of go-micro that this program does not take, and why.
const ELSEWHERE: [(&str, &str); 11] = [
    ("client", "calls are gRPC, as go-micro's default"),
    ("server", "calls are gRPC, as go-micro's default"),
    ("transport", "calls are gRPC over HTTP/2"),
    ("transport_address", "calls are gRPC over HTTP/2"),
    ("client_request_retries", "it is --client_retries"),
    ("tracer", "spans go to the tracing subscriber"),
    ("profile", "choose --broker and --registry"),
    ("store", "stores are not there yet"),
    ("auth", "accounts are not there yet"),
    ("runtime", "the runtime is not there yet"),
    ("config", "it is --config_file"),
];

/// Returns why a flag that go-micro has is not taken here.
pub(crate) fn elsewhere(name: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(known, _)| *known == name).map(|(_, why)| *why)
}

/// Returns the variable of a setting.
pub(crate) fn variable(name: &str) -> String {
    format!("MICRO_{}", name.to_ascii_uppercase())
}

/// Returns the setting of a name.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.name == name)
}

/// Returns the name most like this one, if any is like it at all.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = || TABLE.iter().map(|setting| setting.name);
        assert_eq!(nearest("brokr", names()), Some("broker"));
        assert_eq!(nearest("server_adress", names()), Some("server_address"));
        assert_eq!(nearest("zzz", names()), None);
    }

    #[test]
    fn variables_are_go_micros() {
        assert_eq!(variable("broker_address"), "MICRO_BROKER_ADDRESS");
    }
}
