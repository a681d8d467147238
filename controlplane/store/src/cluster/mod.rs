//! The private PostgreSQL cluster: what a node without a DSN stores its history in.
//!
//! ```text
//!   start ─▶ lock the directory ─▶ initdb (once; aside, renamed into place whole)
//!                                     │
//!          postmaster of ours alive? ─┴─ yes ─▶ adopt it          (the control plane was killed)
//!                                        no ──▶ start it          (first start, reboot, it was killed)
//!                                                  │
//!                                                  ▼  answers a query ─▶ ready
//!   stop ──▶ SIGINT (fast shutdown) ─▶ wait for the process to be gone
//! ```
//!
//! The server is ours alone: unix socket only, peer authentication, no TCP. It runs in a process group of
//! its own, so that neither a Ctrl-C on our terminal nor our own death ends it: history survives us.
//!
//! Deliberately not here: replication, backup, tuning. Those belong to a server somebody runs on purpose
//! and names by its DSN.

mod error;
mod place;
mod postmaster;

pub use error::ClusterError;

use place::{Place, Programs};
use postmaster::Postmaster;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// Database and role of a private cluster.
pub(crate) const NAME: &str = "spinlane";
/// Port number in the socket's name; nothing listens on TCP.
const PORT: u16 = 5432;
/// Crash recovery of a busy day's WAL takes seconds; a minute says that something is wrong.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// Fast shutdown writes one checkpoint.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
/// Tries to start it: its predecessor's children notice its death within seconds.
const SPAWNS_MAX: u32 = 20;
const RESPAWN_PAUSE: Duration = Duration::from_millis(250);

/// A running private cluster. Dropping it leaves the server running; [`Cluster::stop`] ends it.
#[derive(Debug)]
pub struct Cluster {
    place: Place,
    programs: Programs,
    child: Option<Child>,
    is_adopted: bool,
    /// One control plane per directory; the kernel lets go when we end, `kill -9` included.
    _lock: File,
}

impl Cluster {
    /// Starts the cluster under `state_dir`, or adopts the one that runs there.
    ///
    /// Idempotent: the first call makes it, later ones find it. As root the server runs as `postgres`
    /// (or `nobody`), and where that user cannot reach `state_dir` the data lies under `/var/lib` with a
    /// link in its place. Errors: [`ClusterError`], each with its mend.
    pub async fn start(state_dir: &Path) -> Result<Self, ClusterError> {
        let place = Place::prepare(state_dir)?;
        let lock = lock(&place.base)?;
        let programs = Programs::find(place.major()?)?;
        let mut cluster = Self {
            place,
            programs,
            child: None,
            is_adopted: false,
            _lock: lock,
        };
        cluster.init().await?;
        cluster.is_adopted = cluster.is_running();
        cluster.ensure().await?;
        Ok(cluster)
    }

