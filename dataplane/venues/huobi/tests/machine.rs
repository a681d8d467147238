//! The machine over time: start, logins, snapshots, fills and their orders, reconciliation, the dead man's switch,
//! limits.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, Outcome, State};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, NewOrder, OrderId,
    OrderKind, Price, Qty, RejectReason, Side, Tif, UnixNanos,
};
use dp_venue_api::{DecodeError, EntryError, Event, Fault, LinkRole, RestRequest, Sink, Venue};
use dp_venue_huobi::sync::HuobiSync;
use dp_venue_huobi::{LINK_FEED, LINK_ORDERS, LINK_REST, LINK_TRADES, LINK_USER};
use rig::{Rig, binary, fixture, gzip};
use tests_venues::rates;
use tests_venues::rig::{Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);

fn client(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
}

fn new_order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: BTC,
        client_id: client(sequence),
        side: Side::Buy,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(650_001_000),
        qty: Qty(10_000_000),
    }
}

fn cancel(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(0),
    }
}

fn place(rig: &mut Rig, ms: u64, order: &NewOrder) -> (Said, Result<(), EntryError>) {
    let mut said = Said::default();
    let result = rig
        .venue
        .new_order(&rig.registry, order, at_ms(ms), &mut said);
    (said, result)
}

fn take_off(rig: &mut Rig, ms: u64, order: &CancelOrder) -> (Said, Result<(), EntryError>) {
    let mut said = Said::default();
    let result = rig
        .venue
        .cancel_order(&rig.registry, order, at_ms(ms), &mut said);
    (said, result)
}

fn snapshot(rig: &mut Rig, ms: u64) -> Vec<String> {
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
    said.sent.into_iter().map(|(_, text)| text).collect()
}

/// The path of a request's line, without its signature and what else is signed.
fn asked(line: &str) -> String {
    let (path, query) = line.split_once('?').unwrap_or((line, ""));
    let own = query.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap();
        !name.starts_with("Signature") && !["AccessKeyId", "Timestamp"].contains(&name)
    });
    let own: Vec<_> = own.collect();
    format!("{path}?{}", own.join("&"))
        .trim_end_matches('?')
        .to_owned()
}

#[test]
fn start_asks_for_rules_then_subscribes_what_has_some() {
    let mut rig = rig::new(&["btcusdt", "nopeusdt"], false);
    let links: Vec<_> = rig
        .venue
        .links()
        .iter()
        .map(|spec| (spec.id, &*spec.path))
        .collect();
    assert_eq!(
        links,
        [(LINK_REST, ""), (LINK_FEED, "/feed"), (LINK_TRADES, "/ws")],
        "no keys, no private links"
    );
    assert!(rig.open(LINK_FEED, 0).sent.is_empty());
    assert!(rig.open(LINK_TRADES, 0).sent.is_empty());
    let requests = rig.open(LINK_REST, 0).requests;
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, "GET /v1/settings/common/market-symbols");
    let (said, result) = rig.response(1, requests[0].tag, 200, fixture("rest_market_symbols"));
    let unlisted = DecodeError::Unlisted(InstrumentId(1));
    assert_eq!(result, Err(Fault::Decode(unlisted)));
    assert_eq!(said.events, ["InstrumentsReady"]);
    let sub = |topic: &str, id: &str| format!(r#"{{"sub":"market.btcusdt.{topic}","id":"{id}"}}"#);
    assert_eq!(
        said.sent,
        [
            (LINK_FEED, sub("mbp.20", "m1")),
            (LINK_TRADES, sub("trade.detail", "t1")),
            (LINK_TRADES, sub("bbo", "q1")),
        ]
    );
    let btc = rig.registry.get(BTC).unwrap();
    assert_eq!((btc.price_decimals, btc.qty_decimals), (4, 10));
    assert_eq!((btc.tick, btc.lot), (Price(100), Qty(10_000)));
    assert_eq!(
        (btc.qty_min, btc.qty_max),
        (Qty(100_000), Qty(10_000_000_000_000))
    );
    assert_eq!(btc.notional_min.0, 1_000_000_000_000);
    assert!(btc.is_live && rig.registry.asset_name(btc.base) == "BTC");
    assert!(!rig.registry.get(InstrumentId(1)).unwrap().is_live);
    let (said, _) = rig.text(LINK_FEED, 2, fixture("feed_sub_ack"));
    assert_eq!(said.events, ["Subscribed(LinkId(1))"]);
    let ack = r#"{"id":"t1","status":"ok","subbed":"market.btcusdt.bbo","ts":1}"#;
    assert_eq!(
        rig.text(LINK_TRADES, 3, ack).0.events,
        ["Ignored subscription confirmed"]
    );
    assert_eq!(
        rig.text(LINK_TRADES, 3, ack).0.events,
        ["Subscribed(LinkId(4))"]
    );
    assert!(rig.deadline(20_000).reconnects.is_empty());
}

