//! Recordings made up here, and what runs them.

use dp_backtest::{Options, Report, Source, run};
use dp_capture::{Direction, Record, Writer};
use dp_config::Config;
use dp_strategy::{Intents, Kind, Param, ParamFault, SHIPPED, Strategy, Values, View};
use dp_types::{OrderKind, Qty, Side, Tif, VenueId};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Receive time of the first line, nanoseconds.
pub const START: u64 = 1_700_000_000_000_000_000;
pub const MS: u64 = 1_000_000;

/// Bids at the best bid so many times, once a book, and keeps it there.
struct Bids {
    qty: Qty,
    left: u32,
}

impl Strategy for Bids {
    fn name(&self) -> &'static str {
        "bids"
    }

    fn set(&mut self, values: &Values) -> Result<(), ParamFault> {
        self.qty = Qty(values.get(0));
        Ok(())
    }

    fn on_book(&mut self, view: &View<'_>, out: &mut Intents) {
        if let Some(bid) = view
            .book
            .best_bid()
            .filter(|_| view.can_trade && self.left > 0)
        {
            self.left -= 1;
            out.new_order(
                Side::Buy,
                OrderKind::PostOnly,
                Tif::Gtc,
                bid.price,
                self.qty,
            );
        }
    }
}

const PARAMS: [Param; 1] = [Param::qty("qty", "how much")];

const BID_ONCE: Kind = Kind {
    name: "bid_once",
    help: "bids once",
    params: &PARAMS,
    legs: (1, 1),
    make: |values| {
        Ok(Box::new(Bids {
            qty: Qty(values.get(0)),
            left: 1,
        }))
    },
};

const BID_ON: Kind = Kind {
    name: "bid_on",
    help: "bids with every book",
    make: |values| {
        Ok(Box::new(Bids {
            qty: Qty(values.get(0)),
            left: u32::MAX,
        }))
    },
    ..BID_ONCE
};

/// A directory with recordings.
pub struct Rig {
    dir: TempDir,
}

impl Rig {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn write(&self, name: &str, records: &[Record]) -> PathBuf {
        let path = self.dir.path().join(name);
        let mut writer = Writer::create(&path).unwrap();
        for record in records {
            writer.write(record).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    pub fn keep(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn options(&self, strategies: &str, sources: &[(VenueId, &Path)]) -> Options {
        let path = self.keep("node.toml", &config(strategies));
        let source = |(venue, path): &(VenueId, &Path)| Source {
            venue: *venue,
            path: path.to_path_buf(),
        };
        Options {
            config_name: "node.toml".into(),
            config: Config::load(&path).unwrap(),
            sources: sources.iter().map(source).collect(),
            repeat: 1,
            latency: None,
        }
    }
}

/// With the shipped kinds and ours.
pub fn go(options: &Options) -> Report {
    run(options, &[&SHIPPED[..], &[BID_ONCE, BID_ON]].concat()).unwrap()
}

pub fn config(strategies: &str) -> String {
    format!(
        r#"
[node]
name = "t"
shm = "/dev/shm/never"
state_dir = "/tmp/never"
mode = "test"
[[lane]]
venues = ["binance", "okx"]
[venue.binance]
rest = "x:1"
public = "x:1"
private = "x:1"
symbols = ["BTCUSDT"]
[venue.okx]
rest = "x:1"
public = "x:1"
private = "x:1"
symbols = ["BTC-USDT"]
{strategies}
[risk]
order_qty_max = {{ BTCUSDT = "10", BTC-USDT = "10" }}
position_max = {{ BTCUSDT = "10", BTC-USDT = "10" }}
collar_bps = 1000
book_age_ms_max = 60000
[paper]
feed_us = 1000
order_us = 2000
answer_us = 3000
fees = {{ binance = {{ maker_ppm = 100, taker_ppm = 400 }} }}
[[paper.instrument]]
venue = "binance"
symbol = "BTCUSDT"
base = "BTC"
quote = "USDT"
tick = "0.1"
lot = "0.001"
[[paper.instrument]]
venue = "okx"
symbol = "BTC-USDT"
base = "BTC"
quote = "USDT"
tick = "0.1"
lot = "0.001"
"#
    )
}

/// A Binance connection, being recorded.
pub struct Binance {
    pub records: Vec<Record>,
    conn: &'static str,
    id: u64,
    trade: u64,
}

impl Binance {
    /// Opened, its book fetched: bids and asks as price and quantity.
    pub fn open(conn: &'static str, bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Self {
        let open = Record {
            ts: Some(START),
            dir: Direction::Out,
            conn: conn.into(),
            event: Some("open".into()),
            url: Some("wss://x".into()),
            ..Record::default()
        };
        let body = format!(
            r#"{{"lastUpdateId":100,"bids":{},"asks":{}}}"#,
            levels(bids),
            levels(asks)
        );
        let mut book = Record::message(START + MS, Direction::In, "http", body.into_bytes());
        book.url = Some("https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000".into());
        Self {
            records: vec![open, book],
            conn,
            id: 100,
            trade: 0,
        }
    }

    fn push(&mut self, ms: u64, text: String) {
        let ts = START + ms * MS;
        let record = Record::message(ts, Direction::In, self.conn, text.into_bytes());
        self.records.push(record);
    }

    /// A change of the book, `ms` after the start.
    pub fn depth(&mut self, ms: u64, bids: &[(&str, &str)], asks: &[(&str, &str)]) {
        self.id += 1;
        let time = START / MS + ms;
        self.push(
            ms,
            format!(
                r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{time},"s":"BTCUSDT","U":{id},"u":{id},"b":{},"a":{}}}}}"#,
                levels(bids),
                levels(asks),
                id = self.id,
            ),
        );
    }

    /// A trade; `is_sold`: the taker sold.
    pub fn trade(&mut self, ms: u64, is_sold: bool, price: &str, qty: &str) {
        self.trade += 1;
        let time = START / MS + ms;
        self.push(
            ms,
            format!(
                r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{time},"s":"BTCUSDT","t":{},"p":"{price}","q":"{qty}","T":{time},"m":{is_sold},"M":true}}}}"#,
                self.trade,
            ),
        );
    }
}

/// A whole book of OKX.
pub fn okx_book(ms: u64, seq: i64, bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Record {
    let deep = |side: &[(&str, &str)]| {
        let all: Vec<String> = side
            .iter()
            .map(|(price, qty)| format!(r#"["{price}","{qty}","0","1"]"#))
            .collect();
        format!("[{}]", all.join(","))
    };
    let text = format!(
        r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"snapshot","data":[{{"asks":{},"bids":{},"ts":"{}","checksum":0,"prevSeqId":-1,"seqId":{seq}}}]}}"#,
        deep(asks),
        deep(bids),
        START / MS + ms,
    );
    Record::message(START + ms * MS, Direction::In, "ws1", text.into_bytes())
}

fn levels(side: &[(&str, &str)]) -> String {
    let all: Vec<String> = side
        .iter()
        .map(|(price, qty)| format!(r#"["{price}","{qty}"]"#))
        .collect();
    format!("[{}]", all.join(","))
}
