//! FIX messages, as events: market data, reports and refusals, for people who look at a recorded session. A line is read by
//! itself: sessions, and what the live machines remember of them, are not needed for it.
//!
//! Tags: `35` kind, `49` sender, `11`/`37` client's and venue's id of an order, `55` symbol, `268` entries of market
//! data, each begun by `279` (or `269` in a snapshot), `83` where the entries are single orders, `231` where their sizes
//! are contracts.

use super::shape::{state, trade_json};
use dp_types::{Decimal, Side};
use dp_venue_api::Reason;
use dp_wire::fix::{Frame, SOH, frame};
use dp_wire::time::parse_fix;
use serde_json::{Value, json};

/// What every message begins with.
pub const BEGIN: &[u8] = b"8=FIX";
/// The venues' names as senders.
const VENUES: [&str; 5] = [
    "SPOT",
    "Coinbase",
    "KRAKEN-TRD",
    "KRAKEN-MD",
    "DERIBITSERVER",
];
/// Kinds that only clients send: a provider's name is what it chose.
const ASKED: [&str; 15] = [
    "D", "F", "G", "H", "V", "x", "q", "AF", "AN", "E", "XCN", "XAK", "XLQ", "U4", "U6",
];

/// What a message tells.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// Events.
    Events(Vec<Value>),
    /// Nothing.
    Ignored(Reason),
}

struct Fields<'a>(Vec<(u32, &'a str)>);

impl<'a> Fields<'a> {
    /// `None` when a field is not `tag=value`.
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let fields = text
            .split(char::from(SOH))
            .filter(|field| !field.is_empty());
        let pair = |field: &'a str| {
            let (tag, value) = field.split_once('=')?;
            Some((tag.parse().ok()?, value))
        };
        Some(Self(fields.map(pair).collect::<Option<_>>()?))
    }

    fn get(&self, tag: u32) -> Option<&'a str> {
        self.0
            .iter()
            .find(|field| field.0 == tag)
            .map(|field| field.1)
    }

    fn time_ns(&self, tag: u32) -> u64 {
        self.get(tag)
            .and_then(|text| parse_fix(text.as_bytes()))
            .unwrap_or(0)
    }

    /// The groups that begin with `tag`.
    fn groups(&self, tag: u32) -> Vec<Fields<'a>> {
        let mut groups: Vec<Fields<'a>> = Vec::new();
        for field in &self.0 {
            if field.0 == tag {
                groups.push(Fields(Vec::new()));
            }
            if let Some(group) = groups.last_mut() {
                group.0.push(*field);
            }
        }
        groups
    }
}

fn side(word: Option<&str>) -> Option<Side> {
    match word? {
        "1" => Some(Side::Buy),
        "2" => Some(Side::Sell),
        _ => None,
    }
}

/// Reads one message. An example of a document (`is_example`) need not add up: they were edited.
///
/// Errors: it is garbled, or of a kind the venue does not send.
pub fn read(bytes: &[u8], is_example: bool) -> Result<Told, String> {
    if !is_example {
        match frame(bytes) {
            Frame::Message(_, used) if used == bytes.len() => {}
            Frame::Garbled(why, _) => return Err(format!("FIX: {why}")),
            Frame::Message(..) | Frame::More => return Err("FIX: not one whole message".to_owned()),
        }
    }
    let fields = Fields::of(bytes).ok_or("FIX: a field is not tag=value")?;
    let is_venue = |tag| fields.get(tag).is_some_and(|name| VENUES.contains(&name));
    let kind = fields.get(35).unwrap_or("");
    if is_venue(56) || (!is_venue(49) && ASKED.contains(&kind)) {
        return Ok(Told::Ignored(Reason::Sent));
    }
    Ok(match kind {
        "0" | "1" => Told::Ignored(Reason::Heartbeat),
        "A" => Told::Ignored(Reason::Confirmed),
        "2" | "4" | "5" | "f" | "XLR" => Told::Ignored(Reason::Status),
        "B" => Told::Ignored(Reason::Notice),
        "y" => Told::Ignored(Reason::Instruments),
        "8" => Told::Events(report(&fields)),
        "9" | "r" | "XAR" => Told::Events(vec![answer(&fields)]),
        "N" => Told::Events(orders_of_list(&fields)),
        "3" | "j" | "Y" => Told::Events(vec![json!({
            "kind": "error",
            "code": fields.get(25016).or(fields.get(373)),
            "reason": fields.get(58),
        })]),
        "W" => Told::Events(snapshot(&fields)),
        "X" => Told::Events(changes(&fields)),
        kind => return Err(format!("FIX: unexpected kind {kind:?}")),
    })
}

