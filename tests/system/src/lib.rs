//! A whole node on this machine: simulator, dataplane, control plane and PostgreSQL as the processes
//! people run, driven and killed by tests.
//!
//! Nothing here reaches into a process: what a test knows it reads from the command line (`--json`),
//! the database and the simulator's own record.
#![forbid(unsafe_code)]

pub mod functions;
pub mod held;
pub mod money;
pub mod waits;

use anyhow::{Context, Result, bail};
use dp_transport::xdp::ethtool::{self, Offload};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use spinlane::demo::sim;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests_net::{Namespace, Veth};

/// Longest wait for anything that should come about: two cores shared by every process and test.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Lanes of a spread node: two feeds, an engine, a gateway for both.
pub const SPREAD: &str = r#"
[[lane]]
roles = ["feed"]
venues = ["binance"]
idle = "yield"

[[lane]]
roles = ["feed"]
venues = ["okx"]
idle = "yield"

[[lane]]
roles = ["engine", "journal"]
idle = "yield"

[[lane]]
roles = ["gateway"]
venues = ["binance", "okx"]
idle = "yield"

"#;
/// How a rig differs from the default.
#[derive(Debug, Clone)]
pub struct Options {
    /// Venues and the symbol traded at each.
    pub venues: Vec<(&'static str, &'static str)>,
    /// Further arguments of `spinlane-sim`.
    pub sim_args: Vec<String>,
    /// Further lines of the configuration.
    pub config: String,
    /// Journal ring records.
    pub journal_records: u32,
    /// Idle policy of the lanes.
    pub idle: &'static str,
    /// What is written otherwise in the configuration: every occurrence of the first text, which must be
    /// there, becomes the second.
    pub edits: Vec<(&'static str, &'static str)>,
    /// `SPINLANE_LOG` of both processes.
    pub log: &'static str,
    /// The node runs at one end of this cable and the venues at the other; `None` = all on this host.
    pub cable: Option<Arc<Veth>>,
    /// `[[lane]]` sections; empty: one lane a venue.
    pub lanes: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            venues: vec![("binance", "BTCUSDT"), ("okx", "BTC-USDT")],
            sim_args: Vec::new(),
            config: String::new(),
            journal_records: 1 << 16,
            idle: "park",
            edits: Vec::new(),
            log: "info",
            cable: None,
            lanes: String::new(),
        }
    }
}

impl Options {
    /// One venue at the other end of a cable, and a lane with these lines instead of its idle policy. The
    /// venues' end sends frames as they are on a wire: no larger than the MTU, checksums made. `None` where
    /// this machine can have no cable, which is said, or refused where REQUIRE has `xdp`.
    pub fn on_cable(lines: &'static str) -> Option<Self> {
        let veth = Veth::or_skip("xdp")?;
        veth.theirs.run(|| {
            for offload in [Offload::Tso, Offload::Gso, Offload::TxChecksum] {
                ethtool::set_offload(Veth::NAME, offload, false).expect("a veth takes it");
            }
        });
        Some(Self {
            venues: vec![("binance", "BTCUSDT")],
            edits: vec![("idle = \"park\"", lines)],
            cable: Some(Arc::new(veth)),
            ..Self::default()
        })
    }
}

/// One node and its simulated venues. Dropping it ends what it started, by pid.
#[derive(Debug)]
pub struct Rig {
    dir: tempfile::TempDir,
    shm: PathBuf,
    ready: Value,
    sim: Child,
    dataplane: Option<Child>,
    control: Option<Child>,
    /// A lane was killed or its memory taken away: what it counted last is lost.
    has_lost_counts: bool,
    /// System calls the lanes are to have been refused.
    planted: u64,
    log: &'static str,
    cable: Option<Arc<Veth>>,
}

/// One rig's turn: a rig is five processes, and the machine may have two cores.
#[derive(Debug)]
pub struct Turn {
    _file: Flock<std::fs::File>,
}

/// Waits until no other rig of this machine's user runs, in this test program or another.
///
/// # Panics
/// When the temporary directory takes no lock.
pub fn turn() -> Turn {
    let name = format!("spinlane-tests-{}.lock", nix::unistd::getuid());
    let file = std::fs::File::create(std::env::temp_dir().join(name)).expect("a lock file");
    let lock = Flock::lock(file, FlockArg::LockExclusive);
    Turn {
        _file: lock.map_err(|(_, error)| error).expect("flock works"),
    }
}

