//! A venue machine and its books under hostile bytes: never a panic, a synced book is never crossed, and whatever
//! came, new links and a good message are read as on the first day.
//!
//! ```text
//!   corpus/bybit/* ─▶ lines ─▶ one machine of the venue, brought up by its `Script` ─▶ brought up again ─▶ good message
//! ```
//! A venue is one row of `scripts`.

use dp_book::{Keeper, State, SyncRule};
use dp_types::{
    CancelOrder, ClientOrderId, Instrument, InstrumentId, LinkId, NewOrder, Now, OrderId,
    OrderKind, Price, Qty, Side, Tif, Tsc, UnixNanos,
};
use dp_venue_api::{
    Control, EntryLink, Event, Registry, RestRequest, RestResponse, RestTag, Secrets, Sink, Venue,
    VenueConfig,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

/// REST questions kept open at once; the oldest are forgotten.
const OPEN_MAX: usize = 8;
/// Lines of one input that are read.
const LINES_MAX: usize = 64;
/// Answers that may lead to further questions while a machine is brought up.
const ROUNDS_MAX: usize = 8;
/// The only order of ours: the fixtures' first.
const CLIENT_ID: ClientOrderId = ClientOrderId(1 << 32 | 1);
/// Longer than anything a machine waits for.
const DAY_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// How a machine is brought up, and what shows that it reads.
#[derive(Debug)]
pub struct Script {
    symbol: &'static str,
    /// Symbols of other products and retired generations: never traded, but read.
    also: &'static [&'static str],
    /// Bodies, each for the questions whose target has the word in it.
    answers: &'static [(&'static str, &'static str)],
    /// What the venue says first, as lines of a corpus.
    hello: &'static str,
    /// What it says at once to a text we send; nothing at most venues.
    reply: fn(&str) -> Option<String>,
    /// Market data, as a line of a corpus.
    good: &'static str,
}

/// Takes everything the machine says, and puts depth into a book as a lane would.
struct Lane<V, R> {
    venue: V,
    registry: Registry,
    script: &'static Script,
    now: UnixNanos,
    heard: Heard<R>,
}

struct Heard<R> {
    keeper: Keeper<R>,
    instrument: Instrument,
    now: UnixNanos,
    reply: fn(&str) -> Option<String>,
    /// What the venue replies and has not been heard yet.
    replies: Vec<(LinkId, String)>,
    /// REST questions without an answer, and their targets.
    open: Vec<(LinkId, RestTag, String)>,
    /// Events heard.
    events: usize,
    is_logged_in: bool,
}

impl<R: SyncRule> Sink for Heard<R> {
    fn event(&mut self, event: &Event<'_>) {
        self.events += usize::from(!matches!(event, Event::Control(_)));
        self.is_logged_in |= matches!(event, Event::Control(Control::LoggedIn(_)));
        if let Event::Ignored(why) = event {
            let reason = dp_venue_api::Reason::of(why);
            assert!(reason.is_some(), "`{why}` belongs to no reason of the list");
        }
        if let Event::Book(msg) = event
            && msg.instrument == self.instrument.id
        {
            self.keeper.on_msg(msg, &self.instrument, self.now);
            let is_synced = self.keeper.proof().state == State::Synced;
            assert!(
                !is_synced || !self.keeper.book().is_crossed(),
                "a synced book is crossed"
            );
        }
    }
    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        let text = core::str::from_utf8(text).expect("text frames are UTF-8");
        self.replies
            .extend((self.reply)(text).map(|reply| (link, reply)));
    }
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        if self.open.len() == OPEN_MAX {
            self.open.remove(0);
        }
        self.open
            .push((link, request.tag, request.target.to_owned()));
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

impl<V: Venue, R: SyncRule> Lane<V, R> {
    fn now(&mut self) -> Now {
        self.heard.now = self.now;
        Now {
            tsc: Tsc(0),
            unix: self.now,
        }
    }

    fn response(&mut self, link: LinkId, tag: RestTag, status: u16, body: &[u8]) {
        let now = self.now();
        let response = RestResponse {
            tag,
            status,
            retry_after_s: None,
            usage: dp_venue_api::Usage::default(),
            body: &mut body.to_vec(),
        };
        let heard = &mut self.heard;
        let _ = self
            .venue
            .on_response(&mut self.registry, link, now, response, heard);
    }

