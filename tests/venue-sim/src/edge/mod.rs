//! The edge: sockets, TLS and the clock. Each venue is one task that owns its face; everything else talks
//! to it through a bounded queue.
//!
//! ```text
//!  TLS ─▶ hyper ─┬─ request ──▶ queue ─▶ venue task ── face ─▶ answer
//!                └─ upgrade ──▶ WebSocket task ◀── bounded queue of frames
//!  TLS, FIX port ─ bytes ──────▶ FIX task ◀──────── the same
//! ```
//! A client that does not read fast enough fills its queue and is cut, as a venue would.

mod admin;
mod fix;
mod lines;
mod server;
mod tls;
mod venue;
mod ws;

use crate::config::SimConfig;
use crate::fault::Fault;
use crate::venues::known;
use anyhow::Context as _;
use lines::Lines;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
pub use tls::Ca;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
pub use venue::Handle;

/// What a venue's FIX port is called: its name and this.
pub const FIX_SUFFIX: &str = "-fix";

/// What is to be served, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which venues, by name, each with its port (0 = any). `NAME-fix` names the FIX port of a venue that is here
    /// and has one; without it any free one is taken.
    pub venues: Vec<(String, u16)>,
    /// Address to listen on.
    pub listen: IpAddr,
    /// Port of the admin endpoint (0 = any); always on loopback.
    pub admin_port: u16,
    /// Where `ca.pem` goes.
    pub tls_dir: PathBuf,
    /// The core's parameters.
    pub sim: SimConfig,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

/// A running simulator; dropping it stops it.
#[derive(Debug)]
pub struct Running {
    /// Ports by venue.
    pub ports: Vec<(String, u16)>,
    /// FIX ports by venue, where it has one.
    pub fix_ports: Vec<(String, u16)>,
    /// Port of the admin endpoint.
    pub admin_port: u16,
    /// The authority that signed the certificates.
    pub ca_path: PathBuf,
    handles: Vec<Handle>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// The port of a venue.
    pub fn port(&self, venue: &str) -> Option<u16> {
        self.ports
            .iter()
            .find(|(name, _)| name == venue)
            .map(|(_, port)| *port)
    }

    /// The FIX port of a venue.
    pub fn fix_port(&self, venue: &str) -> Option<u16> {
        let found = self.fix_ports.iter().find(|(name, _)| name == venue);
        found.map(|(_, port)| *port)
    }

    /// A venue, to be asked without going through the admin endpoint.
    pub fn handle(&self, venue: &str) -> Option<&Handle> {
        self.handles.iter().find(|handle| handle.name == venue)
    }

    /// The line that says everything is up.
    pub fn ready_line(&self) -> Value {
        let venues: serde_json::Map<String, Value> = self
            .ports
            .iter()
            .map(|(name, port)| {
                let mut ports = json!({"port": port});
                if let Some(fix) = self.fix_port(name) {
                    ports["fix"] = json!(fix);
                }
                (name.clone(), ports)
            })
            .collect();
        json!({
            "ready": true, "ca": self.ca_path, "venues": venues,
            "admin": {"port": self.admin_port},
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Starts everything. Must be called inside a tokio runtime.
///
/// Errors: a port that is taken, a directory that cannot be written, an unknown venue.
pub async fn start(options: &Options) -> anyhow::Result<Running> {
    let ca = Ca::create(&options.tls_dir)?;
    let acceptor = ca.acceptor(options.listen)?;
    let clock = Clock::start();
    let mut running = Running {
        ports: Vec::new(),
        fix_ports: Vec::new(),
        admin_port: 0,
        ca_path: ca.path().to_owned(),
        handles: Vec::new(),
        tasks: Vec::new(),
    };
    let faces = options.venues.iter();
    let faces = faces.filter(|(name, _)| !name.ends_with(FIX_SUFFIX));
    for (name, port) in faces {
        let make = known(name).map_err(anyhow::Error::msg)?.make;
        let mut face = make(&options.sim, clock.now());
        for fault in &options.faults {
            if fault.venue.as_ref().is_none_or(|venue| venue == name) {
                let now = clock.now();
                face.core().faults.add(now, fault.clone());
            }
        }
        let listener = listen(options.listen, *port).await?;
        let port = listener.local_addr()?.port();
        face.core().origin = format!("localhost:{port}");
        running.ports.push((name.clone(), port));
        let has_fix = face.has_fix();
        let lines = options.sim.multicast.map(Lines::open).transpose()?;
        let (handle, task) = venue::spawn(name, face, clock, lines);
        running.tasks.push(task);
        if has_fix {
            let is_asked = |asked: &str| asked.strip_suffix(FIX_SUFFIX) == Some(name);
            let asked = options.venues.iter().find(|(asked, _)| is_asked(asked));
            let listener = listen(options.listen, asked.map_or(0, |(_, port)| *port)).await?;
            let port = listener.local_addr()?.port();
            running.fix_ports.push((name.clone(), port));
            let server = fix::run(listener, acceptor.clone(), handle.clone());
            running.tasks.push(tokio::spawn(server));
        }
        let server = server::run(listener, acceptor.clone(), handle.clone());
        running.tasks.push(tokio::spawn(server));
        running.handles.push(handle);
    }
    let listener = listen(IpAddr::from([127, 0, 0, 1]), options.admin_port).await?;
    running.admin_port = listener.local_addr()?.port();
    running
        .tasks
        .push(tokio::spawn(admin::run(listener, running.handles.clone())));
    Ok(running)
}

async fn listen(address: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))
}

/// Writes a text to a file by way of a neighbour, so that a reader never sees half of it.
pub fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text)?;
    std::fs::rename(&partial, path)
}

/// Unix time that never goes back: the wall clock once, then the monotonic one.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base_ns: u64,
    start: Instant,
}

impl Clock {
    /// Reads the wall clock.
    pub fn start() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            base_ns: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            start: Instant::now(),
        }
    }

    /// Unix nanoseconds.
    pub fn now(&self) -> u64 {
        self.base_ns + u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant of a time; at once when it is past.
    pub fn instant(&self, at: u64) -> Instant {
        self.start + std::time::Duration::from_nanos(at.saturating_sub(self.base_ns))
    }
}
