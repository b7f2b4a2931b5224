//! The load: one publisher, many subscribers, one thread.
//!
//! The publisher sends a batch when the one before is answered, unless the subscribers are too far
//! behind: the server's own limit for slow subscribers is not what is measured.
//!
//! # Invariants
//! - Of every read the first whole message is looked at: it must be the next one of its subscriber.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::process::cpu_seconds;
use crate::wire::{Batch, Layout, SUBSCRIBE, SUBSCRIBED};

const READ_BYTES: usize = 256 * 1024;
/// How long anything may take that has to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be done.
pub(crate) struct Settings {
    pub(crate) address: SocketAddr,
    pub(crate) subscribers: usize,
    pub(crate) payload_bytes: usize,
    /// Requests that the publisher sends before it waits for their answers.
    pub(crate) pipeline: usize,
    /// How many messages the subscribers may be behind, on average.
    pub(crate) window: u64,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// The server, whose CPU time is taken.
    pub(crate) server: Option<u32>,
}

/// What was measured.
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    pub(crate) delivered: u64,
    pub(crate) published: u64,
    pub(crate) server_cpu_seconds: Option<f64>,
    pub(crate) harness_cpu_seconds: f64,
    /// From publishing to the read that brought it, in microseconds and in order.
    pub(crate) delays: Vec<u64>,
}

/// Runs the load.
pub(crate) fn run(settings: &Settings) -> Result<Outcome> {
    let mut load = Load::new(settings)?;
    load.until(Instant::now() + settings.warm_up)?;
    load.delays.clear();
    let (delivered, published) = (load.delivered(), load.sent);
    let cpu = || {
        Ok::<_, anyhow::Error>((
            settings.server.map(cpu_seconds).transpose()?,
            cpu_seconds(std::process::id())?,
        ))
    };
    let (before, began) = (cpu()?, Instant::now());
    load.until(began + settings.measured)?;
    let (after, seconds) = (cpu()?, began.elapsed().as_secs_f64());
    let mut delays = std::mem::take(&mut load.delays);
    delays.sort_unstable();
    Ok(Outcome {
        seconds,
        delivered: load.delivered() - delivered,
        published: load.sent - published,
        server_cpu_seconds: after.0.zip(before.0).map(|(after, before)| after - before),
        harness_cpu_seconds: after.1 - before.1,
        delays,
    })
}

struct Load {
    poll: Poll,
    layout: Layout,
    readers: Vec<Reader>,
    publisher: TcpStream,
    batch: Batch,
    pipeline: u64,
    window: u64,
    /// Of the batch at hand, not written yet.
    unwritten: Vec<u8>,
    sent: u64,
    answered: u64,
    received_bytes: u64,
    began: Instant,
    delays: Vec<u64>,
    scratch: Vec<u8>,
}

struct Reader {
    stream: TcpStream,
    received: u64,
}

impl Load {
    fn new(settings: &Settings) -> Result<Load> {
        let poll = Poll::new()?;
        let mut readers = Vec::with_capacity(settings.subscribers);
        for index in 0..settings.subscribers {
            let mut stream = subscribe(settings.address)
                .with_context(|| format!("subscriber {index} of {}", settings.subscribers))?;
            poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
            readers.push(Reader { stream, received: 0 });
        }
        let mut publisher = connect(settings.address)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut publisher, Token(settings.subscribers), both)?;
        Ok(Load {
            poll,
            layout: Layout::new(settings.payload_bytes)?,
            readers,
            publisher,
            batch: Batch::new(settings.pipeline, settings.payload_bytes)?,
            pipeline: u64::try_from(settings.pipeline)?,
            window: settings.window,
            unwritten: Vec::new(),
            sent: 0,
            answered: 0,
            received_bytes: 0,
            began: Instant::now(),
            delays: Vec::new(),
            scratch: vec![0; READ_BYTES],
        })
    }

    /// Messages that have come whole, on average.
    fn delivered(&self) -> u64 {
        self.received_bytes / self.layout.len as u64
    }

    fn until(&mut self, end: Instant) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut last_progress = Instant::now();
        while Instant::now() < end {
            self.publish()?;
            let before = (self.answered, self.received_bytes);
            self.poll.poll(&mut events, Some(Duration::from_millis(100)))?;
            for event in &events {
                match event.token().0 {
                    index if index < self.readers.len() => self.read(index)?,
                    _ => self.read_answers()?,
                }
            }
            if before != (self.answered, self.received_bytes) {
                last_progress = Instant::now();
            }
            ensure!(last_progress.elapsed() < PATIENCE, "nothing comes any more");
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<()> {
        let behind = self.sent - self.delivered() / self.readers.len() as u64;
        if self.answered == self.sent && behind + self.pipeline <= self.window.max(self.pipeline) {
            let micros = u64::try_from(self.began.elapsed().as_micros())?;
            self.unwritten.extend_from_slice(self.batch.stamp(self.sent, micros));
            self.sent += self.pipeline;
        }
        while !self.unwritten.is_empty() {
            match self.publisher.write(&self.unwritten) {
                Ok(written) => drop(self.unwritten.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_answers(&mut self) -> Result<()> {
        loop {
            match self.publisher.read(&mut self.scratch) {
                Ok(0) => bail!("the server closed the publisher's connection"),
                Ok(read) => {
                    let bytes = &self.scratch[..read];
                    ensure!(!bytes.contains(&b'-'), "{:?}", String::from_utf8_lossy(bytes));
                    self.answered += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&mut self, index: usize) -> Result<()> {
        let reader = &mut self.readers[index];
        loop {
            let read = match reader.stream.read(&mut self.scratch) {
                Ok(0) => bail!("the server closed a subscriber's connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.received_bytes += read as u64;
            if let Some(sent_at) = reader.take(&self.scratch[..read], self.layout)? {
                let micros = u64::try_from(self.began.elapsed().as_micros())?;
                self.delays.push(micros.saturating_sub(sent_at));
            }
            if read < self.scratch.len() {
                // The socket is empty; if not by now, it tells again.
                return Ok(());
            }
        }
    }
}

impl Reader {
    /// Counts what has come, and looks at one message of it; gives when that was sent.
    fn take(&mut self, bytes: &[u8], layout: Layout) -> Result<Option<u64>> {
        let len = layout.len as u64;
        let skip = usize::try_from((len - self.received % len) % len)?;
        let found = bytes.get(skip..).map(|rest| layout.read(rest)).transpose()?.flatten();
        let expected = self.received.div_ceil(len);
        self.received += bytes.len() as u64;
        let Some((number, sent_at)) = found else { return Ok(None) };
        ensure!(number == expected, "message {number} came where {expected} belongs");
        Ok(Some(sent_at))
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

/// A connection that is subscribed.
fn subscribe(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(SUBSCRIBE)?;
    let mut answer = vec![0; SUBSCRIBED.len()];
    stream.read_exact(&mut answer)?;
    ensure!(answer == SUBSCRIBED, "{:?} is no confirmation", String::from_utf8_lossy(&answer));
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}
