//! `posthouse zmq`: a ZeroMQ socket on standard input and output. It needs no node.
//!
//! # Invariants
//! - A line is a message; what arrives is a line. Nothing is added but the separator between frames.
//! - The exit code is 0 only when everything read was handed to a peer's connection.

mod lines;
mod security;

use std::io;
use std::time::Duration;

use clap::{Args, ValueEnum};
use posthouse_zmtp::{
    BindError, Event, Message, Monitor, Options, RecvError, SendError, Socket, SocketType,
};
use tokio::signal;

use crate::exit::{Code, Failure};
use lines::{Frames, Input, print};
use security::SecurityArgs;

/// Send and receive lines over ZeroMQ, with any ZeroMQ program at the other end
#[derive(Args, Clone, Debug)]
pub(crate) struct ZmqArgs {
    /// What kind of socket to be
    #[arg(value_enum)]
    kind: Kind,
    /// Listen here; tcp://127.0.0.1:0 finds a free port and says which
    #[arg(long, value_name = "ADDR", required_unless_present = "connect")]
    bind: Vec<String>,
    /// Connect to this; may be repeated, as may --bind
    #[arg(long, value_name = "ADDR")]
    connect: Vec<String>,
    /// Receive only messages that begin with this; everything without it (sub)
    #[arg(long, value_name = "PREFIX")]
    subscribe: Vec<String>,
    /// Send nothing before so many peers have come, or for pub, have subscribed
    #[arg(long, value_name = "N", default_value_t = 0)]
    peers: usize,
    /// End after so many messages received
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Answer each request with itself (rep); otherwise with the next line
    #[arg(long)]
    echo: bool,
    /// What parts the frames of a line; read only when given, or by a router. A tab when not given
    #[arg(long, value_name = "TEXT")]
    separator: Option<String>,
    /// The routing id that ROUTER peers know this socket by
    #[arg(long, value_name = "TEXT")]
    identity: Option<String>,
    /// How many messages wait for a slow peer
    #[arg(long, value_name = "N", default_value_t = 1000)]
    hwm: usize,
    /// At the end, wait so long for what is not sent yet; for ever without it
    #[arg(long, value_name = "SECONDS")]
    linger: Option<u64>,
    #[command(flatten)]
    security: SecurityArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Hand each line to one of the peers
    Push,
    /// Print what is handed out
    Pull,
    /// Send each line to everyone who has subscribed
    Pub,
    /// Print what was subscribed to
    Sub,
    /// Send each line and print its reply
    Req,
    /// Print each request and answer it
    Rep,
    /// Exactly one peer, both ways
    Pair,
    /// Both ways, with several peers by name: the name, a tab, the message
    Router,
    /// Both ways, with several peers in turn
    Dealer,
}

/// Does what the socket's kind does until there is nothing left to do.
pub(crate) async fn run(args: ZmqArgs) -> Result<(), Failure> {
    let socket = open(&args)?;
    let mut monitor = socket.monitor();
    for endpoint in &args.bind {
        let bound = socket.bind(endpoint).await.map_err(|error| bind_failure(&error))?;
        eprintln!("listening on {bound}");
    }
    for endpoint in &args.connect {
        let connected = socket.connect(endpoint).await;
        connected.map_err(|error| Failure::from_error(Code::Usage, &error))?;
    }
    for prefix in subscriptions(&args) {
        let subscribed = socket.subscribe(prefix);
        subscribed.map_err(|error| Failure::from_error(Code::Usage, &error))?;
    }
    let frames = Frames::new(args.separator.clone(), args.kind == Kind::Router);
    tokio::select! {
        done = work(&args, &socket, &mut monitor, &frames) => done?,
        _ = signal::ctrl_c() => return Err(Failure::new(Code::Interrupted, "interrupted")),
    }
    tokio::select! {
        () = socket.close() => Ok(()),
        _ = signal::ctrl_c() => Err(Failure::new(Code::Interrupted, "interrupted")
            .hint("what was not sent yet is lost; --linger says how long to wait for a peer")),
    }
}

fn open(args: &ZmqArgs) -> Result<Socket, Failure> {
    let options = Options {
        send_hwm: args.hwm,
        receive_hwm: args.hwm,
        linger: args.linger.map(Duration::from_secs),
        identity: args.identity.clone().unwrap_or_default().into(),
        security: args.security.security()?,
        router_mandatory: true,
        xpub_verbose: true,
        ..Options::default()
    };
    if !args.subscribe.is_empty() && args.kind != Kind::Sub {
        return Err(Failure::new(Code::Usage, "--subscribe is for sub"));
    }
    Socket::try_new(socket_type(args.kind), options)
        .map_err(|error| Failure::from_error(Code::Usage, &error))
}

fn socket_type(kind: Kind) -> SocketType {
    match kind {
        Kind::Push => SocketType::Push,
        Kind::Pull => SocketType::Pull,
        // An XPUB is a PUB that hears of its subscribers, which `--peers` counts.
        Kind::Pub => SocketType::Xpub,
        Kind::Sub => SocketType::Sub,
        Kind::Req => SocketType::Req,
        Kind::Rep => SocketType::Rep,
        Kind::Pair => SocketType::Pair,
        Kind::Router => SocketType::Router,
        Kind::Dealer => SocketType::Dealer,
    }
}