    /// Answers everything open as the script says, and what follows; what it has no answer to stays open.
    fn answer_as_told(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let asked = core::mem::take(&mut self.heard.open);
            let replies = core::mem::take(&mut self.heard.replies);
            let mut is_done = replies.is_empty();
            for (link, reply) in replies {
                self.line(format!("{}{reply}", link.0).as_bytes());
            }
            for (link, tag, target) in asked {
                let known = self
                    .script
                    .answers
                    .iter()
                    .find(|(word, _)| target.contains(word));
                if let Some((_, body)) = known {
                    self.response(link, tag, 200, body.as_bytes());
                    is_done = false;
                } else {
                    self.heard.open.push((link, tag, target));
                }
            }
            if is_done {
                return;
            }
        }
    }

    /// Opens every link and lets the venue say hello.
    fn bring_up(&mut self) {
        for link in 0..self.venue.links().len() {
            let now = self.now();
            let link = LinkId(u8::try_from(link).unwrap_or(u8::MAX));
            self.venue
                .on_open(&mut self.registry, link, now, &mut self.heard);
            self.answer_as_told();
            // Without a link for orders some ask by REST.
            let order = asked(self.heard.instrument.id);
            let _ = self
                .venue
                .query_order(&self.registry, &order, now, &mut self.heard);
        }
        for line in self.script.hello.lines() {
            self.line(line.as_bytes());
            self.answer_as_told();
        }
        self.deadline();
        self.answer_as_told();
    }

    /// Everything a lane asks a machine that is up.
    fn ask(&mut self) {
        let now = self.now();
        let Self {
            venue,
            registry,
            heard,
            ..
        } = self;
        let instrument = heard.instrument.id;
        let order = NewOrder {
            instrument,
            client_id: CLIENT_ID,
            side: Side::Buy,
            kind: OrderKind::PostOnly,
            tif: Tif::Gtc,
            price: Price(65_000_000),
            qty: Qty(1_000_000),
        };
        let asked = asked(instrument);
        // Whether there is a way to ask is the machine's business.
        let _ = venue.new_order(registry, &order, now, heard);
        venue.request_snapshot(registry, instrument, now, heard);
        venue.reconcile(registry, now, heard);
        let _ = venue.query_order(registry, &asked, now, heard);
        let _ = venue.cancel_order(registry, &asked, now, heard);
    }

    fn deadline(&mut self) {
        let now = self.now();
        self.venue.on_deadline(&self.registry, now, &mut self.heard);
    }

    /// The first byte says which way the rest comes in:
    ///
    /// | first | the rest |
    /// |---|---|
    /// | `0` to `4` | a text on that link |
    /// | `a` to `e` | a binary message on the links 0 to 4 |
    /// | `k` to `o` | the same, compressed first: what a fuzzer changes is the text |
    /// | from 128 on | the answer, of status 400, to every REST question that is open |
    /// | else | the same, of status 200 |
    fn line(&mut self, line: &[u8]) {
        let Some((way, message)) = line.split_first() else {
            return;
        };
        let now = self.now();
        let mut message = message.to_vec();
        let Self {
            venue,
            registry,
            heard,
            ..
        } = self;
        let _ = match way {
            b'0'..=b'4' => venue.on_text(registry, LinkId(way - b'0'), now, &mut message, heard),
            b'a'..=b'e' => venue.on_binary(registry, LinkId(way - b'a'), now, &mut message, heard),
            b'k'..=b'o' => {
                let mut bytes = gzip(&message);
                venue.on_binary(registry, LinkId(way - b'k'), now, &mut bytes, heard)
            }
            way => {
                let status = if *way >= 128 { 400 } else { 200 };
                for (link, tag, _) in core::mem::take(&mut heard.open) {
                    self.response(link, tag, status, &message);
                }
                Ok(())
            }
        };
    }

    /// After a day without a word the links are opened anew, and a good message is read.
    fn still_reads(&mut self) {
        self.now = self.now.after(DAY_NS);
        self.deadline();
        for link in 0..self.venue.links().len() {
            let now = self.now();
            let link = LinkId(u8::try_from(link).unwrap_or(u8::MAX));
            self.venue.on_closed(link, now, &mut self.heard);
        }
        self.bring_up();
        let before = self.heard.events;
        self.line(self.script.good.as_bytes());
        assert!(
            self.heard.events > before,
            "a good message is not read any more"
        );
    }
}

