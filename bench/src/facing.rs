//! A venue's machine and its simulated venue, face to face: no socket, no TLS, no clock but the one that is set.
//!
//! ```text
//!   machine ─▶ Mouth (texts and requests, as a link takes them) ─▶ simulated venue
//!      ▲                                                                 │
//!      └────────────────────────── answers ◀─────────────────────────────┘
//! ```
//! What a machine writes is only counted when the venue took it: a figure for a refusal would flatter.

use anyhow::{Context as _, bail, ensure};
use dp_lane::AnyVenue;
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Decimal, Epoch, Instrument, LaneId, LinkId, NewOrder,
    Now, OrderId, OrderKind, OrderState, Price, Qty, Side, Tif, Tsc, UnixNanos, VenueId,
};
use dp_venue_api::{
    Capabilities, Event, LinkKind, Registry, RestRequest, RestResponse, RestTag, Secrets, Sink,
    Usage, Venue as _, VenueConfig,
};
use spinlane_sim::config::SimConfig;
use spinlane_sim::core::{ConnId, Out, Request, RequestId};
use spinlane_sim::flow::FlowConfig;
use spinlane_sim::keys::Credential;
use spinlane_sim::venues::Face;
use std::collections::{BTreeMap, HashMap};

/// Every venue, and what is traded there.
pub const VENUES: [(VenueId, &str); 10] = [
    (VenueId::BINANCE, "BTC-USDT@65000.00"),
    (VenueId::BITFINEX, "BTC-USDT@65000.00"),
    (VenueId::BYBIT, "BTC-USDT@65000.00"),
    (VenueId::COINBASE, "BTC-USD@65000.00"),
    (VenueId::DERIBIT, "BTC-USDC@65000.00"),
    (VenueId::HUOBI, "BTC-USDT@65000.00"),
    (VenueId::KRAKEN, "BTC-USD@65000.00"),
    (VenueId::KRAKEN_FUTURES, "BTC-USD@65000.00"),
    (VenueId::KUCOIN, "BTC-USDT@65000.00"),
    (VenueId::OKX, "BTC-USDT@65000.00"),
];
/// Where time starts, ns: 2025-10-09T08:53:20Z.
const START_NS: u64 = 1_760_000_000_000_000_000;
/// A step of time while coming up, ns, and how many there may be.
const STEP_NS: u64 = 100_000_000;
const STEPS_MAX: usize = 600;
/// Between two orders of a timed batch: a batch is over before the dead man's switch acts, 20 s, but at the two Krakens,
/// whose limits are the tightest and whose switch is the most patient.
const BATCH_STEP_NS: u64 = 210_000_000;
const KRAKEN_STEP_NS: u64 = 420_000_000;
/// Between two steps of what is not timed, and steps after it until every limit has room again: an order that is
/// cancelled within 300 s costs more than one at Kraken.
const CALM_STEP_NS: u64 = 5_000_000_000;
const CALM_STEPS: usize = 64;
/// How often both may speak in turn before they are taken to quarrel.
const TURNS_MAX: usize = 1_000;
/// Far below the market: rests for ever.
const PRICE: Decimal = Decimal {
    mantissa: 60_000,
    exponent: 0,
};
const QTY: Decimal = Decimal {
    mantissa: 1,
    exponent: -2,
};

/// One thing a machine said.
struct Word {
    link: LinkId,
    kind: Kind,
    /// Where it ends in the bytes; it begins where the one before ends.
    end: usize,
    /// When: the venue hears it then, whenever it is carried over.
    at_ns: u64,
}

