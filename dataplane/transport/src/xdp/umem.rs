//! The memory frames live in: one [`Arena`], cut into frames of 2 or 4 KiB, registered with the kernel once.
//!
//! ```text
//!   | rx 0 | rx 1 | … | tx 0 | tx 1 | … |        frame = headroom (256, the kernel's) + bytes
//! ```

use super::fault::XdpFault;
use super::frames::{Frame, Owners};
use crate::arena::{Arena, Pages};

/// Bytes the kernel keeps free before a received frame (XDP_PACKET_HEADROOM, include/uapi/linux/bpf.h).
pub(super) const HEADROOM_BYTES: usize = 256;

/// Size of a frame's place. The kernel takes powers of two up to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameSize {
    /// 2 KiB: an MTU of 1 500, twice as many in the cache.
    #[default]
    Kib2,
    /// 4 KiB: an MTU up to about 3 500.
    Kib4,
}

impl FrameSize {
    /// Bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Kib2 => 2048,
            Self::Kib4 => 4096,
        }
    }
}

/// The frames of one socket, and who owns each.
#[derive(Debug)]
pub(super) struct Umem {
    arena: Arena,
    pub owners: Owners,
    frame_size: usize,
}

impl Umem {
    /// Maps and touches it, on `node` where one is named.
    pub fn new(
        frame_size: FrameSize,
        rx_frames: u32,
        tx_frames: u32,
        node: Option<u16>,
    ) -> Result<Self, XdpFault> {
        let owners = Owners::new(rx_frames, tx_frames);
        let size = owners.count() as usize * frame_size.bytes();
        let arena = Arena::on_node(size, node).map_err(|error| XdpFault::Os {
            what: "memory for frames",
            errno: error.errno,
        })?;
        Ok(Self {
            arena,
            owners,
            frame_size: frame_size.bytes(),
        })
    }

    /// What the kernel is told: address, bytes, bytes of a frame.
    pub fn region(&self) -> (u64, u64, u32) {
        let size = self.owners.count() as usize * self.frame_size;
        let address = self.arena.address(0) as u64;
        (address, size as u64, self.frame_size as u32)
    }

    /// What it lives on.
    pub const fn pages(&self) -> Pages {
        self.arena.pages()
    }

    /// The node its pages are on; `None` = several, or the kernel does not say.
    pub fn node(&self) -> Option<u16> {
        self.arena.node()
    }

    /// Bytes of a frame's place.
    pub const fn frame_size(&self) -> usize {
        self.frame_size
    }

    /// Where a frame's place begins, as the kernel counts.
    pub const fn offset(&self, index: u32) -> u64 {
        index as u64 * self.frame_size as u64
    }

    /// The frame a descriptor of the kernel's speaks of. `None`: of none, or past its end.
    pub fn frame(&self, address: u64, len: u32) -> Option<Frame> {
        let size = self.frame_size as u64;
        let index = u32::try_from(address / size).ok()?;
        let start = (address % size) as u32;
        let is_inside = u64::from(start) + u64::from(len) <= size;
        (is_inside && index < self.owners.count()).then_some(Frame { index, start, len })
    }

    /// The bytes of a frame we hold; nothing of any other.
    pub fn bytes(&mut self, frame: &Frame) -> &mut [u8] {
        let end = frame.start as usize + frame.len as usize;
        if !self.owners.is_held(frame.index) || end > self.frame_size {
            return &mut [];
        }
        let base = frame.index as usize * self.frame_size;
        self.arena
            .slice_mut(base + frame.start as usize..base + end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_held_frames_have_bytes_and_descriptors_are_checked() {
        let mut umem = Umem::new(FrameSize::Kib2, 4, 4, None).unwrap();
        assert_eq!(umem.region().1, 8 * 2048);
        let frame = umem.frame(3 * 2048 + 256, 1514).unwrap();
        assert_eq!(
            frame,
            Frame {
                index: 3,
                start: 256,
                len: 1514
            }
        );
        assert!(umem.bytes(&frame).is_empty());
        assert!(umem.owners.arrived(3));
        assert_eq!(umem.bytes(&frame).len(), 1514);
        assert_eq!(umem.frame(8 * 2048, 1), None);
        assert_eq!(umem.frame(2048 - 10, 11), None);
        assert_eq!(umem.frame(u64::MAX, 1), None);
        assert_eq!(umem.frame(0, u32::MAX), None);
        let beyond = Frame {
            index: 3,
            start: u32::MAX,
            len: u32::MAX,
        };
        assert!(umem.bytes(&beyond).is_empty());
    }
}
