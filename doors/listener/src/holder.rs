//! Who listens on a port, as far as `/proc` tells. For an error message: every failure is "unknown".

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its command name.
    pub command: String,
    /// Its process id.
    pub pid: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (pid {})", self.command, self.pid)
    }
}

/// The process that listens on `address`'s port, where this user may see it.
pub(crate) fn holder_of(address: SocketAddr) -> Option<Holder> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| listening_inode(&fs::read_to_string(table).ok()?, address.port()))?;
    let socket = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        has_open(&process.path(), &socket)
            .then(|| Holder { command: command(&process.path()), pid })
    })
}

/// SPEC: proc(5), `/proc/net/tcp`: the second column is the local address in hexadecimal, the fourth
/// the state (`0A` is LISTEN), the tenth the inode.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = columns.get(1)?.rsplit_once(':')?;
        let is_match =
            u16::from_str_radix(local_port, 16).ok()? == port && *columns.get(3)? == "0A";
        if is_match { columns.get(9)?.parse().ok() } else { None }
    })
}

fn has_open(process: &Path, socket: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        fs::read_link(descriptor.path()).is_ok_and(|target| target.as_os_str() == socket)
    })
}

fn command(process: &Path) -> String {
    fs::read_to_string(process.join("comm"))
        .map(|name| name.trim_end().to_owned())
        .unwrap_or_else(|_| "a process".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2384 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 11 1
   1: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1";

    #[test]
    fn only_a_listening_socket_counts() {
        assert_eq!(listening_inode(TABLE, 9092), Some(4711));
        assert_eq!(listening_inode(TABLE, 9093), None);
    }
}
