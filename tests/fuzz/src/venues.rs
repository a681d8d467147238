//! A venue machine and its books under hostile bytes: never a panic, and a synced book is never crossed.

use dp_book::{Keeper, State, SyncRule};
use dp_types::{CancelOrder, ClientOrderId, Instrument, LinkId, Now, OrderId, Tsc, UnixNanos};
use dp_venue_api::{
    Event, Registry, RestRequest, RestResponse, RestTag, Secrets, Sink, Venue, VenueConfig,
};
use dp_venue_binance::Binance;
use dp_venue_binance::sync::BinanceSync;
use dp_venue_okx::Okx;
use dp_venue_okx::sync::OkxSync;

/// REST questions kept open at once; the oldest are forgotten.
const OPEN_MAX: usize = 8;

/// Takes everything the machine says, and puts depth into a book as a lane would.
struct Lane<R> {
    keeper: Keeper<R>,
    instrument: Instrument,
    now: UnixNanos,
    /// REST questions without an answer.
    open: Vec<(LinkId, RestTag)>,
    /// Events heard.
    events: usize,
}

impl<R: SyncRule> Sink for Lane<R> {
    fn event(&mut self, event: &Event<'_>) {
        self.events += usize::from(!matches!(event, Event::Control(_)));
        if let Event::Book(msg) = event {
            self.keeper.on_msg(msg, &self.instrument, self.now);
            let is_synced = self.keeper.proof().state == State::Synced;
            assert!(
                !is_synced || !self.keeper.book().is_crossed(),
                "a synced book is crossed"
            );
        }
    }
    fn send_text(&mut self, _: LinkId, text: &[u8]) {
        assert!(core::str::from_utf8(text).is_ok());
    }
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        if self.open.len() == OPEN_MAX {
            self.open.remove(0);
        }
        self.open.push((link, request.tag));
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Answers every open question with `body`, as a venue that mixes its answers up would.
fn answer<V: Venue, R: SyncRule>(
    venue: &mut V,
    registry: &mut Registry,
    lane: &mut Lane<R>,
    now: Now,
    status: u16,
    body: &[u8],
) {
    for (link, tag) in core::mem::take(&mut lane.open) {
        let mut body = body.to_vec();
        let response = RestResponse {
            tag,
            status,
            retry_after_s: None,
            body: &mut body,
        };
        let _ = venue.on_response(registry, link, now, response, lane);
    }
}

/// Lines are messages. The first byte of a line says which way it comes in: `0` to `2` a text on that
/// link, else the answer to every REST question that is open: of status 200, of 400 from byte 128 on.
/// `rules` is the answer that makes the machine know its instruments. Returns how many events were heard.
fn drive<V: Venue, R: SyncRule>(
    mut venue: V,
    mut registry: Registry,
    rule: R,
    rules: &[u8],
    bytes: &[u8],
) -> usize {
    let instrument = registry.instruments()[0];
    let mut lane = Lane {
        keeper: Keeper::new(rule),
        instrument,
        now: UnixNanos(1_760_000_000_000_000_000),
        open: Vec::new(),
        events: 0,
    };
    let at = |unix| Now { tsc: Tsc(0), unix };
    let now = at(lane.now);
    venue.on_open(&mut registry, LinkId(0), now, &mut lane);
    answer(&mut venue, &mut registry, &mut lane, now, 200, &rules[1..]);
    for link in 1..3 {
        venue.on_open(&mut registry, LinkId(link), now, &mut lane);
    }
    venue.request_snapshot(&registry, instrument.id, now, &mut lane);
    venue.reconcile(&registry, now, &mut lane);
    let asked = CancelOrder {
        instrument: instrument.id,
        client_id: ClientOrderId(1 << 32 | 7),
        order_id: OrderId(9),
    };
    // Whether there is a way to ask yet is the machine's business.
    let _ = venue.query_order(&registry, &asked, now, &mut lane);
    lane.events = 0;
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let Some((way, message)) = line.split_first() else {
            continue;
        };
        lane.now = lane.now.after(1_000_000);
        let now = at(lane.now);
        match way {
            b'0'..=b'2' => {
                let link = LinkId(way - b'0');
                let mut message = message.to_vec();
                let _ = venue.on_text(&registry, link, now, &mut message, &mut lane);
            }
            way => {
                let status = if *way >= 128 { 400 } else { 200 };
                answer(&mut venue, &mut registry, &mut lane, now, status, message);
            }
        }
        venue.on_deadline(&registry, now, &mut lane);
    }
    lane.events
}

fn config(symbol: &str) -> VenueConfig {
    let host = || ("localhost".to_owned(), 1);
    VenueConfig {
        rest: host(),
        public: host(),
        private: host(),
        symbols: vec![symbol.to_owned()],
        secrets: Secrets {
            api_key: "key".into(),
            api_secret: "secret".into(),
            passphrase: "pass".into(),
            ed25519_pem: String::new(),
        },
        order_window_ms: 1_000,
        nonce_slot: 0,
    }
}

/// The Binance machine. Returns how many events were heard.
pub fn binance(bytes: &[u8]) -> usize {
    let mut registry = Registry::new();
    let Ok(venue) = Binance::new(config("BTCUSDT"), &mut registry) else {
        return 0;
    };
    let rules = include_bytes!("../corpus/binance/rest_exchange_info");
    drive(venue, registry, BinanceSync, rules, bytes)
}

/// The OKX machine. Returns how many events were heard.
pub fn okx(bytes: &[u8]) -> usize {
    let mut registry = Registry::new();
    let Ok(venue) = Okx::new(config("BTC-USDT"), &mut registry) else {
        return 0;
    };
    let rule = OkxSync::new(&registry.instruments()[0]);
    let rules = include_bytes!("../corpus/okx/rest_instruments_spot");
    drive(venue, registry, rule, rules, bytes)
}
