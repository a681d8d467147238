//! `spinlane run`: keeps a node's history.
//!
//! ```text
//!   wait for the node's shared memory ─▶ attach ─▶ database (private or DSN) ─▶ drain … ─▶ SIGTERM
//!            ▲          (files it moved aside: drained first, then removed)       │           │
//!            └────────────── the dataplane replaced the file ◀────────────────────┘           ▼
//!                                                              drain the rest, stop the database, exit 0
//! ```
//!
//! The lease is a stub in this release: the dataplane holds it without end, and this process neither
//! grants nor renews it. Killing this process changes nothing for trading; the rings keep what it missed.

use crate::api::Api;
use crate::cli::{Role, RunArgs};
use crate::fail::{Refused, Usage};
use crate::leftovers;
use crate::names::names;
use crate::target::Target;
use crate::view::now;
use crate::watch::{Seen, Watch};
use anyhow::Context;
use cp_store::{Drain, DrainStatus, Query, Source, StoreError};
use dp_config::Config;
use dp_shm::{Lock, Region, ShmError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Pause when nothing waits. A commit takes milliseconds anyway; this keeps batches worth one.
const IDLE: Duration = Duration::from_millis(20);
/// Between looks for the node's file.
const ATTACH_POLL: Duration = Duration::from_millis(100);
/// Between writings of the status file.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at how strategies do; the last of each minute stays.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// Longest look after SIGTERM.
const LAST_LOOK: Duration = Duration::from_secs(5);
/// Longest drain after SIGTERM: a dataplane that trades on would keep us for ever.
const FINISH: Duration = Duration::from_secs(30);

/// The daemon's own account, in `STATE_DIR/control.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ControlStatus {
    /// This process.
    pub pid: u32,
    /// How `psql` reaches a private cluster; `None` with a DSN of the operator's.
    pub database: Option<String>,
    /// Where the HTTP listener is; `None` = there is none.
    #[serde(default)]
    pub api: Option<String>,
    /// The drain.
    pub drain: DrainStatus,
    /// What was seen of the lanes, in their order.
    #[serde(default)]
    pub lanes: Vec<Seen>,
}

impl ControlStatus {
    /// Where it lies.
    pub fn path(state_dir: &Path) -> PathBuf {
        state_dir.join("control.json")
    }

    /// Reads it. Errors: no daemon has run here.
    pub fn read(state_dir: &Path) -> anyhow::Result<Self> {
        let path = Self::path(state_dir);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "{}: no control plane has run here; start `spinlane run`",
                path.display()
            )
        })?;
        serde_json::from_str(&text).with_context(|| format!("{}: not its status", path.display()))
    }

    /// Replaces it whole: a reader never sees half of it.
    fn write(&self, state_dir: &Path) -> anyhow::Result<()> {
        let path = Self::path(state_dir);
        let aside = state_dir.join("control.json.new");
        std::fs::write(&aside, serde_json::to_string(self)?)
            .and_then(|()| std::fs::rename(&aside, &path))
            .with_context(|| format!("writing {}", path.display()))
    }
}

/// Runs until SIGTERM or SIGINT. Errors: configuration, no PostgreSQL, another daemon on the node.
pub fn run(target: &Target, args: &RunArgs) -> anyhow::Result<()> {
    let config = target.config("run")?;
    if args.role == Role::Standby {
        let text = "run --role standby: pairs come with replication, which this release has not; run one node";
        return Err(Usage(text.into()).into());
    }
    if args.die_with_parent {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)
            .context("following the parent's end")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let file = target.file.clone().unwrap_or_default();
        // Ends with the runtime.
        tokio::spawn(leftovers::watch(file, config.node.state_dir.clone()));
        serve(config).await
    })
}

/// Asks a node's database something, for a command that does nothing else. Errors: it cannot be reached, or its answer.
pub fn ask<T>(
    config: &Config,
    ask: impl AsyncFnOnce(&Query) -> Result<T, StoreError>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let query = query(config).await?;
        Ok(ask(&query).await?)
    })
}

