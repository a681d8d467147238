//! `spinlane demo`: the whole of it on one machine, and the proof that it adds up.
//!
//! ```text
//!   spinlane-sim ◀─TLS─▶ spinlane-dataplane ═ shared memory ═ spinlane run ─▶ PostgreSQL (private)
//!        │ /record              │ counters, journal                                │ orders, fills
//!        └──────────────────────┴───────────── verdict ────────────────────────────┘
//! ```
//!
//! The three are ordinary processes, started by pid and ended by pid, in order: the dataplane first (it
//! cancels what is open), then the daemon (it writes what is left), then the simulator. What they say goes
//! to files; what failed is shown with its last lines.

mod again;
pub(crate) mod child;
mod lines;
mod place;
mod screen;
pub mod sim;
mod summary;
pub mod verdict;

use crate::cli::DemoArgs;
use crate::daemon;
use crate::view::latency::Latency;
use crate::view::status::Status;
use anyhow::{Context, bail};
use child::Child;
use dp_config::Config;
use dp_shm::Region;
use place::Place;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use summary::Summary;

/// What the demo starts.
const PROGRAMS: [&str; 3] = ["spinlane-sim", "spinlane-dataplane", "spinlane"];
/// Longest wait for something to come up or go down: a first PostgreSQL on a busy machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);
/// Between two pictures on a terminal.
const FRAME: Duration = Duration::from_millis(200);
const SECOND: Duration = Duration::from_secs(1);

/// Runs the demo. Errors: a part that is missing or failed; exit code 1 also when the records differ.
pub fn run(args: &DemoArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let summary = runtime.block_on(demo(args, as_json))?;
    crate::app::show(as_json, &summary, || summary.text())?;
    Ok(if summary.equal {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is running. Ends in the order of the fields when the demo fails half-way: each child's drop asks
/// it to end and waits.
struct Running {
    dataplane: Child,
    control: Child,
    sim: Child,
}

impl Running {
    fn check(&mut self) -> anyhow::Result<()> {
        for child in [&mut self.dataplane, &mut self.control, &mut self.sim] {
            child.check()?;
        }
        Ok(())
    }
}

async fn demo(args: &DemoArgs, as_json: bool) -> anyhow::Result<Summary> {
    let is_live = std::io::stdout().is_terminal() && !args.headless && !as_json;
    for program in PROGRAMS {
        child::find(program)?;
    }
    let place = Place::make(args.dir.as_deref())?;
    eprintln!("demo in {}", place.dir.display());
    let (mut running, ready) = start(&place).await?;
    let config = Config::load(&place.config)?;
    let region = attach(&config, &mut running).await?;
    wait_trading(&region, &mut running).await?;
    let started = Instant::now();
    let end = started + Duration::from_secs(args.seconds);
    if is_live {
        watch_screen(&region, &mut running, started, end).await?;
    } else {
        watch_lines(&region, &mut running, started, end).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    finish(&place, &config, &region, running, &ready, seconds).await
}

async fn start(place: &Place) -> anyhow::Result<(Running, sim::Ready)> {
    eprintln!(
        "starting the simulated venues, the control plane with its PostgreSQL, the dataplane"
    );
    let mut sim = Child::start("spinlane-sim", &place.sim_args(), &place.log("sim"))?;
    let ready = wait_for("the simulator to be ready", || {
        sim.check()?;
        Ok(sim::Ready::read(&place.ready_file()))
    })
    .await?;
    place.write_config(&ready)?;
    let config = place.config.display().to_string();
    let follow = "--die-with-parent".to_owned();
    let args = vec![
        "run".into(),
        "--config".into(),
        config.clone(),
        follow.clone(),
    ];
    let control = Child::start("spinlane", &args, &place.log("control"))?;
    let args = vec!["--config".into(), config, follow];
    let dataplane = Child::start("spinlane-dataplane", &args, &place.log("dataplane"))?;
    let running = Running {
        dataplane,
        control,
        sim,
    };
    Ok((running, ready))
}

async fn attach(config: &Config, running: &mut Running) -> anyhow::Result<Region> {
    wait_for("the dataplane to publish its shared memory", || {
        running.check()?;
        Ok(Region::attach(&config.node.shm).ok())
    })
    .await
}

async fn wait_trading(region: &Region, running: &mut Running) -> anyhow::Result<()> {
    wait_for("every venue to be logged in and reconciled", || {
        running.check()?;
        let status = Status::read(region);
        let is_ready = status
            .venues
            .iter()
            .all(|venue| venue.is_logged_in && venue.is_reconciled);
        Ok((status.venues.len() == place::VENUES.len() && is_ready).then_some(()))
    })
    .await
    .with_context(|| running.dataplane.last_words())
}

/// Polls until `probe` gives something.
async fn wait_for<T>(
    what: &str,
    mut probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {} s for {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn watch_lines(
    region: &Region,
    running: &mut Running,
    started: Instant,
    end: Instant,
) -> anyhow::Result<()> {
    let mut stop = daemon::Stop::new()?;
    let mut next = started + SECOND;
    while next <= end {
        if stop
            .within(next.saturating_duration_since(Instant::now()))
            .await
        {
            eprintln!("ending early");
            return Ok(());
        }
        running.check()?;
        eprintln!("{}", lines::line(region, started.elapsed()));
        next += SECOND;
    }
    Ok(())
}

async fn watch_screen(
    region: &Region,
    running: &mut Running,
    started: Instant,
    end: Instant,
) -> anyhow::Result<()> {
    let mut stop = daemon::Stop::new()?;
    let mut screen = screen::Screen::open()?;
    while Instant::now() < end {
        running.check()?;
        screen.draw(
            region,
            started.elapsed(),
            end.saturating_duration_since(Instant::now()),
        )?;
        if screen::Screen::wants_out()? || stop.within(FRAME).await {
            break;
        }
    }
    Ok(())
}

async fn finish(
    place: &Place,
    config: &Config,
    region: &Region,
    mut running: Running,
    ready: &sim::Ready,
    seconds: f64,
) -> anyhow::Result<Summary> {
    eprintln!("stopping: the dataplane cancels its orders, the rest goes to the database");
    running.dataplane.stop().await?;
    wait_for("the journal to be in the database", || {
        running.control.check()?;
        Ok((Status::read(region).journal_waiting == 0).then_some(()))
    })
    .await?;
    let record = sim::record(ready)?;
    let query = daemon::query(config).await?;
    let database = verdict::Database::read(&query).await?;
    drop(query);
    running.control.stop().await?;
    running.sim.stop().await?;
    let latency = Latency::read(region);
    let verdict = verdict::judge(region, &record, &database);
    let again = again::Again::play(&place.inputs(), &database)?;
    let summary = Summary::new(
        place,
        region,
        &latency,
        &database,
        (verdict, again),
        seconds,
    );
    crate::report::write(&place.report(), &latency, Some(&summary.facts()))?;
    place.tidy();
    Ok(summary)
}
