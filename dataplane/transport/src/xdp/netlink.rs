//! rtnetlink messages: what we ask the kernel, and what its answers and notifications say.
//!
//! ```text
//!   message     len:4 | type:2 | flags:2 | sequence:4 | port:4 | family's header | attributes…   (4-aligned)
//!   attribute   len:2 | type:2 | value…                                                     (4-aligned)
//! ```
//!
//! Pure: bytes to views and back. Bytes come from the kernel, and are read as if they did not: what is cut,
//! too short or of another family is skipped. IPv4 and Ethernet only.
//! Source: rtnetlink(7), include/uapi/linux/rtnetlink.h, neighbour.h, if_link.h.

use core::net::Ipv4Addr;

/// A hardware address.
pub type Mac = [u8; 6];

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// An interface as it is now.
    Link(LinkInfo),
    /// An interface that is gone.
    LinkGone {
        /// Which.
        ifindex: u32,
    },
    /// An address of ours, there or gone.
    Address {
        /// On which interface.
        ifindex: u32,
        /// The address.
        address: Ipv4Addr,
        /// Whether it is there now.
        is_there: bool,
    },
    /// A route: the answer to [`ask_route`], or a change of the tables.
    Route(RouteInfo),
    /// A neighbour as the table has it.
    Neighbour(NeighbourInfo),
    /// The end of an answer: 0, or the kernel's error number.
    Answered {
        /// The number.
        errno: i32,
    },
}

/// An interface. Absent attributes are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkInfo {
    /// Index.
    pub ifindex: u32,
    /// Switched on, and its cable carries.
    pub is_up: bool,
    /// Bytes of the largest IP packet.
    pub mtu: Option<u32>,
    /// Hardware address.
    pub mac: Option<Mac>,
    /// How often the carrier was lost since the interface was made.
    pub down_count: Option<u32>,
}

/// The way to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteInfo {
    /// It is a route to somewhere else: not to ourselves, not a black hole.
    pub is_unicast: bool,
    /// Out of which interface.
    pub ifindex: Option<u32>,
    /// Through which router, when not direct.
    pub gateway: Option<Ipv4Addr>,
    /// The gateway is an IPv6 one (RFC 5549), which nothing here can use.
    pub is_via_ipv6: bool,
    /// From which address of ours.
    pub source: Option<Ipv4Addr>,
    /// Bytes of the largest packet on it, when smaller than the link's (path MTU discovery).
    pub mtu: Option<u32>,
}

/// A row of the neighbour table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourInfo {
    /// On which interface.
    pub ifindex: u32,
    /// Whose.
    pub address: Option<Ipv4Addr>,
    /// Hardware address; `None` while it is not known, or not any more.
    pub mac: Option<Mac>,
    /// Confirmed lately, or for good. A stale one works, and should be asked about.
    pub is_fresh: bool,
}

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;
const GETROUTE: u16 = 26;
const NEWNEIGH: u16 = 28;
const DELNEIGH: u16 = 29;
const GETNEIGH: u16 = 30;
const ERROR: u16 = 2;
const DONE: u16 = 3;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;

const AF_INET: u8 = 2;
const HEADER_BYTES: usize = 16;
/// `IFF_UP | IFF_LOWER_UP`.
const UP: u32 = 1 | 1 << 16;
const RTN_UNICAST: u8 = 1;
/// Reachable, no ARP needed, permanent.
const FRESH: u16 = 0x02 | 0x40 | 0x80;
/// Fresh, stale, delay, probe: the hardware address is good until proven otherwise.
const USABLE: u16 = FRESH | 0x04 | 0x08 | 0x10;

