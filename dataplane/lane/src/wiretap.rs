//! What the market data links of a lane hear and say, copied into a bounded queue for whoever records it.
//!
//! The lane never waits: what finds the queue full is counted and lost. Links for orders are not listened to, and of
//! requests only those that ask (GET): nothing that carries a key or a token gets here.

use crate::link::LinkEvent;
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
    pub(crate) fn asked(&mut self, of: Of, tag: RestTag, method: RestMethod, url: String) {
        // One that was never answered is asked again.
        self.asked
            .retain(|it| (it.0, it.1, it.2) != (of.venue, of.feed, tag));
        if method == RestMethod::Get && self.asked.len() < ASKED_MAX {
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
        tap.asked(rest, RestTag(1), RestMethod::Post, "https://x/token".into());
        tap.answered(rest, RestTag(1), 200, b"token", at);
        tap.asked(rest, RestTag(2), RestMethod::Get, "https://x/book".into());
        tap.answered(rest, RestTag(2), 500, b"no", at);
        tap.asked(rest, RestTag(3), RestMethod::Get, "https://x/book".into());
        tap.answered(rest, RestTag(3), 200, b"book", at);
        drop(tap);
        let answer = What::Answer("https://x/book".into(), b"book".to_vec());
        assert_eq!(drain.next().map(|heard| heard.what), Some(answer));
        assert_eq!((drain.next(), drain.lost()), (None, 0));
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
