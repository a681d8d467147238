//! Connections a venue machine asks for and what goes over them.

use dp_secret::Secret;
use dp_types::LinkId;
use dp_wire::fix::LogonFields;
use dp_wire::http::Usage;

/// What runs on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// WebSocket over TLS; `path` is the upgrade request's target, [`crate::Venue::upgrade_fields`] what it bears beside
    /// the usual.
    WebSocket,
    /// HTTP/1.1 keep-alive over TLS, one request at a time, in order.
    Http,
    /// HTTP/1.1 over TLS for an answer that goes on. The machine asks for it by [`crate::Sink::request`]; an answer of
    /// success comes as a response without a body once its head is there, and then line by line as texts. The silence
    /// limit counts from there on. Any other answer comes whole, and the machine may ask again.
    HttpLines,
    /// A FIX session over TLS: [`crate::Venue::fix_spec`] says which.
    Fix,
}

/// The session of a FIX link. The session's own messages (logon, heartbeats, numbers) are the link's; the venue machine
/// writes and reads the others.
pub struct FixSpec {
    /// What a message begins with (8): `FIX.4.4`, `FIXT.1.1`.
    pub version: String,
    /// Default application version (1137), for FIXT.
    pub appl_version: Option<String>,
    /// Our name (49).
    pub sender: String,
    /// The venue's (56).
    pub target: String,
    /// Heartbeat interval (108), seconds.
    pub heartbeat_s: u32,
    /// Numbers begin at 1 with every connection. Otherwise they are kept, through the end of the process too.
    pub resets: bool,
    /// Second of the UTC day at which kept numbers begin at 1 all the same.
    pub rollover_s: Option<u32>,
    /// The venue sends again what was missed. Where it does not, a missing message ends the link.
    pub resends: bool,
    /// How far the venue's sending time may be from ours, seconds; 0 = any.
    pub clock_skew_s: u32,
    /// What the venue wants in a logon: names, signature, flags.
    pub logon: LogonFields,
}

impl core::fmt::Debug for FixSpec {
    /// Names only: a logon holds secrets.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "FixSpec({} {} -> {})",
            self.version, self.sender, self.target
        )
    }
}

/// A field of a WebSocket upgrade beside the usual ones: its name, and its value, which may be a key.
pub type UpgradeField = (&'static str, Secret);

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
    /// WebSocket target with query; else empty.
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
    /// What the answer says is used up of the venue's limits.
    pub usage: Usage,
    /// The body; mutable because the JSON parser works in place.
    pub body: &'a mut [u8],
}
