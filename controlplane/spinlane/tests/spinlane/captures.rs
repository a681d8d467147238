//! Every recorded message of every venue: decoded without an error, and what is ignored is ignored for a reason of the
//! list and is no book, trade, order or fill. Whether it is one is told here from the raw message, by each venue's own
//! names for them: none of the code under test has a say in it.

use dp_capture::{Capture, as_json};
use dp_venue_api::Reason;
use serde_json::Value;
use spinlane::tools::{
    BinanceTool, BinanceUsdmTool, BitfinexTool, BybitTool, CoinbaseTool, DeribitTool, HuobiTool,
    KrakenFuturesTool, KrakenTool, KucoinTool, OkxTool, Tool,
};
use spinlane::venue_tools::Decoder;
use std::collections::BTreeMap;
use tests_venues::captures;

/// What a message is of, if it is of any use to who trades.
type Mark = fn(&Value) -> Option<Kind>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Book,
    Trade,
    Order,
    Fill,
}

use Kind::{Book, Fill, Order, Trade};

impl Kind {
    /// The kinds of events one of which it must become.
    fn events(self) -> &'static [&'static str] {
        match self {
            Book => &["book", "l3", "quote"],
            Trade => &["trade", "l3"],
            Order => &["order", "ack", "l3"],
            Fill => &["fill"],
        }
    }
}

fn run<T: Tool>(mark: Mark) {
    run_in::<T>(T::ID.name(), mark);
}

/// Every recording of a folder, read as a venue's.
fn run_in<T: Tool>(name: &str, mark: Mark) {
    let Some(dir) = captures::dir(name) else {
        return;
    };
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .expect("the folder opens")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.to_string_lossy().contains(".jsonl"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no recording of {name}");
    for path in files {
        let file = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let mut capture = Capture::open(&path).expect("it opens");
        let mut decoder = Decoder::<T>::new().expect("a decoder");
        let mut counts = BTreeMap::<String, u32>::new();
        let mut marked = 0;
        while let Some(line) = capture.next_line().expect("it reads") {
            let told = decoder.line(line);
            let at = || format!("{name}/{file}: {}", String::from_utf8_lossy(line));
            assert!(told.get("error").is_none(), "{} in {}", told["error"], at());
            let kinds: Vec<_> = told["events"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|event| event["kind"].as_str().expect("a kind"))
                .collect();
            match told["ignored"].as_str() {
                Some(reason) => {
                    let is_listed = Reason::ALL.iter().any(|it| it.name() == reason);
                    assert!(is_listed, "`{reason}` is in no list: {}", at());
                    *counts.entry(format!("ignored: {reason}")).or_default() += 1;
                }
                None => assert!(!kinds.is_empty(), "neither events nor ignored: {}", at()),
            }
            for kind in &kinds {
                *counts.entry((*kind).to_owned()).or_default() += 1;
            }
            let Some(kind) = marks(line, mark) else {
                continue;
            };
            marked += 1;
            let is_told = kinds
                .iter()
                .any(|told| kind.events().contains(told) || *told == "error");
            assert!(is_told, "a {kind:?} became {told}: {}", at());
        }
        println!("{name}/{file}: {marked} of books, trades, orders and fills; {counts:?}");
    }
}

/// What a line's message is of: only what the venue said counts.
fn marks(line: &[u8], mark: Mark) -> Option<Kind> {
    let object: Value = serde_json::from_slice(line).ok()?;
    if object["dir"] == "out" {
        return None;
    }
    let message = match (&object["raw"], &object["raw_b64"], &object["response"]) {
        (Value::String(raw), ..) if raw.starts_with("8=FIX") => return fix(raw),
        (Value::String(raw), ..) => serde_json::from_str(raw).ok()?,
        (_, Value::String(raw), _) => {
            use base64::Engine as _;
            as_json(
                &base64::engine::general_purpose::STANDARD
                    .decode(raw)
                    .expect("base64"),
            )?
        }
        (.., response) => response.clone(),
    };
    mark(&message).or_else(|| object_mark(&message))
}

/// The FIX kinds with an order, a fill or market data in them, from the venue.
fn fix(raw: &str) -> Option<Kind> {
    let has = |field: &str| raw.split('\u{1}').any(|it| it == field);
    if !has("49=SPOT") {
        return None;
    }
    match () {
        () if has("150=F") => Some(Fill),
        () if has("35=8") || has("35=N") || has("35=9") => Some(Order),
        () if has("35=W") => Some(Book),
        () if has("35=X") && has("269=2") => Some(Trade),
        () => has("35=X").then_some(Book),
    }
}

fn is_full(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty())
}

