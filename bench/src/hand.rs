//! The dataplane's compute path turned by hand: venue machine, book, strategy, risk, OMS and journal without
//! sockets, TLS or a lane around them.
//!
//! ```text
//!   text ─▶ Venue::on_text ─▶ Engine::on_event ─▶ Action::New ─▶ Venue::new_order ─▶ text
//!                 ▲                                                                    │ (the bench venue's
//!                 └──────────────────────── acknowledgement, expiry ◀─────────────────┘  desk answers)
//! ```
//! What is here is what `dp-lane` does with the same parts; links, transport and timers are left out.

use crate::client::lane;
use crate::venue::drain::Drain;
use crate::venue::texts::Desk;
use crate::venue::walk::Walk;
use anyhow::{Context as _, ensure};
use dp_lane::{Action, AnyVenue, Engine};
use dp_shm::{Counter, Region};
use dp_strategy::{Intents, Strategy, View};
use dp_transport::{Clock, tsc};
use dp_types::{LinkId, Now, QuoteMsg, TradeMsg, Tsc, VenueId};
use dp_venue_api::{
    Control, Event, Registry, RestRequest, RestResponse, RestTag, Sink, Venue as _,
};
use dp_venue_binance::{LINK_MD, LINK_ORDERS, LINK_REST};
use std::hint::black_box;
use std::net::SocketAddr;

/// What the machine wants sent.
#[derive(Default)]
struct Outgoing {
    /// Texts of the order link, one after the other, and where each ends.
    texts: Vec<u8>,
    ends: Vec<usize>,
    requests: Vec<(LinkId, RestTag, String)>,
    has_instruments: bool,
}

struct Tap<'s, 'r> {
    engine: &'s mut Engine<'r>,
    out: &'s mut Outgoing,
    now: Now,
    since: Tsc,
}

impl Sink for Tap<'_, '_> {
    #[inline]
    fn event(&mut self, event: &Event<'_>) {
        let venue = VenueId::BINANCE;
        match event {
            Event::Control(Control::InstrumentsReady) => self.out.has_instruments = true,
            Event::Control(Control::LoggedIn(_)) => self.engine.on_logged_in(venue, self.now),
            Event::Control(Control::ReconcileStarted) => {
                self.engine.on_reconcile_started(venue, self.now);
            }
            Event::Control(Control::Reconciled) => self.engine.on_reconciled(venue, self.now),
            event => self.engine.on_event(event, self.now, self.since),
        }
    }

    fn send_text(&mut self, _link: LinkId, text: &[u8]) {
        self.out.texts.extend_from_slice(text);
        self.out.ends.push(self.out.texts.len());
    }

    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        let target = request.target.to_owned();
        self.out.requests.push((link, request.tag, target));
    }

    fn reconnect(&mut self, _link: LinkId, why: &'static str) {
        black_box(why);
    }
}

/// A strategy that reads what comes and wishes for nothing: the imbalance over five levels a side, the best
/// quote's, the flow of trades, in integers.
#[derive(Debug, Default)]
pub struct Signal {
    flow: i64,
}

impl Strategy for Signal {
    fn name(&self) -> &'static str {
        "bench_signal"
    }

    fn on_book(&mut self, view: &View<'_>, _out: &mut Intents) {
        let bids = view.book.bids().take(5).map(|level| level.qty.0);
        let asks = view.book.asks().take(5).map(|level| level.qty.0);
        let (bids, asks): (i64, i64) = (bids.sum(), asks.sum());
        black_box(bids.wrapping_sub(asks));
    }

    fn on_trade(&mut self, _view: &View<'_>, trade: &TradeMsg, _out: &mut Intents) {
        self.flow = black_box(self.flow.wrapping_add(trade.qty.mantissa));
    }

    fn on_quote(&mut self, _view: &View<'_>, quote: &QuoteMsg, _out: &mut Intents) {
        black_box(quote.bid.qty.mantissa.wrapping_sub(quote.ask.qty.mantissa));
    }
}

/// The parts and the bench venue's desk.
pub struct Hand<'r> {
    machine: AnyVenue,
    registry: Registry,
    /// Books, strategies, orders.
    pub engine: Engine<'r>,
    out: Outgoing,
    desk: Desk,
    drain: Drain<'r>,
    clock: Clock,
    walk: Walk,
    /// The text a machine is about to be given.
    text: Vec<u8>,
    /// Number of the next tick.
    pub next: u64,
    /// Texts that were not understood.
    pub faults: u64,
}

