//! The far ends: one thread that sends back what the way under test brings it.

use super::raw;
use crate::venue::net::Net;
use dp_transport::clock;
use dp_transport::xdp::{FrameIo as _, Steering, Xsk};

/// One far end.
pub trait Echo {
    /// One look: sends back what is there. Errors: the other end is gone.
    fn look(&mut self) -> anyhow::Result<()>;
}

/// A connection of the venue's, whatever it runs over.
pub struct OverNet<'v> {
    net: Box<dyn Net + 'v>,
    is_connected: bool,
    buffer: Vec<u8>,
}

impl<'v> OverNet<'v> {
    /// Waits for its one connection.
    pub fn new(net: Box<dyn Net + 'v>) -> Self {
        Self {
            net,
            is_connected: false,
            buffer: vec![0; super::BYTES_MAX],
        }
    }
}

impl Echo for OverNet<'_> {
    fn look(&mut self) -> anyhow::Result<()> {
        if !self.is_connected {
            self.is_connected = self.net.accept()?;
            return Ok(());
        }
        if let Some((count, _)) = self.net.read(0, &mut self.buffer)? {
            let mut sent = 0;
            while sent < count {
                sent += self.net.write(0, &self.buffer[sent..count])?;
            }
        }
        Ok(())
    }
}

/// Frames without a TCP above them: addresses and ports are turned round, the rest stays.
pub struct Raw {
    pub xsk: Xsk,
    pub _steering: Steering,
}

impl Echo for Raw {
    fn look(&mut self) -> anyhow::Result<()> {
        self.xsk.poll(clock::unix_now());
        while let Some(frame) = self.xsk.next() {
            if let Some(back) = self.xsk.reserve() {
                let count = frame.size();
                let bytes = self.xsk.bytes(&frame).to_vec();
                self.xsk.bytes(&back)[..count].copy_from_slice(&bytes);
                raw::turn_round(self.xsk.bytes(&back));
                self.xsk.submit(back, count);
            }
            self.xsk.release(frame);
        }
        self.xsk.kick();
        Ok(())
    }
}