/// What the fields of any venue's object say: two sides of prices, somebody's order, somebody's trade.
fn object_mark(value: &Value) -> Option<Kind> {
    match value {
        Value::Array(items) => items.iter().take(50).find_map(object_mark),
        Value::Object(object) => {
            let has = |keys: &[&str]| keys.iter().all(|key| object.contains_key(*key));
            let is_loan = value["bids"][0].get("rate").is_some();
            if is_full(&value["bids"]) && is_full(&value["asks"]) && !is_loan {
                return Some(Book);
            }
            if has(&["isBuyerMaker", "price"])
                || has(&["a", "p", "q", "f", "l", "T"]) && !has(&["e"])
            {
                return Some(Trade);
            }
            // What is lent is no instrument: an order for a loan is none of an exchange.
            if value["side"] == "lend" || value["side"] == "borrow" {
                return None;
            }
            if has(&["orderId", "side"])
                || has(&["original_amount", "side"])
                || has(&["ordId", "side"])
            {
                return Some(Order);
            }
            object.values().take(50).find_map(object_mark)
        }
        _ => None,
    }
}

/// The kind whose beginning the name has.
fn of_names(name: &str, names: &[(&str, Kind)]) -> Option<Kind> {
    let known = names.iter().find(|(known, _)| name.starts_with(known));
    known.map(|(_, kind)| *kind)
}

fn binance(message: &Value) -> Option<Kind> {
    let data = if message["data"].is_null() {
        message
    } else {
        &message["data"]
    };
    let kind = match data["e"]
        .as_str()
        .or(data["event"]["e"].as_str())
        .unwrap_or("")
    {
        "depthUpdate" => Some(Book),
        "trade" | "aggTrade" | "trade_all" => Some(Trade),
        "executionReport" | "listStatus" | "ORDER_TRADE_UPDATE" => Some(Order),
        _ => None,
    };
    kind.filter(|_| data["X"] != "NA")
}

fn bitfinex(message: &Value) -> Option<Kind> {
    let rows = |value: &Value, columns: usize| {
        let first = value[0].as_array().or(value.as_array());
        first.is_some_and(|row| row.len() == columns && row.iter().all(Value::is_number))
    };
    let is_list = message[0].is_array();
    match message[1].as_str() {
        Some("te" | "tu") if message[0] == 0 => Some(Fill),
        Some("te" | "tu") => Some(Trade),
        Some("on" | "ou" | "oc") => Some(Order),
        Some("os") if is_full(&message[2]) => Some(Order),
        Some(_) => None,
        None if message[0].is_object() && message[0]["channel"] == "book" => Some(Book),
        None if message[0].is_object() && message[0]["channel"] == "trades" => Some(Trade),
        None if message[0].is_number() && rows(&message[1], 3) => Some(Book),
        None if message[0].is_number() && rows(&message[1], 4) => Some(Trade),
        None if is_list && rows(message, 3) => Some(Book),
        None => message[0].get("tid").map(|_| Trade),
    }
}

fn bybit(message: &Value) -> Option<Kind> {
    let names = [
        ("orderbook", Book),
        ("orderBook", Book),
        ("publicTrade", Trade),
        ("trade", Trade),
        ("execution", Fill),
        ("order", Order),
        ("stop_order", Order),
    ];
    of_names(message["topic"].as_str()?, &names).filter(|_| !message["data"].is_null())
}

fn coinbase(message: &Value) -> Option<Kind> {
    let item = if message.is_array() {
        &message[0]
    } else {
        message
    };
    if item["product_id"].is_string() && item["side"].is_string() && item["type"] != "ticker" {
        return match (item.get("liquidity"), item["type"].as_str()) {
            (Some(_), _) => Some(Fill),
            (_, Some("match" | "last_match")) => Some(Trade),
            (_, Some("open" | "change" | "done" | "l2update" | "snapshot")) => Some(Book),
            (..) => Some(Order),
        };
    }
    match message["type"].as_str()? {
        "snapshot" | "l2update" => Some(Book),
        "match" | "last_match" => Some(Trade),
        _ => None,
    }
}

fn deribit(message: &Value) -> Option<Kind> {
    let names = [
        ("book.", Book),
        ("trades.", Trade),
        ("user.orders", Order),
        ("user.trades", Fill),
    ];
    of_names(message["params"]["channel"].as_str()?, &names)
}

fn huobi(message: &Value) -> Option<Kind> {
    let topic = message["ch"].as_str().or(message["topic"].as_str())?;
    let is_of = |names: [&str; 3]| names.iter().any(|name| topic.contains(name));
    match () {
        () if message["action"] == "sub" || message["op"] == "sub" => None,
        () if is_of([".depth.", ".mbp.", ".bbo"]) => Some(Book),
        () if is_of([".trade.detail", ".trade.detail", ".trade.detail"]) => Some(Trade),
        () if topic.starts_with("trade.clearing") => Some(Fill),
        () => (topic.starts_with("orders") || topic.starts_with("matchOrders")).then_some(Order),
    }
}

