//! TLS, HTTP/1.1 and the WebSocket upgrade, REST and WebSocket on one port.

use super::venue::{Answer, Cut, Handle, Sockets};
use super::ws;
use crate::core::{Request, Response};
use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, StatusCode, Uri, http};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Largest request body.
const BODY_MAX: usize = 1 << 20;

/// An answer's body, whole or in pieces.
pub type Body = UnsyncBoxBody<Bytes, Cut>;

fn whole(text: String) -> Body {
    let never = |never: Infallible| match never {};
    Full::new(Bytes::from(text)).map_err(never).boxed_unsync()
}

/// Accepts for ever; aborting the task ends its connections too.
pub async fn run(listener: TcpListener, acceptor: TlsAcceptor, venue: Handle) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors, most likely: one may be free in a moment.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let (acceptor, venue) = (acceptor.clone(), venue.clone());
        let counted = Arc::new(Counted::new(&venue.sockets));
        connections.spawn(async move {
            if socket.set_nodelay(true).is_err() {
                return;
            }
            let Ok(stream) = acceptor.accept(socket).await else {
                return;
            };
            let service =
                service_fn(move |request| answer(request, venue.clone(), Arc::clone(&counted)));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
}

/// One TCP connection in the counts; a WebSocket outlives the HTTP connection it came from.
struct Counted(Arc<Sockets>);

impl Counted {
    fn new(sockets: &Arc<Sockets>) -> Self {
        sockets.accepted.fetch_add(1, Relaxed);
        sockets.open.fetch_add(1, Relaxed);
        Self(Arc::clone(sockets))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// A request that is to stay without an answer: the connection is cut.
#[derive(Debug, thiserror::Error)]
#[error("no answer on purpose")]
struct Unanswered;

async fn answer(
    request: hyper::Request<Incoming>,
    venue: Handle,
    counted: Arc<Counted>,
) -> Result<hyper::Response<Body>, Unanswered> {
    let is_upgrade = request
        .headers()
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if is_upgrade {
        let asked = face_request(request.method(), request.uri(), request.headers());
        return Ok(match venue.refuses_upgrade(asked).await {
            Some(refusal) => http_response(refusal),
            None => upgrade(request, venue, counted),
        });
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let request = Request {
        body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        ..face_request(&head.method, &head.uri, &head.headers)
    };
    match venue.http(request).await.ok_or(Unanswered)? {
        Answer::Whole(response) => Ok(http_response(response)),
        Answer::Pieces(mut pieces) => {
            let pieces = poll_fn(move |context| pieces.poll_recv(context));
            let frames = pieces.map(|piece| Ok(Frame::data(Bytes::from(piece?))));
            let body = StreamBody::new(frames).boxed_unsync();
            let mut response = hyper::Response::new(body);
            let kind = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            Ok(response)
        }
    }
}

/// A request's head as the faces see it.
fn face_request(method: &Method, uri: &Uri, headers: &HeaderMap) -> Request {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)));
    Request {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or("").to_owned(),
        headers: headers.collect(),
        body: String::new(),
    }
}

/// A face's answer as hyper wants it.
pub fn http_response(response: Response) -> hyper::Response<Body> {
    let mut builder = hyper::Response::builder()
        .status(response.status)
        .header(CONTENT_TYPE, "application/json;charset=UTF-8");
    for (name, value) in response.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(whole(response.body))
        .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

fn plain(status: StatusCode) -> hyper::Response<Body> {
    let mut response = hyper::Response::new(whole(String::new()));
    *response.status_mut() = status;
    response
}

fn upgrade(
    mut request: hyper::Request<Incoming>,
    venue: Handle,
    counted: Arc<Counted>,
) -> hyper::Response<Body> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or("").to_owned();
    if !venue.accepts(&path) {
        return plain(StatusCode::NOT_FOUND);
    }
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return plain(StatusCode::BAD_REQUEST);
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(stream) = upgraded.await {
            ws::run(TokioIo::new(stream), venue, path, query).await;
            drop(counted);
        }
    });
    http::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(whole(String::new()))
        .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}