/// Reads all messages of one datagram; `sink` gets each with its sequence number (0: a notification).
pub fn read(datagram: &[u8], mut sink: impl FnMut(u32, Message)) {
    let mut rest = datagram;
    // Each turn takes at least a header.
    while let Some(len) = u32_at(rest, 0) {
        let len = len as usize;
        let (Some(kind), Some(sequence)) = (u16_at(rest, 4), u32_at(rest, 8)) else {
            return;
        };
        let Some(body) = rest.get(HEADER_BYTES..len) else {
            return;
        };
        if let Some(message) = message(kind, body) {
            sink(sequence, message);
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn message(kind: u16, body: &[u8]) -> Option<Message> {
    match kind {
        NEWLINK => link(body).map(Message::Link),
        DELLINK => Some(Message::LinkGone {
            ifindex: u32_at(body, 4)?,
        }),
        NEWADDR | DELADDR => address(body, kind == NEWADDR),
        NEWROUTE | DELROUTE => route(body).map(Message::Route),
        NEWNEIGH | DELNEIGH => neighbour(body, kind == NEWNEIGH).map(Message::Neighbour),
        // `nlmsgerr`: the number, negative; an acknowledgement has 0.
        ERROR => Some(Message::Answered {
            errno: (u32_at(body, 0)? as i32).saturating_neg(),
        }),
        DONE => Some(Message::Answered { errno: 0 }),
        _ => None,
    }
}

/// `ifinfomsg`: family:1 pad:1 type:2 index:4 flags:4 change:4.
fn link(body: &[u8]) -> Option<LinkInfo> {
    const ADDRESS: u16 = 1;
    const MTU: u16 = 4;
    const DOWN_COUNT: u16 = 48;
    let mut link = LinkInfo {
        ifindex: u32_at(body, 4)?,
        is_up: u32_at(body, 8)? & UP == UP,
        mtu: None,
        mac: None,
        down_count: None,
    };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            ADDRESS => link.mac = value.try_into().ok(),
            MTU => link.mtu = u32_at(value, 0),
            DOWN_COUNT => link.down_count = u32_at(value, 0),
            _ => {}
        }
    }
    Some(link)
}

/// `ifaddrmsg`: family:1 prefix:1 flags:1 scope:1 index:4.
fn address(body: &[u8], is_there: bool) -> Option<Message> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let ifindex = u32_at(body, 4)?;
    let find = |wanted| {
        let mut all = attributes(body.get(8..).unwrap_or_default());
        all.find_map(|(kind, value)| (kind == wanted).then(|| ipv4(value))?)
    };
    let is_ipv4 = body.first() == Some(&AF_INET);
    // On a point-to-point link ADDRESS is the peer's.
    let address = is_ipv4.then(|| find(LOCAL).or_else(|| find(ADDRESS)))??;
    Some(Message::Address {
        ifindex,
        address,
        is_there,
    })
}

/// `rtmsg`: family:1 dst_len:1 src_len:1 tos:1 table:1 protocol:1 scope:1 type:1 flags:4.
fn route(body: &[u8]) -> Option<RouteInfo> {
    const OIF: u16 = 4;
    const GATEWAY: u16 = 5;
    const SOURCE: u16 = 7;
    const METRICS: u16 = 8;
    const METRIC_MTU: u16 = 2;
    const VIA: u16 = 18;
    if body.first() != Some(&AF_INET) {
        return None;
    }
    let mut route = RouteInfo {
        is_unicast: body.get(7) == Some(&RTN_UNICAST),
        ..RouteInfo::default()
    };
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            OIF => route.ifindex = u32_at(value, 0),
            GATEWAY => route.gateway = ipv4(value),
            VIA => route.is_via_ipv6 = true,
            SOURCE => route.source = ipv4(value),
            METRICS => {
                let mut metrics = attributes(value);
                let mtu = metrics.find(|(kind, _)| *kind == METRIC_MTU);
                route.mtu = mtu.and_then(|(_, value)| u32_at(value, 0));
            }
            _ => {}
        }
    }
    Some(route)
}

