use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::distribution::program;
use crate::{Failure, Process, Result};

const LIMIT: Duration = Duration::from_secs(60);

/// From yesterday: a clock may be set back while a server runs.
const LIFE: [&str; 4] = ["-validity", "3650", "-startdate", "-1d"];

/// A certificate for 127.0.0.1 and localhost, with the authority that signed it, and one that did not.
#[derive(Debug)]
pub(super) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Of the key store. It protects a key that lives as long as a test.
    pub(super) const PASSWORD: &str = "micro-tests";

    /// Where they will be, once they are made.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Makes them, by Java's own tool.
    pub(super) fn make(&self) -> Result<()> {
        let tool = Tool { program: program("keytool")?, folder: self.folder.clone() };
        thread::scope(|scope| {
            let other = scope.spawn(|| tool.authority("other-ca"));
            let server = scope.spawn(|| tool.pair("server", "CN=kafka"));
            tool.authority("ca")?;
            finished(server)?;
            let request = ["-certreq", "-alias", "server", "-keystore", "server.p12", "-file", "server.csr"];
            tool.run("server.csr", &request)?;
            let sign = ["-gencert", "-rfc", "-alias", "ca", "-keystore", "ca.p12", "-infile", "server.csr"];
            let names = ["-ext", "san=ip:127.0.0.1,dns:localhost", "-ext", "eku=serverAuth", "-outfile", "server.pem"];
            tool.run("server.pem", &[&sign[..], &LIFE, &names].concat())?;
            for (alias, file) in [("ca", "ca.pem"), ("server", "server.pem")] {
                tool.run(
                    &format!("{alias} into server.p12"),
                    &["-importcert", "-noprompt", "-alias", alias, "-file", file, "-keystore", "server.p12"],
                )?;
            }
            finished(other)
        })
    }

    pub(super) fn store(&self) -> PathBuf {
        self.folder.join("server.p12")
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    pub(super) fn other_authority(&self) -> PathBuf {
        self.folder.join("other-ca.pem")
    }
}

struct Tool {
    program: PathBuf,
    folder: PathBuf,
}

impl Tool {
    /// A key that signs, with its certificate as `<name>.pem`.
    fn authority(&self, name: &str) -> Result<()> {
        self.pair_with(
            name,
            &format!("CN={name}"),
            &["-ext", "bc:critical=ca:true", "-ext", "ku:critical=keyCertSign"],
        )?;
        let (store, file) = (format!("{name}.p12"), format!("{name}.pem"));
        self.run(&file, &["-exportcert", "-rfc", "-alias", name, "-keystore", &store, "-file", &file])
    }

    fn pair(&self, name: &str, subject: &str) -> Result<()> {
        self.pair_with(name, subject, &[])
    }

    fn pair_with(&self, name: &str, subject: &str, extensions: &[&str]) -> Result<()> {
        let store = format!("{name}.p12");
        let pair = ["-genkeypair", "-alias", name, "-dname", subject, "-keystore", &store, "-storetype", "PKCS12"];
        let kind = ["-keyalg", "EC", "-groupname", "secp256r1"];
        self.run(&store, &[&pair[..], &kind, &LIFE, extensions].concat())
    }

    fn run(&self, what: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-J-XX:-UsePerfData"]);
        command.args(arguments).args(["-storepass", Certificates::PASSWORD]).current_dir(&self.folder);
        let log = self.folder.join("keytool.log");
        Process::start(format!("keytool for {what}"), &mut command, &log)?.finish(LIMIT)
    }
}

fn finished(thread: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| Err(Failure::new("the making of a certificate panicked")))
}
