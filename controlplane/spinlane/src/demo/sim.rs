//! The simulator as its clients see it: the ready line, and its own record over plain HTTP.

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What the simulator says when it is up.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    ready: bool,
    /// The certificate authority of its certificates.
    pub ca: String,
    venues: BTreeMap<String, Port>,
    admin: Port,
}

#[derive(Debug, Clone, Deserialize)]
struct Port {
    port: u16,
}

impl Ready {
    /// Reads the ready file; `None` while it is not there or not whole.
    pub fn read(path: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(path).ok()?)
    }

    /// Parses a ready line.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text)
            .ok()
            .filter(|ready: &Self| ready.ready)
    }

    /// A venue's port. Errors: the simulator does not run it.
    pub fn port(&self, venue: &str) -> anyhow::Result<u16> {
        let port = self
            .venues
            .get(venue)
            .with_context(|| format!("the simulator runs no {venue}"))?;
        Ok(port.port)
    }
}

/// An order as the simulator has it. Numbers are exact decimal texts.
#[derive(Debug, Clone, Deserialize)]
pub struct Order {
    /// Where.
    pub venue: String,
    /// Our id, in the venue's text.
    pub client_order_id: String,
    /// The venue's id.
    pub order_id: String,
    /// `live, partially_filled, filled, canceled`.
    pub state: String,
    /// Why it was cancelled.
    #[serde(default)]
    pub cause: Option<String>,
    /// Done so far.
    pub cum: String,
}

/// An execution as the simulator has it.
#[derive(Debug, Clone, Deserialize)]
pub struct Fill {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// Our id, in the venue's text.
    pub client_order_id: String,
    /// The execution's id.
    pub trade_id: String,
    /// `buy` or `sell`.
    pub side: String,
    /// Price.
    pub price: String,
    /// Quantity.
    pub qty: String,
    /// What it cost, positive = paid.
    pub fee: String,
    /// In which asset.
    pub fee_asset: String,
}

/// A refused request.
#[derive(Debug, Clone, Deserialize)]
pub struct Refused {
    /// Where.
    pub venue: String,
    /// `new`, `cancel`, …
    pub op: String,
    /// Our id, in the venue's text.
    pub client_order_id: String,
}

/// Everything the simulator recorded, all venues.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Orders it took.
    pub orders: Vec<Order>,
    /// Executions.
    pub fills: Vec<Fill>,
    /// Requests it refused.
    pub refused: Vec<Refused>,
    /// New-order requests by (venue, client order id): none may be asked twice.
    pub requests: BTreeMap<(String, String), u64>,
    /// New-order requests.
    pub new_requests: u64,
    /// It stopped keeping lists.
    pub truncated: bool,
}

#[derive(Debug, Deserialize)]
struct VenueRecord {
    orders: Vec<Order>,
    fills: Vec<Fill>,
    refused: Vec<Refused>,
    requests_by_client_order_id: BTreeMap<String, u64>,
    counts: Counts,
}

#[derive(Debug, Deserialize)]
struct Counts {
    new_requests: u64,
    truncated: bool,
}

/// Fetches the record. Errors: the simulator does not answer, or says something else.
pub fn record(ready: &Ready) -> anyhow::Result<Record> {
    let mut stream = TcpStream::connect(("127.0.0.1", ready.admin.port))
        .context("the simulator's admin port")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET /record HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .context("reading the simulator's record")?;
    let answer = String::from_utf8(answer).context("the simulator's record")?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the simulator's record has no end of head")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!(
            "the simulator's record: {}",
            head.lines().next().unwrap_or("")
        );
    }
    parse(&unchunk(head, body)?)
}

/// The record of all venues: an object of venues, or one with `venues` in it.
fn parse(body: &str) -> anyhow::Result<Record> {
    let whole: Value = serde_json::from_str(body).context("the simulator's record is not JSON")?;
    let venues = whole.get("venues").unwrap_or(&whole);
    let venues = venues
        .as_object()
        .context("the simulator's record has no venues")?;
    let mut record = Record::default();
    for (venue, one) in venues {
        let one: VenueRecord = serde_json::from_value(one.clone())
            .with_context(|| format!("the simulator's record of {venue}"))?;
        record.orders.extend(one.orders);
        record.fills.extend(one.fills);
        record.refused.extend(one.refused);
        record.new_requests += one.counts.new_requests;
        record.truncated |= one.counts.truncated;
        let requests = one.requests_by_client_order_id.into_iter();
        record
            .requests
            .extend(requests.map(|(id, count)| ((venue.clone(), id), count)));
    }
    Ok(record)
}

/// The body without the frame of a chunked answer.
fn unchunk(head: &str, body: &str) -> anyhow::Result<String> {
    if !head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        return Ok(body.to_owned());
    }
    let mut text = String::new();
    let mut rest = body;
    loop {
        let (size, after) = rest.split_once("\r\n").context("a chunk without a size")?;
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        if size == 0 {
            return Ok(text);
        }
        text.push_str(after.get(..size).context("a chunk is cut")?);
        rest = after.get(size + 2..).context("a chunk is cut")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked";
        assert_eq!(
            unchunk(head, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").unwrap(),
            "abcde"
        );
        assert!(unchunk(head, "9\r\nabc").is_err());
    }

    #[test]
    fn a_half_written_ready_file_is_not_ready() {
        assert!(Ready::parse("{\"ready\":true,\"ca\":").is_none());
        assert!(
            Ready::parse(r#"{"ready":false,"ca":"","venues":{},"admin":{"port":1}}"#).is_none()
        );
    }
}
