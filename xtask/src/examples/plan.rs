//! An `expect.toml`, read.

use std::time::Duration;

use toml::{Table, Value};

use crate::Result;

/// What an example does and prints.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) release: bool,
    pub(super) services: bool,
    /// Features of the package that are not on by default.
    pub(super) cargo_features: Vec<String>,
    pub(super) steps: Vec<Step>,
}

/// One step of it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) action: Action,
    pub(super) expect: Vec<String>,
    pub(super) absent: Vec<String>,
    pub(super) exit: i32,
    pub(super) limit: Duration,
}

/// What is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Run { line: Vec<String>, env: Vec<(String, String)>, background: bool },
    Wait(String),
    Stop(String),
    Kill(String),
}

const KEYS: &[&str] =
    &["name", "cmd", "background", "expect", "absent", "exit", "timeout", "env", "features", "wait", "stop", "kill"];
const DEFAULT_SECONDS: i64 = 60;

impl Plan {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let plan: Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
        let release = match plan.get("profile").and_then(Value::as_str) {
            None | Some("dev") => false,
            Some("release") => true,
            Some(other) => return Err(format!("profile {other:?} is neither \"dev\" nor \"release\"")),
        };
        let services = plan.get("services").and_then(Value::as_bool).unwrap_or(false);
        let seconds = plan.get("timeout").and_then(Value::as_integer).unwrap_or(DEFAULT_SECONDS);
        let steps = plan.get("step").and_then(Value::as_array).ok_or("there is no [[step]]")?;
        let steps = steps.iter().enumerate().map(|(at, step)| {
            let step = step.as_table().ok_or("a step is not a table")?;
            Step::parse(step, at + 1, seconds).map_err(|e| format!("step {}: {e}", at + 1))
        });
        let cargo_features = texts(&plan, "cargo_features")?;
        Ok(Self { release, services, cargo_features, steps: steps.collect::<Result<_>>()? })
    }
}

impl Step {
    fn parse(step: &Table, number: usize, seconds: i64) -> Result<Self> {
        if let Some(unknown) = step.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("unknown key {unknown}; known: {}", KEYS.join(", ")));
        }
        let action = action(step)?;
        let seconds = step.get("timeout").and_then(Value::as_integer).unwrap_or(seconds);
        let name = match (&action, text(step, "name")) {
            (_, Some(name)) => name,
            (Action::Run { line, .. }, None) => line.join(" "),
            (Action::Wait(name) | Action::Stop(name) | Action::Kill(name), None) => format!("step {number}: {name}"),
        };
        Ok(Self {
            name,
            action,
            expect: texts(step, "expect")?,
            absent: texts(step, "absent")?,
            exit: step.get("exit").and_then(Value::as_integer).and_then(|code| code.try_into().ok()).unwrap_or(0),
            limit: Duration::from_secs(seconds.try_into().map_err(|_| "a negative timeout")?),
        })
    }
}

fn action(step: &Table) -> Result<Action> {
    let line = texts(step, "cmd")?;
    let mut actions = Vec::new();
    if !line.is_empty() {
        let env = step.get("env").and_then(Value::as_table).into_iter().flatten();
        let env = env.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
        let background = step.get("background").and_then(Value::as_bool).unwrap_or(false);
        actions.push(Action::Run { line, env, background });
    }
    actions.extend(text(step, "wait").map(Action::Wait));
    actions.extend(text(step, "stop").map(Action::Stop));
    actions.extend(text(step, "kill").map(Action::Kill));
    match (actions.pop(), actions.is_empty()) {
        (Some(action), true) => Ok(action),
        _ => Err("exactly one of cmd, wait, stop, kill is needed".to_owned()),
    }
}

fn text(step: &Table, key: &str) -> Option<String> {
    step.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn texts(step: &Table, key: &str) -> Result<Vec<String>> {
    let Some(value) = step.get(key) else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or_else(|| format!("{key} is not a list"))?;
    list.iter().map(|v| v.as_str().map(str::to_owned).ok_or_else(|| format!("{key} holds what is no text"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_and_limits_are_inherited() {
        let plan = Plan::parse(
            "profile = \"release\"\ntimeout = 5\n\
             [[step]]\nname = \"s\"\ncmd = [\"server\", \"-x\"]\nbackground = true\nexpect = [\"up\"]\n\
             [[step]]\nstop = \"s\"\ntimeout = 7\nexit = 143\n",
        )
        .unwrap();
        assert!(plan.release);
        assert_eq!(plan.steps[0].limit, Duration::from_secs(5));
        assert_eq!(plan.steps[1].limit, Duration::from_secs(7));
        assert_eq!(plan.steps[1].action, Action::Stop("s".into()));
        assert_eq!(plan.steps[1].exit, 143);
    }

    #[test]
    fn a_mistyped_key_is_named() {
        let error = Plan::parse("[[step]]\ncmd = [\"x\"]\nexpects = [\"y\"]").unwrap_err();
        assert!(error.contains("step 1: unknown key expects"), "{error}");
    }

    #[test]
    fn a_step_does_exactly_one_thing() {
        assert!(Plan::parse("[[step]]\nname = \"x\"").is_err());
        assert!(Plan::parse("[[step]]\ncmd = [\"x\"]\nstop = \"y\"").is_err());
    }
}