enum Kind {
    Text,
    Request(RestTag, &'static str),
    Open,
    Again,
}

/// Takes what a machine says as a link does: every byte is copied once, nothing is allocated.
#[derive(Default)]
struct Mouth {
    now_ns: u64,
    bytes: Vec<u8>,
    words: Vec<Word>,
    /// Orders the venue holds, with its ids.
    live: BTreeMap<u64, (ClientOrderId, OrderId)>,
    refused: u64,
}

impl Mouth {
    fn push(&mut self, link: LinkId, kind: Kind) {
        let end = self.bytes.len();
        let at_ns = self.now_ns;
        self.words.push(Word {
            link,
            kind,
            end,
            at_ns,
        });
    }
}

impl Sink for Mouth {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Order(report) => {
                let Some(id) = report.client_id else {
                    return;
                };
                match report.state {
                    OrderState::Ack => {
                        self.live.insert(id.0, (id, report.order_id));
                    }
                    OrderState::Rejected => self.refused += 1,
                    state if state.is_final() => {
                        self.live.remove(&id.0);
                    }
                    _ => {}
                }
            }
            Event::Ack(ack) => {
                self.refused += u64::from(ack.reason != dp_types::RejectReason::None);
            }
            _ => {}
        }
    }

    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.push(link, Kind::Text);
    }

    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        self.bytes.extend_from_slice(request.target.as_bytes());
        self.bytes.push(b'\n');
        for (name, value) in request.headers {
            for part in [name, ":", value, "\n"] {
                self.bytes.extend_from_slice(part.as_bytes());
            }
        }
        self.bytes.push(b'\n');
        self.bytes.extend_from_slice(request.body);
        self.push(link, Kind::Request(request.tag, request.method.as_str()));
    }

    fn reconnect(&mut self, link: LinkId, _why: &'static str) {
        self.push(link, Kind::Again);
    }

    fn connect(&mut self, link: LinkId, path: &str) {
        self.bytes.extend_from_slice(path.as_bytes());
        self.push(link, Kind::Open);
    }
}

/// A machine that is logged in, and its venue.
pub struct Facing {
    machine: AnyVenue,
    registry: Registry,
    face: Box<dyn Face>,
    mouth: Mouth,
    conns: Vec<Option<ConnId>>,
    step_ns: u64,
    asked: HashMap<RequestId, (LinkId, RestTag)>,
    next: u64,
    instrument: Instrument,
    price: Price,
    qty: Qty,
    sequence: u32,
    /// Orders to be amended or cancelled in this batch.
    about: Vec<(ClientOrderId, OrderId)>,
    /// What the machine would not write.
    pub unwritten: u64,
}

impl Facing {
    /// Brings a machine up at its venue. Errors: it does not come up.
    pub fn new(venue: VenueId, symbol: &str) -> anyhow::Result<Self> {
        let known = spinlane_sim::venues::known(venue.name()).map_err(anyhow::Error::msg)?;
        let symbol = symbol.parse().map_err(anyhow::Error::msg)?;
        let face = (known.make)(&sim_config(symbol), START_NS);
        let mut registry = Registry::new();
        let machine = AnyVenue::new(venue, config(venue, face.symbol(0))?, &mut registry)?;
        let machine = machine.with_context(|| format!("this build has no {venue}"))?;
        let instrument = *registry.instruments().first().context("no instrument")?;
        let conns = vec![None; machine.links().len()];
        let mut facing = Self {
            machine,
            registry,
            face,
            mouth: Mouth {
                now_ns: START_NS,
                ..Mouth::default()
            },
            conns,
            step_ns: match venue {
                VenueId::KRAKEN | VenueId::KRAKEN_FUTURES => KRAKEN_STEP_NS,
                _ => BATCH_STEP_NS,
            },
            asked: HashMap::new(),
            next: 0,
            instrument,
            price: Price(0),
            qty: Qty(0),
            sequence: 0,
            about: Vec::new(),
            unwritten: 0,
        };
        facing.come_up().with_context(|| venue.name())?;
        Ok(facing)
    }

