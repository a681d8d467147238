//! The comparison: one message, two readings.

use crate::heard::Heard;
use dp_types::{LinkId, OrderId, VenueId};
use dp_venue_api::{
    Event, Fault, Reason, Registry, RestRequest, RestResponse, RestTag, Sink, Venue,
};
use serde_json::Value;
use tests_venues::captures::{Frame, Record};
use tests_venues::rig;

/// A venue and the second reading of its messages.
pub trait Tried {
    type Machine: Venue;
    type Page: Default;
    const ID: VenueId;
    /// Of its crate.
    const FOLDER: &'static str;
    /// Fixtures that are books asked for by REST, and the question.
    const BOOKS: &'static [(&'static str, &'static str)];
    /// Fixtures that come before any other: what later messages lean on.
    const BEFORE: &'static [&'static str];
    /// Messages that no fixture has.
    const MORE: &'static [&'static str];
    fn machine(registry: &mut Registry) -> Self::Machine;
    fn tag(registry: &Registry, url: &str) -> Option<RestTag>;
    /// Everything a message says of the market, in its order.
    fn read(page: &mut Self::Page, message: &Value, url: Option<&str>) -> Vec<Heard>;
}

/// A message and, of a REST answer, the question.
#[derive(Debug, Clone)]
pub struct Message {
    pub frame: Frame,
    pub url: Option<String>,
}

impl Message {
    pub fn text(text: &str) -> Self {
        Self {
            frame: Frame::Text(text.to_owned()),
            url: None,
        }
    }

    pub fn answer(url: &str, body: &str) -> Self {
        Self {
            url: Some(url.to_owned()),
            ..Self::text(body)
        }
    }

    /// A line of a recording: what the venue said. A file of single messages says nothing of directions.
    pub fn of(record: Record) -> Option<Self> {
        let url = record.url.clone();
        let frame = match (record.dir.as_str(), url.is_some()) {
            ("out", _) => None,
            (_, true) => record.raw.map(Frame::Text),
            _ => record.into_frame(),
        };
        frame.map(|frame| Self { frame, url })
    }

    /// As JSON, inflated if it has to be; `None` when it is none.
    pub fn json(&self) -> Option<Value> {
        match &self.frame {
            Frame::Text(text) => serde_json::from_str(text).ok(),
            Frame::Binary(bytes) => {
                serde_json::from_reader(flate2::read::MultiGzDecoder::new(bytes.as_slice())).ok()
            }
        }
    }
}

/// What a machine says to one message.
struct Ear<'a> {
    registry: &'a Registry,
    heard: Vec<Heard>,
    words: Vec<&'static str>,
    /// What is said of other things than the market.
    other: usize,
}

impl Sink for Ear<'_> {
    fn event(&mut self, event: &Event<'_>) {
        match (Heard::of(event, self.registry), event) {
            (Some(heard), _) => self.heard.push(heard),
            (None, Event::Ignored(words)) => self.words.push(words),
            _ => self.other += 1,
        }
    }
    fn send_text(&mut self, _: LinkId, _: &[u8]) {
        self.other += 1;
    }
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {
        self.other += 1;
    }
    fn reconnect(&mut self, _: LinkId, _: &'static str) {
        self.other += 1;
    }
}

/// One connection to a venue, read twice.
pub struct Pair<T: Tried> {
    machine: T::Machine,
    page: T::Page,
}

/// How the readings of one message differ.
#[derive(Debug)]
pub struct Differs {
    /// The machine told nothing else, but not all of it, and said that it cannot read it.
    pub is_refused: bool,
    pub how: String,
}

/// What the comparison of one message came to.
#[derive(Debug)]
pub enum Verdict {
    /// Both say so much of the market.
    Same(Vec<Heard>),
    /// Neither says anything of it; the machine says why.
    Ignored(Reason),
    /// Neither does; it is about something else: our orders, the link.
    Other,
    /// Neither does: for the machine it is no message of the venue's.
    Refused,
}

