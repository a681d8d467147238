//! `in-process`: from a tick's TLS record to its order's TLS record, in memory, on one core.
//!
//! ```text
//!   ours    lane.turn():  record ─▶ open ─▶ frame ─▶ machine ─▶ book ─▶ strategy ─▶ … ─▶ seal ─▶ record
//!   peer    rustls ─▶ tungstenite ─▶ serde_json ─▶ BTreeMap ─▶ serde_json ─▶ tungstenite ─▶ rustls
//! ```
//! Hot: one tick after the other. Paced: 100 us of empty socket reads before each, which is what a real feed
//! does to the caches. Both are asked in blocks, in turn; the venue's end (sealing, opening, answering) is
//! untimed.

use crate::client::{floor, lane};
use crate::host::{Hiccups, Seats, Suffered};
use crate::naive::App;
use crate::scratch::Scratch;
use crate::stats::Samples;
use crate::summary::Summary;
use crate::target::Bound;
use crate::venue::conn::{Conn, Role};
use crate::venue::drain::Drain;
use crate::venue::texts::{Desk, Heard};
use crate::venue::{ca, walk::Walk};
use anyhow::{Context as _, bail, ensure};
use dp_lane::Lane;
use dp_shm::{Counter, Region};
use dp_transport::{Clock, Mem, Socket, tsc};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConfig, StreamOwned};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::Arc;
use tungstenite::protocol::Role as WsRole;
use tungstenite::{Message, WebSocket};

/// Ticks of one block: they share a window.
const BLOCK: usize = 256;
/// Empty socket reads before a paced tick, ns.
const PAUSE_NS: u64 = 100_000;
/// Ticks before the first that counts.
const WARM: usize = 2_000;
const OURS: &str = "spinlane lane";
const PEER: &str = "rustls+tungstenite+serde_json+BTreeMap";

/// What `in-process` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Ticks a client and way of pacing.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(500..=10_000_000))]
    pub ticks: u32,
    /// Core to measure on.
    #[arg(long, default_value_t = 0)]
    pub core: usize,
    /// Only our own path.
    #[arg(long)]
    pub ours: bool,
    /// Fail unless every target is proven by its whole interval.
    #[arg(long)]
    pub gate: bool,
}

/// The venue's end of a client in memory.
struct Far {
    feed: Conn,
    orders: Conn,
}

/// One who answers ticks in memory.
trait Path {
    /// Takes the next tick's record, untimed.
    fn load(&mut self, cipher: &[u8]);
    /// The timed part: from the record to the order's record.
    fn tick(&mut self) -> anyhow::Result<()>;
    /// The order's record; the venue's end.
    fn far(&mut self, order: &mut Vec<u8>) -> &mut Far;
    /// Takes the venue's answers, untimed.
    fn answers(&mut self, cipher: &[u8]) -> anyhow::Result<()>;
}

/// The production lane.
struct Ours<'r> {
    lane: Lane<'r, Mem>,
    clock: Clock,
    feed: Socket,
    orders: Socket,
    far: Far,
    drain: Drain<'r>,
}

