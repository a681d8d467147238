//! Requests and what they lead to.

use super::metrics;
use super::token::Token;
use crate::control::{self, Switched, Thrown};
use crate::view::orders::Orders;
use crate::view::positions::Positions;
use crate::view::risk::Risk;
use crate::view::status::Status;
use dp_shm::Region;
use dp_types::UnixNanos;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use hyper::http::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Largest body, bytes: a name and a reason.
const BODY_MAX: usize = 4 << 10;
/// Longest wait for a body.
const BODY: Duration = Duration::from_secs(5);
/// Before a wrong token is answered.
const WRONG: Duration = Duration::from_millis(500);
/// Reads at once: one that folds a whole ring must not keep a kill waiting for a thread.
pub(super) const READS_MAX: usize = 2;
/// Longest wait for a read's turn.
const TURN: Duration = Duration::from_secs(5);
/// Orders told at most, the newest: as the command line's own default.
const ORDERS_MAX: usize = 1_000;

/// A response with its whole body.
pub(super) type Answers = Response<Full<Bytes>>;

/// What the listener has counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Requests with the token.
    pub served: AtomicU64,
    /// Requests without it.
    pub unauthorised: AtomicU64,
    /// Connections closed for want of room.
    pub turned_away: AtomicU64,
}

/// The node that is spoken for.
pub(super) struct Site {
    token: Token,
    shm: PathBuf,
    state_dir: PathBuf,
    reads: Arc<Semaphore>,
    pub counts: Counts,
}

/// Why a request was not done.
struct Denied(StatusCode, String);

/// Body of a kill.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KillAsked {
    who: String,
    why: String,
}

/// How the kill switch stands.
#[derive(Debug, Clone, Serialize)]
pub struct KillStands {
    /// `done`.
    pub outcome: &'static str,
    /// Name.
    pub node: String,
    /// Trading is killed.
    pub killed: bool,
    /// Whether this request changed it.
    pub changed: bool,
    /// Changes so far.
    pub changes: u64,
    /// Who changed it last.
    pub who: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// When, Unix nanoseconds.
    pub at_ns: Option<u64>,
    /// Orders of ours that are not final, here or on a venue's own list.
    pub live_orders: u32,
    /// Every venue has listed its open orders since.
    pub venues_asked: bool,
    /// The trading process runs: while it does not, nobody cancels what is open.
    pub dataplane_is_running: bool,
}

impl KillStands {
    fn read(region: &Region, changed: bool, since: UnixNanos) -> Self {
        let now = Switched::read(region, changed, since);
        Self {
            outcome: "done",
            node: now.node,
            killed: now.kill.is_killed,
            changed,
            changes: now.kill.changes,
            who: now.kill.by,
            why: now.kill.reason,
            at_ns: now.kill.at_ns,
            live_orders: now.open_orders,
            venues_asked: now.venues_asked,
            dataplane_is_running: now.dataplane_is_running,
        }
    }
}

impl Site {
    /// A node's.
    pub fn new(token: Token, shm: PathBuf, state_dir: PathBuf) -> Self {
        Self {
            token,
            shm,
            state_dir,
            reads: Arc::new(Semaphore::new(READS_MAX)),
            counts: Counts::default(),
        }
    }

