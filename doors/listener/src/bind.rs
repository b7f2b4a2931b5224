//! Binding a door's address, with an error that says what to do.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::holder::{Holder, holder_of};

/// LIMIT: connections that the kernel may hold for us between two accepts.
const ACCEPT_BACKLOG: u32 = 1024;

/// A bound door, not yet accepting.
#[derive(Debug)]
pub struct Listener {
    pub(crate) door: &'static str,
    pub(crate) socket: TcpListener,
    address: SocketAddr,
}

/// Why a door's address could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something else listens there.
    #[error(
        "the {door} door cannot listen on {address}: the port is in use{}; choose another with --{door} HOST:PORT, or --{door} off",
        holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default()
    )]
    InUse {
        /// The door's name, which is its flag.
        door: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// Who listens there, where that can be known.
        holder: Option<Holder>,
    },
    /// The operating system refused for another reason.
    #[error("the {door} door cannot listen on {address}; choose another with --{door} HOST:PORT")]
    Refused {
        /// The door's name, which is its flag.
        door: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl Listener {
    /// Binds `address` for the door of that name; port 0 takes a free one.
    ///
    /// # Errors
    /// [`BindError`] names the door, the address, who holds it, and the flag that changes it.
    pub async fn bind(door: &'static str, address: SocketAddr) -> Result<Listener, BindError> {
        let refused = |source| BindError::Refused { door, address, source };
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }
        .map_err(refused)?;
        // A restarted node must get its port back while old connections are in TIME_WAIT.
        socket.set_reuseaddr(true).map_err(refused)?;
        let listening = socket.bind(address).and_then(|()| socket.listen(ACCEPT_BACKLOG));
        let socket = listening.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => {
                BindError::InUse { door, address, holder: holder_of(address) }
            }
            _ => refused(source),
        })?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Listener { door, socket, address })
    }

    /// The address bound, with the port that was found for port 0.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_port_names_the_door_the_holder_and_the_flag() {
        let first = Listener::bind("kafka", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = Listener::bind("kafka", first.local_address()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&first.local_address().to_string()), "{text}");
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
        assert!(text.contains("--kafka HOST:PORT"), "{text}");
    }
}