fn report(fields: &Fields<'_>) -> Vec<Value> {
    let state = match fields.get(39) {
        Some("0" | "6") => state("new"),
        Some("1") => state("partially_filled"),
        Some("2") => state("filled"),
        Some("4") => state("canceled"),
        Some("8") => state("rejected"),
        Some("C") => state("expired"),
        _ => None,
    };
    let side = side(fields.get(54)).map(Side::name);
    let (symbol, ns) = (fields.get(55), fields.time_ns(60));
    let mut events = vec![json!({
        "kind": "order",
        "symbol": symbol,
        "client_id": fields.get(11),
        "order_id": fields.get(37),
        "side": side,
        "state": state.map(dp_types::OrderState::name),
        "reason": fields.get(58).unwrap_or("none"),
        "price": fields.get(44),
        "qty": fields.get(38),
        "cum": fields.get(14),
        "venue_ns": ns,
    })];
    if fields.get(150) == Some("F") {
        let liquidity = match fields.get(1057) {
            Some("Y") => "taker",
            Some("N") => "maker",
            _ => "none",
        };
        events.push(json!({
            "kind": "fill",
            "symbol": symbol,
            "client_id": fields.get(11),
            "order_id": fields.get(37),
            "trade_id": fields.get(1003).or(fields.get(17)),
            "side": side,
            "price": fields.get(31),
            "qty": fields.get(32),
            "fee": fields.get(137),
            "fee_asset": fields.get(138),
            "liquidity": liquidity,
            "venue_ns": ns,
        }));
    }
    events
}

fn answer(fields: &Fields<'_>) -> Value {
    json!({
        "kind": "ack",
        "client_id": fields.get(11),
        "order_id": fields.get(37),
        "reason": fields.get(58).unwrap_or("none"),
        "code": fields.get(25016).or(fields.get(531)),
    })
}

fn orders_of_list(fields: &Fields<'_>) -> Vec<Value> {
    // The symbol of the whole list stands before the orders; each order begins with its own.
    let orders = fields
        .groups(55)
        .into_iter()
        .filter(|order| order.get(37).is_some());
    let order = |order: Fields<'_>| {
        json!({
            "kind": "order",
            "symbol": order.get(55),
            "client_id": order.get(11),
            "order_id": order.get(37),
            "side": null,
            "state": null,
            "reason": "none",
            "price": null,
            "qty": null,
            "cum": null,
            "venue_ns": fields.time_ns(60),
        })
    };
    orders.map(order).collect()
}

/// A book as an event, of levels by their side.
fn book(
    fields: &Fields<'_>,
    symbol: Option<&str>,
    kind: &str,
    levels: &[(bool, [String; 2])],
) -> Value {
    let of = |is_bid: bool| -> Vec<_> {
        let side = levels.iter().filter(|level| level.0 == is_bid);
        side.map(|level| &level.1).collect()
    };
    let number = |tag| fields.get(tag).and_then(|text| text.parse::<i64>().ok());
    let last_id = number(25044).unwrap_or(-1);
    json!({
        "kind": "book",
        "symbol": symbol,
        "type": kind,
        "first_id": number(25043).unwrap_or(last_id),
        "last_id": last_id,
        "prev_id": -1,
        "checksum": number(5041),
        "bids": of(true),
        "asks": of(false),
        "venue_ns": fields.time_ns(52),
    })
}

/// A size as the quantity it is: contracts (231) multiplied.
fn size(fields: &Fields<'_>, text: &str) -> Option<String> {
    let Some(each) = fields.get(231) else {
        return Some(text.to_owned());
    };
    let [contracts, each] = [text, each].map(|text| Decimal::parse(text.as_bytes()).ok());
    dp_venue_fix::market::times(contracts?, each?).map(|qty| qty.to_string())
}

