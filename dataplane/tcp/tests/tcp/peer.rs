//! One connection against segments made by hand: what came in, what must come out.

use core::net::SocketAddrV4;
use core::ops::Range;
use dp_tcp::wire::Checksums;
use dp_tcp::wire::tcp::{Flags, Options, TcpHeader, verify};
use dp_tcp::{Config, Connection, Opening, Seq, State};

use crate::net::{MS, PORT, START, address};

/// The peer's initial sequence number: close to the wrap, so that every test crosses it.
pub const THEIRS: Seq = Seq(u32::MAX - 2);
/// Ours.
pub const OURS: Seq = Seq(u32::MAX - 1_000);
const RTT: u64 = MS;

pub struct Peer {
    pub conn: Connection,
    pub now: u64,
    /// The peer's clock in timestamps; `None` = it sends none.
    pub stamp: Option<u32>,
    /// Our latest timestamp, which it echoes.
    pub echo: u32,
    pub window: u16,
    pub seq: Seq,
    pub ack: Seq,
}

pub fn opening() -> Opening {
    Opening {
        local: SocketAddrV4::new(address(1), 40_000),
        remote: SocketAddrV4::new(address(2), PORT),
        initial_seq: OURS,
        timestamp_offset: 77,
    }
}

impl Peer {
    /// Our SYN is out and nothing came.
    pub fn connecting(config: Config) -> Self {
        config.check().unwrap();
        let mut conn = Connection::new(&config);
        conn.connect(opening(), START);
        Self {
            conn,
            now: START,
            stamp: Some(500),
            echo: 0,
            window: 60_000,
            seq: THEIRS,
            ack: OURS.plus(1),
        }
    }

    /// Open, with SACK and timestamps, window scaled by 0; the round trip is a millisecond.
    pub fn open(config: Config) -> Self {
        let mut peer = Self::connecting(config);
        assert_eq!(peer.sent().len(), 1);
        peer.now += RTT;
        let mut options = peer.options();
        options.mss = Some(1_460);
        options.window_scale = Some(0);
        options.is_sack_permitted = true;
        peer.feed(peer.header(Flags::SYN.with(Flags::ACK), options), &[]);
        peer.seq = peer.seq.plus(1);
        assert_eq!(peer.conn.state(), State::Established);
        assert_eq!(peer.sent().len(), 1);
        peer
    }

    pub fn options(&self) -> Options {
        let mut options = Options::default();
        options.timestamps = self.stamp.map(|stamp| (stamp, self.echo));
        options
    }

    pub fn header(&self, flags: Flags, options: Options) -> TcpHeader {
        TcpHeader {
            source_port: PORT,
            target_port: 40_000,
            seq: self.seq,
            ack: self.ack,
            flags,
            window: self.window,
            options,
        }
    }

    pub fn feed(&mut self, header: TcpHeader, payload: &[u8]) -> Range<usize> {
        self.conn.on_segment(self.now, &header, payload)
    }

    /// Data at `seq`; returns what was handed out in place.
    pub fn data_at(&mut self, seq: Seq, payload: &[u8]) -> Vec<u8> {
        let mut header = self.header(Flags::ACK, self.options());
        header.seq = seq;
        let range = self.feed(header, payload);
        payload[range].to_vec()
    }

    /// A bare ACK up to `count` octets of ours, with SACK blocks counted the same way.
    pub fn acks(&mut self, count: u32, blocks: &[(u32, u32)]) {
        self.ack = OURS.plus(1 + count);
        let mut options = self.options();
        for (start, end) in blocks {
            options.push_sack((OURS.plus(1 + start), OURS.plus(1 + end)));
        }
        let header = self.header(Flags::ACK, options);
        self.feed(header, &[]);
    }

    /// A segment with these flags and nothing else, `offset` octets from where the peer stands.
    pub fn flags_at(&mut self, flags: Flags, offset: i32) {
        let mut header = self.header(flags, self.options());
        header.seq = Seq(self.seq.0.wrapping_add_signed(offset));
        self.feed(header, &[]);
    }

    /// Everything that leaves now.
    pub fn sent(&mut self) -> Vec<(TcpHeader, Vec<u8>)> {
        let mut out = Vec::new();
        let mut buffer = [0; 2_000];
        while let Some(len) = self.conn.poll_transmit(self.now, &mut buffer) {
            let segment = &buffer[..len];
            verify(segment, address(1), address(2), Checksums::Verify).unwrap();
            let (header, at) = TcpHeader::parse(segment).unwrap();
            if let Some((stamp, _)) = header.options.timestamps {
                self.echo = stamp;
            }
            out.push((header, segment[at..].to_vec()));
            assert!(out.len() < 1_000, "it does not stop sending");
        }
        out
    }

    /// Goes on to the next deadline; returns how long that took and what left.
    pub fn wait(&mut self) -> (u64, Vec<(TcpHeader, Vec<u8>)>) {
        let at = self.conn.next_deadline().expect("nothing is due");
        let waited = at.saturating_sub(self.now);
        self.now = self.now.max(at);
        (waited, self.sent())
    }

    pub fn after(&mut self, time: u64) {
        self.now += time;
        if let Some(stamp) = &mut self.stamp {
            *stamp += (time / MS) as u32;
        }
    }

    /// Everything readable, over the end of the ring, read.
    pub fn read(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while !self.conn.readable().is_empty() {
            let piece = self.conn.readable().to_vec();
            self.conn.consume(piece.len());
            all.extend(piece);
        }
        all
    }

    /// Writes `count` octets of ours and lets them leave.
    pub fn write(&mut self, count: usize) -> Vec<(TcpHeader, Vec<u8>)> {
        assert_eq!(self.conn.send(&vec![b'o'; count]), count);
        self.sent()
    }
}

/// Offset of a segment of ours from the first octet we ever wrote.
pub fn offset(header: &TcpHeader) -> u32 {
    header.seq.since(OURS.plus(1))
}
