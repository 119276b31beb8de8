use std::io;
use std::path::Path;

use micro_core::{Error, Kind, Result};

/// Tells the type of the file system that a path lies on: `f_type` of statfs(2).
pub type Probe = fn(&Path) -> io::Result<u64>;

/// File systems that do not keep locks and shared memory between machines, by the numbers of `linux/magic.h`.
const NETWORK: [(u64, &str); 16] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "kafs"),
    (0x7375_7245, "coda"),
    (0x00c3_6400, "ceph"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x7461_636f, "ocfs2"),
    (0x0116_1970, "gfs2"),
    (0x564c, "ncp"),
    (0x786f_4256, "vboxsf"),
    (0xbacb_acbc, "vmhgfs"),
];

pub(crate) fn statfs(path: &Path) -> io::Result<u64> {
    // The width and sign of f_type differ between architectures; the magic numbers have 32 bits.
    Ok(rustix::fs::statfs(path)?.f_type as u64 & 0xffff_ffff)
}

/// Refuses a folder on a network file system.
pub(crate) fn refuse_network(path: &Path, probe: Probe) -> Result<()> {
    let Ok(kind) = probe(path) else { return Ok(()) };
    match NETWORK.iter().find(|(magic, _)| *magic == kind) {
        None => Ok(()),
        Some((_, name)) => Err(Error::new(
            Kind::Config,
            format!(
                "{} lies on a network file system ({name}), where file locks between processes cannot be trusted; \
                 set MICRO_HOME to a folder on a local disk, or choose a broker and a registry that are servers",
                path.display()
            ),
        )),
    }
}
