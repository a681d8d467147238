//! One connection of a venue: TCP, TLS, and WebSocket, HTTP or FIX, nested into one machine.
//!
//! ```text
//!  Down ──due──▶ Connecting ──connected──▶ TLS handshake ──▶ WebSocket upgrade ──▶ Up
//!    ▲               │                          │             or FIX logon         │
//!    │               │                          │             (HTTP: up at once)   │
//!    └── back-off ◀──┴──── fault, close, silence, or the venue machine's own wish ◀┘
//! ```
//!
//! It owns no socket and reads no clock: bytes in, bytes out, time given. What it wants sent stands in
//! [`Link::take_out`]; the lane hands that to the transport.

use crate::fix::FixLink;
use crate::outbox::OwnedRequest;
use crate::race::Race;
use dp_proto::fix::FixFault;
use dp_proto::http::{HttpClient, HttpFault, HttpLines, Piece};
use dp_proto::tls::{TlsClient, TlsConfigError, TlsFault};
use dp_proto::ws::{WsClient, WsEvent, WsFault, WsKind};
use dp_shm::LinkState;
use dp_transport::{Backoff, Socket};
use dp_types::UnixNanos;
use dp_venue_api::{LinkKind, LinkSpec, RestResponse, RestTag, UpgradeField};
use dp_wire::fix::Message;
use dp_wire::http::ResponseHead;
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// First delay before a lost link is opened again; doubles up to [`RETRY_CAP_NS`].
const RETRY_BASE_NS: u64 = 250_000_000;
/// Longest delay.
const RETRY_CAP_NS: u64 = 30_000_000_000;
/// A handshake (TCP, TLS, upgrade) that takes longer has failed.
const HANDSHAKE_NS_MAX: u64 = 10_000_000_000;
/// A REST answer that takes longer is lost: its outcome is unknown.
const RESPONSE_NS_MAX: u64 = 10_000_000_000;
/// REST requests waiting on one link.
const REQUESTS_MAX: usize = 256;
/// Requests of these that only cancels and questions may use.
const REQUESTS_KEPT: usize = REQUESTS_MAX / 4;
/// A link that stood this long has earned a fresh back-off.
const STABLE_NS: u64 = 10_000_000_000;

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// WebSocket.
    #[error(transparent)]
    Ws(#[from] WsFault),
    /// HTTP.
    #[error(transparent)]
    Http(#[from] HttpFault),
    /// FIX.
    #[error(transparent)]
    Fix(#[from] FixFault),
    /// The peer said goodbye.
    #[error("the peer closed the link ({0})")]
    Closed(u16),
    /// Nothing came for longer than the venue allows.
    #[error("silent for {0} ms")]
    Silent(u64),
    /// The handshake took too long.
    #[error("the handshake took over {} s", HANDSHAKE_NS_MAX / 1_000_000_000)]
    Slow,
    /// A REST answer took too long.
    #[error("no answer within {} s", RESPONSE_NS_MAX / 1_000_000_000)]
    NoAnswer,
    /// The venue machine asked for a new link.
    #[error("{0}")]
    Wish(&'static str),
}

/// What a link hands up.
#[derive(Debug)]
pub enum LinkEvent<'a> {
    /// Handshakes done: the venue machine may speak.
    Up,
    /// One WebSocket text message, or one line of an answer that goes on.
    Text(&'a mut [u8]),
    /// One WebSocket binary message.
    Binary(&'a mut [u8]),
    /// One FIX application message, or a refusal of one of ours.
    Fix(&'a Message<'a>),
    /// One REST answer, or the beginning of one that goes on.
    Response(RestResponse<'a>),
    /// A WebSocket ping was answered.
    Ping,
}

#[derive(Debug)]
enum App {
    Ws(Box<WsClient>),
    Http(HttpClient),
    Lines(HttpLines),
    /// The session is the link's: it outlives the connection.
    Fix,
}

impl App {
    /// Whether a request would be taken.
    fn is_ready(&self) -> bool {
        match self {
            Self::Http(http) => http.is_ready(),
            Self::Lines(http) => http.is_ready(),
            Self::Ws(_) | Self::Fix => false,
        }
    }

    /// Whether nothing more can come.
    fn is_finished(&self) -> bool {
        match self {
            Self::Http(http) => http.is_finished(),
            Self::Lines(http) => http.is_finished(),
            Self::Ws(_) | Self::Fix => false,
        }
    }

    /// Whether the peer is to say something of itself: its silence means something.
    const fn is_spoken_to(&self) -> bool {
        match self {
            Self::Lines(http) => http.is_open(),
            _ => true,
        }
    }
}

/// Hands up the answer to what was asked.
fn answer(
    asked: &mut Option<(OwnedRequest, UnixNanos)>,
    head: &ResponseHead<'_>,
    body: &mut [u8],
    on: &mut impl FnMut(LinkEvent<'_>),
) {
    if let Some((request, _)) = asked.take() {
        on(LinkEvent::Response(RestResponse {
            tag: request.tag,
            status: head.status,
            retry_after_s: head.retry_after_s,
            usage: head.usage,
            body,
        }));
    }
}

/// One live connection.
#[derive(Debug)]
struct Session {
    socket: Socket,
    tls: TlsClient,
    app: App,
    is_up: bool,
    since: UnixNanos,
    heard: UnixNanos,
}

/// A connection a venue asked for, through all its sessions.
#[derive(Debug)]
pub struct Link {
    /// What the venue asked for.
    pub spec: LinkSpec,
    /// Sessions opened after the first.
    pub reopened: u64,
    /// The host's addresses, and who runs to them.
    pub(crate) race: Race<Socket>,
    tls: Arc<ClientConfig>,
    session: Option<Session>,
    fix: Option<Box<FixLink>>,
    upgrade: Vec<UpgradeField>,
    backoff: Backoff,
    open_at: UnixNanos,
    /// Not to be opened before [`Link::release`].
    is_held: bool,
    entropy: u64,
    /// Frames and requests not sealed yet.
    plain: Vec<u8>,
    /// Sealed bytes for the transport.
    out: Vec<u8>,
    requests: VecDeque<OwnedRequest>,
    /// The request whose answer is awaited, and since when.
    asked: Option<(OwnedRequest, UnixNanos)>,
}

impl Link {
    /// A link that is due at once. `peers` are the host's addresses, all tried at once; `seed` spreads
    /// back-off and masks.
    pub fn new(spec: LinkSpec, peers: &[SocketAddr], tls: Arc<ClientConfig>, seed: u64) -> Self {
        Self {
            is_held: spec.is_held,
            spec,
            reopened: 0,
            race: Race::new(peers, seed),
            tls,
            session: None,
            fix: None,
            upgrade: Vec::new(),
            backoff: Backoff::new(RETRY_BASE_NS, RETRY_CAP_NS, seed),
            open_at: UnixNanos(0),
            entropy: seed,
            plain: Vec::with_capacity(64 << 10),
            out: Vec::with_capacity(128 << 10),
            requests: VecDeque::new(),
            asked: None,
        }
    }

    /// Gives a link of [`LinkKind::Fix`] its session.
    #[must_use]
    pub fn with_fix(mut self, fix: FixLink) -> Self {
        self.fix = Some(Box::new(fix));
        self
    }

    /// Gives a link of [`LinkKind::WebSocket`] what its upgrade bears beside the usual.
    #[must_use]
    pub fn with_upgrade(mut self, fields: Vec<UpgradeField>) -> Self {
        self.upgrade = fields;
        self
    }

    /// Races the host's addresses beside the link this often, and moves to a quicker one where nothing is lost by it;
    /// 0 = only when it must be opened.
    pub fn set_races(&mut self, every_ns: u64) {
        self.race.set_every(every_ns, self.entropy);
    }

    /// The addresses to connect to, all at once, when it is time to.
    pub fn due(&self, now: UnixNanos) -> Vec<SocketAddr> {
        if self.session.is_some() || now < self.open_at || self.is_held {
            return Vec::new();
        }
        self.race.contenders(now)
    }

    /// A connect was started on `socket`. Errors: the server name or TLS configuration is unusable.
    pub fn on_opening(&mut self, socket: Socket, now: UnixNanos) -> Result<(), TlsConfigError> {
        let tls = TlsClient::new(Arc::clone(&self.tls), &self.spec.host)?;
        let app = match self.spec.kind {
            LinkKind::WebSocket => App::Ws(Box::new(WsClient::new(self.entropy()))),
            LinkKind::Http => App::Http(HttpClient::new()),
            LinkKind::HttpLines => App::Lines(HttpLines::new()),
            LinkKind::Fix => App::Fix,
        };
        self.plain.clear();
        self.out.clear();
        self.session = Some(Session {
            socket,
            tls,
            app,
            is_up: false,
            since: now,
            heard: now,
        });
        Ok(())
    }

    /// Lets a held link be opened, once, with this WebSocket target.
    pub fn release(&mut self, path: &str) {
        path.clone_into(&mut self.spec.path);
        self.is_held = false;
    }

    /// The connect could not even be started: try again later.
    pub fn on_open_failed(&mut self, now: UnixNanos) {
        self.open_at = now.after(self.backoff.next_delay_ns());
    }

    /// The connects under way go on over this socket, if the link is being opened.
    pub(crate) fn set_socket(&mut self, socket: Socket) {
        if let Some(session) = self.session.as_mut() {
            session.socket = socket;
        }
    }

    /// TCP is connected: the first flight goes out.
    pub fn on_connected(&mut self) -> Result<(), LinkFault> {
        let Some(session) = self.session.as_mut() else {
            return Ok(());
        };
        session.tls.start(&mut self.out)?;
        Ok(())
    }

    /// Opens the next record of `cipher` and hands what is in it to `on`. `at` is moved past what was
    /// used; `Ok(false)` once all of it is. Call again until then, sending [`Link::take_out`] between.
    ///
    /// Errors: [`LinkFault`]; the session is over, and [`Link::take_out`] holds what is still to be said.
    pub fn on_record(
        &mut self,
        cipher: &mut [u8],
        at: &mut usize,
        now: UnixNanos,
        on: &mut impl FnMut(LinkEvent<'_>),
    ) -> Result<bool, LinkFault> {
        let Some(session) = self.session.as_mut() else {
            return Ok(false);
        };
        session.heard = now;
        let was_open = session.tls.is_open();
        let opened = session.tls.next(cipher, at, &mut self.out)?;
        let has_more = opened.is_some();
        if let Some(plain) = opened {
            match &mut session.app {
                App::Ws(ws) => {
                    let mut cursor = 0;
                    while let Some(event) = ws.next(plain, &mut cursor, &mut self.plain)? {
                        match event {
                            WsEvent::Open => {
                                session.is_up = true;
                                on(LinkEvent::Up);
                            }
                            WsEvent::Message(WsKind::Text, text) => on(LinkEvent::Text(text)),
                            WsEvent::Message(WsKind::Binary, bytes) => on(LinkEvent::Binary(bytes)),
                            WsEvent::Pong(_) => {}
                            WsEvent::Ping(_) => on(LinkEvent::Ping),
                            WsEvent::Close(code, _) => return Err(LinkFault::Closed(code)),
                        }
                    }
                }
                App::Http(http) => {
                    let mut cursor = 0;
                    while let Some(response) = http.next(plain, &mut cursor)? {
                        answer(&mut self.asked, &response.head, response.body, on);
                    }
                }
                App::Lines(http) => {
                    let mut cursor = 0;
                    while let Some(piece) = http.next(plain, &mut cursor)? {
                        match piece {
                            Piece::Line(line) => on(LinkEvent::Text(line)),
                            // From here on nothing is owed: silence is judged instead.
                            Piece::Open(head) => answer(&mut self.asked, &head, &mut [], on),
                            Piece::Whole(response) if response.head.status < 300 => {
                                return Err(LinkFault::Wish(
                                    "an answer that should go on has ended",
                                ));
                            }
                            Piece::Whole(response) => {
                                answer(&mut self.asked, &response.head, response.body, on);
                            }
                        }
                    }
                }
                App::Fix => {
                    let heard = match &mut self.fix {
                        Some(fix) => fix.hear(plain, now, &mut self.plain, on),
                        None => Ok(false),
                    };
                    if heard.is_err() {
                        // What the session still says is told.
                        self.seal()?;
                    }
                    let is_up = heard?;
                    if let Some(session) = &mut self.session {
                        session.is_up = is_up;
                    }
                }
            }
        }
        if !was_open
            && self
                .session
                .as_ref()
                .is_some_and(|session| session.tls.is_open())
        {
            self.on_secured(now, on)?;
        }
        let is_over = self
            .session
            .as_ref()
            .is_some_and(|session| session.tls.is_peer_closed() || session.app.is_finished());
        if is_over {
            return Err(LinkFault::Closed(0));
        }
        Ok(has_more)
    }

    /// TLS is open: ask for the upgrade, log on, or be up.
    fn on_secured(
        &mut self,
        now: UnixNanos,
        on: &mut impl FnMut(LinkEvent<'_>),
    ) -> Result<(), LinkFault> {
        let entropy = u128::from(self.entropy()) << 64 | u128::from(self.entropy());
        let host = match self.spec.port {
            443 => self.spec.host.clone(),
            port => format!("{}:{port}", self.spec.host),
        };
        let Some(session) = self.session.as_mut() else {
            return Ok(());
        };
        match &mut session.app {
            App::Ws(ws) => {
                let fields = self.upgrade.iter().map(|(name, value)| (*name, &**value));
                let fields: Vec<(&str, &str)> = fields.collect();
                ws.start(
                    &host,
                    &self.spec.path,
                    &fields,
                    entropy.to_le_bytes(),
                    &mut self.plain,
                )?;
            }
            App::Http(_) | App::Lines(_) => {
                session.is_up = true;
                on(LinkEvent::Up);
            }
            App::Fix => {
                let fix = self.fix.as_mut();
                let fix = fix.ok_or(LinkFault::Wish("a FIX link without a session"))?;
                fix.start(now, &mut self.plain);
            }
        }
        Ok(())
    }

    /// Frames one FIX message.
    pub fn send_fix(&mut self, kind: &str, fields: &[u8], now: UnixNanos) -> Result<(), LinkFault> {
        match (&mut self.fix, &self.session) {
            (Some(fix), Some(_)) => fix.send(kind, fields, now, &mut self.plain),
            _ => Ok(()),
        }
    }

    /// The node stops: a session that says goodbye does. The rest of it is [`Link::seal`] and the transport's.
    pub fn log_out(&mut self, now: UnixNanos) {
        let is_up = self.is_up();
        if let Some(fix) = self.fix.as_mut().filter(|_| is_up) {
            fix.log_out(now, &mut self.plain);
        }
    }

    /// Whether the answer to a goodbye is waited for.
    pub fn is_leaving(&self) -> bool {
        self.session.is_some() && self.fix.as_ref().is_some_and(|fix| fix.is_leaving())
    }

    /// Frames one WebSocket text.
    pub fn send_text(&mut self, text: &[u8]) -> Result<(), LinkFault> {
        match self.session.as_mut().map(|session| &mut session.app) {
            Some(App::Ws(ws)) => Ok(ws.send_text(text, &mut self.plain)?),
            _ => Ok(()),
        }
    }

    /// Queues a REST request; the oldest go first, one at a time. Errors: gives it back, there is no room.
    pub fn queue(&mut self, request: OwnedRequest) -> Result<(), OwnedRequest> {
        if self.requests.len() >= REQUESTS_MAX {
            return Err(request);
        }
        self.requests.push_back(request);
        Ok(())
    }

    /// Whether so many requests wait that new orders must not join them.
    pub fn is_backlogged(&self) -> bool {
        self.requests.len() >= REQUESTS_MAX - REQUESTS_KEPT
    }

    /// Writes the next REST request if the connection is free for it. Says whether it did.
    pub fn pump_requests(&mut self, now: UnixNanos) -> Result<bool, LinkFault> {
        let Some(session) = self.session.as_mut().filter(|session| session.is_up) else {
            return Ok(false);
        };
        if self.asked.is_some() || !session.app.is_ready() {
            return Ok(false);
        }
        let Some(request) = self.requests.pop_front() else {
            return Ok(false);
        };
        let host = format!("{}:{}", self.spec.host, self.spec.port);
        let host = if self.spec.port == 443 {
            &self.spec.host
        } else {
            &host
        };
        let fields: Vec<(&str, &str)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let (method, target) = (request.method.as_str(), request.target.as_str());
        let (body, out) = (&request.body, &mut self.plain);
        match &mut session.app {
            App::Http(http) => http.request(method, target, host, &fields, body, out)?,
            App::Lines(http) => http.request(method, target, host, &fields, body, out)?,
            App::Ws(_) | App::Fix => {}
        }
        self.asked = Some((request, now));
        Ok(true)
    }

    /// Seals what waits. Errors: the session is over.
    pub fn seal(&mut self) -> Result<(), LinkFault> {
        let Some(session) = self.session.as_mut() else {
            return Ok(());
        };
        if self.plain.is_empty() || !session.tls.is_open() {
            return Ok(());
        }
        if let Some(fix) = &self.fix {
            fix.keep();
        }
        session.tls.seal(&self.plain, &mut self.out)?;
        self.plain.clear();
        Ok(())
    }

    /// Sealed bytes for the socket; cleared by [`Link::sent`].
    pub fn take_out(&self) -> Option<(Socket, &[u8])> {
        let session = self.session.as_ref()?;
        (!self.out.is_empty()).then_some((session.socket, &self.out))
    }

    /// The transport has taken what [`Link::take_out`] gave.
    pub fn sent(&mut self) {
        self.out.clear();
    }

    /// Judges time: silence, slow handshakes, lost answers, heartbeats. Errors: the session is over.
    pub fn on_deadline(&mut self, now: UnixNanos) -> Result<(), LinkFault> {
        if let (Some(fix), Some(_)) = (&mut self.fix, &self.session)
            && let Err(fault) = fix.on_deadline(now, &mut self.plain)
        {
            self.seal()?;
            return Err(fault);
        }
        let Some(session) = self.session.as_ref() else {
            return Ok(());
        };
        if !session.is_up && now.since(session.since) > HANDSHAKE_NS_MAX {
            return Err(LinkFault::Slow);
        }
        let silence = now.since(session.heard);
        let is_spoken_to = session.is_up && session.app.is_spoken_to();
        if is_spoken_to && self.spec.silence_ns_max > 0 && silence > self.spec.silence_ns_max {
            return Err(LinkFault::Silent(silence / 1_000_000));
        }
        match &self.asked {
            Some((_, since)) if now.since(*since) > RESPONSE_NS_MAX => Err(LinkFault::NoAnswer),
            _ => Ok(()),
        }
    }

    /// The session is over. Returns its socket and the tags of the requests that get no answer: the one
    /// under way, whose outcome is unknown, and those that waited, which carry the time they were signed at
    /// and would be stale by the next session.
    pub fn on_closed(&mut self, now: UnixNanos) -> Option<(Socket, Vec<RestTag>)> {
        let session = self.session.take()?;
        self.race.lost(session.is_up, now);
        if session.is_up && now.since(session.since) > STABLE_NS {
            self.backoff.reset();
        }
        self.open_at = now.after(self.backoff.next_delay_ns());
        self.is_held = self.spec.is_held;
        self.reopened += 1;
        if let Some(fix) = &mut self.fix {
            fix.on_closed();
        }
        self.plain.clear();
        let asked = self.asked.take().map(|(request, _)| request);
        let waiting = self.requests.drain(..);
        let tags = asked.into_iter().chain(waiting).map(|request| request.tag);
        Some((session.socket, tags.collect()))
    }

    /// Whether this socket carries the link now.
    pub fn holds(&self, socket: Socket) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.socket == socket)
    }

    /// The socket that carries it now.
    pub fn socket(&self) -> Option<Socket> {
        Some(self.session.as_ref()?.socket)
    }

    /// Whether the venue machine may speak.
    pub fn is_up(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_up)
    }

    /// Whether no request waits, nor an answer is awaited.
    pub(crate) fn is_idle(&self) -> bool {
        self.asked.is_none() && self.requests.is_empty() && self.is_quiet()
    }

    /// Whether nothing is queued or unsent.
    pub fn is_quiet(&self) -> bool {
        self.out.is_empty() && self.plain.is_empty()
    }

    /// When something came last.
    pub fn heard(&self) -> UnixNanos {
        self.session
            .as_ref()
            .map_or(UnixNanos(0), |session| session.heard)
    }

    /// For the status line.
    pub fn state(&self) -> LinkState {
        match &self.session {
            None => LinkState::Down,
            Some(session) if session.is_up => LinkState::Up,
            Some(session) if session.tls.is_open() || session.heard > session.since => {
                LinkState::Handshaking
            }
            Some(_) => LinkState::Connecting,
        }
    }

    /// Next value of a splitmix sequence: masks and upgrade keys need to differ, not to be secret from
    /// the machine that makes them.
    fn entropy(&mut self) -> u64 {
        self.entropy = self.entropy.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.entropy;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_proto::tls::{Roots, client_config};
    use dp_types::LinkId;
    use dp_venue_api::RestMethod;

    const MS: u64 = 1_000_000;
    const SOCKET: Socket = Socket::NONE;

    fn link(kind: LinkKind) -> Link {
        let spec = LinkSpec {
            id: LinkId(0),
            kind,
            host: "venue.test".into(),
            port: 443,
            path: "/ws".into(),
            name: "md",
            silence_ns_max: 60_000 * MS,
            is_held: false,
        };
        let peers = ["192.0.2.1:443", "192.0.2.2:443"].map(|peer| peer.parse().unwrap());
        let tls = client_config(Roots::Public, None).unwrap();
        Link::new(spec, &peers, tls, 7)
    }

    fn request(tag: u64) -> OwnedRequest {
        OwnedRequest {
            tag: RestTag(tag),
            method: RestMethod::Get,
            target: "/".into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn open(link: &mut Link, socket: Socket, now: u64) {
        assert!(!link.due(UnixNanos(now)).is_empty());
        link.on_opening(socket, UnixNanos(now)).unwrap();
        link.on_connected().unwrap();
    }

    #[test]
    fn a_lost_link_waits_and_tries_all_its_addresses() {
        let mut link = link(LinkKind::WebSocket);
        assert_eq!(link.due(UnixNanos(1)).len(), 2);
        link.on_opening(SOCKET, UnixNanos(1)).unwrap();
        assert!(link.due(UnixNanos(2)).is_empty(), "it is open");
        assert!(link.take_out().is_none(), "nothing before TCP is there");
        link.on_connected().unwrap();
        assert!(link.take_out().is_some(), "the first flight");
        link.on_closed(UnixNanos(3)).unwrap();
        assert!(link.due(UnixNanos(3)).is_empty(), "no hammering");
        let later = UnixNanos(3 + RETRY_CAP_NS);
        assert_eq!(link.due(later).len(), 2);
        let only: SocketAddr = "192.0.2.9:443".parse().unwrap();
        link.race.set_peers(&[only], later);
        assert_eq!(link.due(later), [only]);
    }

    #[test]
    fn a_held_link_opens_once_each_time_it_is_let() {
        let mut link = link(LinkKind::WebSocket);
        link.spec.is_held = true;
        let peers = link.due(UnixNanos(1));
        link = Link::new(link.spec, &peers, link.tls, 7);
        assert!(link.due(UnixNanos(1)).is_empty());
        link.release("/?token=1");
        assert!(!link.due(UnixNanos(1)).is_empty());
        link.on_opening(SOCKET, UnixNanos(1)).unwrap();
        link.on_closed(UnixNanos(3)).unwrap();
        let later = UnixNanos(3 + RETRY_CAP_NS);
        assert!(link.due(later).is_empty(), "its token is spent");
        link.release("/?token=2");
        assert!(!link.due(later).is_empty());
        assert_eq!(link.spec.path, "/?token=2");
    }

    #[test]
    fn what_an_upgrade_shows_is_not_told() {
        let link = link(LinkKind::WebSocket).with_upgrade(vec![("X-KEY", "of-value".into())]);
        let told = format!("{link:?}");
        assert!(
            told.contains("X-KEY") && !told.contains("of-value"),
            "{told}"
        );
    }

    #[test]
    fn a_handshake_has_its_time() {
        let mut link = link(LinkKind::WebSocket);
        open(&mut link, SOCKET, MS);
        assert_eq!(link.on_deadline(UnixNanos(HANDSHAKE_NS_MAX)), Ok(()));
        let late = UnixNanos(MS + HANDSHAKE_NS_MAX + 1);
        assert_eq!(link.on_deadline(late), Err(LinkFault::Slow));
    }

    #[test]
    fn an_open_link_that_falls_silent_is_lost() {
        let mut link = link(LinkKind::WebSocket);
        open(&mut link, SOCKET, MS);
        link.session.as_mut().unwrap().is_up = true;
        assert_eq!(link.on_deadline(UnixNanos(60_001 * MS)), Ok(()));
        let fault = link.on_deadline(UnixNanos(60_002 * MS));
        assert_eq!(fault, Err(LinkFault::Silent(60_001)));
    }

    #[test]
    fn every_request_gets_its_answer_or_is_told_of() {
        let mut link = link(LinkKind::Http);
        open(&mut link, SOCKET, MS);
        link.session.as_mut().unwrap().is_up = true;
        for tag in 0..REQUESTS_MAX as u64 {
            assert!(link.queue(request(tag)).is_ok());
        }
        let back = link.queue(request(999)).unwrap_err();
        assert_eq!(back.tag, RestTag(999), "given back");
        assert_eq!(link.pump_requests(UnixNanos(MS)), Ok(true));
        assert_eq!(
            link.pump_requests(UnixNanos(MS)),
            Ok(false),
            "one at a time"
        );
        let late = UnixNanos(2 * MS + RESPONSE_NS_MAX);
        assert_eq!(link.on_deadline(late), Err(LinkFault::NoAnswer));
        let (_, tags) = link.on_closed(late).unwrap();
        let all: Vec<RestTag> = (0..REQUESTS_MAX as u64).map(RestTag).collect();
        assert_eq!(tags, all, "the one under way first, then those that waited");
    }

    #[test]
    fn an_answer_that_goes_on_is_waited_for_and_then_listened_to() {
        let mut link = link(LinkKind::HttpLines);
        open(&mut link, SOCKET, MS);
        link.session.as_mut().unwrap().is_up = true;
        assert_eq!(
            link.on_deadline(UnixNanos(600_000 * MS)),
            Ok(()),
            "nothing was asked: nobody has to speak"
        );
        assert!(link.queue(request(7)).is_ok());
        assert_eq!(link.pump_requests(UnixNanos(MS)), Ok(true));
        let late = UnixNanos(2 * MS + RESPONSE_NS_MAX);
        assert_eq!(link.on_deadline(late), Err(LinkFault::NoAnswer));
        let session = link.session.as_mut().unwrap();
        let App::Lines(http) = &mut session.app else {
            panic!("{session:?}");
        };
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let piece = http.next(head, &mut 0).unwrap();
        assert!(matches!(piece, Some(Piece::Open(_))));
        link.asked = None;
        assert_eq!(
            link.on_deadline(UnixNanos(60_001 * MS)),
            Ok(()),
            "no answer is owed any more"
        );
        assert!(link.queue(request(8)).is_ok());
        assert_eq!(link.pump_requests(late), Ok(false), "it never ends");
        let fault = link.on_deadline(UnixNanos(60_002 * MS));
        assert_eq!(fault, Err(LinkFault::Silent(60_001)));
    }

    #[test]
    fn bytes_that_are_no_tls_end_it() {
        let mut link = link(LinkKind::WebSocket);
        open(&mut link, SOCKET, MS);
        let mut bytes = *b"HTTP/1.1 400 Bad Request\r\n\r\n";
        let mut at = 0;
        let fault = link.on_record(&mut bytes, &mut at, UnixNanos(MS), &mut |_| ());
        assert!(matches!(fault, Err(LinkFault::Tls(_))), "{fault:?}");
    }
}