#[test]
fn what_is_not_confirmed_in_time_is_replaced() {
    let mut rig = rig::ready();
    rig.open(LINK_FEED, 0);
    rig.open(LINK_ORDERS, 0);
    assert!(rig.deadline(9_999).reconnects.is_empty());
    let links: Vec<_> = rig
        .deadline(10_000)
        .reconnects
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(links, [LINK_FEED, LINK_ORDERS]);
    assert!(rig.deadline(20_000).reconnects.is_empty(), "asked for once");
}

#[test]
fn links_say_what_they_are_for() {
    let venue = rig::ready().venue;
    let role = |link: u8| venue.link_role(LinkId(link));
    assert_eq!([role(0), role(5)], [LinkRole::Rest; 2]);
    assert_eq!([role(1), role(4)], [LinkRole::Market; 2]);
    assert_eq!([role(2), role(3)], [LinkRole::Orders; 2]);
    assert!(venue.links().iter().all(|spec| !spec.is_held));
}

#[test]
fn logged_in_only_when_both_sockets_account_and_rules_are_there() {
    let mut rig = rig::new(&["btcusdt"], true);
    assert_eq!(rig.venue.links().len(), 5);
    let requests = rig.open(LINK_REST, 0).requests;
    assert_eq!(asked(&requests[1].line), "GET /v1/account/accounts");
    let login = rig.open(LINK_ORDERS, 0).sent;
    assert_eq!(login[0].0, LINK_ORDERS);
    assert!(
        login[0].1.contains(r#""timestamp":"2025-10-09T08:53:20""#),
        "{login:?}"
    );
    let other = rig.open(LINK_USER, 0).sent;
    assert_ne!(login[0].1, other[0].1, "each path has its own signature");
    let (said, _) = rig.text(LINK_USER, 1, fixture("entry_login_ack"));
    let channels: Vec<_> = said.sent.iter().map(|(_, text)| &**text).collect();
    assert_eq!(
        channels,
        [
            r#"{"action":"sub","ch":"orders#*"}"#,
            r#"{"action":"sub","ch":"trade.clearing#*#1"}"#,
            r#"{"action":"sub","ch":"accounts.update#2"}"#,
        ]
    );
    for _ in 0..3 {
        rig.text(LINK_USER, 2, fixture("account_sub_ack"))
            .1
            .unwrap();
    }
    let (said, _) = rig.response(3, requests[1].tag, 200, fixture("rest_accounts"));
    assert_eq!(said.events, ["Ignored the spot account is known"]);
    let (said, _) = rig.text(LINK_ORDERS, 4, fixture("entry_login_ack"));
    assert_eq!(said.events.len(), 1, "no rules yet");
    assert_eq!(
        place(&mut rig, 4, &new_order(1)).1,
        Err(EntryError::NotReady)
    );
    let (said, _) = rig.response(5, requests[0].tag, 200, fixture("rest_market_symbols"));
    assert_eq!(said.events, ["InstrumentsReady", "LoggedIn(LinkId(2))"]);
    assert_eq!(place(&mut rig, 6, &new_order(1)).1, Ok(()));
    // One socket without the other is not enough.
    rig.close(LINK_USER, 6);
    rig.close(LINK_ORDERS, 6);
    rig.open(LINK_ORDERS, 6);
    let (said, _) = rig.text(LINK_ORDERS, 6, fixture("entry_login_ack"));
    assert_eq!(said.events.len(), 1, "{:?}", said.events);
    let said = rig::log_in(&mut rig, 6);
    assert_eq!(said.events.last().unwrap(), "LoggedIn(LinkId(2))");
    // Either socket's end is the end of it.
    for link in [LINK_ORDERS, LINK_USER] {
        let wanted = match link {
            // An engine hears of the order link only.
            LINK_USER => vec![(LINK_ORDERS, "the private stream is gone")],
            _ => vec![],
        };
        assert_eq!(rig.close(link, 7).reconnects, wanted);
        assert_eq!(
            place(&mut rig, 8, &new_order(2)).1,
            Err(EntryError::NotReady)
        );
        assert_eq!(
            take_off(&mut rig, 8, &cancel(1)).1,
            Err(EntryError::NotReady)
        );
        rig.open(link, 9);
        let mut said = rig.text(link, 9, fixture("entry_login_ack")).0.events;
        if link == LINK_USER {
            for _ in 0..3 {
                said = rig.text(link, 10, fixture("account_sub_ack")).0.events;
            }
        }
        assert_eq!(said.last().unwrap(), "LoggedIn(LinkId(2))", "{link:?}");
    }
}

#[test]
fn a_refused_login_or_subscription_says_so_and_asks_for_a_new_link() {
    for (link, name) in [
        (LINK_ORDERS, "entry_login_refused"),
        (LINK_USER, "entry_login_refused"),
        (LINK_USER, "account_sub_refused"),
    ] {
        let mut rig = rig::new(&["btcusdt"], true);
        rig.open(link, 0);
        let (said, result) = rig.text(link, 1, fixture(name));
        assert_eq!(result, Ok(()));
        assert_eq!(said.events, ["LoginRefused(Auth)"]);
        assert_eq!(said.reconnects, [(link, "login or subscription refused")]);
    }
}

#[test]
fn a_symbol_without_increments_gets_whole_books() {
    let mut rig = rig::ready();
    rig.open(LINK_FEED, 10);
    let (said, result) = rig.text(LINK_FEED, 11, fixture("feed_sub_refused"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        ["Subscribed(LinkId(1))"],
        "the others do not wait for it"
    );
    let sub = r#"{"sub":"market.btcusdt.mbp.refresh.20","id":"r1"}"#;
    assert_eq!(said.sent, [(LINK_TRADES, sub.to_owned())]);
    let (said, _) = rig.text(LINK_TRADES, 12, fixture("feed_refresh"));
    assert!(
        said.events[0].starts_with("Book Snapshot"),
        "{:?}",
        said.events
    );
    assert!(snapshot(&mut rig, 13).is_empty(), "the next message is one");
    // A new trades socket has them again, a new feed tries the increments again.
    rig.close(LINK_TRADES, 20);
    let subs = rig.open(LINK_TRADES, 21).sent;
    assert_eq!(subs.len(), 3);
    assert_eq!(subs[2].1, sub);
    rig.close(LINK_FEED, 22);
    assert!(rig.open(LINK_FEED, 23).sent[0].1.contains("mbp.20"));
    assert_eq!(snapshot(&mut rig, 24).len(), 1);
    // A refusal for rate is no such thing.
    let busy =
        r#"{"status":"error","err-code":"bad-request","err-msg":"429 too many request","id":"m1"}"#;
    let (said, result) = rig.text(LINK_FEED, 25, busy);
    assert!(matches!(
        result,
        Err(Fault::Venue {
            reason: RejectReason::RateLimit,
            ..
        })
    ));
    assert!(said.sent.is_empty() && said.events.is_empty());
}

/// A lane's sink: keeps the book, and asks for a snapshot where the keeper wants one.
struct Lane {
    keeper: Keeper<HuobiSync>,
    instrument: dp_types::Instrument,
    outcomes: Vec<Outcome>,
}

impl Sink for Lane {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Book(message) = event {
            let outcome = self.keeper.on_msg(message, &self.instrument, UnixNanos(1));
            self.outcomes.push(outcome);
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

#[test]
fn the_snapshot_is_spliced_between_increments_of_the_same_socket() {
    let mut rig = rig::ready();
    let instrument = *rig.registry.get(BTC).unwrap();
    let mut lane = Lane {
        keeper: Keeper::new(HuobiSync::new(&instrument)),
        instrument,
        outcomes: Vec::new(),
    };
    let mut asked = Vec::new();
    for (ms, name) in [
        (1, "feed_mbp_delta"),
        (2, "feed_mbp_snapshot"),
        (3, "feed_mbp_one_side"),
        (4, "feed_mbp_no_change"),
        (5, "feed_mbp_gap"),
    ] {
        let mut bytes = gzip(fixture(name));
        rig.venue
            .on_binary(&rig.registry, LINK_FEED, at_ms(ms), &mut bytes, &mut lane)
            .unwrap();
        if lane.outcomes.last().unwrap().needs_snapshot() {
            asked.extend(snapshot(&mut rig, ms));
        }
    }
    let gap = dp_book::Gap {
        expected: 100_020_146_800,
        got: 100_020_146_805,
    };
    assert_eq!(
        lane.outcomes,
        [
            Outcome::NeedSnapshot,
            Outcome::Applied,
            Outcome::Applied,
            Outcome::Applied,
            Outcome::Gap(gap)
        ]
    );
    assert_eq!(lane.keeper.proof().state, State::Waiting);
    assert_eq!(asked, [r#"{"req":"market.btcusdt.mbp.20","id":"x1I1"}"#]);
    let again = rig.deadline(501).sent;
    assert_eq!(
        again,
        [(
            LINK_FEED,
            r#"{"req":"market.btcusdt.mbp.20","id":"x1I2"}"#.to_owned()
        )]
    );
}

/// Where nobody trades no increment comes: the book is asked for all the same, once, and not after an increment.
#[test]
fn a_quiet_book_is_asked_for_too() {
    let req = |number: u32| format!(r#"{{"req":"market.btcusdt.mbp.20","id":"x1I{number}"}}"#);
    let mut rig = rig::new(&["btcusdt"], false);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    rig.response(0, tag, 200, fixture("rest_market_symbols"))
        .1
        .unwrap();
    rig.open(LINK_FEED, 0);
    rig.text(LINK_FEED, 100, fixture("feed_sub_ack")).1.unwrap();
    assert!(rig.deadline(2_099).sent.is_empty());
    assert_eq!(rig.venue.next_deadline(), Some(at_ms(2_100).unix));
    assert_eq!(rig.deadline(2_100).sent, [(LINK_FEED, req(1))]);
    let answer = fixture("feed_mbp_snapshot");
    rig.text(LINK_FEED, 2_200, answer).1.unwrap();
    assert!(rig.deadline(9_000).sent.is_empty());
    // Another connection, and an increment in time.
    rig.close(LINK_FEED, 9_100);
    rig.open(LINK_FEED, 9_200);
    rig.text(LINK_FEED, 9_300, fixture("feed_sub_ack"))
        .1
        .unwrap();
    assert_eq!(snapshot(&mut rig, 9_400), [req(2)]);
    let answer = answer.replace("x1I1", "x1I2");
    rig.text(LINK_FEED, 9_500, &answer).1.unwrap();
    assert!(rig.deadline(19_000).sent.is_empty());
}

#[test]
fn snapshots_are_asked_for_one_at_a_time_and_paced() {
    let mut rig = rig::new(&["btcusdt", "ethbtc"], false);
    let tag = rig.open(LINK_REST, 0).requests[0].tag;
    rig.response(0, tag, 200, fixture("rest_market_symbols"))
        .1
        .unwrap();
    rig.open(LINK_FEED, 0);
    assert_eq!(snapshot(&mut rig, 1_000).len(), 1);
    assert!(
        snapshot(&mut rig, 1_001).is_empty(),
        "its answer is on the way"
    );
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, InstrumentId(1), at_ms(1_002), &mut said);
    assert!(said.sent.is_empty(), "one req in a tenth of a second");
    let due = rig.venue.next_deadline().unwrap();
    assert!(due > at_ms(1_100).unix && due < at_ms(1_120).unix);
    let sent = rig.deadline(1_120).sent;
    assert_eq!(sent[0].1, r#"{"req":"market.ethbtc.mbp.20","id":"x2I2"}"#);
    // The first is never answered, and is asked for again.
    assert!(rig.deadline(5_900).sent.is_empty());
    assert_eq!(
        rig.deadline(6_000).sent[0].1,
        r#"{"req":"market.btcusdt.mbp.20","id":"x1I3"}"#
    );
    let (said, _) = rig.text(LINK_FEED, 6_001, fixture("feed_mbp_snapshot"));
    assert_eq!(said.events, ["Ignored a snapshot nobody waits for"]);
    // One that is refused, too; and none of before the stream was lost counts.
    let refused =
        r#"{"status":"error","err-code":"bad-request","err-msg":"request timeout","id":"x1I3"}"#;
    assert!(rig.text(LINK_FEED, 6_100, refused).1.is_err());
    let sent = rig.deadline(7_100).sent;
    assert!(
        sent.iter().any(|(_, text)| text.contains("x1I")),
        "{sent:?}"
    );
    rig.close(LINK_FEED, 8_000);
    assert!(rig.deadline(20_000).sent.is_empty());
    rig.open(LINK_FEED, 20_001);
    let asked = snapshot(&mut rig, 20_002);
    let id = asked[0]
        .split("\"id\":\"")
        .nth(1)
        .unwrap()
        .trim_end_matches("\"}");
    let answer = fixture("feed_mbp_snapshot").replace("x1I1", id);
    assert!(rig.text(LINK_FEED, 20_003, &answer).0.events[0].starts_with("Book Snapshot"));
    let broken = answer.replace("64999.9", "\"x\"");
    assert_eq!(
        rig.text(LINK_FEED, 20_004, &broken).0.events,
        ["Ignored a snapshot nobody waits for"]
    );
}

#[test]
fn a_snapshot_that_cannot_be_read_is_asked_again() {
    let mut rig = rig::ready();
    snapshot(&mut rig, 0);
    let broken = fixture("feed_mbp_snapshot").replace("64999.9", "\"x\"");
    assert!(rig.text(LINK_FEED, 1, &broken).1.is_err());
    let again = rig.deadline(1_001).sent;
    assert_eq!(again.len(), 1);
    assert!(again[0].1.contains("x1I2"));
}

#[test]
fn older_quotes_are_passed_over() {
    let mut rig = rig::ready();
    let quote = |id: u64| fixture("feed_bbo").replace("137005210233", &id.to_string());
    for (id, is_new) in [(5, true), (7, true), (6, false), (7, true)] {
        let (said, _) = rig.text(LINK_TRADES, 1, &quote(id));
        assert_eq!(said.events[0].starts_with("Quote"), is_new, "{id}");
    }
    rig.open(LINK_TRADES, 2);
    let (said, _) = rig.text(LINK_TRADES, 3, &quote(1));
    assert!(
        said.events[0].starts_with("Quote"),
        "a new socket counts anew"
    );
}

#[test]
fn orders_and_cancels_as_written() {
    let mut rig = rig::ready();
    let (said, result) = place(&mut rig, 1, &new_order(1));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.sent,
        [(
            LINK_ORDERS,
            concat!(
                r#"{"ch":"create-order","params":{"account-id":"992701","symbol":"btcusdt","#,
                r#""type":"buy-limit-maker","amount":"0.001","price":"65000.1","source":"spot-api","#,
                r#""client-order-id":"sl1z141z5"},"cid":"n1z141z5I1"}"#
            )
            .to_owned()
        )]
    );
    let market = NewOrder {
        kind: OrderKind::Market,
        ..new_order(2)
    };
    assert_eq!(place(&mut rig, 1, &market).1, Err(EntryError::Unsupported));
    let amend = AmendOrder {
        instrument: BTC,
        client_id: client(1),
        order_id: OrderId(7),
        price: Some(Price(1)),
        qty: None,
    };
    let mut none = Said::default();
    let result = rig
        .venue
        .amend_order(&rig.registry, &amend, at_ms(1), &mut none);
    assert_eq!((result, none.sent.len()), (Err(EntryError::Unsupported), 0));
    let (said, _) = take_off(&mut rig, 2, &cancel(1));
    assert!(
        said.sent[0]
            .1
            .contains(r#""client-order-ids":["sl1z141z5"]"#)
    );
    let unknown = CancelOrder {
        instrument: InstrumentId(9),
        ..cancel(1)
    };
    assert_eq!(
        take_off(&mut rig, 2, &unknown).1,
        Err(EntryError::UnknownInstrument)
    );
}

#[test]
fn new_orders_leave_room_for_cancels() {
    let mut rig = rig::ready();
    let placed = (1..=60)
        .filter(|n| place(&mut rig, 10, &new_order(*n)).1.is_ok())
        .count();
    assert_eq!(placed, 40);
    let taken = (1..=60)
        .filter(|n| take_off(&mut rig, 10, &cancel(*n)).1.is_ok())
        .count();
    assert_eq!(taken, 10);
    assert_eq!(place(&mut rig, 1_036, &new_order(61)).1, Ok(()));
}

#[test]
fn cancel_all_goes_out_in_batches_of_fifty() {
    let mut rig = rig::ready();
    let live: Vec<_> = (1..=120).map(cancel).collect();
    let mut said = Said::default();
    rig.venue
        .cancel_all(&rig.registry, BTC, &live, at_ms(0), &mut said)
        .unwrap();
    let sizes: Vec<_> = said
        .sent
        .iter()
        .map(|(link, text)| (*link, text.matches("\"sl").count()))
        .collect();
    assert_eq!(
        sizes,
        [(LINK_ORDERS, 50), (LINK_ORDERS, 50), (LINK_ORDERS, 20)]
    );
    assert!(
        said.sent[0].1.ends_with(r#"],"cid":"b1"}"#)
            || said.sent[0].1.ends_with(r#"]},"cid":"b1"}"#)
    );
    let none = rig
        .venue
        .cancel_all(&rig.registry, InstrumentId(9), &live, at_ms(0), &mut said);
    assert_eq!(none, Err(EntryError::UnknownInstrument));
}

#[test]
fn a_fill_goes_out_with_what_its_order_says_is_done() {
    let order = fixture("account_order_partial");
    let fill = fixture("account_clearing");
    let told = "Order 1 PARTIALLY_FILLED None px 65000.1 qty 0.001 cum 0.0004";
    let filled = "Fill 1 trade 102523573487 buy 0.0004 @ 65000.1 fee 0.0000008 AssetId(0) maker";
    // The order first: its state at once, the fill when it comes.
    let mut rig = rig::ready();
    assert_eq!(rig.text(LINK_USER, 1, order).0.events, [told]);
    assert_eq!(rig.text(LINK_USER, 2, fill).0.events, [filled]);
    // The fill first: held, and out before its order's state.
    let mut rig = rig::ready();
    assert!(rig.text(LINK_USER, 1, fill).0.events.is_empty());
    assert_eq!(rig.text(LINK_USER, 2, order).0.events, [filled, told]);
    assert!(rig.deadline(1_000).events.is_empty(), "once");
    // No order: out as it is.
    let mut rig = rig::ready();
    rig.deadline(0);
    rig.text(LINK_USER, 1, fill).1.unwrap();
    assert_eq!(rig.venue.next_deadline(), Some(at_ms(251).unix));
    assert!(rig.deadline(250).events.is_empty());
    assert_eq!(rig.deadline(251).events, [filled]);
    // The socket's end lets it go too.
    let mut rig = rig::ready();
    rig.text(LINK_USER, 1, fill).1.unwrap();
    assert_eq!(rig.close(LINK_USER, 2).events, [filled]);
    // More than are held: the oldest goes.
    let mut rig = rig::ready();
    let many = (0..100).map(|n| fill.replace("102523573487", &n.to_string().replace('0', "10")));
    let out: usize = many
        .map(|fill| rig.text(LINK_USER, 1, &fill).0.events.len())
        .sum();
    assert_eq!(out, 100 - 64);
    assert_eq!(rig.deadline(300).events.len(), 64);
}

#[test]
fn a_post_only_order_cancelled_at_once_was_refused() {
    let created = fixture("account_order_creation");
    let cancelled = fixture("account_order_canceled");
    let states = |rig: &mut Rig, ms: u64| {
        let (said, _) = rig.text(LINK_USER, ms, cancelled);
        said.events[0].split(" px").next().unwrap().to_owned()
    };
    let mut rig = rig::ready();
    rig.text(LINK_USER, 1, created).1.unwrap();
    assert_eq!(states(&mut rig, 2), "Order 1 REJECTED PostOnlyCross");
    // Not when it rested, nor when we asked for it, before or after its creation.
    let mut rig = rig::ready();
    rig.text(LINK_USER, 1, created).1.unwrap();
    assert_eq!(states(&mut rig, 1_100), "Order 1 CANCELLED None");
    let mut rig = rig::ready();
    rig.text(LINK_USER, 1, created).1.unwrap();
    take_off(&mut rig, 1, &cancel(1)).1.unwrap();
    assert_eq!(states(&mut rig, 2), "Order 1 CANCELLED None");
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue
        .cancel_all(&rig.registry, BTC, &[cancel(1)], at_ms(1), &mut said)
        .unwrap();
    rig.text(LINK_USER, 1, created).1.unwrap();
    assert_eq!(states(&mut rig, 2), "Order 1 CANCELLED None");
    // Nor when some of it was done.
    let mut rig = rig::ready();
    rig.text(LINK_USER, 1, created).1.unwrap();
    let (said, _) = rig.text(LINK_USER, 2, fixture("account_order_partial_canceled"));
    assert!(said.events[0].starts_with("Order 1 CANCELLED None"));
}

#[test]
fn the_dead_mans_switch_is_kept_armed_only_while_logged_in() {
    let mut rig = rig::ready();
    let said = rig.deadline(0);
    assert_eq!(said.requests.len(), 1);
    let request = &said.requests[0];
    assert_eq!(
        asked(&request.line),
        "POST /v2/algo-orders/cancel-all-after"
    );
    assert_eq!(request.body, r#"{"timeout":20}"#);
    assert!(request.line.contains("&Signature="), "{}", request.line);
    let (said, result) = rig.response(10, request.tag, 200, fixture("rest_cancel_all_after"));
    let armed = vec!["Ignored dead man's switch armed".to_owned()];
    assert_eq!((said.events, result), (armed, Ok(())));
    assert!(rig.deadline(4_999).requests.is_empty());
    let again = rig.deadline(5_000).requests;
    assert_eq!(again.len(), 1);
    assert!(rig.response(5_100, again[0].tag, 500, "").1.is_err());
    assert!(rig.deadline(6_100).requests.is_empty(), "one in 2 s");
    assert_eq!(
        rig.deadline(7_100).requests.len(),
        1,
        "a failed arming is tried again"
    );
    rig.close(LINK_USER, 8_000);
    assert!(
        rig.deadline(30_000).requests.is_empty(),
        "the venue clears our orders"
    );
}

#[test]
fn reconciliation_reads_orders_fills_and_balances() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue.reconcile(&rig.registry, at_ms(100), &mut said);
    assert_eq!(said.events, ["ReconcileStarted"]);
    let step = said.requests.pop().unwrap();
    assert_eq!(
        asked(&step.line),
        "GET /v1/order/openOrders?account-id=992701&size=500&symbol=btcusdt"
    );
    let (said, _) = rig.response(110, step.tag, 200, fixture("rest_open_orders"));
    assert_eq!(
        said.events,
        [
            "Order 1 PARTIALLY_FILLED None px 65000.1 qty 0.001000000000000000 cum 0.0004",
            "Order - ACK None px 60000 qty 0.1 cum 0.0",
        ]
    );
    let step = &said.requests[0];
    assert_eq!(
        asked(&step.line),
        "GET /v1/order/matchresults?size=500&symbol=btcusdt"
    );
    let (said, _) = rig.response(120, step.tag, 200, fixture("rest_match_results"));
    assert_eq!(
        said.events,
        [
            "Fill - trade 102523573487 buy 0.000400000000000000 @ 65000.1 fee 0.0000008 AssetId(0) maker"
        ]
    );
    let step = &said.requests[0];
    assert_eq!(asked(&step.line), "GET /v1/account/accounts/992701/balance");
    let (said, _) = rig.response(130, step.tag, 200, fixture("rest_balance"));
    assert_eq!(
        said.events,
        [
            "Balance AssetId(0) free 0.5 locked 0",
            "Balance AssetId(1) free 9340 locked 660",
            "Reconciled"
        ]
    );
    // The next run asks for fills from a minute before this one began.
    let empty = r#"{"status":"ok","data":[]}"#;
    let mut said = Said::default();
    rig.venue
        .reconcile(&rig.registry, at_ms(200_000), &mut said);
    let (said, _) = rig.response(200_010, said.requests[0].tag, 200, empty);
    assert_eq!(
        asked(&said.requests[0].line),
        "GET /v1/order/matchresults?size=500&start-time=1759999940100&symbol=btcusdt"
    );
}

#[test]
fn a_query_tells_what_became_of_an_order_and_of_its_fills() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    rig.venue
        .query_order(&rig.registry, &cancel(1), at_ms(0), &mut said)
        .unwrap();
    let by_ours = said.requests.pop().unwrap();
    assert_eq!(
        asked(&by_ours.line),
        "GET /v1/order/orders/getClientOrder?clientOrderId=sl1z141z5"
    );
    rig.venue
        .query_order(&rig.registry, &cancel(1), at_ms(0), &mut said)
        .unwrap();
    assert!(said.requests.is_empty(), "its answer is on the way");
    let (gone, result) = rig.response(1, by_ours.tag, 200, fixture("rest_order_gone"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        gone.events,
        ["Order 1 REJECTED UnknownOrder px - qty - cum -"]
    );
    let named = CancelOrder {
        order_id: OrderId(1_314_507_823_485_263),
        ..cancel(1)
    };
    rig.venue
        .query_order(&rig.registry, &named, at_ms(2), &mut said)
        .unwrap();
    let by_theirs = said.requests.pop().unwrap();
    assert_eq!(
        asked(&by_theirs.line),
        "GET /v1/order/orders/1314507823485263"
    );
    let (found, _) = rig.response(3, by_theirs.tag, 200, fixture("rest_order"));
    assert_eq!(
        found.events,
        ["Order 1 CANCELLED None px 65000.1 qty 0.001000000000000000 cum 0.000400000000000000"]
    );
    let fills = &found.requests[0];
    assert_eq!(
        asked(&fills.line),
        "GET /v1/order/orders/1314507823485263/matchresults"
    );
    let (said, _) = rig.response(4, fills.tag, 200, fixture("rest_match_results"));
    assert!(
        said.events[0].starts_with("Fill 1 trade 102523573487"),
        "under our name"
    );
}

#[test]
fn binary_and_text_frames_are_told_apart_by_the_socket_not_by_us() {
    let mut rig = rig::ready();
    let (said, result) = binary(&mut rig, LINK_FEED, 1, &gzip(fixture("feed_trades")));
    assert_eq!((said.events.len(), result), (1, Ok(())));
    let before = rig.venue.read_counts();
    rig.text(LINK_FEED, 2, fixture("feed_trades")).1.unwrap();
    let _ = binary(&mut rig, LINK_FEED, 2, b"junk");
    let since = rig.venue.read_counts() - before;
    assert_eq!((since.parsed, since.scanned), (2, 0));
}

#[test]
fn on_paper_what_the_session_would_refuse_is_refused() {
    let told = rates::agree(&mut rig::ready(), 100, new_order);
    assert_eq!(told.first, 41, "{told:?}");
}
