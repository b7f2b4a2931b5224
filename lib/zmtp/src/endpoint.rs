//! Addresses: `tcp://host:port`, `ipc://path` and `inproc://name`.
//!
//! # Source
//! libzmq's `zmq_tcp`, `zmq_ipc` and `zmq_inproc` manual pages. Not supported: interface names,
//! source addresses (`tcp://src;dst`), and transports other than these three.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a socket is bound or connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// TCP.
    Tcp {
        /// A name or an address; `*` is every interface.
        host: String,
        /// 0 asks for a free port.
        port: u16,
    },
    /// A Unix domain socket in the file system.
    Ipc(PathBuf),
    /// A Unix domain socket with a name of its own (`ipc://@name`); Linux only.
    IpcAbstract(String),
    /// A name within this process.
    Inproc(String),
}

/// A text that is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an endpoint: {reason}")]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let wrong = |reason| EndpointError { text: text.to_owned(), reason };
        let (transport, address) = text
            .split_once("://")
            .ok_or_else(|| wrong("it has the form tcp://host:port, ipc://path or inproc://name"))?;
        if address.is_empty() {
            return Err(wrong("there is nothing after ://"));
        }
        match transport {
            "tcp" => {
                let (host, port) =
                    address.rsplit_once(':').ok_or_else(|| wrong("a TCP endpoint needs a port"))?;
                let port = if port == "*" { Some(0) } else { port.parse().ok() };
                let port = port.ok_or_else(|| wrong("a port is a number up to 65535, or *"))?;
                let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
                let host = bracketed.unwrap_or(host);
                if host.is_empty() || (host.contains(':') && bracketed.is_none()) {
                    return Err(wrong("a host is a name, an address, [an IPv6 address], or *"));
                }
                Ok(Endpoint::Tcp { host: host.to_owned(), port })
            }
            "ipc" => Ok(match address.strip_prefix('@') {
                Some(name) => Endpoint::IpcAbstract(name.to_owned()),
                None => Endpoint::Ipc(PathBuf::from(address)),
            }),
            "inproc" => Ok(Endpoint::Inproc(address.to_owned())),
            _ => Err(wrong("the transports are tcp, ipc and inproc")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port } if host.contains(':') => {
                write!(formatter, "tcp://[{host}]:{port}")
            }
            Endpoint::Tcp { host, port } => write!(formatter, "tcp://{host}:{port}"),
            Endpoint::Ipc(path) => write!(formatter, "ipc://{}", path.display()),
            Endpoint::IpcAbstract(name) => write!(formatter, "ipc://@{name}"),
            Endpoint::Inproc(name) => write!(formatter, "inproc://{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_reads_back() {
        for text in [
            "tcp://127.0.0.1:5555",
            "tcp://[::1]:5555",
            "tcp://*:0",
            "tcp://db.example:1",
            "ipc:///tmp/a b",
            "ipc://@name",
            "inproc://name",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("tcp://*:*".parse::<Endpoint>().unwrap().to_string(), "tcp://*:0");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("127.0.0.1:5555", "form"),
            ("tcp://localhost", "port"),
            ("tcp://localhost:99999", "65535"),
            ("tcp://::1:80", "host"),
            ("tcp://:80", "host"),
            ("udp://a:1", "transports"),
            ("ipc://", "nothing"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
