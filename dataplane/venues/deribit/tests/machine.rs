//! The machine over time: links, logins, subscriptions, snapshots, limits.
#![allow(missing_docs)]

mod rig;

use dp_book::{Keeper, Outcome, State};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Epoch, InstrumentId, LaneId, LinkId, NewOrder, OrderId,
    OrderKind, Price, Qty, RejectReason, Side, Tif, UnixNanos,
};
use dp_venue_api::{DecodeError, EntryError, Event, Fault, LinkKind, RestRequest, Sink, Venue};
use dp_venue_deribit::sync::DeribitSync;
use dp_venue_deribit::{LINK_MD, LINK_ORDERS, LINK_REST};
use rig::{Rig, fixture};
use tests_venues::rates;
use tests_venues::rig::{START_MS, Said, at_ms};

const BTC: InstrumentId = InstrumentId(0);
const HEARTBEAT: &str =
    r#"{"jsonrpc":"2.0","id":"h","method":"public/set_heartbeat","params":{"interval":10}}"#;
const ON_DISCONNECT: &str = concat!(
    r#"{"jsonrpc":"2.0","id":"d","method":"private/enable_cancel_on_disconnect","#,
    r#""params":{"scope":"connection"}}"#
);
const ACCOUNT: &str = concat!(
    r#"{"jsonrpc":"2.0","id":"s","method":"private/subscribe","#,
    r#""params":{"channels":["user.changes.any.any.raw","user.portfolio.btc"]}}"#
);
const TEST: &str = r#"{"jsonrpc":"2.0","id":"t","method":"public/test","params":{}}"#;

fn market(interval: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"s","method":"public/subscribe","params":{{"channels":["book.BTC-PERPETUAL.{interval}","trades.BTC-PERPETUAL.{interval}","quote.BTC-PERPETUAL"]}}}}"#
    )
}

fn texts(said: &Said) -> Vec<&str> {
    said.sent.iter().map(|(_, text)| text.as_str()).collect()
}

fn is_login(text: &str) -> bool {
    text.contains(r#""method":"public/auth""#) && text.contains("client_signature")
}

fn client(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Epoch(1), LaneId(0), sequence).unwrap()
}

fn new_order(sequence: u32) -> NewOrder {
    NewOrder {
        instrument: BTC,
        client_id: client(sequence),
        side: Side::Sell,
        kind: OrderKind::PostOnly,
        tif: Tif::Gtc,
        price: Price(65_000_500),
        qty: Qty(100_000_000),
    }
}

fn cancel(sequence: u32) -> CancelOrder {
    CancelOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(7),
    }
}

#[test]
fn without_keys_there_is_no_link_for_orders_and_books_come_every_100_ms() {
    let mut rig = rig::new(&["BTC-PERPETUAL"], false);
    let links: Vec<_> = rig
        .venue
        .links()
        .iter()
        .map(|link| (link.name, link.kind, link.path.as_str()))
        .collect();
    assert_eq!(
        links,
        [
            ("rest", LinkKind::Http, ""),
            ("md", LinkKind::WebSocket, "/ws/api/v2")
        ]
    );
    assert_eq!(texts(&rig.open(LINK_MD, 0)), [HEARTBEAT]);
    let (said, _) = rig.text(LINK_MD, 1, fixture("entry_heartbeat_ack"));
    assert!(said.sent.is_empty(), "the instruments are not known");
    assert!(rig.deadline(20_000).reconnects.is_empty(), "nor is it late");
    let asked = rig.open(LINK_REST, 20_000).requests;
    let rules = fixture("rest_instrument_perpetual");
    let (said, _) = rig.response(20_001, asked[0].tag, 200, rules);
    assert_eq!(said.events, ["InstrumentsReady"]);
    assert_eq!(texts(&said), [market("100ms")]);
    let confirmed = fixture("feed_subscribed").replace(".raw", ".100ms");
    let (said, _) = rig.text(LINK_MD, 20_002, &confirmed);
    assert_eq!(said.events, ["Subscribed(LinkId(1))"]);
    assert_eq!(rig.venue.next_deadline(), None);
}

