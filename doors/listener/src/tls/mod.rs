//! TLS for every door: one certificate from files, replaced while connections go on.
//!
//! [`Tls`] is what a node has: the certificate in force, and how to replace it. An [`Acceptor`] is
//! what a listener has: it does handshakes with whatever is in force at that moment.

mod accept;
mod binding;
mod certificate;
mod files;
mod identity;
mod name;
mod peer;
mod watch;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use accept::{Acceptor, HandshakeError};
pub use files::{ClientCertificates, TlsError, TlsFiles};
pub use identity::{Alpn, Reload, Tls};
pub(crate) use peer::read_certificate;
pub use peer::{ClientCertificate, TlsPeer};
