//! What the kernel tells of the network.

use dp_transport::xdp::netlink;

/// Reads a datagram; there are no more messages in it than headers fit.
pub fn netlink(bytes: &[u8]) {
    let mut count = 0;
    netlink::read(bytes, |_, _| count += 1);
    assert!(count <= bytes.len() / 16);
}
