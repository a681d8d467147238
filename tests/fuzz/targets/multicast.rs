//! Deribit's multicast, both feeds: datagrams behind their lengths. Never a panic, and a synced book is never crossed.
#![no_main]

use dp_book::{Keeper, State};
use dp_types::{InstrumentId, LinkId, Now, UnixNanos};
use dp_venue_api::{Event, Registry, RestRequest, Sink};
use dp_venue_deribit::multicast::{Multicast, Starbase};
use dp_venue_deribit::sync::DeribitSync;

/// Those of the recordings.
const SYMBOLS: [&str; 3] = ["BTC-PERPETUAL", "BTC-25OCT24-47000-P", "BTC-27DEC24-15000-C"];

struct Lane {
    registry: Registry,
    keeper: Keeper<DeribitSync>,
    wants: bool,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event
            && message.instrument == InstrumentId(0)
            && let Some(instrument) = self.registry.get(message.instrument)
        {
            let outcome = self.keeper.on_msg(message, instrument, UnixNanos(1));
            self.wants |= outcome.needs_snapshot();
            let is_synced = self.keeper.proof().state == State::Synced;
            assert!(!is_synced || !self.keeper.book().is_crossed());
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let symbols = SYMBOLS.map(str::to_owned);
    let mut registry = Registry::new();
    let mut classic = Multicast::new(&symbols, &mut registry).expect("room");
    let mut starbase = Starbase::new(&symbols, &mut registry).expect("room");
    let mut lane = Lane {
        registry: registry.clone(),
        keeper: Keeper::new(DeribitSync),
        wants: false,
    };
    let (mut rest, mut at) = (data, 0);
    while let Some((len, more)) = rest.split_first_chunk() {
        let (bytes, more) = more.split_at(usize::from(u16::from_le_bytes(*len)).min(more.len()));
        rest = more;
        at += 400_000;
        let now = Now {
            unix: UnixNanos(at),
            ..Now::default()
        };
        let _ = classic.on_datagram(&mut registry, now, bytes, &mut lane);
        let _ = classic.on_deadline(&mut registry, now, &mut lane);
        let _ = starbase.on_datagram(&mut registry, now, bytes, &mut lane);
        let _ = starbase.on_deadline(&mut registry, now, &mut lane);
        if core::mem::take(&mut lane.wants) {
            classic.request_snapshot(InstrumentId(0));
        }
        lane.registry = registry.clone();
        while classic.missing().or_else(|| starbase.missing()).is_some() {}
    }
});
