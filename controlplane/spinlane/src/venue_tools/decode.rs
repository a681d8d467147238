//! `spinlane venue decode`: one line in, one line out, whatever the line is.
//!
//! ```text
//! line ─▶ Message ─▶ the live machine ─▶ events?  ─ no ─▶ fields by name (`tools::shape`) ─▶ events?
//!                        ▲                 │ yes                                          │ yes   │ no
//!        URL, or the one its shape says    └──────────────────▶ {"events":[...]} ◀────────┘       ▼
//!                                                                     {"ignored": reason} or {"error": why}
//! ```
//! Reasons are those of [`Reason`], a closed list.

use crate::tools::{EventsOnly, Names, Tool, event_json, fix, shape, subject};
use anyhow::Context as _;
use dp_capture::{Direction, LINE_MAX, Record, as_json, inflated};
use dp_types::{Now, Tsc, UnixNanos};
use dp_venue_api::{DecodeError, Event, Fault, Reason, Registry, RestResponse, Venue as _};
use serde_json::{Map, Value, json};
use std::io::{BufRead, Read as _, Write};

/// Decodes every line of `input`; one line of output each, whatever the input.
///
/// Errors: the streams fail.
pub fn decode_lines<T: Tool>(
    mut input: impl BufRead,
    mut output: impl Write,
) -> anyhow::Result<()> {
    let mut decoder = Decoder::<T>::new()?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let size = input
            .by_ref()
            .take(LINE_MAX as u64 + 1)
            .read_until(b'\n', &mut line)
            .context("reading standard input")?;
        if size == 0 {
            output.flush()?;
            return Ok(());
        }
        let result = if size > LINE_MAX {
            skip_line(&mut input)?;
            json!({"error": format!("line is longer than {LINE_MAX} bytes")})
        } else {
            while matches!(line.last(), Some(b'\n' | b'\r')) {
                line.pop();
            }
            decoder.line(&line)
        };
        writeln!(output, "{result}").context("writing standard output")?;
    }
}

/// Reads on to the end of an overlong line, in pieces.
fn skip_line(input: &mut impl BufRead) -> anyhow::Result<()> {
    loop {
        let buffer = input.fill_buf().context("reading standard input")?;
        let (used, is_end) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if is_end {
            return Ok(());
        }
    }
}

/// Decodes single messages of one venue.
pub struct Decoder<T: Tool> {
    registry: Registry,
    machine: T::Machine,
}

impl<T: Tool> std::fmt::Debug for Decoder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({})", T::ID.name())
    }
}

impl<T: Tool> Decoder<T> {
    /// A decoder that knows no symbol yet: each line brings its own. Errors: none in practice; the
    /// machine registers nothing.
    pub fn new() -> anyhow::Result<Self> {
        let mut registry = Registry::new();
        let machine = T::machine(Vec::new(), &mut registry)?;
        Ok(Self { registry, machine })
    }

    /// Decodes one line: raw text, an object of the capture format, or a request with its answer.
    pub fn line(&mut self, line: &[u8]) -> Value {
        match Message::of(line) {
            Ok(Line::Message(message)) if message.bytes.is_empty() => error("empty message"),
            Ok(Line::Message(message)) => self.message(message),
            Ok(Line::Ignored(reason)) => ignored(reason),
            Err(why) => error(&format!("{why:#}")),
        }
    }

