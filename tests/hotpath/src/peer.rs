//! The venue's end of one link: rustls as server, and just enough Binance to let a lane trade.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConfig, ServerConnection};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

/// What a link is for, told by the port the lane connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// REST.
    Rest,
    /// Market data.
    Feed,
    /// Orders and user stream.
    Orders,
}

/// One link's server.
pub struct Peer {
    pub role: Role,
    tls: ServerConnection,
    plain: Vec<u8>,
    is_upgraded: bool,
    next_order: u64,
    orders: BTreeMap<u64, Order>,
    /// Records written since the start.
    pub records: u64,
    /// Order requests heard, without what differs from one moment to the next.
    pub asked: Vec<String>,
    /// The last depth message sent: what a snapshot says of itself.
    pub update: i64,
}

const INFO: &str = r#"{"timezone":"UTC","serverTime":1,"rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":1000000},{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":100000000},{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":100000000}],"exchangeFilters":[],"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":8,"quoteAssetPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],"icebergAllowed":false,"isSpotTradingAllowed":true,"filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"},{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"},{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5}],"permissions":[],"permissionSets":[["SPOT"]],"defaultSelfTradePreventionMode":"EXPIRE_MAKER","allowedSelfTradePreventionModes":["EXPIRE_MAKER"]}]}"#;
const ACCOUNT: &str = r#"{"makerCommission":0,"takerCommission":0,"canTrade":true,"updateTime":1,"accountType":"SPOT","balances":[{"asset":"BTC","free":"10.00000000","locked":"0.00000000"},{"asset":"USDT","free":"1000000.00000000","locked":"0.00000000"}],"permissions":["SPOT"]}"#;

impl Peer {
    pub fn new(role: Role, config: Arc<ServerConfig>) -> Self {
        Self {
            role,
            tls: server(config),
            plain: Vec::new(),
            is_upgraded: false,
            next_order: 1,
            orders: BTreeMap::new(),
            records: 0,
            asked: Vec::with_capacity(1 << 16),
            update: 100,
        }
    }

    /// The lane has connected anew.
    pub fn begin_again(&mut self, config: Arc<ServerConfig>) {
        self.tls = server(config);
        self.plain.clear();
        self.is_upgraded = false;
    }

    /// Takes what the lane sent and returns what to send back.
    pub fn on_cipher(&mut self, mut cipher: &[u8]) -> Vec<u8> {
        while !cipher.is_empty() {
            self.tls.read_tls(&mut cipher).expect("in memory");
            let state = self.tls.process_new_packets().expect("the lane speaks TLS");
            let mut fresh = vec![0; state.plaintext_bytes_to_read()];
            self.tls
                .reader()
                .read_exact(&mut fresh)
                .expect("told how much");
            self.plain.extend(fresh);
        }
        match self.role {
            Role::Rest => self.answer_requests(),
            _ if !self.is_upgraded => self.upgrade(),
            _ => self.answer_frames(),
        }
        self.flush()
    }

    /// Whether messages may be pushed.
    pub fn is_up(&self) -> bool {
        self.is_upgraded
    }

    /// One text message, as one record.
    pub fn push(&mut self, text: &str) -> Vec<u8> {
        self.say(text);
        self.flush()
    }

    fn say(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match text.len() {
            len @ 0..=125 => frame.push(len as u8),
            len => {
                frame.push(126);
                frame.extend((len as u16).to_be_bytes());
            }
        }
        frame.extend(text.as_bytes());
        self.write(&frame);
    }

    fn write(&mut self, plain: &[u8]) {
        self.tls.writer().write_all(plain).expect("in memory");
        self.records += 1;
    }

