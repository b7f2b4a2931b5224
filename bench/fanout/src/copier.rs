//! The least that a server can do: it takes every request for a `PUBLISH` of the length agreed on, and
//! copies it to all subscribers. What it reaches is the harness's own limit.
//!
//! One log of bytes for all, and a place in it for each subscriber. The publisher is answered before
//! the subscribers are written to, some of them at a time, so one write carries what came meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::wire::{Layout, PUSH_WORD, SUBSCRIBE, SUBSCRIBED, WORD};

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 * 1024;
/// Subscribers that are written to before the publisher is looked at again.
const WRITES_PER_TURN: usize = 32;
/// Bytes of the log that all have before it is cut.
const CUT_BYTES: usize = 1024 * 1024;

/// Serves until it is killed. For loopback only: it trusts its peers.
pub(crate) fn serve(address: SocketAddr, payload_bytes: usize) -> Result<()> {
    let mut copier = Copier::new(address, Layout::new(payload_bytes)?)?;
    let mut events = Events::with_capacity(1024);
    loop {
        let wait = copier.has_work.then_some(Duration::ZERO);
        copier.poll.poll(&mut events, wait)?;
        for event in &events {
            match event.token() {
                LISTENER => copier.accept()?,
                Token(index) => copier.serve(index),
            }
        }
        copier.write_some();
    }
}

struct Copier {
    poll: Poll,
    listener: TcpListener,
    layout: Layout,
    peers: Vec<Option<Peer>>,
    /// What was published, from the slowest subscriber's place on or from before.
    log: Vec<u8>,
    turn: usize,
    has_work: bool,
    scratch: Vec<u8>,
}

struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
    /// A subscriber's place in the log.
    place: Option<usize>,
    is_writable: bool,
}

impl Copier {
    fn new(address: SocketAddr, layout: Layout) -> Result<Copier> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Copier {
            poll,
            listener,
            layout,
            peers: Vec::new(),
            log: Vec::new(),
            turn: 0,
            has_work: false,
            scratch: vec![0; READ_BYTES],
        })
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(self.peers.len()), both)?;
            let peer = Peer { stream, input: Vec::new(), place: None, is_writable: true };
            self.peers.push(Some(peer));
        }
    }

    fn serve(&mut self, index: usize) {
        let Some(peer) = &mut self.peers[index] else { return };
        peer.is_writable = true;
        self.has_work = true;
        if !peer.read(&mut self.scratch) {
            self.peers[index] = None;
            return;
        }
        if peer.input.starts_with(SUBSCRIBE) {
            peer.input.clear();
            peer.place = Some(self.log.len());
            // A fresh socket takes this whole.
            drop(peer.stream.write(SUBSCRIBED));
            return;
        }
        let whole = peer.input.len() - peer.input.len() % self.layout.len;
        let from = self.log.len();
        self.log.extend(peer.input.drain(..whole));
        let published = self.log[from..].chunks_exact_mut(self.layout.len);
        let count = published.len();
        published.for_each(|one| one[WORD].copy_from_slice(PUSH_WORD));
        // The publisher reads each answer before it sends more, so the socket takes them.
        let answers = ":1\r\n".repeat(count);
        if let Some(peer) = &mut self.peers[index]
            && peer.stream.write(answers.as_bytes()).is_err()
        {
            self.peers[index] = None;
        }
    }

    /// Writes to the next subscribers that are behind.
    fn write_some(&mut self) {
        let (mut written, mut passed) = (0, 0);
        while written < WRITES_PER_TURN && passed < self.peers.len() {
            self.turn = (self.turn + 1) % self.peers.len();
            passed += 1;
            let Some(peer) = &mut self.peers[self.turn] else { continue };
            match peer.write(&self.log) {
                Ok(wrote) => written += usize::from(wrote),
                Err(_) => self.peers[self.turn] = None,
            }
        }
        self.has_work = written > 0;
        let places = || self.peers.iter().flatten().filter_map(|peer| peer.place);
        if self.log.len() > CUT_BYTES
            && let Some(slowest) = places().min()
        {
            self.log.drain(..slowest);
            let peers = self.peers.iter_mut().flatten();
            peers.filter_map(|peer| peer.place.as_mut()).for_each(|place| *place -= slowest);
        }
    }
}

impl Peer {
    /// Reads all there is; false when the peer has gone.
    fn read(&mut self, scratch: &mut [u8]) -> bool {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return false,
                Ok(read) => self.input.extend_from_slice(&scratch[..read]),
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Writes what of the log it lacks, once; whether there was any.
    fn write(&mut self, log: &[u8]) -> std::io::Result<bool> {
        let Some(place) = self.place.as_mut().filter(|place| **place < log.len()) else {
            return Ok(false);
        };
        if !self.is_writable {
            return Ok(false);
        }
        match self.stream.write(&log[*place..]) {
            Ok(written) => *place += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}
