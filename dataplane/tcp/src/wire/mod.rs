//! Headers to values and back, without state. Each parser proves its lengths once and never panics;
//! each writer fills the caller's bytes in place.
//!
//! ```text
//!   0            14                    34                   54..94
//!   ┌────────────┬─────────────────────┬────────────────────┬──────────────┐
//!   │ Ethernet II│ IPv4, no options out│ TCP, options ≤ 40  │ payload      │
//!   └────────────┴─────────────────────┴────────────────────┴──────────────┘
//! ```

pub mod checksum;
pub mod ethernet;
pub mod icmp;
pub mod ipv4;
pub mod tcp;

/// Why a frame or segment was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Shorter than its own lengths say.
    #[error("frame is shorter than its headers say")]
    Truncated,
    /// A length or version no such header can have.
    #[error("header is malformed")]
    Malformed,
    /// Part of a datagram cut up on the way; we ask for none (DF) and take none.
    #[error("IPv4 fragment")]
    Fragment,
    /// The checksum does not fit the bytes.
    #[error("checksum does not fit")]
    Checksum,
}

/// How received checksums are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksums {
    /// Every one must be right: what a real network needs.
    #[default]
    Verify,
    /// Right, or half made: a sender on the same host (veth, loopback) leaves the sum of the
    /// pseudo-header in the field, for a card to finish that is not there.
    AcceptPartial,
    /// Not looked at: the card has verified them.
    Ignore,
}

/// Big-endian 16 bits at `at`, 0 past the end: callers have proved the length.
#[inline]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(pair) => u16::from_be_bytes(*pair),
        None => 0,
    }
}

/// Big-endian 32 bits at `at`, 0 past the end.
#[inline]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(word) => u32::from_be_bytes(*word),
        None => 0,
    }
}