#[test]
fn with_keys_the_md_link_logs_in_and_takes_every_change() {
    let mut rig = rig::with_rules();
    let said = rig.open(LINK_MD, 0);
    assert_eq!(said.sent.len(), 2);
    assert_eq!(said.sent[0].1, HEARTBEAT);
    assert!(is_login(&said.sent[1].1), "{}", said.sent[1].1);
    let (said, _) = rig.text(LINK_MD, 1, fixture("entry_login_ack"));
    assert_eq!(texts(&said), [market("raw")]);
    assert_eq!(said.events, ["Ignored login accepted"]);
    let (said, _) = rig.text(LINK_MD, 2, fixture("feed_subscribed"));
    assert!(said.events.is_empty(), "the heartbeat is not confirmed");
    let (said, _) = rig.text(LINK_MD, 3, fixture("entry_heartbeat_ack"));
    assert_eq!(said.events, ["Ignored confirmed", "Subscribed(LinkId(1))"]);
}

#[test]
fn market_data_does_not_depend_on_the_key() {
    let mut rig = rig::with_rules();
    rig.open(LINK_MD, 0);
    let (said, result) = rig.text(LINK_MD, 1, fixture("entry_login_refused"));
    assert_eq!(result, Ok(()));
    assert_eq!(texts(&said), [market("100ms")]);
    assert!(said.reconnects.is_empty());
}

#[test]
fn logged_in_is_said_when_everything_is_confirmed_in_whatever_order() {
    let mut rig = rig::with_rules();
    let said = rig.open(LINK_ORDERS, 0);
    assert!(is_login(&said.sent[1].1));
    let (said, _) = rig.text(LINK_ORDERS, 1, fixture("entry_login_ack"));
    assert_eq!(texts(&said), [ON_DISCONNECT, ACCOUNT]);
    for name in ["entry_subscribed", "entry_heartbeat_ack"] {
        let (said, _) = rig.text(LINK_ORDERS, 2, fixture(name));
        assert!(!said.events.contains(&"LoggedIn(LinkId(2))".to_owned()));
        let mut out = Said::default();
        let early = rig
            .venue
            .new_order(&rig.registry, &new_order(1), at_ms(2), &mut out);
        assert_eq!(early, Err(EntryError::NotReady));
    }
    let (said, _) = rig.text(LINK_ORDERS, 3, fixture("entry_on_disconnect_ack"));
    assert_eq!(said.events, ["Ignored confirmed", "LoggedIn(LinkId(2))"]);
    let mut out = Said::default();
    rig.venue
        .new_order(&rig.registry, &new_order(1), at_ms(3), &mut out)
        .unwrap();
    assert_eq!(out.sent[0].0, LINK_ORDERS);
}

