//! Our ends: a round trip over a bare socket, over any of the lane's transports, over bare frames.

use super::raw;
use anyhow::{bail, ensure};
use dp_transport::xdp::{FrameIo as _, Steering, Xsk};
use dp_transport::{Clock, Ready, Socket, Transport};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// A trip that takes longer has lost its echo, ns.
const TRIP_NS_MAX: u64 = 5_000_000_000;

/// One way to the echo and back.
pub trait Way {
    /// One round trip. Errors: the echo is gone.
    fn round_trip(&mut self, message: &[u8]) -> anyhow::Result<()>;
    /// What is owed is sent before another way's turn.
    fn rest(&mut self) {}
}

/// A socket and two system calls: the floor.
pub struct Bare {
    stream: TcpStream,
    buffer: Box<[u8]>,
}

impl Bare {
    /// Errors: nobody listens there.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let buffer = vec![0; super::BYTES_MAX].into_boxed_slice();
        Ok(Self { stream, buffer })
    }
}

impl Way for Bare {
    fn round_trip(&mut self, message: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(message)?;
        let mut got = 0;
        while got < message.len() {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => bail!("the echo is gone"),
                Ok(count) => got += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// One of the lane's transports, turned as the lane turns it.
pub struct Over<T> {
    transport: T,
    socket: Socket,
    clock: Clock,
}

impl<T: Transport> Over<T> {
    /// Errors: nobody listens there.
    pub fn open(mut transport: T, address: SocketAddr, clock: Clock) -> anyhow::Result<Self> {
        let socket = transport.open(address)?;
        loop {
            transport.poll(clock.now().unix);
            match transport.next() {
                Some(Ready::Connected(_)) => {
                    return Ok(Self {
                        transport,
                        socket,
                        clock,
                    });
                }
                Some(Ready::Closed(_, reason)) => bail!("the echo: {reason}"),
                _ => {}
            }
        }
    }
}

impl<T: Transport> Way for Over<T> {
    fn round_trip(&mut self, message: &[u8]) -> anyhow::Result<()> {
        self.transport.send(self.socket, message)?;
        let mut got = 0;
        let late = self.clock.now().unix.after(TRIP_NS_MAX);
        while got < message.len() {
            let now = self.clock.now().unix;
            ensure!(now < late, "the echo does not answer");
            self.transport.poll(now);
            while let Some(ready) = self.transport.next() {
                let Ready::Bytes(_, chunk) = ready else {
                    bail!("the echo is gone");
                };
                got += self.transport.bytes(&chunk).len();
                self.transport.release(chunk);
            }
        }
        Ok(())
    }

    fn rest(&mut self) {
        self.transport.poll(self.clock.now().unix);
    }
}

/// Frames there and back, no TCP: the floor of AF_XDP.
pub struct Raw {
    xsk: Xsk,
    _steering: Steering,
    clock: Clock,
    frame: Vec<u8>,
}

impl Raw {
    /// Over a socket, for payloads of `len` bytes.
    pub fn new(steering: Steering, xsk: Xsk, clock: Clock, len: usize) -> Self {
        Self {
            xsk,
            _steering: steering,
            clock,
            frame: raw::frame(len),
        }
    }
}

impl Way for Raw {
    fn round_trip(&mut self, _: &[u8]) -> anyhow::Result<()> {
        let Some(frame) = self.xsk.reserve() else {
            bail!("no frame comes back");
        };
        self.xsk.bytes(&frame)[..self.frame.len()].copy_from_slice(&self.frame);
        self.xsk.submit(frame, self.frame.len());
        self.xsk.kick();
        let late = self.clock.now().unix.after(TRIP_NS_MAX);
        loop {
            let now = self.clock.now().unix;
            ensure!(now < late, "the echo does not answer");
            self.xsk.poll(now);
            if let Some(frame) = self.xsk.next() {
                self.xsk.release(frame);
                return Ok(());
            }
        }
    }
}