fn subscriptions(args: &ZmqArgs) -> Vec<&str> {
    let everything = args.kind == Kind::Sub && args.subscribe.is_empty();
    let prefixes = args.subscribe.iter().map(String::as_str);
    prefixes.chain(everything.then_some("")).collect()
}

async fn work(
    args: &ZmqArgs,
    socket: &Socket,
    monitor: &mut Monitor,
    frames: &Frames,
) -> Result<(), Failure> {
    wait_for_peers(args, socket, monitor).await?;
    match args.kind {
        Kind::Pull | Kind::Sub => receive(socket, frames, args.max).await,
        Kind::Push => send(socket, frames).await,
        Kind::Pub => {
            tokio::select! {
                sent = send(socket, frames) => sent,
                // Subscriptions are taken off, or the socket would stop reading them.
                error = hear(socket) => Err(error),
            }
        }
        Kind::Req => ask(socket, frames).await,
        Kind::Rep => answer(socket, frames, args).await,
        Kind::Pair | Kind::Router | Kind::Dealer => {
            let (sent, received) =
                tokio::join!(refusable(socket, send(socket, frames)), duplex(socket, frames, args));
            sent.and(received)
        }
    }
}

/// Waits for peers, or for a publisher's subscriptions.
async fn wait_for_peers(
    args: &ZmqArgs,
    socket: &Socket,
    monitor: &mut Monitor,
) -> Result<(), Failure> {
    let mut missing = args.peers;
    while missing > 0 {
        if args.kind == Kind::Pub {
            let message = socket.recv().await.map_err(|error| recv_failure(&error))?;
            let subscribes = message.first().and_then(|frame| frame.first()) == Some(&1);
            missing -= usize::from(subscribes);
            continue;
        }
        match monitor.next().await {
            Some(Event::HandshakeSucceeded { .. }) => missing -= 1,
            Some(Event::Refused { reason, .. }) => {
                return Err(Failure::new(Code::Failed, reason));
            }
            Some(_) => {}
            None => return Err(Failure::new(Code::Failed, "the socket is closed")),
        }
    }
    Ok(())
}

async fn send(socket: &Socket, frames: &Frames) -> Result<(), Failure> {
    let mut input = Input::start();
    while let Some(line) = input.next().await? {
        socket.send(frames.read(line)?).await.map_err(|error| send_failure(&error))?;
    }
    Ok(())
}

async fn receive(socket: &Socket, frames: &Frames, max: Option<u64>) -> Result<(), Failure> {
    let mut received = 0;
    while max.is_none_or(|max| received < max) {
        let message = socket.recv().await.map_err(|error| recv_failure(&error))?;
        print(&frames.write(&message))?;
        received += 1;
    }
    Ok(())
}

/// The receiving half of a socket that goes both ways. Without `--max` it goes on for ever.
async fn duplex(socket: &Socket, frames: &Frames, args: &ZmqArgs) -> Result<(), Failure> {
    let received = receive(socket, frames, args.max).await;
    if received.is_err() {
        // The sending half hears of it, too.
        socket.close().await;
    }
    received
}

/// A sending half whose input may never end: a refusal ends it, which only receiving tells.
async fn refusable(
    socket: &Socket,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut monitor = socket.monitor();
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            event = monitor.next() => if let Some(Event::Refused { reason, .. }) = event {
                return Err(Failure::new(Code::Failed, reason));
            },
        }
    }
}

/// Takes off what an XPUB hears.
async fn hear(socket: &Socket) -> Failure {
    loop {
        if let Err(error) = socket.recv().await {
            return recv_failure(&error);
        }
    }
}

async fn ask(socket: &Socket, frames: &Frames) -> Result<(), Failure> {
    let mut input = Input::start();
    while let Some(line) = input.next().await? {
        socket.send(frames.read(line)?).await.map_err(|error| send_failure(&error))?;
        let reply = socket.recv().await.map_err(|error| recv_failure(&error))?;
        print(&frames.write(&reply))?;
    }
    Ok(())
}

async fn answer(socket: &Socket, frames: &Frames, args: &ZmqArgs) -> Result<(), Failure> {
    let mut input = if args.echo { Input::none() } else { Input::start() };
    let mut received = 0;
    while args.max.is_none_or(|max| received < max) {
        let request = socket.recv().await.map_err(|error| recv_failure(&error))?;
        print(&frames.write(&request))?;
        received += 1;
        let reply: Message = match input.next().await? {
            _ if args.echo => request,
            Some(line) => frames.read(line)?,
            None => {
                return Err(Failure::new(Code::Failed, "a request has no answer: the input ended")
                    .hint("--echo answers with the request, --max ends after so many"));
            }
        };
        socket.send(reply).await.map_err(|error| send_failure(&error))?;
    }
    Ok(())
}

fn bind_failure(error: &BindError) -> Failure {
    let code = match error {
        BindError::Io { source, .. } if source.kind() == io::ErrorKind::AddrInUse => Code::InUse,
        BindError::InUse(_) => Code::InUse,
        BindError::Endpoint(_) => Code::Usage,
        BindError::Io { .. } | BindError::Closed => Code::Failed,
    };
    Failure::from_error(code, error)
}

fn send_failure(error: &SendError) -> Failure {
    let code = match error {
        SendError::Unroutable(_) => Code::Named,
        _ => Code::Failed,
    };
    Failure::from_error(code, error)
}

fn recv_failure(error: &RecvError) -> Failure {
    Failure::from_error(Code::Failed, error)
}