/// A read-only connection to a node's database, private or not, without holding it.
pub async fn query(config: &Config) -> anyhow::Result<Query> {
    if !config.store.dsn.is_empty() {
        return Ok(Query::dsn(&config.store.dsn).await?);
    }
    let status = ControlStatus::read(&config.node.state_dir)?;
    let dsn = status
        .database
        .context("the control plane has no private database yet")?;
    Query::dsn(&dsn).await.with_context(
        || "the private database runs only with its control plane; start `spinlane run`",
    )
}

/// SIGTERM and SIGINT.
pub(crate) struct Stop {
    term: Signal,
    int: Signal,
}

impl Stop {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal at most so long; says whether it came.
    pub async fn within(&mut self, time: Duration) -> bool {
        tokio::select! {
            _ = self.term.recv() => true,
            _ = self.int.recv() => true,
            () = tokio::time::sleep(time) => false,
        }
    }

    /// Waits for a signal.
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {},
            _ = self.int.recv() => {},
        }
    }
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let state_dir = &config.node.state_dir;
    std::fs::create_dir_all(state_dir)
        .with_context(|| format!("making node.state_dir {}", state_dir.display()))?;
    // Before the database: a kill waits for nothing.
    let shm = config.node.shm.clone();
    let api = config.api.as_ref();
    let api = api.map(|api| Api::start(api, shm, state_dir.clone()));
    let api = api.transpose()?;
    // The database before what it keeps: its start takes longest, and its errors are the operator's to see at once. Not
    // to be dropped half-way, which would leave a server behind; a signal meanwhile is heard afterwards.
    let mut source = Source::open(&config.store.dsn, state_dir).await?;
    if let Source::Private(cluster) = &source {
        let how = if cluster.is_adopted() {
            "adopted"
        } else {
            "started"
        };
        tracing::info!("private PostgreSQL {how}: psql \"{}\"", cluster.dsn());
    }
    tracing::info!("lease: stub, always held by the dataplane; nothing here renews it");
    let watch = Watch::start(config.node.shm.clone()).context("a thread to watch the lanes")?;
    let beside = Beside { watch, api };
    let served = follow(config, &beside, &mut source, &mut stop).await;
    // Whatever happened, our own server is stopped in order.
    let closed = source.close().await;
    served?;
    Ok(closed?)
}

/// What runs beside the drain, on threads of its own, and is told of in the status file.
struct Beside {
    watch: Watch,
    api: Option<Api>,
}