impl<'r> Ours<'r> {
    fn new(
        region: &'r Region,
        clock: Clock,
        ca: &str,
        server: &Arc<ServerConfig>,
        walk: &Walk,
    ) -> anyhow::Result<Self> {
        lane::begin(region, &clock);
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let mut lane = lane::build(region, Mem::new(), clock, address, ca.as_bytes(), 1)?;
        let mut conns: BTreeMap<usize, (Socket, Conn)> = BTreeMap::new();
        let (mut desk, mut next, mut drain) = (Desk::default(), 0, Drain::new(region)?);
        let mut bytes = Vec::new();
        for round in 0..5_000 {
            lane.turn(clock.now());
            let opened: Vec<_> = lane.transport().opened().collect();
            for (at, (socket, _)) in opened.into_iter().enumerate() {
                if let std::collections::btree_map::Entry::Vacant(free) = conns.entry(at) {
                    free.insert((socket, Conn::new(Some(server))?));
                }
                let Some((socket, conn)) = conns.get_mut(&at) else {
                    continue;
                };
                bytes.clear();
                lane.transport().sent(*socket, &mut bytes);
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
                lane.transport().deliver(*socket, &out);
            }
            drain.run();
            if lane.engine().wall.counters.get(Counter::OrdersSent) > 3 {
                break;
            }
            std::thread::sleep(core::time::Duration::from_micros(200));
        }
        let mut take = |role| {
            let at = conns
                .iter()
                .find(|(_, (_, conn))| conn.role == Some(role))?;
            let at = *at.0;
            conns.remove(&at)
        };
        let (Some((feed, feed_conn)), Some((orders, orders_conn))) =
            (take(Role::Feed), take(Role::Orders))
        else {
            bail!("the lane did not come up");
        };
        Ok(Self {
            lane,
            clock,
            feed,
            orders,
            far: Far {
                feed: feed_conn,
                orders: orders_conn,
            },
            drain,
        })
    }
}

impl Path for Ours<'_> {
    fn load(&mut self, cipher: &[u8]) {
        self.lane.transport().deliver(self.feed, cipher);
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now();
        self.lane.turn(now);
        Ok(())
    }

    fn far(&mut self, order: &mut Vec<u8>) -> &mut Far {
        self.lane.transport().sent(self.orders, order);
        &mut self.far
    }

    fn answers(&mut self, cipher: &[u8]) -> anyhow::Result<()> {
        self.lane.transport().deliver(self.orders, cipher);
        self.lane.turn(self.clock.now());
        self.drain.run();
        Ok(())
    }
}

/// What a socket would be.
#[derive(Default)]
struct Pipe {
    inbox: Vec<u8>,
    read: usize,
    out: Vec<u8>,
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Pipe>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        let waiting = &pipe.inbox[pipe.read..];
        let count = waiting.len().min(buffer.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..count].copy_from_slice(&waiting[..count]);
        pipe.read += count;
        if pipe.read == pipe.inbox.len() {
            pipe.inbox.clear();
            pipe.read = 0;
        }
        Ok(count)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

type Stream = StreamOwned<ClientConnection, Shared>;

/// The stack people use, without a runtime and without sockets.
struct Peer {
    feed: WebSocket<Stream>,
    orders: WebSocket<Stream>,
    feed_pipe: Shared,
    orders_pipe: Shared,
    app: App,
    far: Far,
}

impl Peer {
    fn new(ca: &str, server: &Arc<ServerConfig>) -> anyhow::Result<Self> {
        let config = floor::tls_config(ca.as_bytes())?;
        let open = |path: &str| -> anyhow::Result<_> {
            let name = ServerName::try_from("localhost")?;
            let tls = ClientConnection::new(Arc::clone(&config), name)?;
            let pipe = Shared::default();
            let mut stream = StreamOwned::new(tls, pipe.clone());
            let mut conn = Conn::new(Some(server))?;
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.conn.writer().write_all(head.as_bytes())?;
            let mut answer = Vec::new();
            for _ in 0..20 {
                let _ = stream.conn.complete_io(&mut stream.sock);
                let sent = core::mem::take(&mut pipe.0.borrow_mut().out);
                conn.on_bytes(&sent)?;
                conn.next_request()?;
                pipe.0.borrow_mut().inbox.append(&mut conn.out);
                let mut buffer = [0; 1_024];
                if let Ok(count) = stream.read(&mut buffer) {
                    answer.extend_from_slice(&buffer[..count]);
                }
                if answer.ends_with(b"\r\n\r\n") {
                    let socket = WebSocket::from_raw_socket(stream, WsRole::Client, None);
                    return Ok((socket, pipe, conn));
                }
            }
            bail!("the peer's handshake did not end")
        };
        let (orders, orders_pipe, orders_conn) = open("/ws-api/v3")?;
        let (feed, feed_pipe, feed_conn) = open("/stream?streams=btcusdt@depth@100ms")?;
        Ok(Self {
            feed,
            orders,
            feed_pipe,
            orders_pipe,
            app: App::new(1),
            far: Far {
                feed: feed_conn,
                orders: orders_conn,
            },
        })
    }
}

impl Path for Peer {
    fn load(&mut self, cipher: &[u8]) {
        self.feed_pipe
            .0
            .borrow_mut()
            .inbox
            .extend_from_slice(cipher);
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        let Message::Text(text) = self.feed.read()? else {
            bail!("a tick is a text");
        };
        let order = self.app.on_tick(&text);
        let order = order.ok().flatten().context("a tick calls for an order")?;
        self.orders.send(Message::text(order))?;
        Ok(())
    }

