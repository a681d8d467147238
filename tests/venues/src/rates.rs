//! A session's own limits, asked with and without the session: both must say the same of every request.

use crate::rig::{Rig, Said, at_ms};
use dp_types::{AmendOrder, CancelOrder, ClientOrderId, NewOrder, OrderId};
use dp_venue_api::limits::OrderAsk;
use dp_venue_api::{EntryError, Venue};

/// Rounds of requests at one time: more than any venue lets out at once.
const ROUNDS: u32 = 900;

/// What was let out and what was refused for rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// New orders, amends and cancels let out.
    pub sent: u32,
    /// Of them, refused.
    pub refused: u32,
    /// Number of the first refused request, from 1.
    pub first: u32,
}

/// Sends bursts of new orders, amends, cancels, batches and cancels of all through a logged-in session and asks its limits, as they were before,
/// about each of them. `order` makes a new order of a sequence number, from `from` on.
///
/// Panics where the two differ, or where the venue has no limits.
pub fn agree<V: Venue>(rig: &mut Rig<V>, from: u32, order: impl Fn(u32) -> NewOrder) -> Told {
    let mut rates = rig.venue.rates().expect("limits");
    assert!(
        rates.batch_max() == 1 || rates.batch_max() == rig.venue.batch_max(),
        "as many in one request as the session"
    );
    let (mut told, mut next, mut asked) = (Told::default(), from, 0);
    let Rig {
        venue, registry, ..
    } = rig;
    let mut said = Said::default();
    let mut same = |result: Result<(), EntryError>, may: bool, what: &str, ms: u64| {
        asked += 1;
        let is_refused = match result {
            Ok(()) => false,
            Err(EntryError::RateLimited) => true,
            Err(EntryError::Unsupported) => return false,
            Err(other) => panic!("{what} at {ms} ms: {other}"),
        };
        assert_eq!(is_refused, !may, "{what}, request {asked} at {ms} ms");
        told.sent += u32::from(!is_refused);
        told.refused += u32::from(is_refused);
        if is_refused && told.first == 0 {
            told.first = asked;
        }
        !is_refused
    };
    for ms in [10, 700, 1_600, 3_000, 12_000] {
        let now = at_ms(ms);
        let mut last: Option<ClientOrderId> = None;
        for round in 0..ROUNDS {
            let new = order(next);
            next += 1;
            let result = venue.new_order(registry, &new, now, &mut said);
            let may = rates.take(now.unix, new.instrument, OrderAsk::New(1));
            if same(result, may, "a new order", ms) {
                last = Some(new.client_id);
            }
            let Some(client_id) = last else {
                continue;
            };
            let (instrument, order_id) = (new.instrument, OrderId(1));
            if round % 3 == 0 {
                let amend = AmendOrder {
                    instrument,
                    client_id,
                    order_id,
                    price: Some(new.price),
                    qty: None,
                };
                let result = venue.amend_order(registry, &amend, now, &mut said);
                // Where there is none, its limits are not asked.
                if result != Err(EntryError::Unsupported) {
                    let may = rates.take(now.unix, instrument, OrderAsk::Amend(0));
                    same(result, may, "an amend", ms);
                }
            }
            if round % 4 == 0 {
                let cancel = CancelOrder {
                    instrument,
                    client_id,
                    order_id,
                };
                let result = venue.cancel_order(registry, &cancel, now, &mut said);
                let may = rates.take(now.unix, instrument, OrderAsk::Cancel(0));
                same(result, may, "a cancel", ms);
            }
        }
    }
    // Long after: everything has flowed back, and those of before are old.
    let (ms, now) = (600_000, at_ms(600_000));
    for _ in 0..ROUNDS {
        let pair = [order(next), order(next + 1)];
        next += 2;
        let instrument = pair[0].instrument;
        let (result, ask) = if rates.batch_max() > 1 {
            let result = venue.new_orders(registry, &pair, now, &mut said);
            (result, OrderAsk::New(2))
        } else {
            let result = venue.new_order(registry, &pair[0], now, &mut said);
            (result, OrderAsk::New(1))
        };
        same(result, rates.take(now.unix, instrument, ask), "a batch", ms);
        let live = pair.map(|new| CancelOrder {
            instrument,
            client_id: new.client_id,
            order_id: OrderId(1),
        });
        let result = venue.cancel_all(registry, instrument, &live, now, &mut said);
        let may = rates.take(now.unix, instrument, OrderAsk::CancelAll(&[0; 2]));
        same(result, may, "a cancel of all", ms);
    }
    told
}
