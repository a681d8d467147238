//! Connections a venue machine asks for and what goes over them.

use dp_types::LinkId;

/// What runs on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// WebSocket over TLS; `path` is the upgrade request's target.
    WebSocket,
    /// HTTP/1.1 keep-alive over TLS, one request at a time, in order.
    Http,
}

/// One connection a venue wants open. All but held ones are opened at start and reopened when lost. Venues number
/// theirs alike: 0 REST, 1 market data, 2 orders and the private stream, then whatever else they need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpec {
    /// Dense from 0 inside the venue.
    pub id: LinkId,
    /// Protocol.
    pub kind: LinkKind,
    /// Host name, also the TLS server name and `Host` field.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// WebSocket target with query; empty for HTTP.
    pub path: String,
    /// Short name for people: `md`, `orders`, `rest`.
    pub name: &'static str,
    /// Silence after which the link counts as dead, nanoseconds; 0 = never.
    pub silence_ns_max: u64,
    /// Opened only after [`crate::Sink::connect`] has said where, and after each end only after it has said so
    /// again: a token in the path that serves once.
    pub is_held: bool,
}

/// What a link is for, as far as trading goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRole {
    /// Market data: opened by lanes that follow the market.
    Market,
    /// Orders or the private stream: when it says what cannot be read, our orders are in doubt.
    Orders,
    /// Requests and answers.
    Rest,
}

/// HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestMethod {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
}

impl RestMethod {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// Names a request inside its venue; comes back with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RestTag(pub u64);

/// One REST request. Borrowed: the sink copies it out.
#[derive(Debug, Clone, Copy)]
pub struct RestRequest<'a> {
    /// Comes back with the answer.
    pub tag: RestTag,
    /// Method.
    pub method: RestMethod,
    /// Path with query, as signed.
    pub target: &'a str,
    /// Extra fields, `(name, value)`.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body, may be empty.
    pub body: &'a [u8],
}

/// One REST answer, or its absence.
#[derive(Debug)]
pub struct RestResponse<'a> {
    /// The request's tag.
    pub tag: RestTag,
    /// HTTP status; 0 when the connection died before an answer (outcome unknown).
    pub status: u16,
    /// `Retry-After` in seconds, when given.
    pub retry_after_s: Option<u32>,
    /// The body; mutable because the JSON parser works in place.
    pub body: &'a mut [u8],
}
