//! The daemon's HTTP listener: the kill switch, and what the command line's reads show.
//!
//! ```text
//!   loopback ─▶ at most CONNECTIONS_MAX ─▶ token ─▶ route ─▶ shared memory
//!                    each ends within CALL   │ wrong: counted, answered after a pause
//!                    (own thread, own runtime: neither the drain nor the database makes a kill wait)
//! ```
//!
//! | route | does |
//! |---|---|
//! | `POST /v1/kill` `{"who": …, "why": …}` | throws the kill switch as `spinlane kill` does; answers when the word is set |
//! | `GET /v1/kill` | how the switch stands, and which orders are left |
//! | `GET /v1/status`, `/v1/orders`, `/v1/positions`, `/v1/risk` | what the command of that name prints by `--json` |
//! | `GET /metrics` | a few counts as Prometheus reads them |
//! | `POST /v1/arm` | refused: arming is for a named person at the command line |
//!
//! It speaks plain HTTP on this machine's own address and every route needs the token, metrics too: a scraper can bear
//! one. A connection brings one request. Whoever on this machine holds every place shuts the listener, and nothing else:
//! `spinlane kill` needs none of this.

mod metrics;
mod routes;
mod token;

pub use token::Token;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use routes::{Answers, Site};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

/// Connections served at once; one more is closed unheard.
const CONNECTIONS_MAX: usize = 32;
/// Largest head of a request, bytes.
const HEAD_MAX: usize = 16 << 10;
/// Longest wait for a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// Longest life of a connection: a pause for a wrong token, a body and an answer are shorter.
const CALL: Duration = Duration::from_secs(15);
/// Threads that read shared memory; see [`routes::READS_MAX`].
const READERS: usize = routes::READS_MAX + 2;
/// After `accept` failed (no file descriptor is left, mostly).
const AGAIN: Duration = Duration::from_millis(100);

/// The listener. Dropping it closes it.
#[derive(Debug)]
pub struct Api {
    /// Where it listens.
    pub address: SocketAddr,
    /// Dropped, it ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Api {
    /// Listens, on a thread of its own, for the node whose shared memory is, or will be, at `shm`.
    /// Errors: the token file, the address, no thread.
    pub fn start(
        config: &dp_config::Api,
        shm: PathBuf,
        state_dir: PathBuf,
    ) -> anyhow::Result<Self> {
        let token = Token::load(&config.token_file)?;
        let listener = std::net::TcpListener::bind(config.listen)
            .with_context(|| format!("api.listen: {}", config.listen))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(READERS)
            .build()?;
        let site = Arc::new(Site::new(token, shm, state_dir));
        let thread = std::thread::Builder::new().name("api".into());
        thread
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        // Sent or dropped: either way it is over.
                        _ = stopped => {},
                        () = serve(listener, site) => {},
                    }
                });
                // A read that goes on is no reason to stay.
                runtime.shutdown_background();
            })
            .context("a thread for api.listen")?;
        tracing::info!("api: listening on http://{address}");
        Ok(Self {
            address,
            _stop: stop,
        })
    }
}

async fn serve(listener: std::net::TcpListener, site: Arc<Site>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("api: not listening: {error}");
            return;
        }
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("api: accept: {error}");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            site.counts.turned_away.fetch_add(1, Relaxed);
            continue;
        };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let site = Arc::clone(&site);
                async move { Ok::<Answers, Infallible>(site.answer(peer, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(HEAD_MAX)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // How it ended is the peer's affair.
            tokio::time::timeout(CALL, connection).await.ok();
            drop(place);
        });
    }
}