    fn far(&mut self, order: &mut Vec<u8>) -> &mut Far {
        order.append(&mut self.orders_pipe.0.borrow_mut().out);
        &mut self.far
    }

    fn answers(&mut self, cipher: &[u8]) -> anyhow::Result<()> {
        self.orders_pipe
            .0
            .borrow_mut()
            .inbox
            .extend_from_slice(cipher);
        for _ in 0..2 {
            let Message::Text(text) = self.orders.read()? else {
                bail!("an answer is a text");
            };
            let heard = self.app.on_answer(&text);
            ensure!(heard.is_ok(), "an answer could not be read");
        }
        ensure!(self.app.live() == 0, "an order rests");
        Ok(())
    }
}

/// Says what the desk says to every request that came; returns the orders among them.
fn answer(desk: &mut Desk, conn: &mut Conn) -> Vec<Option<u64>> {
    let mut numbers = Vec::new();
    while let Some(text) = conn.next_frame() {
        if let Heard::Order(number) = desk.hear(text, 1_760_000_000_000) {
            numbers.push(number);
        }
        for text in desk.said() {
            conn.say(text);
        }
    }
    numbers
}

/// What a tick is preceded by.
struct Pause {
    socket: UdpSocket,
    clock: Clock,
}

impl Pause {
    fn new(clock: Clock) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, clock })
    }

    fn pass(&self) {
        let begin = tsc();
        let mut buffer = [0; 64];
        while self.clock.cycles_to_ns(tsc().since(begin)) < PAUSE_NS {
            let _ = self.socket.recv(&mut buffer);
        }
    }
}

/// A block of ticks through one path. Errors: a tick without its one order.
fn block(
    path: &mut dyn Path,
    walk: &Walk,
    next: &mut u64,
    desk: &mut Desk,
    pause: Option<&Pause>,
    clock: &Clock,
) -> anyhow::Result<(Vec<(u32, u32)>, bool)> {
    let mut values = Vec::with_capacity(BLOCK);
    let (mut cipher, mut order) = (Vec::new(), Vec::new());
    let before = Suffered::own();
    for _ in 0..BLOCK {
        order.clear();
        cipher.clear();
        let feed = &mut path.far(&mut order).feed;
        walk.write(*next, clock.now().unix.millis(), feed.said());
        feed.seal()?;
        cipher.append(&mut feed.out);
        if let Some(pause) = pause {
            pause.pass();
        }
        path.load(&cipher);
        let start = tsc();
        path.tick()?;
        let cycles = tsc().since(start);
        let orders = &mut path.far(&mut order).orders;
        orders.on_bytes(&order)?;
        let numbers = answer(desk, orders);
        ensure!(
            numbers == [Some(*next % crate::venue::walk::NUMBERS)],
            "tick {next} was answered with {numbers:?}"
        );
        orders.seal()?;
        let out = core::mem::take(&mut orders.out);
        path.answers(&out)?;
        let ns = u32::try_from(clock.cycles_to_ns(cycles)).unwrap_or(u32::MAX);
        values.push((ns.max(1), 0));
        *next += 1;
    }
    let is_clean = Suffered::own().since(before).switches == 0;
    Ok((values, is_clean))
}

