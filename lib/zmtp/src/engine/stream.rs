//! Byte streams: TCP and Unix domain sockets as one type, and how each is bound and connected.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream, lookup_host};

use crate::endpoint::Endpoint;
use crate::options::Options;

/// A connected socket of the system.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A listening socket of the system.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds, and says where: with the port that was free.
    pub(super) async fn bind(
        endpoint: &Endpoint,
        options: &Options,
    ) -> io::Result<(Listener, Endpoint)> {
        match endpoint {
            Endpoint::Tcp { host, port } => bind_tcp(host, *port, options).await,
            Endpoint::Ipc(path) => {
                remove_stale(path).await?;
                let listener = UnixListener::bind(path)?;
                Ok((Listener::Unix(listener), endpoint.clone()))
            }
            Endpoint::IpcAbstract(name) => {
                let listener = std::os::unix::net::UnixListener::bind_addr(&abstract_name(name)?)?;
                listener.set_nonblocking(true)?;
                Ok((Listener::Unix(UnixListener::from_std(listener)?), endpoint.clone()))
            }
            Endpoint::Inproc(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }

    /// The next connection, and where it comes from.
    pub(super) async fn accept(&self, options: &Options) -> io::Result<(Stream, String)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                tune(&stream, options)?;
                Ok((Stream::Tcp(stream), from.to_string()))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
                let from = pid.map_or_else(|| "unknown".to_owned(), |pid| format!("process {pid}"));
                Ok((Stream::Unix(stream), from))
            }
        }
    }
}

impl Stream {
    /// The peer's address; a process of this machine has none.
    pub(super) fn peer_address(&self) -> Option<IpAddr> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().ok().map(|address| address.ip()),
            Stream::Unix(_) => None,
        }
    }

    pub(super) async fn connect(endpoint: &Endpoint, options: &Options) -> io::Result<Stream> {
        match endpoint {
            Endpoint::Tcp { host, port } => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for address in lookup_host((host.as_str(), *port)).await? {
                    match TcpStream::connect(address).await {
                        Ok(stream) => {
                            tune(&stream, options)?;
                            return Ok(Stream::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Endpoint::Ipc(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
            Endpoint::IpcAbstract(name) => {
                // The kernel answers at once: there is no network to wait for.
                let stream = std::os::unix::net::UnixStream::connect_addr(&abstract_name(name)?)?;
                stream.set_nonblocking(true)?;
                Ok(Stream::Unix(UnixStream::from_std(stream)?))
            }
            Endpoint::Inproc(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }
}

async fn bind_tcp(host: &str, port: u16, options: &Options) -> io::Result<(Listener, Endpoint)> {
    let name = if host == "*" { "0.0.0.0" } else { host };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((name, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A port whose connections have just been closed can be bound again at once.
        socket.set_reuseaddr(true)?;
        match socket.bind(address).and_then(|()| socket.listen(options.backlog)) {
            Ok(listener) => {
                let bound = listener.local_addr()?;
                let (host, port) = (bound.ip().to_string(), bound.port());
                return Ok((Listener::Tcp(listener), Endpoint::Tcp { host, port }));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Removes a socket file that nobody listens on: what a program leaves that was killed.
async fn remove_stale(path: &Path) -> io::Result<()> {
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::Error::from(io::ErrorKind::AddrInUse)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        // Nothing is there; if it is something else, binding says so.
        Err(_) => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(name: &str) -> io::Result<std::os::unix::net::SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    std::os::unix::net::SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_name: &str) -> io::Result<std::os::unix::net::SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has abstract socket names"))
}

fn tune(stream: &TcpStream, options: &Options) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    let Some(keepalive) = &options.tcp_keepalive else { return Ok(()) };
    let mut config = TcpKeepalive::new();
    if let Some(idle) = keepalive.idle {
        config = config.with_time(idle);
    }
    if let Some(interval) = keepalive.interval {
        config = config.with_interval(interval);
    }
    if let Some(count) = keepalive.count {
        config = config.with_retries(count);
    }
    socket.set_tcp_keepalive(&config)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
