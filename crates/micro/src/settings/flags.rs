//! The command line: every setting as a flag, the program's own flags, and words that are no flags.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use micro_core::{Error, Kind};

use super::layers::{Layers, Source};
use super::table::{TABLE, elsewhere, nearest, variable};

/// A flag of the program's own, beside the framework's.
///
/// Its variable is `MICRO_` and the name in capitals, and it may stand in the configuration file.
///
/// # Examples
///
/// ```
/// use micro::{Flag, Service};
///
/// let service = Service::builder("shop")
///     .flag(Flag::new("limit", "Most orders at once").default("100"))
///     .args(["--limit", "7"])
///     .registry("memory")
///     .broker("memory")
///     .build()?;
/// assert_eq!(service.flag("limit"), Some("7"));
/// # Ok::<(), micro::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Flag {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) default: Option<String>,
    pub(crate) secret: bool,
}

impl Flag {
    /// Creates a flag `--name VALUE` with the line that `--help` shows.
    pub fn new(name: impl Into<String>, help: impl Into<String>) -> Self {
        Self { name: name.into(), help: help.into(), default: None, secret: false }
    }

    /// Sets the value if nobody says anything.
    pub fn default(mut self, value: impl Into<String>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Hides the value wherever settings are shown.
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// Where the command line comes from.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Args {
    /// That of the process. `--help` prints and exits with 0, a bad flag prints and exits with 2.
    #[default]
    Process,
    /// None.
    None,
    /// These, without the program's name. A bad flag is an error that is returned.
    Given(Vec<String>),
}

impl From<bool> for Args {
    fn from(process: bool) -> Self {
        if process { Self::Process } else { Self::None }
    }
}

impl From<Vec<String>> for Args {
    fn from(args: Vec<String>) -> Self {
        Self::Given(args)
    }
}

impl From<&[&str]> for Args {
    fn from(args: &[&str]) -> Self {
        Self::Given(args.iter().map(|&arg| arg.to_owned()).collect())
    }
}

impl<const N: usize> From<[&str; N]> for Args {
    fn from(args: [&str; N]) -> Self {
        args.as_slice().into()
    }
}

/// Why the command line did not become settings.
#[derive(Debug)]
pub(crate) enum Stop {
    /// `--help` was asked for.
    Help(String),
    /// Something is wrong.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Reads the flags into their layer and returns the words that are no flags.
pub(crate) fn read(program: &str, args: &[String], own: &[Flag], layers: &mut Layers) -> Result<Vec<String>, Stop> {
    let mut command = command(program, own);
    let matches = match command.try_get_matches_from_mut(args) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => return Err(Stop::Help(error.to_string())),
        Err(error) => return Err(Stop::Error(explain(program, &error, own))),
    };
    let names = TABLE.iter().map(|setting| setting.name).chain(own.iter().map(|flag| flag.name.as_str()));
    for name in names {
        if let Some(values) = matches.get_many::<String>(name) {
            let values: Vec<_> = values.map(String::as_str).collect();
            let between = if name == "registry" { ";" } else { "," };
            layers.set(name, values.join(between), Source::Flag);
        }
    }
    Ok(matches.get_many::<String>("words").unwrap_or_default().cloned().collect())
}

fn command(program: &str, own: &[Flag]) -> Command {
    let mut command = Command::new(program.to_owned())
        .no_binary_name(true)
        .override_usage(format!("{program} [--flag value]…"))
        .after_help(
            "A flag beats its variable, the variable the file, the file what the program says. Durations: 500ms, 5s, 1h30m.",
        )
        .arg(Arg::new("words").num_args(0..).hide(true));
    for setting in TABLE {
        command = command.arg(flag(setting.name, setting.value, setting.help, setting.default));
    }
    for own in own {
        let default = own.default.as_deref().filter(|_| !own.secret).unwrap_or("");
        command = command.arg(flag(&own.name, "VALUE", &own.help, default).help_heading("Flags of this program"));
    }
    command
}

fn flag(name: &str, value: &str, help: &str, default: &str) -> Arg {
    let default = if default.is_empty() { String::new() } else { format!(" [default {default}]") };
    let action = if ["server_metadata", "registry"].contains(&name) { ArgAction::Append } else { ArgAction::Set };
    Arg::new(name.to_owned())
        .long(name.to_owned())
        .value_name(value.to_owned())
        .help(format!("{help}{default} [{}]", variable(name)))
        .action(action)
        .hide_short_help(false)
}

/// Says a command line's mistake in our words.
fn explain(program: &str, error: &clap::Error, own: &[Flag]) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    let name = argument.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
    let shown = format!("--{name}");
    let detail = match error.kind() {
        ErrorKind::UnknownArgument => {
            let known = TABLE.iter().map(|setting| setting.name).chain(own.iter().map(|flag| flag.name.as_str()));
            let hint = match (elsewhere(name), nearest(name, known)) {
                (Some(why), _) => format!("; go-micro has it, here it is not needed: {why}"),
                (None, Some(near)) => format!("; did you mean --{near}?"),
                (None, None) => format!("; {program} --help lists the known ones"),
            };
            format!("the flag {shown} is unknown{hint}")
        }
        ErrorKind::ArgumentConflict => format!("the flag {shown} is given more than once; give it once"),
        ErrorKind::InvalidValue | ErrorKind::NoEquals | ErrorKind::WrongNumberOfValues => {
            format!("the flag {shown} has no value; write {shown} VALUE")
        }
        _ => error.to_string().trim().trim_start_matches("error: ").replace('\n', " "),
    };
    Error::new(Kind::Config, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_args(args: &[&str]) -> Result<(Layers, Vec<String>), Stop> {
        let mut layers = Layers::defaults();
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        let own = [Flag::new("limit", "Most orders at once").default("100")];
        read("greeter", &args, &own, &mut layers).map(|words| (layers, words))
    }

    fn error(args: &[&str]) -> String {
        match read_args(args) {
            Err(Stop::Error(error)) => error.to_string(),
            other => panic!("no error: {other:?}"),
        }
    }

    #[test]
    fn flags_are_read_with_a_space_or_an_equals_sign_between_words() {
        let (layers, words) =
            read_args(&["server", "--server_address", ":8088", "--broker=memory", "now", "--limit", "3"]).unwrap();
        assert_eq!(layers.get("server_address"), Some(":8088"));
        assert_eq!(layers.get("broker"), Some("memory"));
        assert_eq!(layers.get("limit"), Some("3"));
        assert_eq!(words, ["server", "now"]);
    }

    #[test]
    fn labels_may_come_one_by_one_or_together() {
        let (layers, _) = read_args(&["--server_metadata", "a=1,b=2", "--server_metadata", "c=3"]).unwrap();
        assert_eq!(layers.get("server_metadata"), Some("a=1,b=2,c=3"));
    }

    #[test]
    fn an_unknown_flag_names_the_nearest() {
        assert_eq!(error(&["--brokr", "memory"]), "the flag --brokr is unknown; did you mean --broker?");
        assert_eq!(error(&["--zzz"]), "the flag --zzz is unknown; greeter --help lists the known ones");
        assert_eq!(
            error(&["--transport=http"]),
            "the flag --transport is unknown; go-micro has it, here it is not needed: calls are gRPC over HTTP/2"
        );
    }

    #[test]
    fn a_flag_without_its_value_says_so() {
        assert_eq!(error(&["--broker"]), "the flag --broker has no value; write --broker VALUE");
        assert_eq!(
            error(&["--broker", "a", "--broker", "b"]),
            "the flag --broker is given more than once; give it once"
        );
    }

    #[test]
    fn help_lists_every_flag_with_default_and_variable() {
        let Err(Stop::Help(text)) = read_args(&["--help"]) else { panic!("no help") };
        for setting in TABLE {
            assert!(text.contains(&format!("--{} <{}>", setting.name, setting.value)), "{} in {text}", setting.name);
            assert!(text.contains(&variable(setting.name)), "{text}");
        }
        assert!(text.contains("[default 5s]") && text.contains("Flags of this program"), "{text}");
    }
}