    fn message(&mut self, message: Message) -> Value {
        if message.bytes.starts_with(fix::BEGIN) {
            return match fix::read(&message.bytes, message.is_example) {
                Ok(fix::Told::Events(events)) => json!({"events": events}),
                Ok(fix::Told::Ignored(reason)) => ignored(reason),
                Err(why) => error(&why),
            };
        }
        let Some(parsed) = as_json(&message.bytes) else {
            if message.is_binary {
                let mut names = Names::default();
                T::names_of_binary(&message.bytes, &mut names);
                self.register(&names);
            }
            // A machine's own words for it, or a frame that is no JSON: `pong`, binary market data.
            return match self.live(&message, None) {
                Heard { events, .. } if !events.is_empty() => json!({"events": events}),
                heard => heard.unless_found(None),
            };
        };
        if subject::is_request(&parsed) {
            return ignored(Reason::Sent);
        }
        let shaped = || T::url_of(&parsed, shape::UNKNOWN);
        let is_read = |url: &String| {
            let mut registry = self.registry.clone();
            names_of::<T>(&parsed, Some(url)).register::<T>(&mut registry);
            T::tag_of_url(&registry, url).is_some()
        };
        // An answer whose resource the machine never asks for may still have the shape of one it does.
        let url = match &message.url {
            Some(url) => Some(url.clone()).filter(is_read).or_else(shaped),
            None => shaped(),
        };
        let is_rest = message.url.is_some() || url.is_some();
        let mut heard = Heard::default();
        if url.is_some() || message.url.is_none() {
            self.learn(&parsed, url.as_deref());
            heard = self.live(&message, url.as_deref());
        }
        // What was said before on the connection makes a machine pass over the second of two books. Alone it is a book.
        if heard.reason() == Some(Reason::Twin)
            && let Ok(machine) = T::machine(Vec::new(), &mut self.registry)
        {
            let used = std::mem::replace(&mut self.machine, machine);
            let alone = self.live(&message, url.as_deref());
            self.machine = used;
            if !alone.events.is_empty() {
                heard = alone;
            }
        }
        if !heard.events.is_empty() {
            return json!({"events": heard.events});
        }
        if heard.may_be_more() {
            let symbol = message.symbol();
            let mut more: Vec<_> = T::ticker(&parsed)
                .or_else(|| T::foreign_ack(&parsed))
                .into_iter()
                .collect();
            if more.is_empty() {
                more = T::others(&parsed, symbol);
            }
            if more.is_empty() {
                more = shape::read(&parsed, symbol);
            }
            if !more.is_empty() {
                return json!({"events": more});
            }
        }
        let is_empty = match &parsed {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        let by_path = || message.url.as_deref().and_then(subject::reason_of_path);
        if is_empty && is_rest {
            return ignored(Reason::Nothing);
        }
        let found = if url.is_some() && heard.error.is_some() {
            // The live reader knows this resource and could not read it.
            None
        } else {
            by_path()
                .or_else(|| subject::reason(&parsed))
                .or_else(|| subject::reason_of_path(&message.name))
                .or_else(|| (is_rest && heard.error.is_none()).then_some(Reason::Unasked))
        };
        heard.unless_found(found)
    }

    /// What the live machine makes of it.
    fn live(&mut self, message: &Message, url: Option<&str>) -> Heard {
        let mut bytes = message.bytes.clone();
        let now = Now {
            tsc: Tsc(0),
            unix: UnixNanos(1),
        };
        let Self { registry, machine } = self;
        let mut heard = Heard::default();
        // A copy: the printer needs the names while the call holds the registry.
        let names = registry.clone();
        let mut sink = EventsOnly(|event: &Event<'_>| {
            match event_json(&names, T::order_id_text, T::checksum, event) {
                Ok(event) => heard.events.push(event),
                Err(words) => heard.words = heard.words.or(Some(words)),
            }
        });
        let result = match url.map(|url| T::tag_of_url(registry, url)) {
            Some(Some(tag)) => {
                let response = RestResponse {
                    tag,
                    status: 200,
                    retry_after_s: None,
                    usage: dp_venue_api::Usage::default(),
                    body: &mut bytes,
                };
                machine.on_response(registry, dp_types::LinkId(0), now, response, &mut sink)
            }
            Some(None) => Ok(()),
            None if message.is_binary => {
                let result = machine.on_binary(registry, T::LINK, now, &mut bytes, &mut sink);
                match (result, inflated(&message.bytes)) {
                    // Compressed text is text; only some venues' machines inflate it themselves.
                    (Err(_), Some(mut text)) => {
                        machine.on_text(registry, T::LINK, now, &mut text, &mut sink)
                    }
                    (result, _) => result,
                }
            }
            None => machine.on_text(registry, T::LINK, now, &mut bytes, &mut sink),
        };
        match result {
            Err(Fault::Decode(why)) => heard.error = Some(why),
            Err(Fault::Venue { code, reason }) => heard.events.push(json!({
                "kind": "error",
                "code": code,
                "reason": reason.name(),
            })),
            Ok(()) => {}
        }
        heard
    }

    /// Registers the names of a message.
    fn learn(&mut self, message: &Value, url: Option<&str>) {
        self.register(&names_of::<T>(message, url));
    }

    /// A registry that fills up in a long stream starts over: lines are decoded one by one, nothing refers back.
    fn register(&mut self, names: &Names) {
        use dp_types::limit::{ASSETS_MAX, INSTRUMENTS_MAX};
        if self.registry.instruments().len() + names.symbols.len() > INSTRUMENTS_MAX
            || self.registry.assets().len() + names.assets.len() > ASSETS_MAX
        {
            self.registry = Registry::new();
        }
        names.register::<T>(&mut self.registry);
    }
}