    /// What the venue offers.
    pub fn capabilities(&self) -> &'static Capabilities {
        self.machine.capabilities()
    }

    /// Orders the venue did not take, or a change of one.
    pub const fn refused(&self) -> u64 {
        self.mouth.refused
    }

    fn come_up(&mut self) -> anyhow::Result<()> {
        let links: Vec<_> = self.machine.links().to_vec();
        for spec in links.iter().filter(|spec| !spec.is_held) {
            self.open(spec.id, &spec.path);
        }
        for _ in 0..STEPS_MAX {
            self.pass(STEP_NS)?;
            let known = self.registry.get(self.instrument.id);
            self.instrument = *known.context("the instrument is gone")?;
            if !self.instrument.is_live {
                continue;
            }
            self.price = self.instrument.price(PRICE)?;
            self.qty = self.instrument.qty(QTY)?;
            self.unwritten = 0;
            if self.place() {
                self.exchange()?;
                self.pass(STEP_NS)?;
                ensure!(!self.mouth.live.is_empty(), "an order is not acknowledged");
                return self.clear();
            }
        }
        bail!("it takes no order within {STEPS_MAX} steps")
    }

    fn now(&self) -> Now {
        Now {
            unix: UnixNanos(self.mouth.now_ns),
            tsc: Tsc(self.mouth.now_ns),
        }
    }

    /// One new order. Whether it was written.
    pub fn place(&mut self) -> bool {
        self.mouth.now_ns += self.step_ns;
        self.sequence += 1;
        let Some(client_id) = ClientOrderId::new(Epoch(1), LaneId(0), self.sequence) else {
            return false;
        };
        let order = NewOrder {
            instrument: self.instrument.id,
            client_id,
            side: Side::Buy,
            kind: OrderKind::PostOnly,
            tif: Tif::Gtc,
            price: self.price,
            qty: self.qty,
        };
        let now = self.now();
        let result = self
            .machine
            .new_order(&self.registry, &order, now, &mut self.mouth);
        self.count(result.is_ok())
    }

    /// Changes the next order of this batch: its price where that can be, else less of it.
    pub fn amend(&mut self, at: usize) -> bool {
        self.mouth.now_ns += self.step_ns;
        let Some(&(client_id, order_id)) = self.about.get(at % self.about.len().max(1)) else {
            return self.count(false);
        };
        let has_price = self.machine.capabilities().amend_price;
        let amend = AmendOrder {
            instrument: self.instrument.id,
            client_id,
            order_id,
            price: has_price.then(|| Price(self.price.0 - self.instrument.tick.0)),
            qty: (!has_price).then(|| Qty(self.qty.0 - self.instrument.lot.0)),
        };
        let now = self.now();
        let result = self
            .machine
            .amend_order(&self.registry, &amend, now, &mut self.mouth);
        self.count(result.is_ok())
    }

    /// Cancels the next order of this batch.
    pub fn cancel(&mut self, at: usize) -> bool {
        self.mouth.now_ns += self.step_ns;
        let Some(&(client_id, order_id)) = self.about.get(at % self.about.len().max(1)) else {
            return self.count(false);
        };
        let cancel = CancelOrder {
            instrument: self.instrument.id,
            client_id,
            order_id,
        };
        let now = self.now();
        let result = self
            .machine
            .cancel_order(&self.registry, &cancel, now, &mut self.mouth);
        self.count(result.is_ok())
    }

    fn count(&mut self, is_written: bool) -> bool {
        self.unwritten += u64::from(!is_written);
        is_written
    }

    /// Untimed: what was written reaches the venue, and nothing is live any more.
    pub fn clear(&mut self) -> anyhow::Result<()> {
        self.exchange()?;
        self.about = self.mouth.live.values().copied().collect();
        for at in 0..self.about.len() {
            self.cancel(at);
            self.pass(CALM_STEP_NS)?;
        }
        self.calm()?;
        let left = self.mouth.live.len();
        ensure!(left == 0, "{left} orders cannot be cancelled");
        Ok(())
    }

    /// Untimed: so many orders are live, and the next batch is about them.
    pub fn fill(&mut self, count: usize) -> anyhow::Result<()> {
        self.clear()?;
        for _ in 0..count {
            self.place();
            self.pass(CALM_STEP_NS)?;
        }
        self.calm()?;
        let live = self.mouth.live.len();
        let (venue, refused) = (self.machine.id(), self.mouth.refused);
        ensure!(
            live == count,
            "{venue}: {live} of {count} orders are live, {} not written, {refused} refused",
            self.unwritten
        );
        self.about = self.mouth.live.values().copied().collect();
        Ok(())
    }

    fn calm(&mut self) -> anyhow::Result<()> {
        (0..CALM_STEPS).try_for_each(|_| self.pass(CALM_STEP_NS))
    }

    /// Lets time pass on both sides.
    fn pass(&mut self, ns: u64) -> anyhow::Result<()> {
        self.exchange()?;
        self.mouth.now_ns += ns;
        self.exchange()?;
        let now = self.now();
        self.machine
            .on_deadline(&self.registry, now, &mut self.mouth);
        self.exchange()
    }

    fn open(&mut self, link: LinkId, path: &str) {
        let kind = self.machine.links()[usize::from(link.0)].kind;
        if kind == LinkKind::WebSocket {
            self.next += 1;
            self.conns[usize::from(link.0)] = Some(self.next);
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            self.face.open(self.next, path, query);
        }
        let now = self.now();
        self.machine
            .on_open(&mut self.registry, link, now, &mut self.mouth);
    }

    fn close(&mut self, link: LinkId) {
        if let Some(conn) = self.conns[usize::from(link.0)].take() {
            self.face.closed(conn);
        }
        let now = self.now();
        self.machine.on_closed(link, now, &mut self.mouth);
        let spec = self.machine.links()[usize::from(link.0)].clone();
        if !spec.is_held {
            self.open(link, &spec.path);
        }
    }

    /// Both hear each other out. Errors: they never end, or the machine does not understand.
    fn exchange(&mut self) -> anyhow::Result<()> {
        for _ in 0..TURNS_MAX {
            let words = std::mem::take(&mut self.mouth.words);
            let bytes = std::mem::take(&mut self.mouth.bytes);
            let mut begin = 0;
            for word in &words {
                self.face.step(word.at_ns);
                self.tell_face(word, &bytes[begin..word.end])?;
                begin = word.end;
            }
            let has_told = !words.is_empty();
            // Their room is kept: a timed batch grows neither, and whatever was said meanwhile stands behind.
            self.keep_room(words, bytes);
            self.face.step(self.mouth.now_ns);
            if !self.hear_face()? && !has_told {
                return Ok(());
            }
        }
        bail!("machine and venue do not come to an end")
    }

    fn keep_room(&mut self, mut words: Vec<Word>, mut bytes: Vec<u8>) {
        words.clear();
        bytes.clear();
        words.append(&mut self.mouth.words);
        bytes.append(&mut self.mouth.bytes);
        (self.mouth.words, self.mouth.bytes) = (words, bytes);
    }

    fn tell_face(&mut self, word: &Word, bytes: &[u8]) -> anyhow::Result<()> {
        let text = core::str::from_utf8(bytes)?;
        match word.kind {
            Kind::Text => {
                let conn = self.conns[usize::from(word.link.0)].context("a closed link")?;
                self.face.text(conn, text);
            }
            Kind::Request(tag, method) => {
                self.next += 1;
                self.asked.insert(self.next, (word.link, tag));
                self.face.http(self.next, &request(method, text)?);
            }
            Kind::Open => self.open(word.link, text),
            Kind::Again => self.close(word.link),
        }
        Ok(())
    }

    /// Whether it said anything.
    fn hear_face(&mut self) -> anyhow::Result<bool> {
        let outs = self.face.core().take_out();
        let has_any = !outs.is_empty();
        let now = self.now();
        for out in outs {
            let Self {
                machine,
                registry,
                mouth,
                conns,
                ..
            } = self;
            let link_of = |conn: ConnId| {
                let at = conns.iter().position(|one| *one == Some(conn));
                at.map(|at| LinkId(at as u8))
            };
            match out {
                Out::Text(conn, text) => {
                    if let Some(link) = link_of(conn) {
                        let mut text = text.into_bytes();
                        let _ = machine.on_text(registry, link, now, &mut text, mouth);
                    }
                }
                Out::Binary(conn, mut bytes) => {
                    if let Some(link) = link_of(conn) {
                        let _ = machine.on_binary(registry, link, now, &mut bytes, mouth);
                    }
                }
                Out::Ping(conn) => self.face.pong(conn),
                Out::Close(conn, _) => {
                    if let Some(link) = link_of(conn) {
                        self.close(link);
                    }
                }
                Out::Reply(id, response) => {
                    let (link, tag) = self.asked.remove(&id).context("an answer to nothing")?;
                    let mut body = response.body.into_bytes();
                    let response = RestResponse {
                        tag,
                        status: response.status,
                        retry_after_s: None,
                        usage: Usage::default(),
                        body: &mut body,
                    };
                    let _ = machine.on_response(registry, link, now, response, mouth);
                }
                Out::Chunk(..) | Out::Hang(_) => bail!("an answer of a kind nobody here waits for"),
            }
        }
        Ok(has_any)
    }
}

