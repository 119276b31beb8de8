//! The real Consul that tests talk to: built from its Go module, kept in the cache outside the checkout.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use micro_faults::{consul_place, consul_program};

use crate::{Result, command, tools};

const PACKAGE: &str = "github.com/hashicorp/consul";
/// It takes 15 minutes on two busy cores.
const BUILD: Duration = Duration::from_secs(45 * 60);

/// The version, and the hash of every module that goes in.
const MODULES: [(&str, &str); 2] =
    [("go.mod", include_str!("../consul/go.mod")), ("go.sum", include_str!("../consul/go.sum"))];

/// Path of the program: `MICRO_CONSUL`, one on the PATH, the one in the cache, or one built there now.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Ok(program) = consul_program() {
        return Ok(program);
    }
    let place = consul_place().map_err(|error| error.to_string())?;
    if tools::on_path("go").is_none() {
        tools::install(&["golang-go", "ca-certificates"])?;
    }
    eprintln!("xtask: Consul is not here yet: building {}, which takes some minutes", place.display());
    let work = tools::fresh(&place.with_file_name("building.work"))?;
    for (name, text) in MODULES {
        let file = work.join(name);
        fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    let mut go = Command::new("nice");
    go.args(["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]);
    go.arg(work.join("consul")).arg(PACKAGE).current_dir(&work);
    // Every module's hash is in go.sum; where Go itself is too old, it fetches a newer one.
    go.env("CGO_ENABLED", "0").env("GOSUMDB", "off").env("GOFLAGS", "").env_remove("GOTOOLCHAIN");
    let built = command::run(&mut go, BUILD).and_then(|status| match status.success() {
        true => tools::place(&work.join("consul"), &place),
        false => Err(format!(
            "Consul could not be built: {status}; it needs Go 1.25.3 or newer, or MICRO_CONSUL with the path of a consul"
        )),
    });
    let _ = fs::remove_dir_all(&work);
    built.map(|()| place)
}