    /// Brings the server back if it is gone; returns at once when it runs.
    /// Errors: [`ClusterError::Died`] with the server's last words, [`ClusterError::Slow`].
    pub async fn ensure(&mut self) -> Result<(), ClusterError> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let mut spawns = 0;
        loop {
            let is_leaving =
                Postmaster::find(&self.place.data()).is_some_and(|it| it.is_stopping());
            if !self.is_running() && !is_leaving {
                // A server that was killed may hold its memory for a moment through its last children: a
                // new one then refuses to start, and is tried again.
                if spawns == SPAWNS_MAX {
                    return Err(ClusterError::Died(self.last_words()));
                }
                if spawns > 0 {
                    tokio::time::sleep(RESPAWN_PAUSE).await;
                }
                spawns += 1;
                self.spawn()?;
            }
            if self.answers().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(ClusterError::Slow(self.last_words()));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Stops the server: running statements are rolled back, everything committed is on disk.
    /// Errors: [`ClusterError::Slow`] when it has not gone within a minute.
    pub async fn stop(mut self) -> Result<(), ClusterError> {
        let deadline = Instant::now() + STOP_TIMEOUT;
        let data = self.place.data();
        let found = Postmaster::find(&data);
        if let Some(postmaster) = &found {
            postmaster.interrupt();
        }
        // Its lock file goes a moment before the process does.
        let is_there = || found.as_ref().is_some_and(|it| it.stands_in(&data));
        while self.is_running() || is_there() || Postmaster::find(&data).is_some() {
            if Instant::now() > deadline {
                return Err(ClusterError::Slow(self.last_words()));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// How to connect to it.
    pub fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(&self.place.socket)
            .port(PORT)
            .user(NAME)
            .dbname(NAME)
            .application_name("spinlane");
        config
    }

    /// The same for `psql`: directory of the socket, port, role and database.
    pub fn dsn(&self) -> String {
        format!(
            "host={} port={PORT} user={NAME} dbname={NAME}",
            self.place.socket.display()
        )
    }

    /// Whether the server was already running when we came.
    pub const fn is_adopted(&self) -> bool {
        self.is_adopted
    }

    /// The server's process; `None` when it is not running.
    pub fn pid(&self) -> Option<u32> {
        Postmaster::find(&self.place.data()).map(|found| found.pid.as_raw().unsigned_abs())
    }

    /// Where the data lies.
    pub fn data_dir(&self) -> PathBuf {
        self.place.data()
    }

    /// Where the server writes its log.
    pub fn log_file(&self) -> PathBuf {
        self.place.log()
    }

    /// Makes the data directory once. Killed half-way, it leaves a `data.new-PID`, in which `initdb` may
    /// still be at work: the next start makes one of its own and clears away what it can.
    async fn init(&self) -> Result<(), ClusterError> {
        let data = self.place.data();
        if data.join("PG_VERSION").exists() {
            return Ok(());
        }
        let base = &self.place.base;
        let entries = std::fs::read_dir(base).map_err(ClusterError::io(base, "list"))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with("data.new-") {
                std::fs::remove_dir_all(entry.path()).ok();
            }
        }
        let aside = base.join(format!("data.new-{}", std::process::id()));
        let output = self
            .program("initdb")
            .arg("--pgdata")
            .arg(&aside)
            .args(["--username", NAME, "--encoding", "UTF8", "--locale", "C"])
            .args(["--auth-local", "peer", "--auth-host", "reject"])
            .arg("--no-instructions")
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(ClusterError::io(&self.programs.bin, "run initdb in"))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(ClusterError::Init(words));
        }
        self.place.write_access(&aside)?;
        std::fs::rename(&aside, &data).map_err(ClusterError::io(&data, "move into place"))
    }

    fn spawn(&mut self) -> Result<(), ClusterError> {
        let socket_lock = self.place.socket.join(format!(".s.PGSQL.{PORT}.lock"));
        Postmaster::clear_remnants(&self.place.data(), &socket_lock);
        let log_path = self.place.log();
        let open = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
        let log = open(&log_path).map_err(ClusterError::io(&log_path, "open"))?;
        let log_too = log
            .try_clone()
            .map_err(ClusterError::io(&log_path, "open"))?;
        let mut command = self.program("postgres");
        command
            .arg("-D")
            .arg(self.place.data())
            .arg("-k")
            .arg(&self.place.socket)
            .args(["-p", &PORT.to_string()]);
        for setting in [
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "max_connections=32",
            "shared_buffers=64MB",
            // History must hold what was said to be in it: both stay at the safe setting.
            "fsync=on",
            "synchronous_commit=on",
            "max_wal_size=512MB",
            "checkpoint_completion_target=0.9",
            "timezone=UTC",
            "log_timezone=UTC",
            "log_min_messages=warning",
            "jit=off",
        ] {
            command.args(["-c", setting]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_too)
            .process_group(0)
            .spawn()
            .map_err(ClusterError::io(&self.programs.bin, "run postgres in"))?;
        self.child = Some(child);
        Ok(())
    }

    /// A program of the cluster as the cluster's user, in a directory that user can stand in, without
    /// our environment (a stray `PGDATA` or `PGHOST` must not lead it elsewhere).
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.bin.join(name));
        command
            .current_dir(&self.place.base)
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", &self.programs.bin);
        if let Some(user) = &self.place.user {
            command.gid(user.gid.as_raw()).uid(user.uid.as_raw());
        }
        command
    }

    /// Whether a server of this directory runs; reaps our own child when it has ended.
    fn is_running(&mut self) -> bool {
        if let Some(child) = &mut self.child {
            match child.try_wait() {
                Ok(None) => return true,
                Ok(Some(_)) | Err(_) => self.child = None,
            }
        }
        Postmaster::find(&self.place.data()).is_some_and(|found| !found.is_stopping())
    }

    /// Whether it takes connections; makes our database on the way where it is missing.
    async fn answers(&self) -> bool {
        let mut config = self.config();
        config.connect_timeout(Duration::from_secs(5));
        if connects(&config).await {
            return true;
        }
        config.dbname("postgres");
        let Ok((client, connection)) = config.connect(tokio_postgres::NoTls).await else {
            return false;
        };
        let driver = tokio::spawn(connection);
        let made = client
            .batch_execute(&format!("create database {NAME}"))
            .await;
        drop(client);
        driver.await.ok();
        made.is_ok() && connects(&self.config()).await
    }

    /// The end of the server's log, for error texts.
    fn last_words(&self) -> String {
        let path = self.place.log();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(5)..).unwrap_or(&[]);
        format!("{} (all of it: {})", tail.join(" | "), path.display())
    }
}

async fn connects(config: &tokio_postgres::Config) -> bool {
    match config.connect(tokio_postgres::NoTls).await {
        Ok((client, connection)) => {
            let driver = tokio::spawn(connection);
            let is_alive = client.batch_execute("").await.is_ok();
            drop(client);
            driver.await.ok();
            is_alive
        }
        Err(_) => false,
    }
}

fn lock(base: &Path) -> Result<File, ClusterError> {
    let path = base.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(ClusterError::io(&path, "open"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(ClusterError::Held(base.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(ClusterError::io(&path, "lock")(error)),
    }
}
