//! Frames that look enough like TCP to be steered to an AF_XDP socket, and say nothing.

use crate::venue::bypass::{CLIENT_PORTS, PORT};
use core::net::{Ipv4Addr, SocketAddrV4};
use dp_transport::xdp::{Flow, PortRange, Steering, XdpMode, Xsk, XskOptions};
use tests_net::Veth;

/// Bytes before the payload: Ethernet, IPv4, TCP.
pub const HEADERS_BYTES: usize = 54;

/// One end: a socket for the frames `from` there to one of `ports` here. In the calling thread's namespace.
pub fn open(
    mode: XdpMode,
    ports: PortRange,
    here: Ipv4Addr,
    from: SocketAddrV4,
) -> anyhow::Result<(Steering, Xsk)> {
    let modes = [mode];
    let ifindex = nix::net::if_::if_nametoindex(Veth::NAME)?;
    let steering = Steering::attach(ifindex, ports, &modes)?;
    steering.add(Flow {
        venue: from,
        local: here,
    })?;
    let options = XskOptions {
        modes: &modes,
        ..XskOptions::default()
    };
    let xsk = Xsk::open(&steering, &options)?;
    Ok((steering, xsk))
}

/// A frame from the client's first port to the venue's, with `len` bytes of payload.
pub fn frame(len: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([0x02, 0, 0, 0, 0, 0x77, 0x08, 0x00, 0x45, 0]);
    frame.extend(((40 + len) as u16).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(Veth::OURS.octets());
    frame.extend(Veth::THEIRS.octets());
    frame.extend(CLIENT_PORTS.first.to_be_bytes());
    frame.extend(PORT.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(HEADERS_BYTES + len, 7);
    frame
}

/// Swaps both pairs of addresses and the ports.
pub fn turn_round(frame: &mut [u8]) {
    for (one, other, len) in [(0, 6, 6), (26, 30, 4), (34, 36, 2)] {
        let (head, tail) = frame.split_at_mut(other);
        head[one..one + len].swap_with_slice(&mut tail[..len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_turned_round_twice_is_itself() {
        let there = frame(20);
        assert_eq!(there.len(), HEADERS_BYTES + 20);
        let mut back = there.clone();
        turn_round(&mut back);
        assert_eq!(back[26..30], Veth::THEIRS.octets());
        assert_eq!(back[34..36], PORT.to_be_bytes());
        turn_round(&mut back);
        assert_eq!(back, there);
    }
}
