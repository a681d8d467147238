//! How the venue's bytes come and go: over the kernel's sockets here, around them in [`super::bypass`].

use anyhow::{Context as _, bail};
use dp_transport::{acknowledge_late, tsc};
use dp_types::Tsc;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// Connections of the venue, numbered from 0 in the order they came. No call blocks.
pub trait Net {
    /// Takes the next connection, if one has come.
    fn accept(&mut self) -> anyhow::Result<bool>;
    /// Reads what a connection has: how many bytes, and when this end's TCP handed them over.
    /// Errors: the client has left.
    fn read(&mut self, at: usize, buffer: &mut [u8]) -> anyhow::Result<Option<(usize, Tsc)>>;
    /// Writes what a connection takes, 0 when it is full. Errors: the client has left.
    fn write(&mut self, at: usize, bytes: &[u8]) -> anyhow::Result<usize>;
    /// Now and then: acknowledgements leave with answers. Whether a kernel holds them back by itself changes
    /// from connection to connection, and with it what each order costs the venue.
    fn tend(&self) {}
}

/// The kernel's sockets: one `recv` and one `send` each.
pub struct Sockets<'v> {
    listener: &'v TcpListener,
    streams: Vec<TcpStream>,
}

impl<'v> Sockets<'v> {
    /// Over a listener that does not block.
    pub const fn new(listener: &'v TcpListener) -> Self {
        Self {
            listener,
            streams: Vec::new(),
        }
    }
}

impl Net for Sockets<'_> {
    fn accept(&mut self) -> anyhow::Result<bool> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("accepting a client"),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        // A pacing congestion control would put its own timetable over ours; left as it is where refused.
        let _ = setsockopt(&stream, sockopt::TcpCongestion, &"cubic".into());
        self.streams.push(stream);
        Ok(true)
    }

    fn read(&mut self, at: usize, buffer: &mut [u8]) -> anyhow::Result<Option<(usize, Tsc)>> {
        match self.streams[at].read(buffer) {
            Ok(0) => bail!("the client has left"),
            Ok(count) => Ok(Some((count, tsc()))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("the client's connection"),
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> anyhow::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match self.streams[at].write(bytes) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error).context("the client's connection"),
        }
    }

    fn tend(&self) {
        self.streams.iter().for_each(acknowledge_late);
    }
}