fn level(fields: &Fields<'_>, entry: &Fields<'_>) -> Option<(bool, [String; 2])> {
    let is_bid = match entry.get(269)? {
        "0" => true,
        "1" => false,
        _ => return None,
    };
    // A level that is deleted has no quantity.
    let qty = if entry.get(279) == Some("2") {
        "0".to_owned()
    } else {
        size(fields, entry.get(271)?)?
    };
    Some((is_bid, [entry.get(270)?.to_owned(), qty]))
}

/// A single order of a book, or of a trade the one that rested.
fn single(entry: &Fields<'_>) -> Option<Value> {
    let side = match entry.get(269)? {
        "0" => Side::Buy,
        "1" => Side::Sell,
        _ => taker(entry)?.opposite(),
    };
    let act = match (entry.get(269)?, entry.get(279)) {
        ("2", _) => "trades",
        (_, Some("1")) => "becomes",
        _ => "rests",
    };
    let qty = if entry.get(279) == Some("2") && act == "rests" {
        "0"
    } else {
        entry.get(271)?
    };
    Some(json!([
        entry.get(278)?,
        side.name(),
        entry.get(270)?,
        qty,
        act
    ]))
}

/// Single orders as an event.
fn orders(
    fields: &Fields<'_>,
    of: (Option<&str>, Option<&str>),
    kind: &str,
    orders: &[Value],
) -> Value {
    json!({
        "kind": "l3",
        "symbol": of.0,
        "type": kind,
        "last_id": of.1.and_then(|id| id.parse::<i64>().ok()),
        "checksum": null,
        "orders": orders,
        "venue_ns": fields.time_ns(52),
    })
}

fn taker(entry: &Fields<'_>) -> Option<Side> {
    side([2446, 5797, 54].into_iter().find_map(|tag| entry.get(tag)))
}

fn trade(fields: &Fields<'_>, entry: &Fields<'_>, symbol: Option<&str>) -> Option<Value> {
    let id = [1003, 100_009, 880]
        .into_iter()
        .find_map(|tag| entry.get(tag));
    let what = [entry.get(270)?.to_owned(), size(fields, entry.get(271)?)?];
    let ns = [60, 272].map(|tag| entry.time_ns(tag)).into_iter().max()?;
    Some(trade_json(
        symbol.unwrap_or(""),
        &json!(id),
        taker(entry),
        what,
        ns,
    ))
}

fn snapshot(fields: &Fields<'_>) -> Vec<Value> {
    let (symbol, groups) = (fields.get(55), fields.groups(269));
    if let Some(seq) = fields.get(83) {
        let told: Vec<_> = groups.iter().filter_map(single).collect();
        return vec![orders(fields, (symbol, Some(seq)), "snapshot", &told)];
    }
    let levels: Vec<_> = groups
        .iter()
        .filter_map(|entry| level(fields, entry))
        .collect();
    // Trades alone are what went before.
    let is_book = groups.is_empty() || !levels.is_empty();
    let book = is_book.then(|| book(fields, symbol, "snapshot", &levels));
    book.into_iter().collect()
}