impl<'r> Hand<'r> {
    /// A machine and an engine that are up and have heard a first tick: instruments known, logged on,
    /// reconciled, book spliced. Errors: they do not come up.
    pub fn new(
        region: &'r Region,
        clock: Clock,
        strategy: impl Fn() -> Box<dyn Strategy + Send>,
    ) -> anyhow::Result<Self> {
        lane::begin(region, &clock);
        let mut registry = Registry::new();
        let config = lane::venue_config(SocketAddr::from(([127, 0, 0, 1], 1)));
        let machine = AnyVenue::new(VenueId::BINANCE, config, &mut registry)?;
        let machine = machine.context("this build has no Binance")?;
        let engine = lane::engine(region, &registry)?;
        let mut hand = Self {
            machine,
            registry,
            engine,
            out: Outgoing::default(),
            desk: Desk::default(),
            drain: Drain::new(region)?,
            clock,
            walk: Walk::new(),
            text: Vec::with_capacity(4 << 10),
            next: 0,
            faults: 0,
        };
        for link in [LINK_REST, LINK_MD, LINK_ORDERS] {
            hand.open(link);
            hand.settle(&strategy);
        }
        for _ in 0..20 {
            hand.load_tick();
            hand.tick();
            hand.settle(&strategy);
            let now = hand.clock.now();
            hand.engine.read_words(now);
            hand.engine.on_tick(now);
            hand.settle(&strategy);
            std::thread::sleep(core::time::Duration::from_millis(2));
        }
        let snapshots = hand.engine.wall.counters.get(Counter::Snapshots);
        ensure!(
            snapshots > 0 && hand.faults == 0,
            "the machine did not come up: {snapshots} snapshots, {} faults",
            hand.faults
        );
        Ok(hand)
    }

    /// Gives the machine something and the engine what comes of it.
    fn with<R>(
        &mut self,
        say: impl FnOnce(&mut AnyVenue, &mut Registry, Now, &mut Tap<'_, 'r>) -> R,
    ) -> R {
        let now = self.clock.now();
        let mut tap = Tap {
            engine: &mut self.engine,
            out: &mut self.out,
            now,
            since: tsc(),
        };
        say(&mut self.machine, &mut self.registry, now, &mut tap)
    }

    fn open(&mut self, link: LinkId) {
        self.with(|machine, registry, now, tap| machine.on_open(registry, link, now, tap));
    }

    /// Copies the next tick's text to where the machine parses it: as warm as bytes just decrypted.
    pub fn load_tick(&mut self) {
        self.text.clear();
        self.walk
            .write_text(self.next, 1_760_000_000_000, &mut self.text);
        self.next += 1;
    }