/// Where cargo put the binaries this test was built beside.
pub fn binary(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().expect("a test has a path");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build --workspace` (make test does)",
        path.display()
    );
    path
}

/// Polls `probe` until it gives something. Errors: `what` and the patience that ran out.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        if start.elapsed() > PATIENCE {
            bail!("{what}: not within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Rig {
    /// Starts the simulator and writes the node's configuration; nothing of ours runs yet.
    pub fn new(name: &str, options: &Options) -> Result<Self> {
        // A short path: PostgreSQL's socket path has 107 bytes.
        let dir = tempfile::Builder::new()
            .prefix(&format!("sl-{name}-"))
            .tempdir_in("/tmp")?;
        let at = dir.path();
        let ready_file = at.join("sim.json");
        let names: Vec<&str> = options.venues.iter().map(|(venue, _)| *venue).collect();
        let cable = options.cable.as_deref();
        let sim = program("spinlane-sim", cable.map(|cable| &cable.theirs))
            .args(["--listen", &venue_host(options, "127.0.0.1")])
            .args(["--venues", &names.join(",")])
            .arg("--tls-dir")
            .arg(at)
            .arg("--keys-out")
            .arg(at)
            .arg("--ready-file")
            .arg(&ready_file)
            .arg("--die-with-parent")
            .args(&options.sim_args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(at, "sim")?)
            .spawn()
            .context("spinlane-sim")?;
        let ready = wait_for("the simulator is ready", || {
            serde_json::from_str(&std::fs::read_to_string(&ready_file).ok()?).ok()
        })?;
        let node = format!("{name}-{}", std::process::id());
        let shm = PathBuf::from(format!("/dev/shm/spinlane-test-{node}"));
        let mut config = config_text(&node, &shm, at, &ready, options);
        for (from, to) in &options.edits {
            anyhow::ensure!(config.contains(from), "`{from}` is not in:\n{config}");
            config = config.replace(from, to);
        }
        std::fs::write(at.join("node.toml"), config)?;
        Ok(Self {
            dir,
            shm,
            ready,
            sim,
            dataplane: None,
            control: None,
            has_lost_counts: false,
            planted: 0,
            log: options.log,
            cable: options.cable.clone(),
        })
    }

    /// Simulator, dataplane and control plane, up and trading: every venue has an acknowledged order.
    pub fn trading(name: &str, options: &Options) -> Result<Self> {
        let mut rig = Self::new(name, options)?;
        rig.start_dataplane()?;
        rig.start_control()?;
        rig.wait_acks(1)?;
        Ok(rig)
    }

    /// The directory of logs, state and keys.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The node's configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("node.toml")
    }

    /// Starts `spinlane-dataplane`.
    pub fn start_dataplane(&mut self) -> Result<()> {
        let child = program("spinlane-dataplane", self.ours())
            .arg("--config")
            .arg(self.config())
            .env("SPINLANE_LOG", self.log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(self.dir(), "dataplane")?)
            .spawn()
            .context("spinlane-dataplane")?;
        self.dataplane = Some(child);
        Ok(())
    }

    /// Starts `spinlane run`.
    pub fn start_control(&mut self) -> Result<()> {
        let child = program("spinlane", self.ours())
            .args(["run", "--config"])
            .arg(self.config())
            .env("SPINLANE_LOG", self.log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(self.dir(), "control")?)
            .spawn()
            .context("spinlane run")?;
        self.control = Some(child);
        Ok(())
    }

    /// `kill -9` of the dataplane, and its reaping.
    pub fn kill_dataplane(&mut self) -> Result<()> {
        self.has_lost_counts = true;
        end(self.dataplane.take(), Signal::SIGKILL).map(drop)
    }

    /// `kill -9` of the control plane, and its reaping. Its PostgreSQL is not a child of ours and lives on.
    pub fn kill_control(&mut self) -> Result<()> {
        end(self.control.take(), Signal::SIGKILL).map(drop)
    }

    /// Waits for a dataplane that ends by itself: its exit code and its log.
    pub fn dataplane_end(&mut self) -> Result<(Option<i32>, String)> {
        let mut child = self.dataplane.take().context("no dataplane runs")?;
        let code = wait_for("the dataplane ends", || child.try_wait().ok()?);
        if code.is_err() {
            child.kill()?;
            child.wait()?;
        }
        let log = std::fs::read_to_string(self.dir().join("dataplane.log"))?;
        Ok((code?.code(), log))
    }

    /// Whether the node's shared memory is there.
    pub fn has_shared_memory(&self) -> bool {
        self.shm.exists()
    }

    /// SIGTERM to the dataplane: it cancels its orders and exits 0.
    pub fn stop_dataplane(&mut self) -> Result<()> {
        let code = end(self.dataplane.take(), Signal::SIGTERM)?;
        self.expect_zero("spinlane-dataplane", "dataplane", code)
    }

    /// SIGTERM to the control plane: it drains, stops its PostgreSQL and exits 0.
    pub fn stop_control(&mut self) -> Result<()> {
        let code = end(self.control.take(), Signal::SIGTERM)?;
        self.expect_zero("spinlane run", "control", code)
    }

    /// The process id of the node's private PostgreSQL, by its own pid file.
    pub fn database_pid(&self) -> Result<i32> {
        let file = self
            .dir()
            .join("state")
            .join("pg")
            .join("data")
            .join("postmaster.pid");
        let file = if file.exists() {
            file
        } else {
            self.dir().join("state/pg/postmaster.pid")
        };
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(text.lines().next().unwrap_or_default().trim().parse()?)
    }

    /// `kill -9` of a process this rig started through its control plane.
    pub fn kill_process(&self, pid: i32) -> Result<()> {
        Ok(kill(Pid::from_raw(pid), Signal::SIGKILL)?)
    }

    /// Removes the shared memory, as a reboot does. Nothing of the node may run.
    pub fn forget_shared_memory(&mut self) -> Result<()> {
        self.has_lost_counts = true;
        anyhow::ensure!(
            self.dataplane.is_none() && self.control.is_none(),
            "the node runs"
        );
        Ok(std::fs::remove_file(&self.shm)?)
    }

    /// Regions the dataplane moved aside.
    pub fn kept_regions(&self) -> usize {
        dp_shm::Region::kept(&self.shm).len()
    }

    /// The process id of the dataplane.
    pub fn dataplane_pid(&self) -> Result<i32> {
        Ok(i32::try_from(
            self.dataplane.as_ref().context("no dataplane runs")?.id(),
        )?)
    }

    /// `kill -9` of the dataplane at a step of its own: when its only lane enters `function` for the `nth` time from
    /// now, before anything of it is done; `provoke` may bring it there. The name is as `nm -C` prints it.
    ///
    /// Errors: there is no such function, or nobody comes by within the patience.
    pub fn kill_dataplane_at(
        &mut self,
        function: &str,
        nth: u32,
        provoke: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let pid = self.dataplane_pid()?;
        let at = functions::address(pid, &binary("spinlane-dataplane"), function)?;
        let threads = self.lane_threads()?;
        anyhow::ensure!(threads.len() == 1, "several lanes come by");
        let held = held::Held::seize(threads[0])?;
        let entered = held
            .run_into(at, nth, || provoke(self))
            .with_context(|| function.to_owned());
        self.has_lost_counts = true;
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        held.reap();
        end(self.dataplane.take(), Signal::SIGKILL)?;
        entered
    }

    /// Kernel threads of the lanes, in their order.
    pub fn lane_threads(&self) -> Result<Vec<i32>> {
        let lanes = self.lanes()?;
        let threads = lanes.iter().map(|lane| lane["thread"].as_i64());
        let threads = threads.map(|thread| i32::try_from(thread?).ok());
        threads.collect::<Option<_>>().context("lanes[].thread")
    }

    /// `spinlane lanes`, the lanes.
    pub fn lanes(&self) -> Result<Vec<Value>> {
        let lanes = self.cli(&["lanes"])?["lanes"].take();
        lanes.as_array().cloned().context("lanes")
    }

    /// Calls the lanes were refused so far.
    pub fn refused(&self) -> Result<u64> {
        let lanes = self.lanes()?;
        let refused = lanes.iter().map(|lane| lane["refused_calls"].as_u64());
        refused.sum::<Option<u64>>().context("refused_calls")
    }

    /// One more call was planted that a lane must have been refused by the end.
    pub const fn expect_refusal(&mut self) {
        self.planted += 1;
    }

    /// The process id of the control plane.
    pub fn control_pid(&self) -> Result<i32> {
        let child = self.control.as_ref().context("no control plane runs")?;
        Ok(i32::try_from(child.id())?)
    }

    fn expect_zero(&self, what: &str, log: &str, code: Option<i32>) -> Result<()> {
        if code == Some(0) {
            return Ok(());
        }
        let text =
            std::fs::read_to_string(self.dir().join(format!("{log}.log"))).unwrap_or_default();
        let tail: Vec<&str> = text.lines().rev().take(30).collect();
        bail!(
            "{what} ended with {code:?}; its last lines, newest first:\n{}",
            tail.join("\n")
        );
    }

    /// Runs `spinlane VERB… --json --config …` and parses what it prints.
    pub fn cli(&self, verb: &[&str]) -> Result<Value> {
        let output = Command::new(binary("spinlane"))
            .args(verb)
            .arg("--json")
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&text).with_context(|| {
            format!(
                "spinlane {verb:?}: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// One counter, summed over lanes, from `spinlane status`.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let status = self.cli(&["status"])?;
        let lanes = status["lanes"].as_array().context("status.lanes")?;
        let sum = lanes
            .iter()
            .map(|lane| lane["counters"][name].as_u64().unwrap_or(0))
            .sum();
        Ok(sum)
    }

    /// One counter of the lane that runs `venue`.
    pub fn counter_at(&self, venue: &str, name: &str) -> Result<u64> {
        let status = self.cli(&["status"])?;
        let venues = status["venues"].as_array().context("status.venues")?;
        let line = venues.iter().find(|line| line["venue"] == venue);
        let lane = &line.with_context(|| format!("no line of {venue}"))?["lane"];
        let lanes = status["lanes"].as_array().context("status.lanes")?;
        lanes
            .iter()
            .find(|one| one["lane"] == *lane)
            .and_then(|one| one["counters"][name].as_u64())
            .with_context(|| format!("no counter {name} at {venue}"))
    }

    /// A figure of `GET /stats` of the simulator: `path` below a venue, 0 where it is not there yet.
    pub fn stat(&self, venue: &str, path: &str) -> Result<u64> {
        let stats = self.sim_get("/stats")?;
        Ok(stats[venue]
            .pointer(path)
            .and_then(Value::as_u64)
            .unwrap_or(0))
    }

    /// Rows a statement gives in the node's database, each column as PostgreSQL prints it.
    pub fn sql(&self, statement: &str) -> Result<Vec<Vec<String>>> {
        let config = dp_config::Config::load(&self.config())?;
        let status = spinlane::daemon::ControlStatus::read(&config.node.state_dir)?;
        let dsn = status.database.context("no private database")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&dsn, tokio_postgres::NoTls).await?;
            let driver = tokio::spawn(connection);
            let messages = client.simple_query(statement).await;
            driver.abort();
            let rows = messages?.into_iter().filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            let cells = |row: tokio_postgres::SimpleQueryRow| {
                let cell = |at| row.get(at).unwrap_or("").to_owned();
                (0..row.len()).map(cell).collect()
            };
            Ok(rows.map(cells).collect())
        })
    }

    /// Waits until every lane has at least `count` acknowledged orders more than now.
    pub fn wait_acks(&self, count: u64) -> Result<()> {
        let acks = || -> Option<Vec<u64>> {
            let status = self.cli(&["status"]).ok()?;
            let lanes = status["lanes"].as_array()?;
            lanes
                .iter()
                .map(|lane| lane["counters"]["acks"].as_u64())
                .collect()
        };
        let before = wait_for("the node answers", acks)?;
        wait_for("every lane has orders acknowledged", || {
            let after = acks()?;
            let is_more = before
                .iter()
                .zip(&after)
                .all(|(before, after)| *after >= before + count);
            (is_more && !after.is_empty()).then_some(())
        })
        .with_context(|| self.tails())
    }

    /// The last lines of every log: what a failing test prints.
    pub fn tails(&self) -> String {
        let mut text = String::new();
        for name in ["sim", "dataplane", "control"] {
            let log = std::fs::read_to_string(self.dir().join(format!("{name}.log")));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(20)..];
            text.push_str(&format!("--- {name}.log\n{}\n", tail.join("\n")));
        }
        text
    }

    /// Waits until everything journaled is in PostgreSQL, then compares the simulator's record, the journal
    /// and the database, order by order and fill by fill. Returns what differs.
    ///
    /// Where a lane was killed or its memory taken away, the sums of its counters are left out by name: a
    /// lane killed between a send and its counter has not counted it.
    pub fn differences(&self) -> Result<Vec<String>> {
        let config = dp_config::Config::load(&self.config())?;
        let region = dp_shm::Region::attach(&self.shm)?;
        wait_for("the journal is drained", || {
            let status = spinlane::view::status::Status::read(&region);
            (status.journal_waiting == 0).then_some(())
        })
        .with_context(|| self.tails())?;
        let record = self.record()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let database = runtime.block_on(async {
            let query = spinlane::daemon::query(&config).await?;
            spinlane::demo::verdict::Database::read(&query).await
        })?;
        let verdict = spinlane::demo::verdict::judge(&region, &record, &database);
        let is_count = |line: &String| {
            ["orders sent:", "fills:", "rejects:"]
                .iter()
                .any(|sum| line.starts_with(sum))
        };
        Ok(verdict
            .differences
            .into_iter()
            .filter(|line| !(self.has_lost_counts && is_count(line)))
            .collect())
    }

    /// Stops the node in order and holds it against the simulator's record.
    ///
    /// Errors: orders left at a venue, an order asked for twice, a lane that was refused a system call nobody
    /// planted, or [`Rig::differences`].
    pub fn ends_equal(mut self) -> Result<()> {
        self.stop_dataplane()?;
        let open = self.open_at_venue()?;
        let doubled = self.doubled_at_venue()?;
        let differences = self.differences()?;
        let (refused, planted) = (self.refused()?, self.planted);
        anyhow::ensure!(
            refused == planted,
            "lanes were refused {refused} system calls, {planted} were planted\n{}",
            self.tails()
        );
        anyhow::ensure!(
            open == 0 && doubled == 0 && differences.is_empty(),
            "{open} orders left at the venue, {doubled} asked twice, different: {differences:#?}\n{}",
            self.tails()
        );
        self.stop_control()
    }

    /// The simulator's own record of what we asked and what became of it.
    pub fn record(&self) -> Result<sim::Record> {
        let ready = sim::Ready::parse(&self.ready.to_string()).context("ready")?;
        self.at_venues(|| sim::record(&ready))
    }

    /// Orders of ours that the simulator holds open.
    pub fn open_at_venue(&self) -> Result<usize> {
        let is_open =
            |order: &&sim::Order| matches!(order.state.as_str(), "live" | "partially_filled");
        Ok(self.record()?.orders.iter().filter(is_open).count())
    }

    /// Client order ids that were asked for more than once.
    pub fn doubled_at_venue(&self) -> Result<usize> {
        Ok(self
            .record()?
            .requests
            .values()
            .filter(|count| **count > 1)
            .count())
    }

    /// `GET path` of the simulator's admin port.
    pub fn sim_get(&self, path: &str) -> Result<Value> {
        self.sim_http("GET", path, "")
    }

    /// `POST /fault` of the simulator.
    pub fn fault(&self, spec: &str) -> Result<()> {
        self.sim_http("POST", "/fault", spec).map(drop)
    }

    /// Runs where the venues are.
    fn at_venues<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.cable {
            Some(cable) => cable.theirs.run(work),
            None => work(),
        }
    }

    fn ours(&self) -> Option<&Namespace> {
        self.cable.as_deref().map(|cable| &cable.ours)
    }

    fn sim_http(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        self.at_venues(|| self.sim_http_here(method, path, body))
    }

    fn sim_http_here(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let port = self.ready["admin"]["port"].as_u64().context("admin port")?;
        let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port)?))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        if !head.starts_with("HTTP/1.1 2") {
            bail!("{method} {path}: {head}\n{body}");
        }
        if body.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(
            &body[body.find(['{', '[']).unwrap_or(0)
                ..=body.rfind(['}', ']']).unwrap_or(body.len() - 1)],
        )
        .with_context(|| format!("{method} {path}: {body}"))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = end(self.dataplane.take(), Signal::SIGTERM);
        // The control plane stops its PostgreSQL on SIGTERM; one that was killed has left it running,
        // so a new one is started just to stop it.
        if self.control.is_none() && self.dir().join("state").join("pg").exists() {
            let _ = self.start_control();
            std::thread::sleep(Duration::from_millis(500));
        }
        let _ = end(self.control.take(), Signal::SIGTERM);
        let _ = kill(Pid::from_raw(self.sim.id() as i32), Signal::SIGTERM);
        let _ = self.sim.wait();
        let _ = std::fs::remove_file(&self.shm);
    }
}

/// One of ours, inside a namespace where one is given.
fn program(name: &str, inside: Option<&Namespace>) -> Command {
    let program = binary(name);
    match inside {
        None => Command::new(program),
        Some(namespace) => {
            // It replaces itself by the program: the child's pid is the program's.
            let mut command = Command::new("nsenter");
            command
                .arg(format!("--net={}", namespace.path()))
                .arg(program);
            command
        }
    }
}

/// Where the node finds the venues.
fn venue_host(options: &Options, here: &str) -> String {
    let there = options.cable.as_ref().map(|_| Veth::THEIRS.to_string());
    there.unwrap_or_else(|| here.to_owned())
}

fn log(folder: &Path, name: &str) -> Result<std::fs::File> {
    let path = folder.join(format!("{name}.log"));
    Ok(std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?)
}

/// Signals a child and waits for it; a child that ignores SIGTERM for long is killed and reported.
fn end(child: Option<Child>, signal: Signal) -> Result<Option<i32>> {
    let Some(mut child) = child else {
        return Ok(None);
    };
    kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            bail!(
                "process {} did not end within {PATIENCE:?} of {signal}",
                child.id()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn config_text(node: &str, shm: &Path, dir: &Path, ready: &Value, options: &Options) -> String {
    let mut text = format!(
        "[node]\nname = \"{node}\"\nshm = \"{}\"\nstate_dir = \"{}\"\njournal_records = {}\nmode = \"test\"\n\n",
        shm.display(),
        dir.join("state").display(),
        options.journal_records,
    );
    text.push_str(&options.lanes);
    let venues = options.venues.iter().filter(|_| options.lanes.is_empty());
    for (venue, _) in venues {
        text.push_str(&format!(
            "[[lane]]\nvenues = [\"{venue}\"]\nidle = \"{}\"\n\n",
            options.idle
        ));
    }
    for (venue, symbol) in &options.venues {
        let host = venue_host(options, "localhost");
        let at = format!("{host}:{}", ready["venues"][venue]["port"]);
        text.push_str(&format!(
            "[venue.{venue}]\nrest = \"{at}\"\npublic = \"{at}\"\nprivate = \"{at}\"\n\
             symbols = [\"{symbol}\"]\nkeys_file = \"{dir}/{venue}.toml\"\nca_file = \"{ca}\"\n\
             order_window_ms = 5000\n\n\
             [[strategy]]\nkind = \"market_maker\"\nvenue = \"{venue}\"\nsymbol = \"{symbol}\"\n\
             quote_qty = \"0.01\"\nposition_max = \"0.1\"\nhalf_spread_ticks = 2\n\
             amend = {}\n\n",
            *venue == "okx",
            dir = dir.display(),
            ca = ready["ca"].as_str().unwrap_or_default(),
        ));
    }
    let limits = |qty: &str| {
        // Two venues may call it by the same symbol.
        let symbols: std::collections::BTreeSet<&str> =
            options.venues.iter().map(|(_, symbol)| *symbol).collect();
        let lines: Vec<String> = symbols
            .iter()
            .map(|symbol| format!("\"{symbol}\" = \"{qty}\""))
            .collect();
        lines.join(", ")
    };
    text.push_str(&format!(
        "[risk]\norder_qty_max = {{ {} }}\nposition_max = {{ {} }}\n{}\n",
        limits("0.05"),
        limits("0.5"),
        options.config
    ));
    text
}
