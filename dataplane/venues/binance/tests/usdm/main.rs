//! The machine of USD-M futures: links and their order, the listen key, orders, user data, the dead man's switch,
//! reconciliation, hostile bytes. What it shares with spot is tested there.
#![allow(missing_docs)]

mod account;
mod hostile;
mod links;
mod orders;
#[path = "../rig/mod.rs"]
mod rig;

use dp_book::{Keeper, State};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, NewOrder, OrderId,
    OrderKind, Payoff, Price, Qty, RejectReason, Side, Tif, UnixNanos,
};
use dp_venue_api::{DecodeError, EntryError, Event, Fault, RestRequest, RestTag, Sink, Venue};
use dp_venue_binance::rest::Ask;
use dp_venue_binance::sync::BinanceSync;
use dp_venue_binance::{
    ID_USDM, LINK_CANCELS, LINK_MD, LINK_ORDERS, LINK_REST, LINK_USER, Usdm, auth, usdm,
};
use proptest::prelude::*;
use rig::{API_KEY, Keys, SECRET, UsdmRig, fixture, ready_usdm};
use tests_venues::rig::{Request, START_MS, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const MINUTE_MS: u64 = 60_000;

fn client() -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap()
}

fn new_order(kind: OrderKind, tif: Tif) -> NewOrder {
    NewOrder {
        instrument: BTC,
        client_id: client(),
        side: Side::Buy,
        kind,
        tif,
        price: Price(65_000_100), // 65000.1, with two places more than the tick
        qty: Qty(1_000_000),      // 0.01
    }
}

const fn amend(price: Option<Price>, qty: Option<Qty>) -> AmendOrder {
    AmendOrder {
        instrument: BTC,
        client_id: ClientOrderId(1 << 32 | 1),
        order_id: OrderId(8_886_774_001),
        price,
        qty,
    }
}

/// What one call said.
fn said(
    rig: &mut UsdmRig,
    call: impl FnOnce(&mut UsdmRig, &mut Said) -> Result<(), EntryError>,
) -> Result<Said, EntryError> {
    let mut said = Said::default();
    call(rig, &mut said).map(|()| said)
}

fn place(rig: &mut UsdmRig, order: NewOrder, ms: u64) -> Result<Said, EntryError> {
    said(rig, |rig, out| {
        rig.venue.new_order(&rig.registry, &order, at_ms(ms), out)
    })
}

fn text(said: &Said) -> &str {
    assert_eq!(said.sent.len(), 1, "{said:?}");
    assert_eq!(said.sent[0].0, LINK_ORDERS);
    &said.sent[0].1
}

fn asked<'a>(said: &'a Said, start: &str) -> &'a Request {
    let found = said.requests.iter().find(|it| it.line.starts_with(start));
    found.unwrap_or_else(|| panic!("{start}: {said:?}"))
}

/// A sink that notes where a held link may go.
#[derive(Default)]
struct Released(Vec<(LinkId, String)>);

impl Sink for Released {
    fn event(&mut self, _: &Event<'_>) {}
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
    fn connect(&mut self, link: LinkId, path: &str) {
        self.0.push((link, path.to_owned()));
    }
}