    /// The same with whatever `write` puts there.
    pub fn load_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.text.clear();
        write(&mut self.text);
    }

    /// Copies any text there.
    pub fn load(&mut self, text: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(text);
    }

    /// The loaded text through machine, book and strategy, and the order that comes of it to its text.
    #[inline]
    pub fn tick(&mut self) {
        self.hear(LINK_MD);
        self.act();
    }

    #[inline]
    fn hear(&mut self, link: LinkId) {
        let mut text = core::mem::take(&mut self.text);
        let result = self.with(|machine, registry, now, tap| {
            machine.on_text(registry, link, now, &mut text, tap)
        });
        self.faults += u64::from(result.is_err());
        self.text = text;
    }

    /// Carries out what the engine wants.
    #[inline]
    fn act(&mut self) {
        while let Some(action) = self.engine.next_action() {
            let now = self.clock.now();
            match action {
                Action::New(order) => {
                    let sent = self.with(|machine, registry, now, tap| {
                        machine.new_order(registry, &order, now, tap)
                    });
                    if sent.is_ok() {
                        self.engine.on_new_sent(order.client_id, now);
                    }
                }
                Action::Snapshot(id, _) => self.with(|machine, registry, now, tap| {
                    machine.request_snapshot(registry, id, now, tap);
                }),
                Action::Reconcile(_) => self.with(|machine, registry, now, tap| {
                    machine.reconcile(registry, now, tap);
                }),
                _ => {}
            }
        }
    }

    /// The desk's answers to what was sent go back into the machine. Returns how many orders there were.
    pub fn answer(&mut self) -> u64 {
        let sent = core::mem::take(&mut self.out.texts);
        let ends = core::mem::take(&mut self.out.ends);
        let (mut from, mut orders) = (0, 0);
        for end in &ends {
            let text = core::str::from_utf8(&sent[from..*end]).unwrap_or_default();
            from = *end;
            let heard = self.desk.hear(text, 1_760_000_000_000);
            orders += u64::from(matches!(heard, crate::venue::texts::Heard::Order(Some(_))));
            let answers: Vec<String> = self.desk.said().map(str::to_owned).collect();
            for answer in answers {
                self.load(answer.as_bytes());
                self.hear(LINK_ORDERS);
            }
        }
        self.drain.run();
        orders
    }

    /// Everything cold: REST answers, instruments, deadlines, until nothing is left to do.
    fn settle(&mut self, strategy: &impl Fn() -> Box<dyn Strategy + Send>) {
        for _ in 0..100 {
            self.with(|machine, registry, now, tap| machine.on_deadline(registry, now, tap));
            self.act();
            self.answer();
            let requests = core::mem::take(&mut self.out.requests);
            let is_done = requests.is_empty() && self.out.ends.is_empty();
            for (link, tag, target) in requests {
                let body = Desk::rest(&self.walk, self.next, &target).into_owned();
                let result = self.with(|machine, registry, now, tap| {
                    let mut body = body.into_bytes();
                    let response = RestResponse {
                        tag,
                        status: 200,
                        retry_after_s: None,
                        usage: dp_venue_api::Usage::default(),
                        body: &mut body,
                    };
                    machine.on_response(registry, link, now, response, tap)
                });
                self.faults += u64::from(result.is_err());
            }
            if core::mem::take(&mut self.out.has_instruments) {
                let instruments = self.registry.instruments();
                self.engine.set_instruments(VenueId::BINANCE, instruments);
                let venue = VenueId::BINANCE;
                lane::set_up(&self.registry, &mut self.engine, venue, strategy());
            }
            if is_done {
                return;
            }
        }
    }

    /// Empties the rings.
    pub fn drain(&mut self) {
        self.drain.run();
    }

    /// What a lane does now and then: empties the rings, reads the words others write.
    pub fn refresh(&mut self) {
        self.drain();
        let now = self.clock.now();
        self.engine.read_words(now);
    }

    /// A counter of the engine.
    pub fn count(&self, counter: Counter) -> u64 {
        self.engine.wall.counters.get(counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn every_tick_makes_one_order_and_every_order_ends() {
        let scratch = Scratch::new(&lane::shape()).unwrap();
        let clock = Clock::calibrate(5);
        let answer = || -> Box<dyn Strategy + Send> { Box::new(lane::Answer { every: 1 }) };
        let mut hand = Hand::new(&scratch.region, clock, answer).unwrap();
        let before = hand.count(Counter::OrdersSent);
        let mut orders = 0;
        for _ in 0..3_000 {
            let now = hand.clock.now();
            hand.engine.read_words(now);
            hand.load_tick();
            hand.tick();
            orders += hand.answer();
        }
        assert_eq!(orders, 3_000);
        assert_eq!(hand.count(Counter::OrdersSent) - before, 3_000);
        assert_eq!((hand.faults, hand.count(Counter::Gaps)), (0, 0));
        assert_eq!(hand.engine.oms().held_count(), 0, "no order rests");
    }

    #[test]
    fn a_watching_strategy_sends_nothing() {
        let scratch = Scratch::new(&lane::shape()).unwrap();
        let clock = Clock::calibrate(5);
        let mut hand = Hand::new(&scratch.region, clock, || Box::new(Signal::default())).unwrap();
        let before = hand.count(Counter::BookEvents);
        for _ in 0..500 {
            hand.load_tick();
            hand.tick();
        }
        assert_eq!(hand.answer(), 0);
        assert_eq!(hand.count(Counter::BookEvents) - before, 500);
        assert_eq!(hand.count(Counter::OrdersSent), 0);
    }
}