/// A request out of its text: target, fields, an empty line, body.
fn request(method: &str, text: &str) -> anyhow::Result<Request> {
    let (head, body) = text.split_once("\n\n").context("a request's head")?;
    let mut lines = head.lines();
    let target = lines.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // As a link adds it; some venues sign it.
    let fields = core::iter::once(("host", "localhost"));
    let fields = fields.chain(lines.filter_map(|line| line.split_once(':')));
    Ok(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: fields
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    })
}

/// Nobody else trades there, and its own limits are far away: the machine keeps the documented ones.
fn sim_config(symbol: spinlane_sim::config::Symbol) -> SimConfig {
    SimConfig {
        symbols: vec![symbol],
        flow: FlowConfig {
            ticks_per_s: 0,
            ..FlowConfig::default()
        },
        quote_deposit: 1_000_000_000,
        orders_per_10s: 1_000_000,
        okx_orders_per_2s: 1_000_000,
        weight_per_minute: 100_000_000,
        rate_factor: 10_000,
        ping_s: 1_000_000_000,
        lifetime_s: 1_000_000_000,
        idle_s: 1_000_000_000,
        ..SimConfig::default()
    }
}

fn config(venue: VenueId, symbol: String) -> anyhow::Result<VenueConfig> {
    let host = || ("localhost".to_owned(), 443);
    Ok(VenueConfig {
        rest: host(),
        public: host(),
        private: host(),
        symbols: vec![symbol],
        secrets: secrets(venue)?,
        order_window_ms: 5_000,
        ..VenueConfig::default()
    })
}