    fn flush(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out).expect("in memory");
        }
        out
    }

    /// The next whole HTTP head, taken off the front.
    fn head(&mut self) -> Option<String> {
        let end = self.plain.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        Some(String::from_utf8_lossy(&self.plain.drain(..end).collect::<Vec<u8>>()).into_owned())
    }

    fn answer_requests(&mut self) {
        while let Some(head) = self.head() {
            let target = head.split(' ').nth(1).unwrap_or_default();
            // Far from everything the feed says: what is near comes from there.
            let depth = format!(
                "{{\"lastUpdateId\":{},\"bids\":[[\"60000.00000000\",\"1.00000000\"]],\
                 \"asks\":[[\"70000.00000000\",\"1.00000000\"]]}}",
                self.update
            );
            let body = match target.split('?').next().unwrap_or_default() {
                "/api/v3/exchangeInfo" => INFO,
                "/api/v3/depth" => &depth,
                "/api/v3/account" => ACCOUNT,
                _ => "[]",
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            self.write(answer.as_bytes());
        }
    }

    fn upgrade(&mut self) {
        let Some(head) = self.head() else { return };
        let key = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let text = format!(
            "{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
            key.expect("a key").trim()
        );
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let accept = STANDARD.encode(digest);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.write(answer.as_bytes());
        self.is_upgraded = true;
    }

    /// Unmasks the lane's frames and answers each request with success.
    fn answer_frames(&mut self) {
        while self.plain.len() >= 6 {
            let (len, at) = match self.plain[1] & 0x7f {
                126 => (
                    usize::from(u16::from_be_bytes([self.plain[2], self.plain[3]])),
                    4,
                ),
                len => (usize::from(len), 2),
            };
            if self.plain.len() < at + 4 + len {
                return;
            }
            let frame: Vec<u8> = self.plain.drain(..at + 4 + len).collect();
            let mask = [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
            let text: Vec<u8> = frame[at + 4..]
                .iter()
                .zip(mask.iter().cycle())
                .map(|(b, m)| b ^ m)
                .collect();
            if frame[0] & 0x0f == 1 {
                self.answer(&String::from_utf8_lossy(&text));
            }
        }
    }

    /// Answers one request, and streams what the order became, as the venue does.
    fn answer(&mut self, request: &str) {
        let id = field(request, "id");
        let method = field(request, "method");
        if method.starts_with("order.") {
            let names = [
                "newClientOrderId",
                "orderId",
                "origClientOrderId",
                "side",
                "type",
                "price",
                "quantity",
            ];
            let words = names.map(|name| field(request, name));
            self.asked.push(format!("{method} {}", words.join(" ")));
        }
        match method.as_str() {
            "order.place" => {
                let order = Order {
                    id: self.next_order,
                    client: field(request, "newClientOrderId"),
                    side: field(request, "side"),
                    price: field(request, "price"),
                    qty: field(request, "quantity"),
                };
                self.next_order += 1;
                self.say(&format!(
                    "{{\"id\":\"{id}\",\"status\":200,\"result\":{{\"symbol\":\"BTCUSDT\",\"orderId\":{},\
                     \"orderListId\":-1,\"clientOrderId\":\"{}\",\"transactTime\":1760000000004}}}}",
                    order.id, order.client
                ));
                self.say(&order.report("NEW", &order.client, ""));
                self.orders.insert(order.id, order);
            }
            "order.cancel" => {
                let order = field(request, "orderId").parse().ok();
                let order = order
                    .and_then(|id| self.orders.remove(&id))
                    .expect("a live order");
                self.say(&format!(
                    "{{\"id\":\"{id}\",\"status\":200,\"result\":{{\"symbol\":\"BTCUSDT\",\
                     \"origClientOrderId\":\"{}\",\"orderId\":{},\"orderListId\":-1,\"clientOrderId\":\"x\",\
                     \"transactTime\":1760000000004,\"price\":\"{}\",\"origQty\":\"{}\",\
                     \"executedQty\":\"0.00000000\",\"origQuoteOrderQty\":\"0.000000\",\
                     \"cummulativeQuoteQty\":\"0.00000000\",\"status\":\"CANCELED\",\"timeInForce\":\"GTC\",\
                     \"type\":\"LIMIT_MAKER\",\"side\":\"{}\",\"selfTradePreventionMode\":\"EXPIRE_TAKER\"}}}}",
                    order.client, order.id, order.price, order.qty, order.side
                ));
                self.say(&order.report("CANCELED", "x", &order.client));
            }
            _ => self.say(&format!(
                "{{\"id\":\"{id}\",\"status\":200,\"result\":{{\"subscriptionId\":0}}}}"
            )),
        }
    }
}

/// A session that takes any number of answers at once: a venue that stood still has many to give.
fn server(config: Arc<ServerConfig>) -> ServerConnection {
    let mut tls = ServerConnection::new(config).expect("server configuration");
    tls.set_buffer_limit(None);
    tls
}

/// One order at the venue.
struct Order {
    id: u64,
    client: String,
    side: String,
    price: String,
    qty: String,
}

impl Order {
    /// An `executionReport` of the user stream. A cancel bears an id of its own and the order's as `C`.
    fn report(&self, state: &str, client: &str, original: &str) -> String {
        let Self {
            id,
            side,
            price,
            qty,
            ..
        } = self;
        format!(
            "{{\"subscriptionId\":0,\"event\":{{\"e\":\"executionReport\",\"E\":1760000000006,\"s\":\"BTCUSDT\",\
             \"c\":\"{client}\",\"S\":\"{side}\",\"o\":\"LIMIT_MAKER\",\"f\":\"GTC\",\"q\":\"{qty}\",\
             \"p\":\"{price}\",\"P\":\"0.00000000\",\"F\":\"0.00000000\",\"g\":-1,\"C\":\"{original}\",\
             \"x\":\"{state}\",\"X\":\"{state}\",\"r\":\"NONE\",\"i\":{id},\"l\":\"0.00000000\",\
             \"z\":\"0.00000000\",\"L\":\"0.00000000\",\"n\":\"0\",\"N\":null,\"T\":1760000000005,\"t\":-1,\
             \"I\":8641985,\"w\":true,\"m\":false,\"M\":false,\"O\":1760000000004,\"Z\":\"0.00000000\",\
             \"Y\":\"0.00000000\",\"Q\":\"0.00000000\",\"W\":1760000000004,\"V\":\"EXPIRE_TAKER\"}}}}"
        )
    }
}

/// A field of a flat request, without quotes; empty when it is not there.
fn field(request: &str, name: &str) -> String {
    let Some((_, value)) = request.split_once(&format!("\"{name}\":")) else {
        return String::new();
    };
    value
        .split([',', '}'])
        .next()
        .unwrap_or_default()
        .trim_matches('"')
        .to_owned()
}
