//! The production lane in memory, and how its bytes go to the venue's end and back.
//!
//! ```text
//!   Records   lane ══ Mem ═══════════════════════════ venue's connections
//!   Frames    lane ══ our TCP ── frames in memory ── our TCP ══ venue's connections
//! ```

use super::{Far, Path, answer};
use crate::client::lane;
use crate::venue::bypass::{Bypassed, CLIENT_PORTS, secret};
use crate::venue::conn::{Conn, Role};
use crate::venue::drain::Drain;
use crate::venue::net::Net as _;
use crate::venue::texts::Desk;
use crate::venue::{bypass, walk::Walk};
use crate::watched::{Latest, Paired, Watched};
use anyhow::{Context as _, bail};
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use dp_lane::Lane;
use dp_shm::{Counter, Region};
use dp_tcp::wire::ethernet::Mac;
use dp_tcp::{Host, Secret, StackConfig};
use dp_transport::bypass::{Bypass, CONNECTIONS, WayEvent, Ways};
use dp_transport::xdp::{PairOptions, pair};
use dp_transport::{Clock, Mem, Socket, SocketFault, Transport};
use rustls::ServerConfig;
use std::collections::VecDeque;
use std::sync::Arc;

/// Addresses of the two ends of the pair.
const NEAR: (Ipv4Addr, Mac) = (Ipv4Addr::new(10, 77, 0, 1), Mac([2, 0, 0, 0, 0, 1]));
const FAR: (Ipv4Addr, Mac) = (Ipv4Addr::new(10, 77, 0, 2), Mac([2, 0, 0, 0, 0, 2]));

/// What lies between the lane and the venue's connections, which are numbered as they came.
pub trait Ends {
    /// The lane's side.
    type Transport: Transport;
    /// The lane's side, once.
    fn transport(&mut self) -> anyhow::Result<Self::Transport>;
    /// How many connections there are.
    fn count(&mut self, lane: &mut Self::Transport) -> anyhow::Result<usize>;
    /// What the lane has sent on one of them, added to `into`.
    fn sent(
        &mut self,
        lane: &mut Self::Transport,
        at: usize,
        into: &mut Vec<u8>,
    ) -> anyhow::Result<()>;
    /// Bytes for the lane.
    fn deliver(
        &mut self,
        lane: &mut Self::Transport,
        at: usize,
        bytes: &[u8],
    ) -> anyhow::Result<()>;
    /// The time of the turn that was, where these ends know it better than a watch around it.
    fn span(&mut self) -> Option<u64>;
}

/// Streams of bytes, handed over.
pub struct Records(Vec<Socket>);

impl Records {
    /// None open yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }
}

impl Ends for Records {
    type Transport = Mem;

    fn transport(&mut self) -> anyhow::Result<Mem> {
        Ok(Mem::new())
    }

    fn count(&mut self, lane: &mut Mem) -> anyhow::Result<usize> {
        for (socket, _) in lane.opened() {
            if !self.0.contains(&socket) {
                self.0.push(socket);
            }
        }
        Ok(self.0.len())
    }

    fn sent(&mut self, lane: &mut Mem, at: usize, into: &mut Vec<u8>) -> anyhow::Result<()> {
        lane.sent(self.0[at], into);
        Ok(())
    }

    fn deliver(&mut self, lane: &mut Mem, at: usize, bytes: &[u8]) -> anyhow::Result<()> {
        lane.deliver(self.0[at], bytes);
        Ok(())
    }

    fn span(&mut self) -> Option<u64> {
        None
    }
}

/// The only way there is.
pub struct OneWay(VecDeque<WayEvent>);

impl Ways for OneWay {
    fn open(&mut self, peer: SocketAddrV4) -> Result<(), SocketFault> {
        self.0.push_back(WayEvent::Way {
            peer: *peer.ip(),
            next_hop: *peer.ip(),
            mac: FAR.1,
            mtu: 1_500,
        });
        Ok(())
    }

    fn close(&mut self, _peer: SocketAddrV4) {}

    fn next(&mut self) -> Option<WayEvent> {
        self.0.pop_front()
    }
}

/// Frames between two of our TCPs.
pub struct Frames {
    near: Option<Paired>,
    far: Bypassed<Paired>,
    latest: Latest,
    count: usize,
    buffer: Vec<u8>,
}

impl Frames {
    /// Both ends. Errors: no random numbers.
    pub fn new(clock: Clock) -> anyhow::Result<Self> {
        let (near, far) = pair(PairOptions {
            rx_frames: 256,
            tx_frames: 256,
            ..PairOptions::default()
        });
        let latest = Latest::default();
        let far = Watched::new(far, Latest::default());
        Ok(Self {
            near: Some(Watched::new(near, latest.clone())),
            far: Bypassed::new(far, FAR.1, FAR.0, clock)?,
            latest,
            count: 0,
            buffer: vec![0; 64 << 10],
        })
    }
}

impl Ends for Frames {
    type Transport = Bypass<Paired, OneWay>;

    fn transport(&mut self) -> anyhow::Result<Self::Transport> {
        let near = self.near.take().context("one lane a pair")?;
        let config = StackConfig {
            connections: CONNECTIONS,
            ..StackConfig::new(
                Host::on_link(NEAR.1, NEAR.0, 32),
                (CLIENT_PORTS.first, CLIENT_PORTS.last),
                Secret::new(secret()?),
            )
        };
        Ok(Bypass::new(near, OneWay(VecDeque::new()), config)?)
    }