/// Runs it. Errors: a path that does not do its part.
pub fn run(args: &Args) -> anyhow::Result<Summary> {
    let clock = Clock::calibrate(100);
    let seats = Seats::find(args.core, args.core);
    let mut hiccups = Hiccups::default();
    let run = || -> anyhow::Result<Summary> {
        seats.sit(seats.client_core);
        hiccups.look(&clock, 50_000_000);
        measure(args, &seats, hiccups, clock)
    };
    let outcome = std::thread::scope(|scope| scope.spawn(run).join());
    outcome.unwrap_or_else(|_| bail!("the measuring thread panicked"))
}

fn measure(args: &Args, seats: &Seats, hiccups: Hiccups, clock: Clock) -> anyhow::Result<Summary> {
    let (ca, server) = ca::certificates()?;
    let walk = Walk::new();
    let scratch = Scratch::new(&lane::shape())?;
    let mut ours = Ours::new(&scratch.region, clock, &ca, &server, &walk)?;
    let mut peer = Peer::new(&ca, &server)?;
    let pause = Pause::new(clock)?;
    let mut paths: Vec<(&str, &mut dyn Path)> = vec![(OURS, &mut ours)];
    if !args.ours {
        paths.push((PEER, &mut peer));
    }
    // Ours continues the stream it was spliced into; the peer takes any.
    let mut nexts = [walk_position(&scratch.region), 0];
    let mut desk = Desk::default();
    let blocks = (args.ticks as usize).div_ceil(BLOCK);
    let mut summary = Summary::new("in_process", clock.tsc_hz(), seats.clone(), hiccups);
    summary.seats.is_apart = true;
    summary.notes = summary.seats.doubts();
    for (group, pause) in [("paced 100 us", Some(&pause)), ("hot", None)] {
        let names = paths
            .iter()
            .map(|(name, _)| ((*name).to_owned(), Samples::default()));
        let mut all: Vec<(String, Samples)> = names.collect();
        for round in 0..blocks + WARM.div_ceil(BLOCK).min(blocks) {
            for (at, (_, path)) in paths.iter_mut().enumerate() {
                let next = &mut nexts[at];
                let (values, is_clean) = block(*path, &walk, next, &mut desk, pause, &clock)?;
                if round >= WARM.div_ceil(BLOCK).min(blocks) {
                    all[at].1.add_round(&[is_clean], values);
                }
            }
        }
        summary.add(group, &all);
    }
    judge(&mut summary);
    Ok(summary)
}

/// The number of the tick our lane expects: one past those it has heard.
fn walk_position(region: &Region) -> u64 {
    let lane = region.lane(dp_types::LaneId(0));
    // The snapshot is a book event too.
    lane.map_or(0, |lane| {
        lane.counters.get(Counter::BookEvents) - lane.counters.get(Counter::Snapshots)
    })
}

/// Design, section 7: paced 1.5 us and 3.2 us, and the peer stack at least five times as long.
fn judge(summary: &mut Summary) {
    let group = "paced 100 us";
    if let Some(found) = summary.ratio(group, PEER, "p50") {
        let what = "in process, paced: peer stack / spinlane, p50, at least 5".to_owned();
        summary
            .targets
            .push(Bound::AtLeast.judge(what, 5.0, found, true));
    }
    let Some(figures) = summary.clean(group, OURS) else {
        return;
    };
    for (what, target, found) in [
        (
            "in process, paced: p50, at most 1.5 us",
            1_500.0,
            figures.p50,
        ),
        (
            "in process, paced: p99, at most 3.2 us",
            3_200.0,
            figures.p99,
        ),
    ] {
        let verdict = Bound::AtMost.judge(what.to_owned(), target, found, false);
        summary.targets.push(verdict);
    }
}