fn asked(instrument: InstrumentId) -> CancelOrder {
    CancelOrder {
        instrument,
        client_id: CLIENT_ID,
        order_id: OrderId(9),
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    written.unwrap_or_default()
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
            // Base64, as some venues issue it.
            api_secret: "c2VjcmV0".into(),
            passphrase: "pass".into(),
            ..Secrets::default()
        },
        order_window_ms: 1_000,
        ..VenueConfig::default()
    }
}

/// Brings a machine up and feeds it the lines. Returns how many events were heard.
fn drive<V: Venue, R: SyncRule>(
    (venue, registry): (V, Registry),
    rule: R,
    script: &'static Script,
    bytes: &[u8],
) -> usize {
    let instrument = registry.instruments()[0];
    let now = UnixNanos(1_760_000_000_000_000_000);
    let mut lane = Lane {
        venue,
        registry,
        script,
        now,
        heard: Heard {
            keeper: Keeper::new(rule),
            instrument,
            now,
            reply: script.reply,
            replies: Vec::new(),
            open: Vec::new(),
            events: 0,
            is_logged_in: false,
        },
    };
    lane.bring_up();
    // Where there are no orders nobody logs in.
    let takes_orders = lane.venue.capabilities().entry != EntryLink::None;
    assert_eq!(
        lane.heard.is_logged_in, takes_orders,
        "the script does not bring it up"
    );
    lane.ask();
    lane.heard.replies.clear();
    lane.heard.events = 0;
    for line in bytes.split(|byte| *byte == b'\n').take(LINES_MAX) {
        lane.now = lane.now.after(1_000_000);
        lane.line(line);
        lane.deadline();
        lane.heard.replies.clear();
    }
    let events = lane.heard.events;
    lane.still_reads();
    events
}

/// A fixture of a venue's crate.
macro_rules! fixture {
    ($venue:literal, $name:literal) => {
        include_str!(concat!(
            "../../../dataplane/venues/",
            $venue,
            "/fixtures/",
            $name,
            ".json"
        ))
    };
}

/// A target for each venue: the name of its crate, its machine and its rule, and how it is brought up.
macro_rules! scripts {
    ($($name:ident $krate:ident $machine:ident $rule:ident $script:expr;)*) => {$(
        #[doc = concat!("The ", stringify!($machine), " machine. Returns how many events were heard.")]
        pub fn $name(bytes: &[u8]) -> usize {
            const SCRIPT: &Script = &$script;
            let mut registry = Registry::new();
            let venue = $krate::$machine::new(config(SCRIPT.symbol), &mut registry).expect("there is room");
            for symbol in SCRIPT.also {
                registry.register($krate::ID, symbol, 8, 8).expect("there is room");
            }
            let rule = $krate::sync::$rule::new(&registry.instruments()[0]);
            drive((venue, registry), rule, SCRIPT, bytes)
        }
    )*};
}

const SILENT: fn(&str) -> Option<String> = |_| None;

/// Kraken Futures confirms a request by its number.
fn confirmed(text: &str) -> Option<String> {
    let field = |name: &str| {
        let (_, rest) = text.split_once(&format!("\"{name}\":"))?;
        rest.split([',', '}']).next()
    };
    let (method, number) = (field("method")?, field("req_id")?);
    let channel = field("channel").unwrap_or("\"\"");
    Some(format!(
        r#"{{"method":{method},"result":{{"channel":{channel}}},"success":true,"req_id":{number}}}"#
    ))
}