/// Attaches, drains, and attaches again when the dataplane made a new file.
async fn follow(
    config: &Config,
    beside: &Beside,
    source: &mut Source,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let mut is_told = false;
    loop {
        match Region::attach(&config.node.shm) {
            Ok(region) => {
                is_told = false;
                // Until the lanes have settled in the new file, the old ones are theirs to read.
                let (is_stop, so_long) = if region.is_settled() {
                    let is_stop = drain_kept(config, beside, source, stop).await?;
                    (is_stop, While::Current)
                } else {
                    (false, While::Settling)
                };
                if is_stop || drain(&region, config, beside, source, stop, so_long).await? {
                    return Ok(());
                }
            }
            Err(error @ ShmError::Absent(_)) => {
                if !is_told {
                    tracing::info!("waiting for the dataplane: {error}");
                    is_told = true;
                }
                if stop.within(ATTACH_POLL).await {
                    return Ok(());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Drains files the dataplane moved aside while nobody drained them, then removes them: they are memory.
/// `true` = asked to stop.
async fn drain_kept(
    config: &Config,
    beside: &Beside,
    source: &mut Source,
    stop: &mut Stop,
) -> anyhow::Result<bool> {
    for path in Region::kept(&config.node.shm) {
        let region = match Region::attach(&path) {
            Ok(region) => region,
            Err(error) => {
                tracing::error!("{}: what it holds stays there: {error}", path.display());
                continue;
            }
        };
        if drain(&region, config, beside, source, stop, While::Waiting).await? {
            return Ok(true);
        }
        std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        tracing::info!("{} is in the database and removed", path.display());
    }
    Ok(false)
}

/// How long a region is drained.
#[derive(Clone, Copy, PartialEq, Eq)]
enum While {
    /// As long as it is the node's.
    Current,
    /// As long as it is the node's and its lanes have not settled.
    Settling,
    /// As long as something waits in it.
    Waiting,
}

/// Drains one region. `true` = asked to stop, `false` = done with it.
async fn drain(
    region: &Region,
    config: &Config,
    beside: &Beside,
    source: &mut Source,
    stop: &mut Stop,
    so_long: While,
) -> anyhow::Result<bool> {
    let guard = region.lock(Lock::Drainer)?;
    region
        .header()
        .control_pid
        .store(std::process::id(), Relaxed);
    let name = region.node();
    if !name.is_empty() && name.as_str() != config.node.name {
        return Err(Refused(format!(
            "{} belongs to node `{name}`, the configuration says `{}`; fix node.name or node.shm",
            region.path().display(),
            config.node.name
        ))
        .into());
    }
    tracing::info!("attached to {}", region.path().display());
    let mut drain = Drain::new(region, &guard, names());
    let mut told = Instant::now();
    // What was moved aside is measured no more: its positions have gone on elsewhere.
    let is_measured = so_long == While::Current;
    let mut measured: Option<Instant> = None;
    write_status(config, beside, source, &drain)?;
    let is_stop = loop {
        let is_busy = tokio::select! {
            biased;
            () = stop.wait() => break true,
            is_busy = drain.step(source, &config.node.name) => is_busy.map_err(explain)?,
        };
        if is_measured && measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
            measured = Some(Instant::now());
            tokio::select! {
                biased;
                () = stop.wait() => break true,
                done = drain.measure(now()) => done.map_err(explain)?,
            }
        }
        if told.elapsed() >= STATUS_EVERY {
            told = Instant::now();
            write_status(config, beside, source, &drain)?;
        }
        if !is_busy {
            let is_over = match so_long {
                While::Current => !region.is_current(),
                While::Settling => !region.is_current() || region.is_settled(),
                While::Waiting => true,
            };
            if is_over {
                break false;
            }
            if stop.within(IDLE).await {
                break true;
            }
        }
    };
    if is_stop {
        let deadline = Instant::now() + FINISH;
        let is_empty = drain
            .finish(source, &config.node.name, deadline)
            .await
            .map_err(explain)?;
        if is_measured {
            let last = tokio::time::timeout(LAST_LOOK, drain.measure(now())).await;
            last.unwrap_or(Ok(())).map_err(explain)?;
        }
        let status = drain.status();
        if is_empty {
            tracing::info!(
                "everything is in the database: {} journal rows",
                status.journal_rows
            );
        } else {
            tracing::warn!(
                "stopped with {} journal records waiting; they stay in shared memory",
                status.lag_records
            );
        }
    }
    write_status(config, beside, source, &drain)?;
    region.header().control_pid.store(0, Relaxed);
    Ok(is_stop)
}

fn explain(error: StoreError) -> anyhow::Error {
    anyhow::Error::new(error).context("keeping history")
}

fn write_status(
    config: &Config,
    beside: &Beside,
    source: &Source,
    drain: &Drain<'_>,
) -> anyhow::Result<()> {
    ControlStatus {
        pid: std::process::id(),
        database: match source {
            Source::Private(cluster) => Some(cluster.dsn()),
            Source::Dsn(_) => None,
        },
        drain: drain.status(),
        api: beside.api.as_ref().map(|api| api.address.to_string()),
        lanes: beside.watch.seen(),
    }
    .write(&config.node.state_dir)
}
