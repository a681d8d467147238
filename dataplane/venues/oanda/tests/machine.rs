//! The machine's road from start to prices, and what it does when it is refused.
#![allow(missing_docs)]

mod rig;

use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, NewOrder, OrderId,
    OrderKind, Price, Qty, RejectReason, Side, Tif,
};
use dp_venue_api::{
    DecodeError, EntryError, EntryLink, Fault, LinkKind, LinkRole, RestTag, Venue as _,
};
use dp_venue_oanda::{CAPABILITIES, LINK_REST, LINK_STREAM};
use rig::{ACCOUNT, Rig, TOKEN, fixture, new, ready};
use tests_venues::rig::{Said, at_ms};

const S: u64 = 1_000;

fn lines(said: &Said) -> Vec<&str> {
    said.requests
        .iter()
        .map(|request| request.line.as_str())
        .collect()
}

/// Asks what fell due, and only then.
fn due(rig: &mut Rig, ms: u64) -> Said {
    let due = rig.venue.next_deadline();
    assert_eq!(due, Some(at_ms(ms).unix), "due at {ms}");
    assert!(rig.deadline(ms - 1).requests.is_empty(), "not before");
    rig.deadline(ms)
}

#[test]
fn instruments_then_the_stream() {
    let mut rig = new(&["EUR_USD", "USD_JPY"], true);
    let links = rig.venue.links().to_vec();
    assert_eq!(
        (links[0].kind, links[1].kind),
        (LinkKind::Http, LinkKind::HttpLines)
    );
    assert_eq!(rig.venue.link_role(LINK_STREAM), LinkRole::Market);
    assert!(rig.venue.has_keyed_feed());
    let early = rig.open(LINK_STREAM, 0);
    assert!(
        early.requests.is_empty(),
        "what to ask for is not known yet"
    );
    let asked = rig.open(LINK_REST, 1);
    let base = format!("GET /v3/accounts/{ACCOUNT}");
    assert_eq!(lines(&asked), [format!("{base}/instruments")]);
    let bearer = ("Authorization".to_owned(), format!("Bearer {TOKEN}"));
    assert!(asked.requests[0].headers.contains(&bearer));
    let tag = asked.requests[0].tag;
    let (said, read) = rig.response(2, tag, 200, fixture("rest_instruments"));
    assert_eq!(
        (read, said.events),
        (Ok(()), vec!["InstrumentsReady".to_owned()])
    );
    let stream = &said.requests[0];
    assert_eq!(
        (stream.link, stream.line.as_str()),
        (
            LINK_STREAM,
            format!("{base}/pricing/stream?instruments=EUR_USD%2CUSD_JPY").as_str()
        )
    );
    assert!(stream.headers.contains(&bearer));
    let (said, _) = rig.response(3, stream.tag, 200, "");
    assert_eq!(said.events, ["Subscribed(LinkId(1))"]);
    assert_eq!(
        rig.venue.next_deadline(),
        None,
        "from here on it is the link's"
    );
    // The link is lost and comes back: asked again, and the list is known.
    rig.close(LINK_STREAM, 10);
    let again = rig.open(LINK_STREAM, 20);
    assert_eq!(lines(&again).len(), 1);
}

#[test]
fn a_refused_token_is_told_and_not_hammered_with() {
    let mut rig = ready();
    rig.close(LINK_STREAM, 0);
    let tag = rig.open(LINK_STREAM, S).requests[0].tag;
    let (said, read) = rig.response(S, tag, 401, fixture("rest_refused"));
    let reason = RejectReason::Auth;
    assert_eq!(read, Err(Fault::Venue { code: 401, reason }));
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    let again = due(&mut rig, 11 * S);
    assert_eq!((again.requests.len(), again.requests[0].tag), (1, tag));
    rig.response(11 * S, tag, 200, "").1.unwrap();
    // The list of instruments too.
    let mut rig = new(&["EUR_USD"], true);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    let (said, _) = rig.response(0, tag, 403, "");
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    assert_eq!(due(&mut rig, 10 * S).requests.len(), 1);
}

#[test]
fn without_keys_it_reads_and_asks_for_nothing() {
    let mut rig = new(&["EUR_USD"], false);
    let said = rig.open(LINK_REST, 0);
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    assert!(said.requests.is_empty() && rig.open(LINK_STREAM, 0).requests.is_empty());
    assert_eq!(rig.venue.next_deadline(), None);
    let (said, read) = rig.text(LINK_STREAM, 1, fixture("feed_price"));
    assert_eq!((read, said.events.len()), (Ok(()), 2));
}