impl<T: Tried> Pair<T> {
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            machine: T::machine(registry),
            page: T::Page::default(),
        }
    }

    /// Reads `message` as the page does and `sent` as the machine does. Errors: how they differ.
    pub fn compare(
        &mut self,
        registry: &mut Registry,
        message: &Message,
        sent: &Message,
    ) -> Result<Verdict, Differs> {
        let want = match message.json() {
            Some(json) => T::read(&mut self.page, &json, message.url.as_deref()),
            None => Vec::new(),
        };
        for heard in &want {
            registry
                .register(T::ID, heard.symbol(), 8, 8)
                .expect("there is room");
        }
        let (mut heard, words, other, fault) = self.hear(registry, sent);
        // A machine packs ids: its bare number or its own text of it is the venue's.
        let mut told = want.clone();
        let ids: Vec<_> = told.iter_mut().flat_map(Heard::ids).collect();
        for id in heard.iter_mut().flat_map(Heard::ids) {
            if !ids.iter().any(|want| **want == *id) {
                let packed = id.parse().expect("a number");
                *id = self.machine.order_id_text(OrderId(packed)).to_string();
            }
        }
        // Each is told by the page, in the same order.
        let mut rest = want.iter();
        let is_part = heard.iter().all(|it| rest.any(|want| want == it));
        let differs = |how: &str| Differs {
            is_refused: is_part && fault.is_err(),
            how: format!("{how}: {heard:?} {words:?} {fault:?}\nthe page: {want:?}"),
        };
        if heard != want {
            return Err(differs("the machine"));
        }
        if words.iter().any(|words| Reason::of(words).is_none()) {
            return Err(differs("words of no reason"));
        }
        let is_bare = sent.json().is_some_and(|json| has_empty_list(&json));
        let reason = words.first().and_then(|words| Reason::of(words));
        match (fault, reason) {
            (Err(_), _) if !want.is_empty() => Err(differs("a fault after all was told")),
            (Err(_), _) => Ok(Verdict::Refused),
            _ if !want.is_empty() => Ok(Verdict::Same(want)),
            (Ok(()), Some(reason)) => Ok(Verdict::Ignored(reason)),
            // An answer that we asked for may tell of rules only, and an empty list of nothing.
            (Ok(()), None) if other > 0 || sent.url.is_some() || is_bare => Ok(Verdict::Other),
            (Ok(()), None) => Err(differs("passed over in silence")),
        }
    }

    /// What the machine says of the market, its words for what is of no use, and how it ended.
    fn hear(
        &mut self,
        registry: &mut Registry,
        message: &Message,
    ) -> (Vec<Heard>, Vec<&'static str>, usize, Result<(), Fault>) {
        let now = rig::at_ms(0);
        // The call may change the registry of an answer: names are read from a copy.
        let copy = message.url.as_ref().map(|_| registry.clone());
        let ear = |registry| Ear {
            registry,
            heard: Vec::new(),
            words: Vec::new(),
            other: 0,
        };
        let machine = &mut self.machine;
        let (ear, result) = match (&message.frame, &message.url) {
            (Frame::Text(text), Some(url)) => {
                let mut ear = ear(copy.as_ref().expect("of an answer"));
                let Some(tag) = T::tag(registry, url) else {
                    // Nobody asks for it.
                    ear.other += 1;
                    return (ear.heard, ear.words, ear.other, Ok(()));
                };
                let response = RestResponse {
                    tag,
                    status: 200,
                    retry_after_s: None,
                    usage: dp_venue_api::Usage::default(),
                    body: &mut text.clone().into_bytes(),
                };
                let result = machine.on_response(registry, LinkId(0), now, response, &mut ear);
                (ear, result)
            }
            (Frame::Text(text), None) => {
                let mut ear = ear(registry);
                let mut bytes = text.clone().into_bytes();
                let result = machine.on_text(registry, LINK, now, &mut bytes, &mut ear);
                (ear, result)
            }
            (Frame::Binary(bytes), _) => {
                let mut ear = ear(registry);
                let result = machine.on_binary(registry, LINK, now, &mut bytes.clone(), &mut ear);
                (ear, result)
            }
        };
        (ear.heard, ear.words, ear.other, result)
    }
}

fn has_empty_list(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty() || items.iter().any(has_empty_list),
        Value::Object(items) => items.values().any(has_empty_list),
        _ => false,
    }
}

/// The link of market data, at every venue.
const LINK: LinkId = LinkId(1);
