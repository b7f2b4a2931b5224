//! An endpoint's sockets: opened all or none, and closed so that their ports are free at once.

use posthouse_zmtp::{Message, Monitor, Socket, SocketType};

use crate::config::ZeromqConfig;
use crate::errors::{OpenSocketError, StartEndpointError};
use crate::spec::{EndpointSpec, SocketSpec, Work};

/// The open sockets of an endpoint.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) front: Socket,
    /// A device's other one.
    pub(crate) back: Option<Socket>,
    /// Where they are bound, with ports that were free, and where they connect to.
    pub(crate) addresses: Vec<String>,
    /// What happens on the connections of the one and of the other, from the first on.
    pub(crate) monitors: Vec<Monitor>,
}

/// An endpoint of the configuration whose sockets are open, and wait for a broker.
#[derive(Debug)]
pub struct BoundEndpoint {
    pub(crate) spec: EndpointSpec,
    pub(crate) sockets: Sockets,
}

impl BoundEndpoint {
    /// Opens the sockets of every endpoint of the configuration.
    ///
    /// # Errors
    /// [`StartEndpointError`] names the endpoint; those that were open are closed.
    pub async fn open_all(config: &ZeromqConfig) -> Result<Vec<BoundEndpoint>, StartEndpointError> {
        let mut bound = Vec::new();
        for (name, settings) in &config.endpoints {
            let spec = EndpointSpec::parse(name, settings, config.policy)
                .map_err(|source| StartEndpointError::Refused { name: name.clone(), source })?;
            let sockets = Sockets::open(&spec)
                .await
                .map_err(|source| StartEndpointError::Open { name: name.clone(), source })?;
            bound.push(BoundEndpoint { spec, sockets });
        }
        Ok(bound)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Where it is bound, with ports that were free, and where it connects to.
    pub fn addresses(&self) -> &[String] {
        &self.sockets.addresses
    }
}

impl Sockets {
    pub(crate) async fn open(spec: &EndpointSpec) -> Result<Sockets, OpenSocketError> {
        let back_spec = match &spec.work {
            Work::Device(back) => Some(back.as_ref()),
            _ => None,
        };
        // Between an XSUB and an XPUB the subscriptions are those of the XPUB's peers.
        let subscribes =
            back_spec.is_none_or(|back| !hears_subscriptions(spec.socket.kind, back.kind));
        let (mut addresses, mut monitors) = (Vec::new(), Vec::new());
        let (front, monitor) = open(&spec.socket, subscribes, &mut addresses).await?;
        monitors.push(monitor);
        let mut back = None;
        if let Some(back_spec) = back_spec {
            match open(back_spec, subscribes, &mut addresses).await {
                Ok((socket, monitor)) => {
                    back = Some(socket);
                    monitors.push(monitor);
                }
                Err(error) => {
                    front.close().await;
                    return Err(error);
                }
            }
        }
        Ok(Sockets { front, back, addresses, monitors })
    }

    /// Closes them; their ports are free when this returns.
    pub(crate) async fn close(self) {
        let back = async {
            if let Some(back) = &self.back {
                back.close().await;
            }
        };
        tokio::join!(self.front.close(), back);
    }
}

/// Whether one of the two hears what the other's peers subscribe to.
pub(crate) fn hears_subscriptions(front: SocketType, back: SocketType) -> bool {
    use SocketType::{Xpub, Xsub};
    matches!((front, back), (Xsub, Xpub) | (Xpub, Xsub))
}

async fn open(
    spec: &SocketSpec,
    subscribes: bool,
    addresses: &mut Vec<String>,
) -> Result<(Socket, Monitor), OpenSocketError> {
    let socket = Socket::try_new(spec.kind, spec.options.clone())?;
    let monitor = socket.monitor();
    match fill(&socket, spec, subscribes, addresses).await {
        Ok(()) => Ok((socket, monitor)),
        Err(error) => {
            socket.close().await;
            Err(error)
        }
    }
}

async fn fill(
    socket: &Socket,
    spec: &SocketSpec,
    subscribes: bool,
    addresses: &mut Vec<String>,
) -> Result<(), OpenSocketError> {
    for prefix in spec.subscribe.iter().filter(|_| subscribes) {
        if spec.kind == SocketType::Sub {
            socket.subscribe(prefix)?;
        } else {
            socket.send(Message::single([&[1], prefix.as_ref()].concat())).await?;
        }
    }
    for endpoint in &spec.bind {
        addresses.push(socket.bind(&endpoint.to_string()).await?.to_string());
    }
    for endpoint in &spec.connect {
        addresses.push(socket.connect(&endpoint.to_string()).await?.to_string());
    }
    Ok(())
}
