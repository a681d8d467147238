//! Both ends of a cable, each with programs and a socket; frames to send; a way to wait.

use dp_transport::clock;
use dp_transport::xdp::{
    Flow, FrameIo as _, PortRange, Steering, XdpFault, XdpMode, Xsk, XskOptions,
};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};
use tests_net::{Veth, skip};

/// Local ports of our end that are steered.
pub const PORTS: PortRange = PortRange {
    first: 40_000,
    last: 40_015,
};
/// The port the peer plays a venue on.
pub const VENUE_PORT: u16 = 50_443;
/// The two ways a cable of this kind can be driven.
pub const MODES: [XdpMode; 2] = [XdpMode::CopyNative, XdpMode::CopyGeneric];

/// Index of the cable's end in the calling thread's namespace.
pub fn ifindex() -> u32 {
    nix::net::if_::if_nametoindex(Veth::NAME).unwrap()
}

/// Our flow: the peer as the venue.
pub fn flow() -> Flow {
    Flow {
        venue: SocketAddrV4::new(Veth::THEIRS, VENUE_PORT),
        local: Veth::OURS,
    }
}

/// The peer's flow for one port of ours: what it is sent from there it sees raw.
pub fn back(port: u16) -> Flow {
    Flow {
        venue: SocketAddrV4::new(Veth::OURS, port),
        local: Veth::THEIRS,
    }
}

/// One end.
pub struct End {
    pub steering: Steering,
    pub xsk: Xsk,
}

impl End {
    /// In the calling thread's namespace.
    pub fn open(ports: PortRange, mode: XdpMode, options: &XskOptions) -> Result<Self, XdpFault> {
        let modes = [mode];
        let steering = Steering::attach(ifindex(), ports, &modes)?;
        let options = XskOptions {
            modes: &modes,
            ..*options
        };
        let xsk = Xsk::open(&steering, &options)?;
        assert_eq!(xsk.mode(), mode);
        Ok(Self { steering, xsk })
    }

    /// The peer's end: it sees raw what our `ports` send to the venue's.
    pub fn venue(mode: XdpMode, ports: impl IntoIterator<Item = u16>) -> Result<Self, XdpFault> {
        let range = PortRange {
            first: VENUE_PORT,
            last: VENUE_PORT,
        };
        let end = Self::open(range, mode, &small())?;
        for port in ports {
            end.steering.add(back(port))?;
        }
        Ok(end)
    }

    /// Sends a frame; false when there is none to send from.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        let Some(frame) = self.xsk.reserve() else {
            return false;
        };
        self.xsk.bytes(&frame)[..bytes.len()].copy_from_slice(bytes);
        self.xsk.submit(frame, bytes.len());
        self.xsk.kick();
        true
    }

    /// Copies of the frames that are there now.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        self.xsk.poll(clock::unix_now());
        let mut all = Vec::new();
        while let Some(frame) = self.xsk.next() {
            all.push(self.xsk.bytes(&frame).to_vec());
            self.xsk.release(frame);
        }
        self.xsk.poll(clock::unix_now());
        all
    }

    /// Copies of the next `count` frames.
    pub fn take_exactly(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        until("frames", || {
            all.extend(self.take());
            all.len() >= count
        });
        assert_eq!(all.len(), count);
        all
    }
}

/// Few frames: quick to make, quick to run out of.
pub fn small() -> XskOptions<'static> {
    XskOptions {
        rx_frames: 64,
        tx_frames: 64,
        ..XskOptions::default()
    }
}

/// A cable and both ends, moved to where they run: `ours` on the calling thread, in our namespace, and the
/// peer's as a value that is used there too (a socket stays in the namespace it was opened in).
pub fn with_ends(mode: XdpMode, test: impl FnOnce(&Veth, End, End) + Send) {
    with_ends_open(mode, &small(), test);
}

/// The same, our end opened so.
pub fn with_ends_open(
    mode: XdpMode,
    options: &XskOptions,
    test: impl FnOnce(&Veth, End, End) + Send,
) {
    let Some(veth) = Veth::or_skip("xdp") else {
        return;
    };
    veth.ours.run(|| {
        let ours = match End::open(PORTS, mode, options) {
            Ok(end) => end,
            Err(fault) => return skip("xdp", &fault.to_string()),
        };
        ours.steering.add(flow()).unwrap();
        // An Xsk stays on its thread; the thread changes its namespace for the opening instead.
        let here = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let there = std::fs::File::open(veth.theirs.path()).unwrap();
        enter(&there);
        let theirs = End::venue(mode, PORTS.first..=PORTS.last).unwrap();
        enter(&here);
        test(&veth, ours, theirs);
    });
}

pub fn enter(namespace: &std::fs::File) {
    nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
}

/// Turns until `is_done`; panics after 20 s.
pub fn until(what: &str, mut is_done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{what}: not within 20 s"
        );
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A TCP segment.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub flags: u8,
    pub payload: &'a [u8],
}

pub const ACK: u8 = 0x10;
pub const RST: u8 = 0x04;

impl Segment<'_> {
    /// The IP packet's payload: TCP header and data, with its checksum.
    pub fn tcp(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(1u32.to_be_bytes());
        tcp.extend(2u32.to_be_bytes());
        tcp.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(self.payload);
        let mut pseudo = Vec::new();
        pseudo.extend(self.from.ip().octets());
        pseudo.extend(self.to.ip().octets());
        pseudo.extend([0, 6]);
        pseudo.extend((tcp.len() as u16).to_be_bytes());
        pseudo.extend(&tcp);
        let sum = checksum(&pseudo);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        tcp
    }

    /// The whole frame, to the hardware address `to`.
    pub fn frame(&self, to: [u8; 6]) -> Vec<u8> {
        let tcp = self.tcp();
        ipv4(to, *self.from.ip(), *self.to.ip(), 0x4000, &tcp)
    }
}

/// An IPv4 frame with TCP inside; `fragment` is the word of flags and offset.
pub fn ipv4(to: [u8; 6], source: Ipv4Addr, target: Ipv4Addr, fragment: u16, tcp: &[u8]) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + tcp.len() as u16).to_be_bytes());
    header.extend([0x12, 0x34]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, 6, 0, 0]);
    header.extend(source.octets());
    header.extend(target.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = to.to_vec();
    frame.extend([0x02, 0, 0, 0, 0, 0x77, 0x08, 0x00]);
    frame.extend(header);
    frame.extend(tcp);
    frame
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum: u32 = bytes.chunks(2).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// Hardware address of the cable's end in the calling thread's namespace.
pub fn mac() -> [u8; 6] {
    let text = tests_net::ip("-o link show dev veth0").unwrap();
    let text = text.split("link/ether ").nth(1).unwrap();
    let mut bytes = text[..17]
        .split(':')
        .map(|hex| u8::from_str_radix(hex, 16).unwrap());
    core::array::from_fn(|_| bytes.next().unwrap())
}
