use std::fmt;
use std::path::Path;

use crate::Failed;

/// The variable that names the folder where outcomes are written.
const FOLDER: &str = "MICRO_CONFORMANCE_REPORT";

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It ran, and the rule holds.
    Run,
    /// The plugin declares that it cannot, and refuses where it is asked; with the missing capability.
    Gated(&'static str),
    /// The rule is broken.
    Failed(Failed),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("run"),
            Self::Gated(capability) => write!(f, "gated: {capability}"),
            Self::Failed(failed) => write!(f, "failed: {failed}"),
        }
    }
}

/// Writes the rule of a case and its outcome, if there is a folder for it.
///
/// # Panics
///
/// If it cannot be written: a report with holes would tell too much good.
pub(crate) fn write(plugin: &str, case: &str, rule: &str, outcome: &Outcome) {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let file = Path::new(&folder).join(format!("{plugin}.{case}"));
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, format!("{rule}\n{outcome}\n")));
    if let Err(error) = written {
        panic!("the outcome cannot be written to {}: {error}", file.display());
    }
}
