//! A venue machine and its books under hostile bytes: never a panic, and a synced book is never crossed.

use dp_book::{Keeper, State, SyncRule};
use dp_types::{Instrument, LinkId, Now, Tsc, UnixNanos};
use dp_venue_api::{
    Event, Registry, RestRequest, RestResponse, RestTag, Secrets, Sink, Venue, VenueConfig,
};
use dp_venue_binance::Binance;
use dp_venue_binance::sync::BinanceSync;
use dp_venue_okx::Okx;
use dp_venue_okx::sync::OkxSync;

/// Takes everything the machine says, and puts depth into a book as a lane would.
struct Lane<R> {
    keeper: Keeper<R>,
    instrument: Instrument,
    now: UnixNanos,
}

impl<R: SyncRule> Sink for Lane<R> {
    fn event(&mut self, event: &Event<'_>) {
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
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Lines are messages. The first byte of a line says which way it comes in: `0` to `2` a text on that
/// link, else a REST answer whose tag's kind is that byte.
fn drive<V: Venue, R: SyncRule>(mut venue: V, mut registry: Registry, rule: R, bytes: &[u8]) {
    let instrument = registry.instruments()[0];
    let mut lane = Lane {
        keeper: Keeper::new(rule),
        instrument,
        now: UnixNanos(1_760_000_000_000_000_000),
    };
    let at = |unix| Now { tsc: Tsc(0), unix };
    for link in 0..3 {
        venue.on_open(&mut registry, LinkId(link), at(lane.now), &mut lane);
    }
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let Some((way, message)) = line.split_first() else {
            continue;
        };
        let mut message = message.to_vec();
        lane.now = lane.now.after(1_000_000);
        let now = at(lane.now);
        let _ = match way {
            b'0'..=b'2' => {
                let link = LinkId(way - b'0');
                venue.on_text(&registry, link, now, &mut message, &mut lane)
            }
            way => {
                let tag = RestTag(u64::from(*way & 15) << 56);
                let status = if *way >= 128 { 400 } else { 200 };
                let response = RestResponse {
                    tag,
                    status,
                    retry_after_s: None,
                    body: &mut message,
                };
                venue.on_response(&mut registry, LinkId(0), now, response, &mut lane)
            }
        };
        venue.on_deadline(&registry, now, &mut lane);
    }
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
    }
}

/// The Binance machine.
pub fn binance(bytes: &[u8]) {
    let mut registry = Registry::new();
    let Ok(venue) = Binance::new(config("BTCUSDT"), &mut registry) else {
        return;
    };
    drive(venue, registry, BinanceSync, bytes);
}

/// The OKX machine.
pub fn okx(bytes: &[u8]) {
    let mut registry = Registry::new();
    let Ok(venue) = Okx::new(config("BTC-USDT"), &mut registry) else {
        return;
    };
    let rule = OkxSync::new(&registry.instruments()[0]);
    drive(venue, registry, rule, bytes);
}
