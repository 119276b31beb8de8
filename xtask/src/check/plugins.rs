//! Every plugin has the same files, so that who knows one finds their way in all.

/// Modules that a plugin's `src` must have, by the interface that its folder's name begins with.
const MODULES: &[(&str, &[&str])] = &[
    ("broker", &["lib", "config", "broker", "publisher", "subscription", "convert", "error"]),
    ("registry", &["lib", "config", "registry", "watch"]),
];

/// Every plugin folder that lacks one of its interface's files.
pub(super) fn findings(tracked: &[String]) -> Vec<String> {
    let mut folders: Vec<&str> = tracked
        .iter()
        .filter_map(|path| path.strip_prefix("plugins/")?.split_once('/'))
        .map(|(name, _)| name)
        .collect();
    folders.dedup();
    folders.sort_unstable();
    folders.dedup();
    folders.into_iter().flat_map(|folder| plugin(folder, tracked)).collect()
}

fn plugin(folder: &str, tracked: &[String]) -> Vec<String> {
    let Some((_, modules)) = MODULES.iter().find(|(interface, _)| folder.split('-').next() == Some(interface)) else {
        return vec![format!("plugins/{folder}: named after no interface; its name is <interface>-<engine>")];
    };
    let has = |path: String| tracked.contains(&path);
    let mut findings = Vec::new();
    for module in *modules {
        let stem = format!("plugins/{folder}/src/{module}");
        if !has(format!("{stem}.rs")) && !has(format!("{stem}/mod.rs")) {
            findings.push(format!("{stem}.rs is missing; every plugin of its kind has it"));
        }
    }
    if !has(format!("plugins/{folder}/tests/it/main.rs")) {
        findings.push(format!("plugins/{folder}/tests/it/main.rs is missing; a plugin has one test program"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named_and_a_folder_with_mod_rs_counts() {
        let all = MODULES[0].1.iter().filter(|m| **m != "error").map(|m| format!("plugins/broker-x/src/{m}/mod.rs"));
        let mut tracked: Vec<String> = all.collect();
        tracked.push("plugins/broker-x/tests/it/main.rs".into());
        assert_eq!(findings(&tracked), ["plugins/broker-x/src/error.rs is missing; every plugin of its kind has it"]);
        tracked.push("plugins/broker-x/src/error.rs".into());
        assert!(findings(&tracked).is_empty());
    }

    #[test]
    fn a_plugin_is_named_after_its_interface() {
        assert_eq!(findings(&["plugins/kafka/src/lib.rs".into()]).len(), 1);
    }
}