#[test]
fn a_link_that_is_not_confirmed_or_is_refused_something_is_replaced() {
    let mut rig = rig::with_rules();
    rig.open(LINK_ORDERS, 0);
    rig.text(LINK_ORDERS, 1, fixture("entry_login_ack"))
        .1
        .unwrap();
    assert!(rig.deadline(10_000).reconnects.is_empty());
    let why = "what was asked is not confirmed in time";
    assert_eq!(rig.deadline(10_001).reconnects, [(LINK_ORDERS, why)]);
    let refused = |id: &str| format!(r#"{{"id":"{id}","error":{{"code":11029,"message":"x"}}}}"#);
    for id in ["h", "d", "s"] {
        let mut rig = rig::ready();
        let (said, result) = rig.text(LINK_ORDERS, 1, &refused(id));
        assert_eq!(said.reconnects.len(), 1, "{id}");
        let reason = RejectReason::Invalid;
        let fault = Fault::Venue {
            code: 11_029,
            reason,
        };
        assert_eq!(result, Err(fault));
    }
    // A login that is refused says so.
    rig.open(LINK_ORDERS, 20_000);
    let (said, _) = rig.text(LINK_ORDERS, 20_001, fixture("entry_login_refused"));
    assert_eq!(said.events, ["LoginRefused(Auth)"]);
    assert_eq!(said.reconnects, [(LINK_ORDERS, "login refused")]);
}

#[test]
fn channels_that_are_not_named_are_the_error() {
    let mut rig = rig::with_rules();
    rig.open(LINK_ORDERS, 0);
    rig.text(LINK_ORDERS, 1, fixture("entry_login_ack"))
        .1
        .unwrap();
    let (said, result) = rig.text(
        LINK_ORDERS,
        2,
        r#"{"id":"s","result":["user.changes.any.any.raw"]}"#,
    );
    assert_eq!(said.reconnects.len(), 1, "blind to its money");
    assert!(result.is_err());
    // Of market data the rest is worth having.
    rig.open(LINK_MD, 10);
    for name in ["entry_heartbeat_ack", "entry_login_ack"] {
        rig.text(LINK_MD, 10, fixture(name)).1.unwrap();
    }
    let (said, result) = rig.text(
        LINK_MD,
        11,
        r#"{"id":"s","result":["quote.BTC-PERPETUAL"]}"#,
    );
    assert_eq!(said.events, ["Subscribed(LinkId(1))"]);
    assert_eq!(
        result,
        Err(Fault::Venue {
            code: 0,
            reason: RejectReason::BadSymbol
        })
    );
}

#[test]
fn the_venues_test_is_answered_at_once_on_its_link_even_when_we_are_stopped() {
    let mut rig = rig::ready();
    rig.text(LINK_ORDERS, 1, fixture("entry_reject_rate"))
        .1
        .unwrap();
    for link in [LINK_MD, LINK_ORDERS] {
        let (said, result) = rig.text(link, 2, fixture("feed_test_request"));
        assert_eq!(result, Ok(()));
        assert_eq!(said.sent, [(link, TEST.to_owned())]);
        assert_eq!(said.events, ["Heartbeat"]);
        let (said, _) = rig.text(link, 3, r#"{"id":"t","result":{"version":"1.2.26"}}"#);
        assert_eq!(said.events, ["Ignored confirmed"]);
    }
    assert!(
        rig.text(LINK_MD, 4, fixture("feed_heartbeat"))
            .0
            .sent
            .is_empty()
    );
}

#[test]
fn a_login_is_renewed_before_it_lapses_and_guarded_again() {
    let mut rig = rig::ready();
    assert_eq!(
        rig.venue.next_deadline(),
        Some(UnixNanos::from_millis(START_MS + 675_000)),
        "three quarters of 900 s"
    );
    assert!(rig.deadline(674_999).sent.is_empty());
    let said = rig.deadline(675_000);
    let links: Vec<_> = said.sent.iter().map(|(link, _)| *link).collect();
    assert_eq!(links, [LINK_MD, LINK_ORDERS]);
    assert!(said.sent.iter().all(|(_, text)| is_login(text)));
    assert_ne!(said.sent[0].1, said.sent[1].1, "a nonce of its own");
    let (said, _) = rig.text(LINK_MD, 675_010, fixture("entry_login_ack"));
    assert!(said.sent.is_empty(), "it is subscribed");
    let (said, _) = rig.text(LINK_ORDERS, 675_010, fixture("entry_login_ack"));
    assert_eq!(texts(&said), [ON_DISCONNECT]);
    let (said, _) = rig.text(LINK_ORDERS, 675_020, fixture("entry_on_disconnect_ack"));
    assert_eq!(said.events, ["Ignored confirmed"], "not logged in twice");
    assert!(rig.deadline(700_000).reconnects.is_empty());
    // Unanswered, or refused, it costs the link.
    rig.deadline(1_350_010);
    let said = rig.deadline(1_360_010);
    assert_eq!(said.reconnects.len(), 2);
    let mut rig = rig::ready();
    rig.deadline(675_000);
    for link in [LINK_MD, LINK_ORDERS] {
        let (said, _) = rig.text(link, 675_001, fixture("entry_login_refused"));
        assert_eq!(said.reconnects, [(link, "login refused")]);
    }
    // An answer nobody waits for changes nothing.
    let (said, _) = rig::ready().text(LINK_ORDERS, 1, fixture("entry_login_ack"));
    assert!(said.sent.is_empty());
}

#[test]
fn a_lapsed_login_ends_the_link() {
    let mut rig = rig::ready();
    let (said, result) = rig.text(LINK_ORDERS, 1, fixture("entry_lapsed"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        said.events,
        [
            "Ack 1 order 0 Auth 13009",
            "Order 1 REJECTED Auth px - qty - cum -"
        ]
    );
    assert_eq!(said.reconnects, [(LINK_ORDERS, "the login has lapsed")]);
    let mut out = Said::default();
    let order = rig
        .venue
        .new_order(&rig.registry, &new_order(2), at_ms(2), &mut out);
    assert_eq!(order, Err(EntryError::NotReady));
}

#[test]
fn after_a_lost_link_everything_begins_anew() {
    let mut rig = rig::ready();
    rig.close(LINK_ORDERS, 5);
    let mut out = Said::default();
    let order = rig
        .venue
        .new_order(&rig.registry, &new_order(1), at_ms(5), &mut out);
    assert_eq!(order, Err(EntryError::NotReady));
    let said = rig::log_in(&mut rig, 100);
    assert_eq!(said.events, ["LoggedIn(LinkId(2))"]);
    rig.venue
        .new_order(&rig.registry, &new_order(1), at_ms(100), &mut out)
        .unwrap();
}

#[test]
fn orders_stay_below_the_venues_credits_and_leave_some_for_cancels() {
    let mut rig = rig::ready();
    let mut said = Said::default();
    for sequence in 1..=12 {
        rig.venue
            .new_order(&rig.registry, &new_order(sequence), at_ms(10), &mut said)
            .unwrap();
    }
    let over = rig
        .venue
        .new_order(&rig.registry, &new_order(13), at_ms(10), &mut said);
    assert_eq!(over, Err(EntryError::RateLimited));
    for sequence in 1..=4 {
        rig.venue
            .cancel_order(&rig.registry, &cancel(sequence), at_ms(10), &mut said)
            .unwrap();
    }
    let over = rig
        .venue
        .cancel_order(&rig.registry, &cancel(5), at_ms(10), &mut said);
    assert_eq!(over, Err(EntryError::RateLimited));
    assert_eq!(said.sent.len(), 16);
    assert_eq!(
        said.sent[0],
        (
            LINK_ORDERS,
            concat!(
                r#"{"jsonrpc":"2.0","id":"n1z141z5I1","method":"private/sell","params":{"#,
                r#""instrument_name":"BTC-PERPETUAL","amount":100,"type":"limit","price":65000.5,"#,
                r#""label":"sl1z141z5","time_in_force":"good_til_cancelled","post_only":true,"#,
                r#""reject_post_only":true,"valid_until":1760000000510}}"#
            )
            .to_owned()
        )
    );
    rig.venue
        .cancel_all(&rig.registry, BTC, &[cancel(1)], at_ms(260), &mut said)
        .unwrap();
    assert!(said.sent[16].1.contains("cancel_all_by_instrument"));
    let unknown = CancelOrder {
        instrument: InstrumentId(9),
        ..cancel(1)
    };
    let error = rig
        .venue
        .cancel_order(&rig.registry, &unknown, at_ms(600), &mut said);
    assert_eq!(error, Err(EntryError::UnknownInstrument));
}

#[test]
fn an_amend_repeats_what_the_venue_last_said_of_the_order() {
    let mut rig = rig::ready();
    let mut out = Said::default();
    let amend = |sequence, order_id| AmendOrder {
        instrument: BTC,
        client_id: client(sequence),
        order_id: OrderId(order_id),
        price: Some(Price(64_999_000)),
        qty: None,
    };
    let never = rig
        .venue
        .amend_order(&rig.registry, &amend(1, 7), at_ms(1), &mut out);
    assert_eq!(
        never,
        Err(EntryError::Unsupported),
        "its amount is not known"
    );
    rig.venue
        .new_order(&rig.registry, &new_order(1), at_ms(1), &mut out)
        .unwrap();
    rig.venue
        .amend_order(&rig.registry, &amend(1, 0), at_ms(2), &mut out)
        .unwrap();
    assert!(
        out.sent[1].1.contains(concat!(
            r#""label":"sl1z141z5","instrument_name":"BTC-PERPETUAL","amount":100,"#,
            r#""price":64999,"post_only":true"#
        )),
        "{}",
        out.sent[1].1
    );
    // Of an order of an earlier run, the list tells.
    let other = fixture("account_changes_open")
        .replace("sl1z141z5", "sl1z141z6")
        .replace(r#""amount":100.0"#, r#""amount":250.0"#)
        .replace(r#""post_only":true"#, r#""post_only":false"#);
    rig.text(LINK_ORDERS, 3, &other).1.unwrap();
    rig.venue
        .amend_order(
            &rig.registry,
            &amend(2, 104_819_327_443),
            at_ms(4),
            &mut out,
        )
        .unwrap();
    assert!(
        out.sent[2]
            .1
            .contains(r#""order_id":"104819327443","amount":250,"price":64999,"valid_until""#),
        "{}",
        out.sent[2].1
    );
}

#[test]
fn a_rate_refusal_stops_everything_until_the_credits_are_back() {
    let mut rig = rig::ready();
    rig.text(LINK_ORDERS, 100, fixture("entry_reject_rate"))
        .1
        .unwrap();
    let mut out = Said::default();
    for ms in [101, 6_099] {
        let order = rig
            .venue
            .new_order(&rig.registry, &new_order(2), at_ms(ms), &mut out);
        assert_eq!(order, Err(EntryError::RateLimited));
    }
    rig.venue
        .cancel_order(&rig.registry, &cancel(1), at_ms(6_099), &mut out)
        .expect("what rests must go while there is a link");
    // It ends the session: the next one is not begun before the credits are back.
    rig.close(LINK_ORDERS, 200);
    assert!(rig.open(LINK_ORDERS, 300).sent.is_empty());
    assert!(rig.deadline(6_099).sent.is_empty());
    let said = rig.deadline(6_100);
    assert_eq!(said.sent.len(), 2, "{said:?}");
    for name in [
        "entry_heartbeat_ack",
        "entry_login_ack",
        "entry_on_disconnect_ack",
    ] {
        rig.text(LINK_ORDERS, 6_101, fixture(name)).1.unwrap();
    }
    let (said, _) = rig.text(LINK_ORDERS, 6_102, fixture("entry_subscribed"));
    assert_eq!(said.events, ["LoggedIn(LinkId(2))"]);
    assert_eq!(out.sent.len(), 1);
}

/// Feeds the machine's depth into a keeper, as a lane does.
struct Book {
    keeper: Keeper<DeribitSync>,
    outcomes: Vec<Outcome>,
    instrument: dp_types::Instrument,
    said: Said,
}

impl Sink for Book {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Book(message) => {
                let now = UnixNanos::from_millis(START_MS);
                self.outcomes
                    .push(self.keeper.on_msg(message, &self.instrument, now));
            }
            Event::Control(dp_venue_api::Control::BookLost(_)) => self.keeper.reset(),
            _ => {}
        }
    }
    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        self.said.send_text(link, text);
    }
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        self.said.request(link, request);
    }
    fn reconnect(&mut self, link: LinkId, why: &'static str) {
        self.said.reconnect(link, why);
    }
}

impl Book {
    fn new(rig: &Rig) -> Self {
        let instrument = *rig.registry.get(BTC).unwrap();
        Self {
            keeper: Keeper::new(DeribitSync::new(&instrument)),
            outcomes: Vec::new(),
            instrument,
            said: Said::default(),
        }
    }

    fn feed(&mut self, rig: &mut Rig, name: &str) -> Result<Outcome, Fault> {
        self.feed_text(rig, fixture(name))
    }

    fn feed_text(&mut self, rig: &mut Rig, text: &str) -> Result<Outcome, Fault> {
        let mut bytes = text.as_bytes().to_vec();
        rig.venue
            .on_text(&rig.registry, LINK_MD, at_ms(0), &mut bytes, self)?;
        Ok(*self.outcomes.last().unwrap())
    }
}

#[test]
fn a_book_from_its_snapshot_to_a_gap_and_back() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    assert_eq!(
        book.feed(&mut rig, "feed_book_change"),
        Ok(Outcome::NeedSnapshot)
    );
    // With the change that was held back behind it.
    assert_eq!(
        book.feed(&mut rig, "feed_book_snapshot"),
        Ok(Outcome::Applied)
    );
    assert_eq!(book.keeper.proof().last_id, 123_456_795);
    let best = (book.keeper.book().best_bid(), book.keeper.book().best_ask());
    assert_eq!(best.0.unwrap().qty, Qty(950_000_000));
    assert_eq!(
        best.1.unwrap().price,
        Price(65_001_000),
        "the old one is deleted"
    );
    let outcome = book.feed(&mut rig, "feed_book_gap").unwrap();
    assert!(matches!(outcome, Outcome::Gap(_)) && outcome.needs_snapshot());
    assert_eq!(book.keeper.proof().state, State::Waiting);
    // The next snapshot has what showed the gap.
    let next = fixture("feed_book_snapshot").replace("123456789", "123456799");
    assert_eq!(book.feed_text(&mut rig, &next), Ok(Outcome::Applied));
    assert_eq!(book.keeper.proof().state, State::Synced);
}

#[test]
fn a_level_that_contradicts_itself_loses_the_book_at_once() {
    let mut rig = rig::ready();
    let mut book = Book::new(&rig);
    book.feed(&mut rig, "feed_book_snapshot").unwrap();
    let error = DecodeError::Shape("a level that contradicts its action");
    let result = book.feed(&mut rig, "feed_book_contradiction");
    assert_eq!(result, Err(error.into()));
    assert_eq!(book.keeper.proof().state, State::Empty);
    assert_eq!(
        book.feed(&mut rig, "feed_book_change"),
        Ok(Outcome::NeedSnapshot)
    );
}

const RENEWAL: [&str; 2] = [
    r#"{"jsonrpc":"2.0","id":"u","method":"public/unsubscribe","params":{"channels":["book.BTC-PERPETUAL.raw"]}}"#,
    r#"{"jsonrpc":"2.0","id":"rI1","method":"public/subscribe","params":{"channels":["book.BTC-PERPETUAL.raw"]}}"#,
];

fn snapshot(rig: &mut Rig, ms: u64) -> Said {
    let mut said = Said::default();
    rig.venue
        .request_snapshot(&rig.registry, BTC, at_ms(ms), &mut said);
    said
}

#[test]
fn snapshots_come_by_a_new_subscription_one_at_a_time() {
    let mut rig = rig::ready();
    assert_eq!(texts(&snapshot(&mut rig, 0)), RENEWAL);
    assert!(snapshot(&mut rig, 1).sent.is_empty(), "it is on the way");
    rig.text(LINK_MD, 2, fixture("feed_renewed")).1.unwrap();
    assert!(rig.deadline(4_999).sent.is_empty());
    assert_eq!(texts(&rig.deadline(5_000)), RENEWAL, "or it is lost");
    assert_eq!(
        texts(&rig.deadline(10_000)),
        RENEWAL,
        "as often as it takes"
    );
    rig.text(LINK_MD, 10_020, fixture("feed_book_snapshot"))
        .1
        .unwrap();
    assert!(rig.deadline(30_000).sent.is_empty(), "it came");
    // Asked for again at once it waits a moment, and so does one that was refused or not named.
    assert_eq!(texts(&snapshot(&mut rig, 40_000)), RENEWAL);
    for (ms, text) in [
        (
            40_100,
            r#"{"id":"rI1","error":{"code":11029,"message":"x"}}"#,
        ),
        (41_100, r#"{"id":"rI1","result":[]}"#),
    ] {
        assert!(rig.text(LINK_MD, ms, text).1.is_err());
        assert!(rig.deadline(ms + 899).sent.is_empty());
        assert_eq!(texts(&rig.deadline(ms + 900)), RENEWAL);
    }
    rig.text(LINK_MD, 42_050, fixture("feed_book_snapshot"))
        .1
        .unwrap();
    assert!(snapshot(&mut rig, 42_060).sent.is_empty());
    assert_eq!(texts(&rig.deadline(43_000)), RENEWAL);
}

#[test]
fn snapshots_stay_below_the_credits_for_subscriptions() {
    let symbols: Vec<_> = (1..=9).map(|day| format!("BTC-{day}JAN27")).collect();
    let names: Vec<_> = symbols.iter().map(String::as_str).collect();
    let mut rig = rig::new(&names, false);
    for (asked, symbol) in rig.open(LINK_REST, 0).requests.iter().zip(&names) {
        let rules = fixture("rest_instrument_perpetual").replace("BTC-PERPETUAL", symbol);
        rig.response(0, asked.tag, 200, &rules).1.unwrap();
    }
    rig.open(LINK_MD, 0);
    rig.text(LINK_MD, 0, fixture("entry_heartbeat_ack"))
        .1
        .unwrap();
    let channels = vec![r#""x""#; 27].join(",");
    let (said, _) = rig.text(
        LINK_MD,
        0,
        &format!(r#"{{"id":"s","result":[{channels}]}}"#),
    );
    assert_eq!(said.events, ["Subscribed(LinkId(1))"]);
    let mut sent = 0;
    for id in 0..9 {
        let mut said = Said::default();
        rig.venue
            .request_snapshot(&rig.registry, InstrumentId(id), at_ms(1), &mut said);
        sent += said.sent.len();
    }
    assert_eq!(sent, 6, "seven are left of eight, and they go in twos");
    let counts: Vec<_> = (1..=4)
        .map(|s| rig.deadline(s * 1_001).sent.len())
        .collect();
    assert_eq!(counts, [2, 2, 2, 2], "two a second");
}

#[test]
fn a_book_lost_before_the_link_is_ready_is_asked_for_when_it_is() {
    let mut rig = rig::with_rules();
    rig.open(LINK_MD, 0);
    rig.text(LINK_MD, 1, fixture("entry_login_ack")).1.unwrap();
    rig.text(LINK_MD, 2, fixture("feed_subscribed")).1.unwrap();
    assert!(snapshot(&mut rig, 3).sent.is_empty());
    rig.text(LINK_MD, 4, fixture("entry_heartbeat_ack"))
        .1
        .unwrap();
    let due = rig.venue.next_deadline().unwrap();
    assert!(due <= at_ms(4).unix);
    assert_eq!(texts(&rig.deadline(4)), RENEWAL);
}

#[test]
fn a_lost_link_brings_its_own_snapshots() {
    let mut rig = rig::ready();
    snapshot(&mut rig, 0);
    rig.close(LINK_MD, 1);
    assert!(snapshot(&mut rig, 2).sent.is_empty());
    assert!(rig.deadline(10_000).sent.is_empty());
}

#[test]
fn two_book_channels_of_one_symbol_are_not_mixed() {
    let mut rig = rig::ready();
    rig.text(LINK_MD, 0, fixture("feed_book_snapshot"))
        .1
        .unwrap();
    let other = ["Ignored a second book channel of this instrument"];
    let grouped = fixture("feed_book_grouped").to_owned();
    for text in [
        fixture("feed_book_change").replace(".raw", ".100ms"),
        fixture("feed_book_change").replace(".raw", ".agg2"),
        grouped.clone(),
    ] {
        assert_eq!(rig.text(LINK_MD, 0, &text).0.events, other);
    }
    // A new link begins anew.
    rig.close(LINK_MD, 1);
    rig.open(LINK_MD, 2);
    let (said, _) = rig.text(LINK_MD, 3, &grouped);
    assert!(said.events[0].starts_with("Book Snapshot"));
}

#[test]
fn two_nodes_with_one_key_never_share_a_nonce() {
    let nonces = |slot| {
        let mut registry = dp_venue_api::Registry::new();
        let secrets = dp_venue_api::Secrets {
            api_key: "AMANDA".into(),
            ..dp_venue_api::Secrets::default()
        };
        let config = dp_venue_api::VenueConfig {
            nonce_slot: slot,
            ..tests_venues::rig::config(&[], secrets, 500)
        };
        let venue = dp_venue_deribit::Deribit::new(config, &mut registry).unwrap();
        let mut rig = Rig {
            venue,
            registry,
            rest: LINK_REST,
        };
        let texts: Vec<_> = [LINK_MD, LINK_ORDERS]
            .iter()
            .map(|link| rig.open(*link, 0).sent[1].1.clone())
            .collect();
        let nonce = |text: &String| {
            let message: serde_json::Value = serde_json::from_str(text).unwrap();
            message["params"]["nonce"].as_str().unwrap().to_owned()
        };
        texts.iter().map(nonce).collect::<Vec<_>>()
    };
    let all: std::collections::BTreeSet<_> = (0..8).flat_map(nonces).collect();
    assert_eq!(all.len(), 16);
}

#[test]
fn on_paper_what_the_session_would_refuse_is_refused() {
    let told = rates::agree(&mut rig::ready(), 100, new_order);
    assert_eq!(told.first, 13, "{told:?}");
}