fn names_of<T: Tool>(message: &Value, url: Option<&str>) -> Names {
    let mut names = Names::default();
    T::names(message, url, &mut names);
    names
}

fn error(why: &str) -> Value {
    json!({"error": why})
}

fn ignored(reason: Reason) -> Value {
    json!({"ignored": reason.name()})
}

/// Whether a message ignored for it may hold a book, a trade, an order or a fill all the same: of no use to a machine
/// that trades, but a tool that shows messages shows it.
const fn may_hide_events(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotOurs | Reason::Nothing | Reason::Ticker | Reason::Statistics | Reason::Mark
    ) || reason.is_vague()
}

/// What a machine said to one message.
#[derive(Debug, Default)]
struct Heard {
    events: Vec<Value>,
    /// Its words for why it ignored it.
    words: Option<&'static str>,
    error: Option<DecodeError>,
}

impl Heard {
    fn reason(&self) -> Option<Reason> {
        self.words.and_then(Reason::of)
    }

    /// Whether what it did not tell may be told by the names of its fields. A message it knows and finds damaged is not
    /// read a second time, more kindly.
    fn may_be_more(&self) -> bool {
        match self.error {
            Some(DecodeError::Shape(_) | DecodeError::UnknownSymbol) => true,
            Some(_) => false,
            None => self.reason().is_none_or(may_hide_events),
        }
    }

    /// The line of a message without events. `found` is what its content says it is about.
    fn unless_found(&self, found: Option<Reason>) -> Value {
        let reason = match (self.words, self.reason()) {
            (Some(words), None) => {
                return error(&format!(
                    "ignored for a reason that is not in the list: {words}"
                ));
            }
            (_, Some(reason)) if reason.is_vague() => Some(found.unwrap_or(reason)),
            (_, Some(reason)) => Some(reason),
            (None, None) => found,
        };
        match (reason, self.error) {
            (Some(reason), None) => ignored(reason),
            (Some(reason), Some(DecodeError::Shape(_) | DecodeError::UnknownSymbol)) => {
                ignored(reason)
            }
            (_, Some(why)) => error(&why.to_string()),
            (None, None) => ignored(Reason::Nothing),
        }
    }
}

/// One message, with what its line says about it.
#[derive(Debug, Default)]
struct Message {
    bytes: Vec<u8>,
    is_binary: bool,
    /// An example of a document: nobody sent it.
    is_example: bool,
    /// Where the answer came from.
    url: Option<String>,
    /// What the line calls it; empty when it does not.
    name: String,
}

/// What is on a line.
enum Line {
    Message(Message),
    /// No message of the venue.
    Ignored(Reason),
}

impl Message {
    /// Errors: an empty line, or an object that looks like a capture's and is none.
    fn of(line: &[u8]) -> anyhow::Result<Line> {
        if line.iter().all(u8::is_ascii_whitespace) {
            anyhow::bail!("empty line");
        }
        let object = serde_json::from_slice::<Map<String, Value>>(line).unwrap_or_default();
        if let (Some(path), Some(response)) = (object.get("path"), object.get("response")) {
            let query = object.get("query").and_then(Value::as_str).unwrap_or("");
            let path = path.as_str().context("`path` is not a text")?;
            return Ok(Line::Message(Self {
                bytes: response.to_string().into_bytes(),
                url: Some(format!("{path}?{query}")),
                ..Self::default()
            }));
        }
        if !object.contains_key("raw") && !object.contains_key("raw_b64") {
            return Ok(Line::Message(Self {
                bytes: line.to_vec(),
                ..Self::default()
            }));
        }
        let record = Record::parse(line).context("not a capture object")?;
        if record.event.is_some() {
            return Ok(Line::Ignored(Reason::Opened));
        }
        if record.dir == Direction::Out {
            return Ok(Line::Ignored(Reason::Sent));
        }
        let name = object.get("name").and_then(Value::as_str);
        let is_http = |url: &String| url.starts_with("http") || url.starts_with('/');
        Ok(Line::Message(Self {
            bytes: record.bytes()?,
            is_binary: record.is_binary(),
            is_example: record.dir == Direction::Example,
            name: name.unwrap_or(&record.conn).to_owned(),
            url: record.url.filter(is_http),
        }))
    }