scripts! {
    binance dp_venue_binance Binance BinanceSync Script {
        symbol: "BTCUSDT",
        also: &[],
        answers: &[("exchangeInfo", fixture!("binance", "rest_exchange_info"))],
        hello: concat!("2", fixture!("binance", "entry_user_stream_ack")),
        reply: SILENT,
        good: concat!("1", fixture!("binance", "feed_delta")),
    };
    binance_usdm dp_venue_binance BinanceUsdm BinanceSync Script {
        symbol: "BTCUSDT",
        also: &[],
        answers: &[
            ("exchangeInfo", fixture!("binance", "usdm_exchange_info")),
            ("listenKey", fixture!("binance", "usdm_listen_key")),
            ("depth", fixture!("binance", "usdm_depth")),
        ],
        hello: concat!("2", fixture!("binance", "usdm_proof_ack")),
        reply: SILENT,
        good: concat!("1", fixture!("binance", "feed_delta_futures")),
    };
    bitfinex dp_venue_bitfinex Bitfinex BitfinexSync Script {
        symbol: "tBTCUSD",
        also: &[],
        answers: &[
            ("pub:info:pair:futures", fixture!("bitfinex", "rest_futures")),
            ("pub:info:pair", fixture!("bitfinex", "rest_pairs")),
            ("tickers", fixture!("bitfinex", "rest_tickers")),
        ],
        hello: concat!(
            "1", fixture!("bitfinex", "feed_info"),
            "1", fixture!("bitfinex", "feed_conf"),
            "1", fixture!("bitfinex", "feed_subscribed_book"),
            "1", fixture!("bitfinex", "feed_subscribed_trades"),
            "2", fixture!("bitfinex", "entry_login_ack"),
        ),
        reply: SILENT,
        good: concat!("1", fixture!("bitfinex", "feed_snapshot")),
    };
    bybit dp_venue_bybit Bybit BybitSync Script {
        symbol: "BTCUSDT.P",
        also: &["BTCUSDT"],
        answers: &[("instruments-info", fixture!("bybit", "rest_rules_linear"))],
        hello: concat!(
            "1", fixture!("bybit", "feed_subscribe_ack"),
            "2", fixture!("bybit", "entry_login_ack"),
            "3", fixture!("bybit", "account_login_ack"),
            "3", fixture!("bybit", "account_subscribe_ack"),
        ),
        reply: SILENT,
        good: concat!("1", fixture!("bybit", "feed_snapshot")),
    };
    coinbase dp_venue_coinbase Coinbase CoinbaseSync Script {
        symbol: "BTC-USD",
        also: &[],
        answers: &[("/products", fixture!("coinbase", "rest_products"))],
        hello: concat!(
            "1", fixture!("coinbase", "feed_subscriptions"),
            "2", fixture!("coinbase", "account_subscriptions"),
        ),
        reply: SILENT,
        good: concat!("1", fixture!("coinbase", "feed_snapshot")),
    };
    deribit dp_venue_deribit Deribit DeribitSync Script {
        symbol: "BTC-PERPETUAL",
        also: &[],
        answers: &[("get_instrument", fixture!("deribit", "rest_instrument_perpetual"))],
        hello: concat!(
            "1", fixture!("deribit", "entry_heartbeat_ack"),
            "1", fixture!("deribit", "entry_login_ack"),
            "1", fixture!("deribit", "feed_subscribed"),
            "2", fixture!("deribit", "entry_heartbeat_ack"),
            "2", fixture!("deribit", "entry_login_ack"),
            "2", fixture!("deribit", "entry_on_disconnect_ack"),
            "2", fixture!("deribit", "entry_subscribed"),
        ),
        reply: SILENT,
        good: concat!("1", fixture!("deribit", "feed_book_snapshot")),
    };
    huobi dp_venue_huobi Huobi HuobiSync Script {
        symbol: "btcusdt",
        also: &["BTC-USDT"],
        answers: &[
            ("market-symbols", fixture!("huobi", "rest_market_symbols")),
            ("/v1/account/accounts", fixture!("huobi", "rest_accounts")),
        ],
        hello: concat!(
            "l", fixture!("huobi", "feed_sub_ack"),
            "2", fixture!("huobi", "entry_login_ack"),
            "3", fixture!("huobi", "entry_login_ack"),
            "3", r#"{"action":"sub","code":200,"ch":"orders#*","data":{}}"#, "\n",
            "3", r#"{"action":"sub","code":200,"ch":"trade.clearing#*#1","data":{}}"#, "\n",
            "3", r#"{"action":"sub","code":200,"ch":"accounts.update#2","data":{}}"#, "\n",
            "o", r#"{"id":"t1","status":"ok","subbed":"market.btcusdt.trade.detail","ts":1}"#, "\n",
            "o", r#"{"id":"t1","status":"ok","subbed":"market.btcusdt.bbo","ts":1}"#, "\n",
        ),
        reply: SILENT,
        good: concat!("l", fixture!("huobi", "feed_mbp_delta")),
    };
    kraken dp_venue_kraken Kraken KrakenSync Script {
        symbol: "BTC/USD",
        also: &["XBT/USD"],
        answers: &[
            ("AssetPairs", fixture!("kraken", "rest_pairs")),
            ("GetWebSocketsToken", fixture!("kraken", "rest_token")),
        ],
        hello: concat!(
            "1", r#"{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":true,"req_id":1}"#, "\n",
            "1", r#"{"method":"subscribe","result":{"channel":"ticker","symbol":"BTC/USD"},"success":true,"req_id":1}"#, "\n",
            "1", r#"{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USD"},"success":true,"req_id":1}"#, "\n",
            "1", fixture!("kraken", "feed_book_snapshot"),
            "2", r#"{"method":"subscribe","result":{"channel":"executions"},"success":true,"req_id":1}"#, "\n",
            "2", r#"{"method":"subscribe","result":{"channel":"balances"},"success":true,"req_id":1}"#, "\n",
        ),
        reply: SILENT,
        good: concat!("1", fixture!("kraken", "feed_book_snapshot")),
    };
    kraken_futures dp_venue_kraken_futures KrakenFutures KrakenFuturesSync Script {
        symbol: "PF_XBTUSD",
        also: &[],
        answers: &[
            ("SystemStatus", r#"{"error":[],"result":{"status":"online","timestamp":"2025-10-09T08:53:20Z"}}"#),
            ("GetWebSocketsToken", fixture!("kraken-futures", "rest_token")),
        ],
        hello: concat!("1", fixture!("kraken-futures", "feed_instruments")),
        reply: confirmed,
        good: concat!("1", fixture!("kraken-futures", "feed_snapshot")),
    };
    kucoin dp_venue_kucoin Kucoin KucoinSync Script {
        symbol: "BTC-USDT",
        also: &["XBTUSDTM"],
        answers: &[
            ("/api/v2/symbols", fixture!("kucoin", "rest_symbols")),
            ("bullet-public", fixture!("kucoin", "rest_token")),
            ("bullet-private", fixture!("kucoin", "rest_token_private")),
            ("trade-fees", fixture!("kucoin", "rest_fees")),
            ("orderbook/level2", fixture!("kucoin", "rest_snapshot")),
        ],
        hello: concat!(
            "1", fixture!("kucoin", "feed_welcome"),
            "1", fixture!("kucoin", "feed_ack"),
            "1", fixture!("kucoin", "feed_ack"),
            "1", fixture!("kucoin", "feed_ack"),
            "3", fixture!("kucoin", "feed_welcome"),
            "3", fixture!("kucoin", "feed_ack"),
            "3", fixture!("kucoin", "feed_ack"),
            "2", fixture!("kucoin", "entry_challenge"),
            "2", fixture!("kucoin", "entry_welcome"),
        ),
        reply: SILENT,
        good: concat!("1", fixture!("kucoin", "feed_delta")),
    };
    oanda dp_venue_oanda Oanda OandaSync Script {
        symbol: "EUR_USD",
        also: &["USD_JPY"],
        answers: &[
            ("/instruments", fixture!("oanda", "rest_instruments")),
            ("/stream", "x"),
        ],
        hello: "",
        reply: SILENT,
        good: concat!("1", fixture!("oanda", "feed_price")),
    };
    okx dp_venue_okx Okx OkxSync Script {
        symbol: "BTC-USDT",
        also: &[],
        answers: &[("instruments", fixture!("okx", "rest_instruments_spot"))],
        hello: concat!(
            "2", fixture!("okx", "entry_login_ack"), "\n",
            "2", r#"{"event":"subscribe","arg":{"channel":"orders","instType":"ANY"},"connId":"a"}"#, "\n",
            "2", r#"{"event":"subscribe","arg":{"channel":"account"},"connId":"a"}"#, "\n",
        ),
        reply: SILENT,
        good: concat!("1", fixture!("okx", "feed_snapshot")),
    };
}