/// `ndmsg`: family:1 pad:3 index:4 state:2 flags:1 type:1.
fn neighbour(body: &[u8], is_there: bool) -> Option<NeighbourInfo> {
    const DST: u16 = 1;
    const LLADDR: u16 = 2;
    if body.first() != Some(&AF_INET) {
        return None;
    }
    let state = u16_at(body, 8)?;
    let mut neighbour = NeighbourInfo {
        ifindex: u32_at(body, 4)?,
        address: None,
        mac: None,
        is_fresh: is_there && state & FRESH != 0,
    };
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            DST => neighbour.address = ipv4(value),
            LLADDR if is_there && state & USABLE != 0 => neighbour.mac = value.try_into().ok(),
            _ => {}
        }
    }
    Some(neighbour)
}

/// Type and value of each attribute, as far as they are whole.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// The top bits say "nested" and "network order".
    const TYPE: u16 = 0x3fff;
    core::iter::from_fn(move || {
        let len = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & TYPE;
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}

/// A request, built at set-up or on the helper thread: it allocates.
#[derive(Debug)]
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        Self(bytes)
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend((4 + value.len() as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

/// Asks for one interface.
pub fn ask_link(sequence: u32, ifindex: u32) -> Vec<u8> {
    let mut body = [0; 16];
    body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    Request::new(GETLINK, 0, sequence, &body).finish()
}

/// Asks for all IPv4 addresses of this host; [`Message::Answered`] ends them.
pub fn ask_addresses(sequence: u32) -> Vec<u8> {
    Request::new(GETADDR, DUMP, sequence, &[AF_INET, 0, 0, 0, 0, 0, 0, 0]).finish()
}

/// Asks which way a packet to `peer` would go.
pub fn ask_route(sequence: u32, peer: Ipv4Addr) -> Vec<u8> {
    const DST: u16 = 1;
    let mut body = [0; 12];
    (body[0], body[1]) = (AF_INET, 32);
    let request = Request::new(GETROUTE, 0, sequence, &body);
    request.attribute(DST, &peer.octets()).finish()
}

/// Asks for one row of the neighbour table.
pub fn ask_neighbour(sequence: u32, ifindex: u32, address: Ipv4Addr) -> Vec<u8> {
    neighbour_request(GETNEIGH, 0, sequence, ifindex, address, 0)
}

/// Has the kernel use a row of the neighbour table as if it had a packet for it: it asks by ARP when the
/// row is not there or stale. Sends no packet of its own otherwise.
pub fn use_neighbour(sequence: u32, ifindex: u32, address: Ipv4Addr) -> Vec<u8> {
    const NTF_USE: u8 = 1;
    neighbour_request(NEWNEIGH, CREATE | ACK, sequence, ifindex, address, NTF_USE)
}

fn neighbour_request(
    kind: u16,
    flags: u16,
    sequence: u32,
    ifindex: u32,
    address: Ipv4Addr,
    row_flags: u8,
) -> Vec<u8> {
    const DST: u16 = 1;
    let mut body = [0; 12];
    body[0] = AF_INET;
    body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    body[10] = row_flags;
    let request = Request::new(kind, flags, sequence, &body);
    request.attribute(DST, &address.octets()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(datagram: &[u8]) -> Vec<(u32, Message)> {
        let mut all = Vec::new();
        read(datagram, |sequence, message| all.push((sequence, message)));
        all
    }

    /// A message as the kernel would send it.
    fn told(kind: u16, body: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut request = Request::new(kind, 0, 7, body);
        for (kind, value) in attributes {
            request = request.attribute(*kind, value);
        }
        request.finish()
    }

    fn neighbour_body(state: u16) -> [u8; 12] {
        let mut body = [0; 12];
        (body[0], body[4]) = (AF_INET, 9);
        body[8..10].copy_from_slice(&state.to_ne_bytes());
        body
    }

    #[test]
    fn several_messages_of_a_datagram_are_read() {
        let mut link = [0; 16];
        link[4] = 9;
        link[8..12].copy_from_slice(&UP.to_ne_bytes());
        let (mac, mtu) = ([2, 0, 0, 0, 0, 1], 1500u32.to_ne_bytes());
        let mut datagram = told(NEWLINK, &link, &[(3, b"veth0\0"), (1, &mac), (4, &mtu)]);
        datagram.extend(told(
            NEWADDR,
            &[AF_INET, 24, 0, 0, 9, 0, 0, 0],
            &[(1, &[10, 0, 0, 2]), (2, &[10, 0, 0, 1])],
        ));
        datagram.extend(told(99, &[1, 2, 3, 4], &[]));
        datagram.extend(told(ERROR, &(-2i32).to_ne_bytes(), &[]));
        let info = LinkInfo {
            ifindex: 9,
            is_up: true,
            mtu: Some(1500),
            mac: Some(mac),
            down_count: None,
        };
        let address = Message::Address {
            ifindex: 9,
            address: Ipv4Addr::new(10, 0, 0, 1),
            is_there: true,
        };
        let want = [Message::Link(info), address, Message::Answered { errno: 2 }];
        assert_eq!(all(&datagram), want.map(|message| (7, message)));
    }

    #[test]
    fn a_route_has_its_gateway_source_and_mtu() {
        let body = [AF_INET, 32, 0, 0, 254, 0, 0, RTN_UNICAST, 0, 0, 0, 0];
        let mut mtu = vec![8, 0, 2, 0];
        mtu.extend(1400u32.to_ne_bytes());
        let attributes: [(u16, &[u8]); 4] = [
            (4, &[9, 0, 0, 0]),
            (5, &[10, 0, 0, 254]),
            (7, &[10, 0, 0, 1]),
            (8, &mtu),
        ];
        let Message::Route(route) = all(&told(NEWROUTE, &body, &attributes))[0].1 else {
            panic!("no route")
        };
        let want = RouteInfo {
            is_unicast: true,
            ifindex: Some(9),
            gateway: Some(Ipv4Addr::new(10, 0, 0, 254)),
            is_via_ipv6: false,
            source: Some(Ipv4Addr::new(10, 0, 0, 1)),
            mtu: Some(1400),
        };
        assert_eq!(route, want);
    }

    #[test]
    fn a_neighbour_is_known_while_its_state_says_so() {
        let mac = [2, 0, 0, 0, 0, 2];
        let read_one = |kind, state| {
            let attributes: [(u16, &[u8]); 2] = [(1, &[10, 0, 0, 2]), (2, &mac)];
            match all(&told(kind, &neighbour_body(state), &attributes))[0].1 {
                Message::Neighbour(neighbour) => (neighbour.mac, neighbour.is_fresh),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(read_one(NEWNEIGH, 0x02), (Some(mac), true));
        assert_eq!(read_one(NEWNEIGH, 0x80), (Some(mac), true));
        assert_eq!(read_one(NEWNEIGH, 0x04), (Some(mac), false));
        assert_eq!(read_one(NEWNEIGH, 0x01), (None, false));
        assert_eq!(read_one(NEWNEIGH, 0x20), (None, false));
        assert_eq!(read_one(DELNEIGH, 0x02), (None, false));
    }

    /// Datagrams of a real kernel, which the fuzz target starts from.
    #[test]
    fn the_committed_corpus_is_read() {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/corpus/netlink"
        );
        let files = std::fs::read_dir(folder).unwrap();
        let empty = files
            .map(|file| file.unwrap().path())
            .filter(|path| all(&std::fs::read(path).unwrap()).is_empty());
        assert_eq!(empty.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(datagram in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(all(&datagram).len() <= datagram.len() / 16);
        }

        /// A good message with some bytes changed, and cut anywhere.
        #[test]
        fn damaged_messages_are_read_to_their_end(
            kind in 16u16..31, at in 0usize..64, byte: u8, cut in 0usize..64,
        ) {
            let attributes: [(u16, &[u8]); 3] = [(1, &[10, 0, 0, 2]), (2, &[2; 6]), (8, &[8, 0, 2, 0, 1, 1, 1, 1])];
            let mut datagram = told(kind, &neighbour_body(2), &attributes);
            let len = datagram.len();
            datagram[at % len] = byte;
            datagram.truncate(len - cut % len);
            all(&datagram);
        }
    }
}
