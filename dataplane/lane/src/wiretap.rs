//! What the market data links of a lane hear and say, copied into a bounded queue for whoever records it.
//!
//! The lane never waits: what finds the queue full is counted and lost. Nothing that carries a key, a token or a
//! signature gets here:
//!
//! ```text
//! links for orders       not listened to
//! upgrades of links      not listened to; of where they go, not what stands behind the `?`
//! requests               only those that ask (GET)
//!   made with a key      not listened to, for their answers tell of an account; but where prices are shown to who has
//!                        a key alone (OANDA) they are, without the account's name in the path
//! ```

use crate::link::LinkEvent;
use crate::outbox::OwnedRequest;
use crossbeam::channel::{Receiver, Sender, bounded};
use dp_types::{LinkId, UnixNanos, VenueId};
use dp_venue_api::{LinkRole, LinkSpec, RestMethod, RestTag};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages waiting to be written at once: a busy second of several venues.
const MESSAGES_MAX: usize = 1 << 16;
/// Bytes waiting to be written at once.
const BYTES_MAX: u64 = 256 << 20;
/// Requests whose answers are waited for.
const ASKED_MAX: usize = 256;

/// What was heard or said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The link is up; where to.
    Opened(String),
    /// A text of the venue.
    Text(Vec<u8>),
    /// A binary message of the venue.
    Binary(Vec<u8>),
    /// A text of ours.
    Said(Vec<u8>),
    /// An answer to a request: its target with the host, and its body.
    Answer(String, Vec<u8>),
}

impl What {
    fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Opened(text) => text.len(),
            Self::Text(bytes) | Self::Binary(bytes) | Self::Said(bytes) => bytes.len(),
            Self::Answer(url, bytes) => url.len() + bytes.len(),
        };
        bytes as u64
    }
}

/// One line of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// When the lane took it up.
    pub at: UnixNanos,
    /// Whose.
    pub venue: VenueId,
    /// Which of the connections that bring the venue's market data.
    pub feed: u8,
    /// Which of its links.
    pub link: LinkId,
    /// What.
    pub what: What,
}

/// What both ends count.
#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicU64,
    lost: AtomicU64,
}

/// The lane's end.
#[derive(Debug, Clone)]
pub struct Wiretap {
    queue: Sender<Heard>,
    counts: Arc<Counts>,
    asked: Vec<(VenueId, u8, RestTag, String)>,
}

/// The writer's end.
#[derive(Debug)]
pub struct Drain {
    queue: Receiver<Heard>,
    counts: Arc<Counts>,
}

/// A queue for a recording.
pub fn wiretap() -> (Wiretap, Drain) {
    let (sender, receiver) = bounded(MESSAGES_MAX);
    let counts = Arc::<Counts>::default();
    let tap = Wiretap {
        queue: sender,
        counts: Arc::clone(&counts),
        asked: Vec::new(),
    };
    let drain = Drain {
        queue: receiver,
        counts,
    };
    (tap, drain)
}

impl Drain {
    /// The next line, waited for; `None` once every lane has ended and nothing waits.
    pub fn next(&self) -> Option<Heard> {
        let heard = self.queue.recv().ok()?;
        let bytes = heard.what.bytes();
        self.counts
            .waiting_bytes
            .fetch_sub(bytes, Ordering::Relaxed);
        Some(heard)
    }

    /// Lines lost because the queue was full.
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }
}

/// Which link of which machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of {
    pub(crate) venue: VenueId,
    pub(crate) feed: u8,
    pub(crate) link: LinkId,
    pub(crate) role: LinkRole,
}

impl Wiretap {
    /// Something came over a link.
    pub(crate) fn event(&mut self, (of, url): (Of, &str), event: &LinkEvent<'_>, at: UnixNanos) {
        match event {
            LinkEvent::Up if of.role == LinkRole::Market => {
                self.send(of, What::Opened(url.to_owned()), at);
            }
            LinkEvent::Text(text) if of.role == LinkRole::Market => {
                self.send(of, What::Text(text.to_vec()), at);
            }
            LinkEvent::Binary(bytes) if of.role == LinkRole::Market => {
                self.send(of, What::Binary(bytes.to_vec()), at);
            }
            LinkEvent::Response(response) => {
                self.answered(of, response.tag, response.status, response.body, at);
            }
            _ => {}
        }
    }

    /// Where a link goes, without what may be a token.
    pub(crate) fn url(spec: &LinkSpec) -> String {
        let path = spec.path.split('?').next().unwrap_or_default();
        format!("wss://{}:{}{path}", spec.host, spec.port)
    }

    /// A text is about to be sent.
    pub(crate) fn said(&mut self, of: Of, text: &[u8], at: UnixNanos) {
        if of.role == LinkRole::Market {
            self.send(of, What::Said(text.to_vec()), at);
        }
    }

    /// A request is about to be sent.
    pub(crate) fn asked(&mut self, of: Of, host: &str, request: &OwnedRequest) {
        let tag = request.tag;
        // One that was never answered is asked again.
        self.asked
            .retain(|it| (it.0, it.1, it.2) != (of.venue, of.feed, tag));
        let Some(target) = shown(of, request) else {
            return;
        };
        if request.method == RestMethod::Get && self.asked.len() < ASKED_MAX {
            let url = format!("https://{host}{target}");
            self.asked.push((of.venue, of.feed, tag, url));
        }
    }

    /// An answer came.
    fn answered(&mut self, of: Of, tag: RestTag, status: u16, body: &[u8], at: UnixNanos) {
        let is_it = |asked: &(VenueId, u8, RestTag, String)| {
            (asked.0, asked.1, asked.2) == (of.venue, of.feed, tag)
        };
        let Some(place) = self.asked.iter().position(is_it) else {
            return;
        };
        let (_, _, _, url) = self.asked.remove(place);
        if status == 200 {
            self.send(of, What::Answer(url, body.to_vec()), at);
        }
    }

