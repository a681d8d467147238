//! The admin endpoint, plain HTTP on loopback: the record, counts, faults.
//!
//! ```text
//!  GET  /record   every order, fill and refusal, by venue
//!  GET  /stats    counts, connections, faults used
//!  POST /fault    a list of faults as text, as on the command line
//! ```

use super::server::http_response;
use super::venue::Handle;
use crate::core::Response;
use crate::fault::Fault;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const BODY_MAX: usize = 64 << 10;

/// Accepts for ever.
pub async fn run(listener: TcpListener, venues: Vec<Handle>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let venues = venues.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let venues = venues.clone();
                async move { Ok::<_, Infallible>(http_response(answer(request, &venues).await)) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(request: hyper::Request<Incoming>, venues: &[Handle]) -> Response {
    match (request.method().as_str(), request.uri().path()) {
        ("GET", "/record") => {
            let mut all = Map::new();
            for venue in venues {
                all.insert(venue.name.clone(), venue.record().await);
            }
            Response::json(200, Value::Object(all))
        }
        ("GET", "/stats") => {
            let mut all = Map::new();
            for venue in venues {
                all.insert(venue.name.clone(), venue.stats().await);
            }
            Response::json(200, Value::Object(all))
        }
        ("POST", "/fault") => {
            let Ok(body) = Limited::new(request.into_body(), BODY_MAX).collect().await else {
                return Response::json(413, json!({"error": "the body is too long"}));
            };
            let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            fault(&text, venues).await
        }
        _ => Response::json(
            404,
            json!({"error": "use GET /record, GET /stats, POST /fault"}),
        ),
    }
}

async fn fault(text: &str, venues: &[Handle]) -> Response {
    let faults = match Fault::parse_list(text) {
        Ok(faults) => faults,
        Err(error) => return Response::json(400, json!({"error": error.to_string()})),
    };
    for venue in venues {
        let is_its = |fault: &&Fault| fault.venue.as_ref().is_none_or(|name| *name == venue.name);
        venue
            .faults(faults.iter().filter(is_its).cloned().collect())
            .await;
    }
    Response::json(200, json!({"accepted": faults.len()}))
}
