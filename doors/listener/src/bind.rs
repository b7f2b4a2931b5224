//! Binding a door's addresses, with an error that says what to do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};

use crate::holder::{Holder, holder_of};
use crate::tls::Acceptor;

/// LIMIT: connections that the kernel may hold for us between two accepts.
const ACCEPT_BACKLOG: u32 = 1024;

/// One address that a door is to listen on.
#[derive(Clone, Debug)]
pub struct Place {
    /// The door's name.
    pub door: &'static str,
    /// What this address of the door is called; the door itself sees it in
    /// [`crate::Connection::listener`].
    pub name: Arc<str>,
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// What is spoken on it.
    pub security: Security,
    /// How a person changes the address, without the address: `--kafka` or `kafka.tls_address`.
    pub setting: String,
}

/// What is spoken on an address.
#[derive(Clone, Debug)]
pub enum Security {
    /// The door's protocol.
    Plain,
    /// TLS from the first byte, and the door's protocol inside.
    Tls(Acceptor),
    /// The door's protocol, which may ask for TLS; see [`crate::Opening`].
    Negotiated(Option<Acceptor>),
}

/// A bound door, not yet accepting.
#[derive(Debug)]
pub struct Listener {
    pub(crate) door: &'static str,
    /// At least one.
    pub(crate) sockets: Vec<Socket>,
}

/// A bound address of a door.
#[derive(Debug)]
pub struct Socket {
    pub(crate) socket: TcpListener,
    pub(crate) name: Arc<str>,
    pub(crate) security: Security,
    address: SocketAddr,
}

/// Why a door's address could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something else listens there.
    #[error(
        "the {door} door cannot listen on {address}: the port is in use{}; choose another with {setting} HOST:PORT, or {setting} off",
        holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default()
    )]
    InUse {
        /// The door's name.
        door: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// What sets it.
        setting: String,
        /// Who listens there, where that can be known.
        holder: Option<Holder>,
    },
    /// The operating system refused for another reason.
    #[error("the {door} door cannot listen on {address}; choose another with {setting} HOST:PORT")]
    Refused {
        /// The door's name.
        door: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// What sets it.
        setting: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl Place {
    /// The one address of a door that has no other, without TLS; its flag is the door's name.
    pub fn plain(door: &'static str, address: SocketAddr) -> Place {
        let (name, setting) = (Arc::from(door), format!("--{door}"));
        Place { door, name, address, security: Security::Plain, setting }
    }
}

impl Listener {
    /// Binds `address`, without TLS, for the door of that name; port 0 takes a free one.
    ///
    /// # Errors
    /// [`BindError`] names the door, the address, who holds it, and the flag that changes it.
    pub async fn bind(door: &'static str, address: SocketAddr) -> Result<Listener, BindError> {
        Listener::open(Place::plain(door, address)).await
    }

    /// Binds a place.
    ///
    /// # Errors
    /// [`BindError`] names the door, the address, who holds it, and what changes it.
    pub async fn open(place: Place) -> Result<Listener, BindError> {
        let Place { door, name, address, security, setting } = place;
        let refused =
            |source| BindError::Refused { door, address, setting: setting.clone(), source };
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
                let (setting, holder) = (setting.clone(), holder_of(address));
                BindError::InUse { door, address, setting, holder }
            }
            _ => refused(source),
        })?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Listener { door, sockets: vec![Socket { socket, name, security, address }] })
    }

    /// Takes over the addresses of `other`, which is of the same door: limits and drain are then
    /// one for all of them.
    pub fn join(&mut self, other: Listener) {
        self.sockets.extend(other.sockets);
    }

    /// The first address, with the port that was found for port 0.
    pub fn local_address(&self) -> SocketAddr {
        self.sockets[0].address
    }

    /// Every address, in the order in which they were joined.
    pub fn sockets(&self) -> &[Socket] {
        &self.sockets
    }
}

impl Socket {
    /// The address, with the port that was found for port 0.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// What this address is called; see [`Place::name`].
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether TLS is spoken from the first byte.
    pub fn is_tls(&self) -> bool {
        matches!(self.security, Security::Tls(_))
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