    fn count(&mut self, _: &mut Self::Transport) -> anyhow::Result<usize> {
        self.count += usize::from(self.far.accept()?);
        Ok(self.count)
    }

    fn sent(
        &mut self,
        _: &mut Self::Transport,
        at: usize,
        into: &mut Vec<u8>,
    ) -> anyhow::Result<()> {
        while let Some((count, _)) = self.far.read(at, &mut self.buffer)? {
            into.extend_from_slice(&self.buffer[..count]);
        }
        Ok(())
    }

    fn deliver(&mut self, _: &mut Self::Transport, at: usize, bytes: &[u8]) -> anyhow::Result<()> {
        if self.far.write(at, bytes)? < bytes.len() {
            bail!("the lane does not read");
        }
        Ok(())
    }

    fn span(&mut self) -> Option<u64> {
        Some(self.latest.take()).filter(|cycles| *cycles > 0)
    }
}

/// The lane, the venue's end, and which of the connections are which.
pub struct Ours<'r, E: Ends> {
    lane: Lane<'r, E::Transport>,
    ends: E,
    clock: Clock,
    feed: usize,
    orders: usize,
    far: Far,
    drain: Drain<'r>,
    has_span: bool,
}

impl<'r, E: Ends> Ours<'r, E> {
    /// A lane that is up and has answered a few ticks. Errors: it does not come up.
    pub fn new(
        region: &'r Region,
        clock: Clock,
        mut ends: E,
        ca: &str,
        server: &Arc<ServerConfig>,
        walk: &Walk,
    ) -> anyhow::Result<Self> {
        lane::begin(region, &clock);
        let address = SocketAddr::from((FAR.0, bypass::PORT));
        let transport = ends.transport()?;
        let mut lane = lane::build(region, transport, clock, address, ca.as_bytes(), 1)?;
        let mut conns: Vec<Conn> = Vec::new();
        let (mut desk, mut next, mut drain) = (Desk::default(), 0, Drain::new(region)?);
        let mut bytes = Vec::new();
        for round in 0..5_000 {
            lane.turn(clock.now());
            let count = ends.count(lane.transport())?;
            while conns.len() < count {
                conns.push(Conn::new(Some(server))?);
            }
            for (at, conn) in conns.iter_mut().enumerate() {
                bytes.clear();
                ends.sent(lane.transport(), at, &mut bytes)?;
                conn.on_bytes(&bytes)?;
                while let Some(target) = conn.next_request()? {
                    let body = Desk::rest(walk, next, &target);
                    conn.say_http(&body);
                }
                answer(&mut desk, conn);
                if conn.role == Some(Role::Feed) && conn.is_upgraded() && round % 8 == 0 {
                    walk.write(next, clock.now().unix.millis(), conn.said());
                    next += 1;
                }
                conn.seal()?;
                let out = core::mem::take(&mut conn.out);
                ends.deliver(lane.transport(), at, &out)?;
            }
            drain.run();
            if lane.engine().wall.counters.get(Counter::OrdersSent) > 3 {
                break;
            }
            std::thread::sleep(core::time::Duration::from_micros(200));
        }
        let find = |role| conns.iter().position(|conn| conn.role == Some(role));
        let (Some(feed), Some(orders)) = (find(Role::Feed), find(Role::Orders)) else {
            bail!("the lane did not come up");
        };
        let mut take = |at: usize| -> anyhow::Result<Conn> {
            Ok(core::mem::replace(&mut conns[at], Conn::new(None)?))
        };
        let far = Far {
            feed: take(feed)?,
            orders: take(orders)?,
        };
        let has_span = ends.span().is_some();
        let mut ours = Self {
            lane,
            ends,
            clock,
            feed,
            orders,
            far,
            drain,
            has_span,
        };
        ours.settle(&mut desk)?;
        Ok(ours)
    }

    /// Whatever is still under way arrives and is answered.
    fn settle(&mut self, desk: &mut Desk) -> anyhow::Result<()> {
        for _ in 0..8 {
            self.lane.turn(self.clock.now());
            let mut bytes = Vec::new();
            self.ends
                .sent(self.lane.transport(), self.orders, &mut bytes)?;
            self.far.orders.on_bytes(&bytes)?;
            answer(desk, &mut self.far.orders);
            self.far.orders.seal()?;
            let out = core::mem::take(&mut self.far.orders.out);
            self.answers(&out)?;
        }
        Ok(())
    }
}

impl<E: Ends> Path for Ours<'_, E> {
    fn load(&mut self, cipher: &[u8]) -> anyhow::Result<()> {
        self.ends.deliver(self.lane.transport(), self.feed, cipher)
    }

    fn tick(&mut self) -> anyhow::Result<Option<u64>> {
        let now = self.clock.now();
        self.lane.turn(now);
        if !self.has_span {
            return Ok(None);
        }
        let span = self.ends.span();
        Ok(Some(span.context("no frame of this turn had an order")?))
    }

    fn far(&mut self, order: &mut Vec<u8>) -> anyhow::Result<&mut Far> {
        self.ends.sent(self.lane.transport(), self.orders, order)?;
        Ok(&mut self.far)
    }

    fn answers(&mut self, cipher: &[u8]) -> anyhow::Result<()> {
        self.ends
            .deliver(self.lane.transport(), self.orders, cipher)?;
        self.lane.turn(self.clock.now());
        self.drain.run();
        Ok(())
    }
}