    fn send(&self, of: Of, what: What, at: UnixNanos) {
        let (bytes, counts) = (what.bytes(), &self.counts);
        let waiting = counts.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let heard = Heard {
            at,
            venue: of.venue,
            feed: of.feed,
            link: of.link,
            what,
        };
        if waiting > BYTES_MAX || self.queue.try_send(heard).is_err() {
            counts.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What may be told of where a request goes; `None`: nothing, and its answer is not listened to.
fn shown(of: Of, request: &OwnedRequest) -> Option<String> {
    let target = &request.target;
    let has_key = !request.headers.is_empty() || target.to_ascii_lowercase().contains("signature");
    if !has_key {
        return Some(target.clone());
    }
    // Of an answer that goes on, each line is heard.
    if of.venue.takes_orders() || of.role == LinkRole::Market {
        return None;
    }
    let (before, account) = target.split_once("/accounts/")?;
    let (_, after) = account.split_once('/')?;
    Some(format!("{before}/accounts/-/{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of(role: LinkRole) -> Of {
        Of {
            venue: VenueId::OKX,
            feed: 0,
            link: LinkId(1),
            role,
        }
    }

    #[test]
    fn links_for_orders_and_requests_that_do_not_ask_are_not_listened_to() {
        let (mut tap, drain) = wiretap();
        let at = UnixNanos(1);
        tap.event(
            (of(LinkRole::Orders), "wss://x"),
            &LinkEvent::Text(&mut b"secret".to_owned()),
            at,
        );
        tap.said(of(LinkRole::Orders), b"secret", at);
        let rest = of(LinkRole::Rest);
        let (post, get) = (RestMethod::Post, RestMethod::Get);
        tap.asked(rest, "x", &request(1, post, "/token", &[]));
        tap.answered(rest, RestTag(1), 200, b"token", at);
        tap.asked(rest, "x", &request(2, get, "/book", &[]));
        tap.answered(rest, RestTag(2), 500, b"no", at);
        tap.asked(rest, "x", &request(3, get, "/book", &[]));
        tap.answered(rest, RestTag(3), 200, b"book", at);
        drop(tap);
        let answer = What::Answer("https://x/book".into(), b"book".to_vec());
        assert_eq!(drain.next().map(|heard| heard.what), Some(answer));
        assert_eq!((drain.next(), drain.lost()), (None, 0));
    }

    fn request(tag: u64, method: RestMethod, target: &str, fields: &[&str]) -> OwnedRequest {
        let field = |value: &&str| ("X-Any".to_owned(), (*value).to_owned());
        OwnedRequest {
            tag: RestTag(tag),
            method,
            target: target.into(),
            headers: fields.iter().map(field).collect(),
            body: Vec::new(),
        }
    }

    /// A venue that takes orders and one that shows prices to who has a key: both are asked with keys.
    #[test]
    fn no_key_token_signature_or_account_is_told() {
        let (mut tap, drain) = wiretap();
        let (at, get) = (UnixNanos(1), RestMethod::Get);
        let secrets = ["KEY1", "TOKEN2", "SIGN3", "101-001-0000001-001"];
        let oanda = |role| Of {
            venue: VenueId::OANDA,
            ..of(role)
        };
        let prices = "/v3/accounts/101-001-0000001-001/pricing?instruments=EUR_USD";
        for (of, target, fields) in [
            (
                of(LinkRole::Rest),
                "/api/v3/account?signature=SIGN3",
                &["KEY1"][..],
            ),
            (of(LinkRole::Rest), "/0/open?Signature=SIGN3", &[]),
            (of(LinkRole::Rest), "/api/v1/orders", &["KEY1", "SIGN3"]),
            (
                oanda(LinkRole::Market),
                "/v3/accounts/101-001-0000001-001/pricing/stream",
                &["TOKEN2"],
            ),
            (oanda(LinkRole::Rest), prices, &["TOKEN2"]),
        ] {
            tap.asked(of, "host:443", &request(1, get, target, fields));
            tap.answered(of, RestTag(1), 200, b"{}", at);
        }
        let spec = LinkSpec {
            id: LinkId(1),
            kind: dp_venue_api::LinkKind::WebSocket,
            host: "host".into(),
            port: 443,
            path: "/stream?token=TOKEN2".into(),
            name: "md",
            silence_ns_max: 0,
            is_held: false,
        };
        let url = Wiretap::url(&spec);
        tap.event((of(LinkRole::Market), &url), &LinkEvent::Up, at);
        drop(tap);
        let told: Vec<_> = core::iter::from_fn(|| drain.next()).collect();
        let text = format!("{told:?}");
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        let url = "https://host:443/v3/accounts/-/pricing?instruments=EUR_USD";
        let answer = What::Answer(url.into(), b"{}".to_vec());
        let opened = What::Opened("wss://host:443/stream".into());
        let told: Vec<_> = told.into_iter().map(|heard| heard.what).collect();
        assert_eq!(told, [answer, opened], "and nothing else is missing");
    }

    #[test]
    fn a_full_queue_loses_and_counts() {
        let (mut tap, drain) = wiretap();
        for _ in 0..MESSAGES_MAX + 3 {
            tap.said(of(LinkRole::Market), b"x", UnixNanos(1));
        }
        assert_eq!(drain.lost(), 3);
        drop(tap);
        let mut count = 0;
        while drain.next().is_some() {
            count += 1;
        }
        assert_eq!(count, MESSAGES_MAX);
    }
}