fn changes(fields: &Fields<'_>) -> Vec<Value> {
    let mut symbol = fields.get(55);
    let (mut events, mut levels) = (Vec::new(), Vec::new());
    for entry in fields.groups(279) {
        // An entry without a symbol is of the one before.
        symbol = entry.get(55).or(symbol);
        if entry.get(269) == Some("2") {
            events.extend(trade(fields, &entry, symbol));
        }
        if let Some(seq) = entry.get(83) {
            let told: Vec<_> = single(&entry).into_iter().collect();
            events.push(orders(fields, (symbol, Some(seq)), "delta", &told));
        } else {
            levels.extend(level(fields, &entry));
        }
    }
    if !levels.is_empty() {
        events.push(book(fields, symbol, "delta", &levels));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Told, String> {
        read(text.replace('|', "\u{1}").as_bytes(), true)
    }

    fn events(text: &str) -> Vec<Value> {
        match told(text).unwrap() {
            Told::Events(events) => events,
            Told::Ignored(reason) => panic!("{reason:?}"),
        }
    }

    #[test]
    fn reports_trades_and_books() {
        let both = events(
            "8=FIX.4.4|35=8|49=SPOT|11=c|37=7|39=2|150=F|17=9|31=5|32=1|54=2|55=A|38=1|14=1|1057=N|",
        );
        assert_eq!(
            (&both[0]["state"], &both[1]["kind"]),
            (&json!("FILLED"), &json!("fill"))
        );
        assert_eq!(
            (&both[1]["side"], &both[1]["liquidity"]),
            (&json!("sell"), &json!("maker"))
        );
        let book = &events(
            "8=FIX.4.4|35=W|49=SPOT|55=A|25044=5|268=2|269=0|270=4|271=1|269=1|270=5|271=2|",
        )[0];
        assert_eq!(
            (&book["bids"], &book["asks"]),
            (&json!([["4", "1"]]), &json!([["5", "2"]]))
        );
        assert_eq!(book["last_id"], 5);
        let delta = &events("8=FIX.4.4|35=X|49=SPOT|268=1|279=2|269=0|270=4|55=A|")[0];
        assert_eq!(
            (&delta["type"], &delta["bids"]),
            (&json!("delta"), &json!([["4", "0"]]))
        );
        let trades = events(
            "8=FIX.4.4|35=X|49=SPOT|268=2|279=0|269=2|270=4|271=1|55=A|1003=1|279=0|269=2|270=4|271=1|1003=2|",
        );
        assert_eq!((trades.len(), &trades[1]["symbol"]), (2, &json!("A")));
    }

    /// Sizes in contracts, a checksum, single orders: what a message tells is told.
    #[test]
    fn market_data_of_every_venue() {
        let deribit = "8=FIX.4.4|35=X|49=DERIBITSERVER|56=US|55=P|231=10|268=2|279=1|269=0|270=4|271=3|\
                       279=0|269=2|270=4|271=2|54=2|100009=7|";
        let told = events(deribit);
        assert_eq!(told[0]["qty"], "20");
        assert_eq!(
            (&told[0]["side"], &told[0]["trade_id"]),
            (&json!("sell"), &json!("7"))
        );
        assert_eq!(told[1]["bids"], json!([["4", "30"]]));
        let trades = "8=FIX.4.4|35=W|49=DERIBITSERVER|55=P|231=10|268=1|269=2|270=4|271=2|54=2|";
        assert!(events(trades).is_empty(), "no book");
        let kraken = "8=FIX.4.4|35=X|49=KRAKEN-MD|56=US|55=A/B|262=1|268=1|279=2|269=1|278=O5|270=5|271=0.0|5041=7|";
        let book = &events(kraken)[0];
        assert_eq!(
            (&book["checksum"], &book["asks"]),
            (&json!(7), &json!([["5", "0"]]))
        );
        let coinbase =
            "8=FIXT.1.1|35=W|49=Coinbase|83=9|893=Y|55=A-B|268=1|269=0|278=o1|270=4|271=2|";
        let book = &events(coinbase)[0];
        assert_eq!((&book["kind"], &book["last_id"]), (&json!("l3"), &json!(9)));
        assert_eq!(book["orders"], json!([["o1", "buy", "4", "2", "rests"]]));
        let event = "8=FIXT.1.1|35=X|49=Coinbase|268=1|279=1|269=2|278=o1|83=10|55=A-B|270=4|271=1|5797=2|1003=3|";
        let told = events(event);
        assert_eq!(
            told[1]["orders"],
            json!([["o1", "buy", "4", "1", "trades"]])
        );
        // A provider has a name of its own: what only clients say was said by one.
        let gateway = "8=FIX.4.4|35=W|49=PROVIDER|56=US|55=E/U|268=1|269=0|270=1.1|271=5|";
        assert_eq!(events(gateway)[0]["bids"], json!([["1.1", "5"]]));
        assert_eq!(
            told_of("8=FIX.4.4|35=V|49=US|56=PROVIDER|"),
            Told::Ignored(Reason::Sent)
        );
    }

    fn told_of(text: &str) -> Told {
        told(text).unwrap()
    }

    #[test]
    fn what_is_sent_or_garbled() {
        assert_eq!(
            told_of("8=FIX.4.4|35=D|49=ME|"),
            Told::Ignored(Reason::Sent)
        );
        assert!(told("8=FIX.4.4|35=?|49=SPOT|").is_err());
        assert!(told("8=FIX.4.4|nonsense|").is_err());
        assert!(read(b"8=FIX.4.4\x019=5\x0135=0\x0110=000\x01", false).is_err());
    }
}