    /// Answers one request, and logs who asked for what.
    pub async fn answer<B>(self: &Arc<Self>, peer: SocketAddr, request: Request<B>) -> Answers
    where
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let bears = request.headers().get(AUTHORIZATION);
        if !bears.is_some_and(|header| self.token.is_borne_by(header.as_bytes())) {
            let count = self.counts.unauthorised.fetch_add(1, Relaxed) + 1;
            tracing::warn!("api: {peer} {method} {path:?}: no right token, {count} so far");
            tokio::time::sleep(WRONG).await;
            let text = "a request bears `Authorization: Bearer TOKEN`, the token of api.token_file";
            let mut answer = denied(&Denied(StatusCode::UNAUTHORIZED, text.into()));
            let scheme = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            return answer;
        }
        self.counts.served.fetch_add(1, Relaxed);
        let answer = self.route(peer, request).await;
        let status = answer.status().as_u16();
        tracing::info!("api: {peer} {method} {path:?}: {status}");
        answer
    }

    async fn route<B>(self: &Arc<Self>, peer: SocketAddr, request: Request<B>) -> Answers
    where
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let is_get = head.method == Method::GET;
        let done = match (head.uri.path(), is_get) {
            ("/v1/kill", false) if head.method == Method::POST => self.kill(peer, body).await,
            ("/v1/arm", false) if head.method == Method::POST => Err(Denied(
                StatusCode::FORBIDDEN,
                "arming is for a named person at the command line: spinlane arm --by NAME".into(),
            )),
            ("/v1/kill", true) => self.read(kill_stands).await,
            ("/v1/status", true) => self.read(|it, _| in_json(&Status::read(it))).await,
            ("/v1/orders", true) => self.read(orders).await,
            ("/v1/positions", true) => self.read(|it, _| in_json(&Positions::read(it))).await,
            ("/v1/risk", true) => self.read(|it, _| in_json(&Risk::read(it))).await,
            ("/metrics", true) => self.read(scrape).await,
            ("/v1/kill", _) => return not_allowed("GET, POST"),
            ("/v1/arm", _) => return not_allowed("POST"),
            ("/v1/status" | "/v1/orders" | "/v1/positions" | "/v1/risk" | "/metrics", _) => {
                return not_allowed("GET");
            }
            _ => Err(Denied(
                StatusCode::NOT_FOUND,
                "no such route: /v1/kill, /v1/status, /v1/orders, /v1/positions, /v1/risk, /metrics".into(),
            )),
        };
        done.unwrap_or_else(|why| denied(&why))
    }

    /// Throws the switch. Whoever asks is named by the request: the token says only that they may.
    async fn kill<B>(self: &Arc<Self>, peer: SocketAddr, body: B) -> Result<Answers, Denied>
    where
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let asked = kill_asked(&whole(body).await?)?;
        tracing::warn!("api: {peer} kills as {:?}: {:?}", asked.who, asked.why);
        // Off this thread: the mark is on disk when it returns.
        self.blocking(move |region, site| {
            let Thrown {
                changed,
                since,
                unkept,
            } = control::throw(region, Some(&site.state_dir), &asked.who, &asked.why);
            if let Some(why) = unkept {
                tracing::error!("api: killed, and {why}");
            }
            in_json(&KillStands::read(region, changed, since))
        })
        .await
    }

    async fn read(
        self: &Arc<Self>,
        view: fn(&Region, &Self) -> Answers,
    ) -> Result<Answers, Denied> {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.reads).acquire_owned()).await;
        let busy = || {
            Denied(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many reads at once".into(),
            )
        };
        let turn = turn.ok().and_then(Result::ok).ok_or_else(busy)?;
        self.blocking(move |region, site| {
            let answer = view(region, site);
            drop(turn);
            answer
        })
        .await
    }

    /// Attaches for each request: the file may have been replaced since the last.
    async fn blocking(
        self: &Arc<Self>,
        deed: impl FnOnce(&Region, &Self) -> Answers + Send + 'static,
    ) -> Result<Answers, Denied> {
        let site = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let region = Region::attach(&site.shm).map_err(|error| {
                let error = anyhow::Error::new(error);
                Denied(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}"))
            })?;
            Ok(deed(&region, &site))
        });
        let broke = |_| Denied(StatusCode::INTERNAL_SERVER_ERROR, "it broke off".into());
        done.await.map_err(broke)?
    }
}

fn kill_stands(region: &Region, _: &Site) -> Answers {
    let change = region.kill().last_change();
    let since = change.map_or(UnixNanos(0), |change| change.at);
    in_json(&KillStands::read(region, false, since))
}

fn orders(region: &Region, _: &Site) -> Answers {
    in_json(&Orders::read(region, false, ORDERS_MAX))
}

fn scrape(region: &Region, site: &Site) -> Answers {
    let text = metrics::text(region, &site.counts);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    answer(StatusCode::OK, kind, text.into())
}

async fn whole<B>(body: B) -> Result<Bytes, Denied>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = tokio::time::timeout(BODY, Limited::new(body, BODY_MAX).collect()).await;
    match collected {
        Err(_) => Err(Denied(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come".into(),
        )),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Denied(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {BODY_MAX} bytes"),
        )),
        Ok(Err(error)) => Err(Denied(
            StatusCode::BAD_REQUEST,
            format!("the body: {error}"),
        )),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}

fn kill_asked(body: &[u8]) -> Result<KillAsked, Denied> {
    let wrong = |why: String| {
        let text = format!(r#"{why}; send {{"who": "ann", "why": "prices are wrong"}}"#);
        Denied(StatusCode::BAD_REQUEST, text)
    };
    let asked: KillAsked =
        serde_json::from_slice(body).map_err(|error| wrong(format!("the body: {error}")))?;
    if asked.who.trim().is_empty() || asked.why.trim().is_empty() {
        return Err(wrong("who kills, and why, must be said".into()));
    }
    // Both are shown on terminals.
    if asked
        .who
        .chars()
        .chain(asked.why.chars())
        .any(char::is_control)
    {
        return Err(wrong("no control characters".into()));
    }
    Ok(asked)
}

fn in_json(view: &impl Serialize) -> Answers {
    match serde_json::to_vec(view) {
        Ok(text) => answer(StatusCode::OK, "application/json", text.into()),
        Err(error) => denied(&Denied(
            StatusCode::INTERNAL_SERVER_ERROR,
            error.to_string(),
        )),
    }
}

fn not_allowed(allowed: &'static str) -> Answers {
    let text = format!("this route takes {allowed}");
    let mut answer = denied(&Denied(StatusCode::METHOD_NOT_ALLOWED, text));
    let allowed = HeaderValue::from_static(allowed);
    answer.headers_mut().insert(ALLOW, allowed);
    answer
}

/// The command line's own form of an error.
fn denied(Denied(status, why): &Denied) -> Answers {
    let outcome = match *status {
        StatusCode::SERVICE_UNAVAILABLE => "unreachable",
        status if status.is_server_error() => "failed",
        _ => "refused",
    };
    let text = json!({ "outcome": outcome, "error": why }).to_string();
    answer(*status, "application/json", text.into())
}

fn answer(status: StatusCode, kind: &'static str, body: Bytes) -> Answers {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