/// The keys of a simulated venue's first account. Errors: the simulator has no such venue.
pub fn secrets(venue: VenueId) -> anyhow::Result<Secrets> {
    let known = spinlane_sim::venues::known(venue.name()).map_err(anyhow::Error::msg)?;
    let key = Credential::default_key(1);
    Ok(Secrets {
        api_key: key.api_key.clone(),
        api_secret: if known.has_base64_secret {
            key.secret_base64().into()
        } else {
            key.api_secret.as_str().into()
        },
        passphrase: key.passphrase.as_str().into(),
        ed25519_pem: if known.has_ed25519 {
            key.ed25519_pem().into()
        } else {
            String::new().into()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_venue_takes_what_its_machine_writes() {
        for (venue, symbol) in VENUES {
            let mut facing = Facing::new(venue, symbol).unwrap();
            // A batch that is heard as late as the last of it.
            (0..crate::meter::BATCH).for_each(|_| assert!(facing.place(), "{venue}"));
            facing.fill(5).unwrap();
            let can = facing.capabilities();
            if can.amend_price || can.amend_qty {
                assert!(facing.amend(0), "{venue}");
                facing.exchange().unwrap();
            }
            facing.clear().unwrap();
            assert_eq!((facing.unwritten, facing.refused()), (0, 0), "{venue}");
        }
    }
}