    /// The instrument its URL names, for a body that names none.
    fn symbol(&self) -> &str {
        let url = self.url.as_deref().unwrap_or("");
        let in_query = url.split(['?', '&']).find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let is_symbol = ["symbol", "instId", "product_id", "instrument_name"].contains(&key);
            is_symbol.then_some(value)
        });
        in_query
            .filter(|name| !name.is_empty())
            .unwrap_or(shape::UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{BinanceTool, OkxTool};

    fn decoded<T: Tool>(input: &[u8]) -> Vec<Value> {
        let mut output = Vec::new();
        decode_lines::<T>(input, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn one_line_out_for_each_line_in_whatever_it_is() {
        let input = b"\n{}\nhello\n\xff\xfe\n{\"raw\":null}\n{\"raw_b64\":\"**\"}\n[1]\n{\"raw\":7}\n{\"raw\":\"pong\"}\r\npong";
        let lines = decoded::<OkxTool>(input);
        assert_eq!(lines.len(), 10);
        assert!(
            lines[..8].iter().all(|line| line["error"].is_string()),
            "{lines:?}"
        );
        assert!(
            lines[8..]
                .iter()
                .all(|line| line["events"][0]["kind"] == "control")
        );
        assert_eq!(decoded::<BinanceTool>(input).len(), 10);
    }

    #[test]
    fn a_raw_message_and_its_record_decode_alike() {
        let raw = r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"65000.10","sz":"0.12","side":"buy","ts":"1"}]}"#;
        let record = json!({"ts": null, "dir": "in", "conn": "ws1", "raw": raw});
        let lines = decoded::<OkxTool>(format!("{raw}\n{record}\n").as_bytes());
        assert_eq!(lines[0], lines[1]);
        assert_eq!(lines[0]["events"][0]["kind"], "trade");
        assert_eq!(
            lines[0]["events"][0]["price"], "65000.10",
            "the venue's own digits"
        );
    }

    #[test]
    fn private_messages_tickers_and_foreign_answers() {
        let order = r#"{"arg":{"channel":"orders","instType":"ANY"},"data":[{"instId":"BTC-USDT","ordId":"9","clOrdId":"x","side":"sell","state":"filled","px":"2","sz":"1","accFillSz":"1","fillSz":"1","fillPx":"2","tradeId":"7","execType":"T","fillFee":"-0.1","fillFeeCcy":"USDT","uTime":"1"}]}"#;
        let answer = r#"{"id":"1513","op":"order","code":"1","msg":"","data":[{"ordId":"","clOrdId":"hbx2","sCode":"51008","sMsg":"x"}]}"#;
        let ticker = r#"{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","last":"1","bidPx":"","bidSz":"","askPx":"2","askSz":"3"}]}"#;
        let error = r#"{"event":"error","code":"60018","msg":"x"}"#;
        let lines = decoded::<OkxTool>([order, answer, ticker, error].join("\n").as_bytes());
        let fill = &lines[0]["events"][0];
        assert_eq!(
            (&fill["kind"], &fill["fee"]),
            (&json!("fill"), &json!("0.1"))
        );
        assert_eq!(fill["fee_asset"], "USDT");
        assert_eq!(lines[0]["events"][1]["state"], "FILLED");
        assert_eq!(lines[1]["events"][0]["reason"], "insufficient_funds");
        assert_eq!(lines[2]["events"][0]["bid"], Value::Null);
        assert_eq!(lines[3]["events"][0]["kind"], "error");
    }

    #[test]
    fn a_rest_answer_is_read_by_its_url() {
        let books = r#"{"code":"0","msg":"","data":[{"asks":[["2","1","0","1"]],"bids":[["1","1","0","1"]],"ts":"1"}]}"#;
        let record = json!({"conn": "http", "url": "https://www.okx.com/api/v5/market/books?instId=A-B&sz=400", "raw": books});
        let lines = decoded::<OkxTool>(record.to_string().as_bytes());
        assert_eq!(lines[0]["events"][0]["type"], "snapshot");
        let depth = r#"{"lastUpdateId":5,"bids":[["1.0","2"]],"asks":[]}"#;
        let record = json!({"conn": "http", "url": "https://api.binance.com/api/v3/depth?symbol=BTCUSDT", "raw": depth});
        let lines = decoded::<BinanceTool>(record.to_string().as_bytes());
        assert_eq!(lines[0]["events"][0]["last_id"], 5);
    }

    #[test]
    fn a_request_with_its_answer_is_read_by_its_path() {
        let depth = json!({"method": "GET", "path": "/api/v3/depth", "query": "symbol=BTCUSDT", "body": "",
            "response": {"lastUpdateId": 5, "bids": [["1.0", "2"]], "asks": []}});
        let trades = json!({"path": "/api/v3/trades", "query": "limit=1&symbol=ETHBTC", "response":
            [{"id": 7, "price": "0.050", "qty": "1", "time": 1_679_280_337_591_u64, "isBuyerMaker": false}]});
        let klines = json!({"path": "/api/v3/klines", "response": [[1, "2"]]});
        let broken = json!({"path": "/api/v3/depth", "query": "symbol=A", "response": {"bids": [["x", "1"]], "asks": []}});
        let input = [depth, trades, klines, broken].map(|line| line.to_string());
        let lines = decoded::<BinanceTool>(input.join("\n").as_bytes());
        assert_eq!(lines[0]["events"][0]["symbol"], "BTCUSDT");
        let trade = &lines[1]["events"][0];
        assert_eq!(
            (&trade["symbol"], &trade["price"], &trade["side"]),
            (&json!("ETHBTC"), &json!("0.050"), &json!("buy"))
        );
        assert_eq!(lines[2], json!({"ignored": "candle"}));
        assert!(lines[3]["error"].is_string(), "{}", lines[3]);
    }

    #[test]
    fn a_body_that_nobody_names_says_so() {
        let bodies = [
            json!({"lastUpdateId": 5, "bids": [["1.0", "2"]], "asks": []}),
            json!({"code": "0", "data": [{"asks": [["2", "1", "0", "1"]], "bids": [], "ts": "1"}]}),
        ];
        let binance = decoded::<BinanceTool>(bodies[0].to_string().as_bytes());
        let okx = decoded::<OkxTool>(bodies[1].to_string().as_bytes());
        for line in [&binance[0], &okx[0]] {
            assert_eq!(line["events"][0]["symbol"], shape::UNKNOWN, "{line}");
            assert_eq!(line["events"][0]["kind"], "book");
        }
    }

    #[test]
    fn compressed_frames_are_their_text() {
        use std::io::Write as _;
        let depth = r#"{"table":"spot/depth5","data":[{"asks":[["2","1","1"]],"bids":[["1","1","1"]],"instrument_id":"A-B"}]}"#;
        let mut deflate =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        deflate.write_all(depth.as_bytes()).unwrap();
        let bytes = deflate.finish().unwrap();
        let mut decoder = Decoder::<OkxTool>::new().unwrap();
        let mut told = |bytes: Vec<u8>| {
            decoder.message(Message {
                bytes,
                is_binary: true,
                ..Message::default()
            })
        };
        let cut = bytes[..bytes.len() / 2].to_vec();
        let whole = told(bytes);
        assert_eq!(whole["events"][0]["symbol"], "A-B", "{whole}");
        assert!(told(cut)["error"].is_string());
    }

    #[test]
    fn market_data_in_binary_names_its_symbol_itself() {
        let frames: [&[u8]; 3] = [
            include_bytes!("../../../../tests/fuzz/corpus/sbe/depth_diff"),
            include_bytes!("../../../../tests/fuzz/corpus/sbe/trades"),
            include_bytes!("../../../../tests/fuzz/corpus/sbe/quote"),
        ];
        let mut decoder = Decoder::<BinanceTool>::new().unwrap();
        let mut told = |bytes: &[u8]| {
            decoder.message(Message {
                bytes: bytes.to_vec(),
                is_binary: true,
                ..Message::default()
            })
        };
        for (frame, kind) in frames.into_iter().zip(["book", "trade", "quote"]) {
            let line = told(frame);
            let event = &line["events"][0];
            assert_eq!(
                (&event["kind"], &event["symbol"]),
                (&json!(kind), &json!("BTCUSDT")),
                "{line}"
            );
            assert!(told(&frame[..frame.len() - 1])["error"].is_string());
        }
    }

    #[test]
    fn requests_are_told_from_answers_and_reasons_from_words() {
        let line = decoded::<OkxTool>(br#"{"op":"subscribe","args":[{"channel":"tickers"}]}"#);
        assert_eq!(line[0], json!({"ignored": "sent by the client"}));
        let heard = Heard {
            words: Some("made up"),
            ..Heard::default()
        };
        assert!(heard.unless_found(None)["error"].is_string());
        let heard = Heard {
            words: Some("candles"),
            ..Heard::default()
        };
        assert_eq!(heard.unless_found(None), ignored(Reason::Candle));
    }
}