#[test]
fn refusals_for_rate_and_lost_answers_are_waited_out() {
    let mut rig = new(&["EUR_USD"], true);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    let (said, _) = rig.limited(0, tag, 429, "", Some(5));
    assert!(
        said.events[0].starts_with("RateLimited"),
        "{:?}",
        said.events
    );
    assert_eq!(due(&mut rig, 5 * S).requests.len(), 1);
    for (status, wait) in [(0, S), (503, S), (400, 10 * S)] {
        let mut rig = new(&["EUR_USD"], true);
        let tag = rig.open(LINK_REST, 0).requests[0].tag;
        assert!(rig.response(0, tag, status, "<html>").1.is_err());
        assert_eq!(due(&mut rig, wait).requests.len(), 1, "{status}");
    }
    // A list that cannot be read is asked for again, as is one whose answer never came.
    let mut rig = new(&["EUR_USD"], true);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    assert!(rig.response(0, tag, 200, "{}").1.is_err());
    assert_eq!(due(&mut rig, 10 * S).requests.len(), 1);
    assert_eq!(due(&mut rig, 55 * S).requests.len(), 1);
    rig.close(LINK_REST, 56 * S);
    assert_eq!(rig.venue.next_deadline(), None, "it waits for the link");
    assert_eq!(rig.open(LINK_REST, 57 * S).requests.len(), 1);
}

#[test]
fn an_instrument_the_account_has_not_is_told_and_not_asked_for() {
    let mut rig = new(&["EUR_USD", "EUR_XXX"], true);
    rig.open(LINK_STREAM, 0);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    let (said, read) = rig.response(0, tag, 200, fixture("rest_instruments"));
    let missing = DecodeError::Unlisted(InstrumentId(1));
    assert_eq!(read, Err(Fault::Decode(missing)));
    assert!(lines(&said)[0].ends_with("instruments=EUR_USD"), "{said:?}");
    assert!(!rig.registry.get(InstrumentId(1)).unwrap().is_live);
    // None of them: the stream has nothing to be asked for.
    let mut rig = new(&["EUR_XXX"], true);
    rig.open(LINK_STREAM, 0);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    let (said, _) = rig.response(0, tag, 200, fixture("rest_instruments"));
    assert!(said.requests.is_empty());
}

#[test]
fn a_book_that_lost_its_place_is_asked_for_once_a_second() {
    let mut rig = ready();
    let snapshot = |rig: &mut Rig, id: u32, ms: u64| {
        let mut said = Said::default();
        let id = InstrumentId(id);
        rig.venue
            .request_snapshot(&rig.registry, id, at_ms(ms), &mut said);
        said
    };
    let asked = snapshot(&mut rig, 1, S);
    assert!(lines(&asked)[0].ends_with("/pricing?instruments=USD_JPY"));
    assert_eq!(asked.requests[0].link, LINK_REST);
    assert!(snapshot(&mut rig, 0, S + 1).requests.is_empty());
    let both = due(&mut rig, 2 * S);
    assert!(lines(&both)[0].ends_with("/pricing?instruments=EUR_USD%2CUSD_JPY"));
    let (said, read) = rig.response(2 * S, both.requests[0].tag, 200, fixture("rest_prices"));
    assert_eq!((read, said.events.len()), (Ok(()), 2));
    assert_eq!(rig.venue.next_deadline(), None, "nothing more is wanted");
    // Without a stream the next one brings it, and what nobody follows is nobody's.
    assert!(snapshot(&mut rig, 77, 9 * S).requests.is_empty());
    rig.close(LINK_STREAM, 9 * S);
    assert!(snapshot(&mut rig, 0, 9 * S).requests.is_empty());
    assert_eq!(rig.venue.next_deadline(), None);
}

#[test]
fn an_order_is_refused_and_nothing_leaves() {
    assert_eq!(CAPABILITIES.entry, EntryLink::None);
    let mut rig = ready();
    let (instrument, mut said) = (InstrumentId(0), Said::default());
    let client_id = ClientOrderId::new(Epoch(1), LaneId(0), 1).unwrap();
    let order = NewOrder {
        instrument,
        client_id,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price: Price(11_620_000),
        qty: Qty(100),
    };
    let named = CancelOrder {
        instrument,
        client_id,
        order_id: OrderId(0),
    };
    let amend = AmendOrder {
        instrument,
        client_id,
        order_id: OrderId(0),
        price: Some(Price(11_610_000)),
        qty: None,
    };
    let (venue, registry, now) = (&mut rig.venue, &rig.registry, at_ms(1));
    let refused = [
        venue.new_order(registry, &order, now, &mut said),
        venue.amend_order(registry, &amend, now, &mut said),
        venue.cancel_order(registry, &named, now, &mut said),
        venue.cancel_all(registry, instrument, &[named], now, &mut said),
        venue.query_order(registry, &named, now, &mut said),
    ];
    assert_eq!(refused, [Err(EntryError::Unsupported); 5]);
    venue.reconcile(registry, now, &mut said);
    assert!(said.events.is_empty() && said.requests.is_empty() && said.sent.is_empty());
    let (said, read) = rig.response(2, RestTag(99), 200, "{}");
    assert_eq!(read, Ok(()));
    assert_eq!(said.events, ["Ignored an answer we did not ask for"]);
}
