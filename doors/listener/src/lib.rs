//! What every door shares: bound listeners, TLS, connection limits and graceful drain. Knows no
//! protocol.
//!
//! A door hands [`Listener::serve`] a function from a [`Connection`] to a future; the listener owns
//! the accept loop, the handshakes, the limits and the end.

mod addresses;
mod bind;
#[doc(hidden)]
pub mod fuzz;
mod handshake;
mod holder;
mod limits;
mod metrics;
mod opening;
mod serve;
mod stream;
mod tls;
mod trouble;

pub use bind::{BindError, Listener, Place, Security, Socket};
pub use limits::ConnectionLimits;
pub use opening::Opening;
pub use serve::Connection;
pub use stream::Stream;
pub use tls::{
    Acceptor, Alpn, ClientCertificate, ClientCertificates, HandshakeError, Reload, Tls, TlsError,
    TlsFiles, TlsPeer,
};