fn kraken(message: &Value) -> Option<Kind> {
    if let Some(frame) = message.as_array() {
        let name = frame
            .iter()
            .rev()
            .take(2)
            .find_map(|it| it.as_str().filter(|it| !it.contains('/')));
        let name = name.or(message[1].as_str());
        let names = [
            ("book", Book),
            ("spread", Book),
            ("trade", Trade),
            ("openOrders", Order),
            ("ownTrades", Fill),
        ];
        return of_names(name.unwrap_or(""), &names);
    }
    let result = message["result"].as_object().into_iter().flatten();
    let in_answer = result
        .into_iter()
        .find_map(|(name, value)| match name.as_str() {
            "open" | "closed" => Some(Order),
            "trades" => Some(Fill),
            "txid" => Some(Order),
            _ if value["descr"].is_object() => Some(Order),
            _ if value[0][3] == "b" || value[0][3] == "s" => Some(Trade),
            _ => None,
        });
    let names = [
        ("book", Book),
        ("level3", Book),
        ("trade", Trade),
        ("executions", Order),
    ];
    let channel = message["channel"]
        .as_str()
        .filter(|_| message["data"].is_array());
    in_answer.or_else(|| of_names(channel?, &names))
}

fn kraken_futures(message: &Value) -> Option<Kind> {
    let feed = message["feed"]
        .as_str()
        .filter(|_| message.get("event").is_none())?;
    let is_empty = |key: &str| message[key].as_array().is_some_and(Vec::is_empty);
    let names = [
        ("book", Book),
        ("trade", Trade),
        ("open_orders", Order),
        ("fills", Fill),
    ];
    of_names(feed, &names)
        .filter(|_| !is_empty("orders") && !is_empty("fills") && !is_empty("trades"))
}

fn kucoin(message: &Value) -> Option<Kind> {
    let topic = message["topic"]
        .as_str()
        .filter(|_| !message["data"].is_null())?;
    let names = [
        ("/market/level2", Book),
        ("/spotMarket/level2", Book),
        ("/spotMarket/level1", Book),
        ("/contractMarket/level2", Book),
        ("/spotMarket/level3", Book),
        ("/contractMarket/level3", Book),
        ("/market/match", Trade),
        ("/contractMarket/execution", Trade),
        ("/spotMarket/tradeOrders", Order),
        ("/contractMarket/tradeOrders", Order),
        ("/spotMarket/advancedOrders", Order),
        ("/contractMarket/advancedOrders", Order),
    ];
    of_names(topic, &names)
}

fn okx(message: &Value) -> Option<Kind> {
    let data = message.get("data")?;
    let names = [
        ("books", Book),
        ("bbo-tbt", Book),
        ("trades", Trade),
        ("orders", Order),
        ("fills", Fill),
    ];
    let name = message["table"]
        .as_str()
        .and_then(|table| table.split_once('/'));
    match (message["arg"]["channel"].as_str(), name) {
        (Some(channel), _) => of_names(channel, &names).filter(|_| is_full(data)),
        (_, Some((_, name))) => {
            of_names(name, &[("depth", Book), ("trade", Trade), ("order", Order)])
        }
        _ => None,
    }
}

macro_rules! venues {
    ($($venue:ident $tool:ident)*) => {
        mod decode {
            $(#[test]
            fn $venue() {
                super::run::<super::$tool>(super::$venue);
            })*
        }
    };
}

venues! {
    binance BinanceTool
    bitfinex BitfinexTool
    bybit BybitTool
    coinbase CoinbaseTool
    deribit DeribitTool
    huobi HuobiTool
    kraken KrakenTool
    kraken_futures KrakenFuturesTool
    kucoin KucoinTool
    okx OkxTool
}

/// Recordings of all the venue's products are in one folder, and the futures' machine reads their accounts itself.
#[test]
fn binance_usdm() {
    run_in::<BinanceUsdmTool>("binance", binance);
}

/// The check sees what it is there to see.
#[test]
fn marks_are_seen() {
    let seen = |line: &str, mark: Mark| marks(line.as_bytes(), mark);
    let stop = r#"{"raw":"{\"topic\":\"/spotMarket/advancedOrders\",\"data\":{}}"}"#;
    assert_eq!(seen(stop, kucoin), Some(Order));
    let option = r#"{"raw":"{\"stream\":\"X\",\"data\":{\"e\":\"trade_all\"}}"}"#;
    assert_eq!(seen(option, binance), Some(Trade));
    let body = r#"{"name":"x","raw":"{\"result\":{\"A\":{\"bids\":[[1,2]],\"asks\":[[2,1]]}}}"}"#;
    assert_eq!(seen(body, kraken), Some(Book));
    let answer = r#"{"path":"/x","response":[{"isBuyerMaker":true,"price":"1"}]}"#;
    assert_eq!(seen(answer, binance), Some(Trade));
    let sent = r#"{"dir":"out","raw":"{\"topic\":\"/market/match\",\"data\":{}}"}"#;
    assert_eq!(seen(sent, kucoin), None);
    let candle = r#"{"raw":"{\"data\":{\"e\":\"kline\"}}"}"#;
    assert_eq!(seen(candle, binance), None);
}
