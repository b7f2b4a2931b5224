#![doc = include_str!("../README.md")]

pub mod codec;
mod core;
mod endpoint;
mod engine;
mod error;
mod events;
#[doc(hidden)]
pub mod fuzz;
pub mod mechanism;
mod message;
mod metrics;
mod options;
mod patterns;
mod pipe;
pub mod session;
mod socket;
mod socket_type;

pub use endpoint::{Endpoint, EndpointError};
pub use error::{BindError, ConnectError, RecvError, SendError, SubscribeError};
pub use events::{Event, Monitor};
pub use mechanism::{
    Authenticator, Credentials, CurveClient, CurveKeyError, CurveKeys, CurvePublicKey, CurveServer,
    Judgement, Pass, PlainClient, PlainServer, PlainTooLong, Security,
};
pub use message::Message;
pub use options::{Options, OptionsError, TcpKeepalive};
pub use session::Peer;
pub use socket::Socket;
pub use socket_type::{SocketType, UnknownSocketType};
