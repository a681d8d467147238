//! The lane's transport around the kernel, as a client of the bench venue opens it: in its namespace, on its
//! thread.

use super::floor::Stream;
use crate::road::Mode;
use crate::venue::bypass::{CLIENT_PORTS, secret};
use anyhow::{Context as _, bail};
use dp_tcp::wire::Checksums;
use dp_transport::bypass::Bypass;
use dp_transport::xdp::{KernelWays, Steering, Xsk, XskOptions};
use dp_transport::{Ready, Socket, Transport as _, clock};
use std::cell::RefCell;
use std::io::{Error, ErrorKind, Read, Result as IoResult, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tests_net::Veth;

/// Our TCP over one AF_XDP socket of the cable's end. The port range is not reserved: nobody else lives in
/// the namespace. Errors: the kernel refuses a part of it.
pub fn open(mode: Mode) -> anyhow::Result<Bypass<Xsk, KernelWays>> {
    let modes = [mode.xdp()];
    let ifindex = nix::net::if_::if_nametoindex(Veth::NAME).context("the cable's end")?;
    let steering = Arc::new(Steering::attach(ifindex, CLIENT_PORTS, &modes)?);
    let options = XskOptions {
        modes: &modes,
        ..XskOptions::default()
    };
    Ok(KernelWays::open(
        &steering,
        &options,
        Checksums::Verify,
        secret()?,
    )?)
}

/// The transport, and what came for each of its sockets, for a client that knows streams only: the floor.
pub struct Wire(Rc<RefCell<Shared>>);

struct Shared {
    transport: Bypass<Xsk, KernelWays>,
    inboxes: Vec<Inbox>,
}

struct Inbox {
    socket: Socket,
    is_open: bool,
    is_over: bool,
    bytes: Vec<u8>,
}

impl Wire {
    /// Opens the transport.
    pub fn open(mode: Mode) -> anyhow::Result<Self> {
        let transport = open(mode)?;
        let inboxes = Vec::new();
        Ok(Self(Rc::new(RefCell::new(Shared { transport, inboxes }))))
    }

    /// A connection. Errors: nobody listens there.
    pub fn connect(&mut self, address: SocketAddr) -> anyhow::Result<Box<dyn Stream>> {
        let at = {
            let mut shared = self.0.borrow_mut();
            let socket = shared.transport.open(address)?;
            shared.inboxes.push(Inbox {
                socket,
                is_open: false,
                is_over: false,
                bytes: Vec::with_capacity(64 << 10),
            });
            shared.inboxes.len() - 1
        };
        // Bounded by the transport's own patience.
        loop {
            let mut shared = self.0.borrow_mut();
            shared.turn();
            let inbox = &shared.inboxes[at];
            if inbox.is_over {
                bail!("nobody listens at {address}");
            }
            if inbox.is_open {
                let shared = Rc::clone(&self.0);
                return Ok(Box::new(Bypassed { shared, at }));
            }
        }
    }
}

impl Shared {
    fn turn(&mut self) {
        self.transport.poll(clock::unix_now());
        while let Some(ready) = self.transport.next() {
            let (Ready::Connected(socket) | Ready::Bytes(socket, _) | Ready::Closed(socket, _)) =
                ready;
            let inbox = self.inboxes.iter_mut().find(|one| one.socket == socket);
            match (ready, inbox) {
                (Ready::Connected(_), Some(inbox)) => inbox.is_open = true,
                (Ready::Closed(..), Some(inbox)) => inbox.is_over = true,
                (Ready::Bytes(_, chunk), inbox) => {
                    if let Some(inbox) = inbox {
                        inbox.bytes.extend_from_slice(self.transport.bytes(&chunk));
                    }
                    self.transport.release(chunk);
                }
                _ => {}
            }
        }
    }
}

/// One socket of a [`Wire`]. It never blocks.
struct Bypassed {
    shared: Rc<RefCell<Shared>>,
    at: usize,
}

impl Read for Bypassed {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let mut shared = self.shared.borrow_mut();
        if shared.inboxes[self.at].bytes.is_empty() {
            shared.turn();
        }
        let inbox = &mut shared.inboxes[self.at];
        let count = inbox.bytes.len().min(buffer.len());
        if count == 0 && !inbox.is_over {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..count].copy_from_slice(&inbox.bytes[..count]);
        inbox.bytes.drain(..count);
        Ok(count)
    }
}

impl Write for Bypassed {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        let mut shared = self.shared.borrow_mut();
        let socket = shared.inboxes[self.at].socket;
        let sent = shared.transport.send(socket, bytes);
        sent.map_err(Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

impl Stream for Bypassed {
    fn unblock(&mut self) -> IoResult<()> {
        Ok(())
    }
}
