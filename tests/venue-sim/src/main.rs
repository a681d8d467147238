//! `spinlane-sim`: simulated venues on this machine, over real TLS.

use anyhow::Context as _;
use clap::Parser;
use spinlane_sim::config::{MulticastFeed, SimConfig, Symbol};
use spinlane_sim::edge::{self, FIX_SUFFIX, Options};
use spinlane_sim::fault::{Fault, KINDS};
use spinlane_sim::fix::Agreed;
use spinlane_sim::flow::FlowConfig;
use spinlane_sim::keys::Credential;
use spinlane_sim::venues::known;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Simulated venues over TLS: matching engine, other traders, private streams, limits, and faults on
/// request. Test your own client on them.
///
/// One JSON line on standard output says when it is ready, on which ports, and where the certificate
/// authority is that the client has to trust. Stops on SIGTERM and SIGINT.
#[derive(Debug, Parser)]
#[command(name = "spinlane-sim", version, after_help = after_help())]
struct Args {
    /// Venues to simulate.
    #[arg(long, value_delimiter = ',', default_value = "binance,okx")]
    venues: Vec<String>,
    /// What is traded, each BASE-QUOTE with an optional starting price: BTC-USDT@65000.
    #[arg(long, value_delimiter = ',', default_value = "BTC-USDT,ETH-USDT")]
    symbols: Vec<Symbol>,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Events of other traders per second and symbol; 0 = nobody else trades.
    #[arg(long, default_value_t = 100)]
    ticks_per_s: u32,
    /// Takers per thousand of these events.
    #[arg(long, default_value_t = FlowConfig::default().take_permille)]
    takers: u32,
    /// Moves of the price per thousand of these events.
    #[arg(long, default_value_t = FlowConfig::default().move_permille)]
    moves: u32,
    /// Levels others keep on each side.
    #[arg(long, default_value_t = FlowConfig::default().levels)]
    levels: u32,
    /// Faults, `kind[:key=value…]`, separated by commas; see below.
    #[arg(long, default_value = "")]
    faults: String,
    /// API keys, one account each.
    #[arg(long, default_value_t = 1)]
    keys: usize,
    /// Writes the first key's file for each venue into this directory: VENUE.toml.
    #[arg(long)]
    keys_out: Option<PathBuf>,
    /// Puts an Ed25519 key into binance.toml, for `session.logon`.
    #[arg(long)]
    ed25519: bool,
    /// Deposit of each account in each quote asset, whole units.
    #[arg(long, default_value_t = SimConfig::default().quote_deposit)]
    quote_deposit: u64,
    /// Deposit of each account in each base asset, worth this much of its quote asset.
    #[arg(long, default_value_t = SimConfig::default().base_deposit)]
    base_deposit: u64,
    /// Binance: new orders per 10 s and account.
    #[arg(long, default_value_t = SimConfig::default().orders_per_10s)]
    orders_per_10s: u32,
    /// Binance: request weight per minute.
    #[arg(long, default_value_t = SimConfig::default().weight_per_minute)]
    weight_per_minute: u32,
    /// OKX: requests per 2 s for each operation and instrument.
    #[arg(long, default_value_t = SimConfig::default().okx_orders_per_2s)]
    okx_orders_per_2s: u32,
    /// OKX: real checksums in books, as before June 2026, instead of 0.
    #[arg(long)]
    okx_checksums: bool,
    /// OKX: no book snapshot on subscribing, as announced for August 2026: splice with the REST book.
    #[arg(long)]
    okx_no_snapshot: bool,
    /// Binance: seconds between PINGs; three unanswered and the connection is cut.
    #[arg(long, default_value_t = SimConfig::default().ping_s)]
    ping_s: u64,
    /// Binance: seconds after which a connection is cut.
    #[arg(long, default_value_t = SimConfig::default().lifetime_s)]
    lifetime_s: u64,
    /// OKX: seconds without a message after which a connection is cut.
    #[arg(long, default_value_t = SimConfig::default().idle_s)]
    idle_s: u64,
    /// Deribit: groups of two lines, GROUP:PORT,GROUP:PORT, that market data is sent to besides, on loopback.
    #[arg(long, value_parser = lines)]
    multicast: Option<[SocketAddrV4; 2]>,
    /// Deribit: what is sent there, classic (levels) or starbase (single orders).
    #[arg(long, default_value = "classic", requires = "multicast")]
    multicast_feed: MulticastFeed,
    /// yofx: names of the client's sessions (SenderCompID).
    #[arg(long, value_delimiter = ',', default_values_t = Agreed::default().clients)]
    yofx_clients: Vec<String>,
    /// yofx: the gateway's own name (TargetCompID).
    #[arg(long, default_value_t = Agreed::default().gateway)]
    yofx_name: String,
    /// yofx: password (554); empty for none.
    #[arg(long, default_value_t = Agreed::default().password)]
    yofx_password: String,
    /// yofx: heartbeat interval that logons have to name, seconds.
    #[arg(long, default_value_t = Agreed::default().heartbeat_s)]
    yofx_heartbeat_s: u64,
    /// yofx: numbers begin anew with every logon.
    #[arg(long)]
    yofx_resets: bool,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Port of a venue, VENUE=PORT, or of its FIX sessions, VENUE-fix=PORT; any free one where not given.
    #[arg(long, value_delimiter = ',', value_parser = port)]
    port: Vec<(String, u16)>,
    /// Multiplies every documented limit of the venues without one of their own above.
    #[arg(long, default_value_t = 1)]
    rate_factor: u32,
    /// Port of the admin endpoint (plain HTTP on loopback); 0 = any free one.
    #[arg(long, default_value_t = 0)]
    admin_port: u16,
    /// Directory for ca.pem [default: a fresh one in the temporary directory].
    #[arg(long)]
    tls_dir: Option<PathBuf>,
    /// Also writes the ready line to this file, whole.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Ends when the process that started it ends.
    #[arg(long)]
    die_with_parent: bool,
}

fn port(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{text}`: use VENUE=PORT");
    let (venue, port) = text.split_once('=').ok_or_else(wrong)?;
    known(venue.strip_suffix(FIX_SUFFIX).unwrap_or(venue))?;
    Ok((venue.to_owned(), port.parse().map_err(|_| wrong())?))
}

fn lines(text: &str) -> Result<[SocketAddrV4; 2], String> {
    let group = |part: &str| {
        let group: Option<SocketAddrV4> = part.parse().ok();
        group.filter(|group| group.ip().is_multicast())
    };
    let both = text.split_once(',');
    let both = both.and_then(|(a, b)| Some([group(a)?, group(b)?]));
    both.ok_or_else(|| format!("`{text}`: use two groups, 239.1.1.1:5001,239.1.1.2:5001"))
}

fn after_help() -> String {
    let mut text = String::from(
        "Faults (kind[:key=value…], keys: venue= link=public|private|fix|all conn= n= code= ms= for=5s at=5s \
         every=3s executed=true|false):\n",
    );
    for (name, _, what) in KINDS {
        text.push_str(&format!("  {name:<20} {what}\n"));
    }
    text.push_str(
        "\nAdmin endpoint: GET /record (orders, fills, refusals as the simulator knows them),\n\
         GET /stats, POST /fault with a list of faults as its body.\n\
         Default keys (throwaway): spinlane-sim-key / spinlane-sim-secret-not-a-secret /\n\
         spinlane-sim-pass; the second account has -2 appended to each.",
    );
    text
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let options = match options(&args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("spinlane-sim: {error:#}");
            std::process::exit(2);
        }
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?
        .block_on(run(&args, &options))
}

fn options(args: &Args) -> anyhow::Result<Options> {
    let port = |name: &String| {
        let asked = args.port.iter().find(|(venue, _)| venue == name);
        asked.map_or(0, |(_, port)| *port)
    };
    let venues = args.venues.iter().map(|name| {
        known(name)
            .map_err(anyhow::Error::msg)
            .context("--venues")?;
        Ok((name.clone(), port(name)))
    });
    let fix = args.port.iter();
    let fix = fix.filter(|(name, _)| name.ends_with(FIX_SUFFIX));
    let venues = venues.chain(fix.map(|asked| Ok(asked.clone())));
    let venues: anyhow::Result<Vec<(String, u16)>> = venues.collect();
    let tls_dir = args.tls_dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("spinlane-sim-{}", std::process::id()))
    });
    Ok(Options {
        venues: venues?,
        listen: args.listen,
        admin_port: args.admin_port,
        tls_dir,
        faults: Fault::parse_list(&args.faults).context("--faults")?,
        sim: SimConfig {
            seed: args.seed,
            symbols: args.symbols.clone(),
            flow: FlowConfig {
                ticks_per_s: args.ticks_per_s,
                levels: args.levels.clamp(1, 200),
                take_permille: args.takers.min(1_000),
                move_permille: args.moves.min(1_000),
            },
            keys: args.keys.max(1),
            quote_deposit: args.quote_deposit,
            base_deposit: args.base_deposit,
            orders_per_10s: args.orders_per_10s,
            okx_orders_per_2s: args.okx_orders_per_2s,
            weight_per_minute: args.weight_per_minute,
            has_okx_checksums: args.okx_checksums,
            has_okx_snapshots: !args.okx_no_snapshot,
            rate_factor: args.rate_factor.max(1),
            ping_s: args.ping_s,
            lifetime_s: args.lifetime_s,
            idle_s: args.idle_s,
            multicast: args.multicast,
            multicast_feed: args.multicast_feed,
            gateway: Agreed {
                clients: args.yofx_clients.clone(),
                gateway: args.yofx_name.clone(),
                password: args.yofx_password.clone(),
                heartbeat_s: args.yofx_heartbeat_s.clamp(1, 3_600),
                resets: args.yofx_resets,
            },
        },
    })
}

async fn run(args: &Args, options: &Options) -> anyhow::Result<()> {
    // Before anything is announced: whoever reads the ready line may send a signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let parent = nix::unistd::getppid();
    if let Some(dir) = &args.keys_out {
        write_keys(dir, args)?;
    }
    let running = edge::start(options).await?;
    let line = running.ready_line().to_string();
    if let Some(path) = &args.ready_file {
        edge::write_whole(path, &format!("{line}\n"))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .context("writing the ready line")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = orphaned(parent), if args.die_with_parent => {}
    }
    drop(running);
    if args.tls_dir.is_none() {
        let _ = std::fs::remove_dir_all(&options.tls_dir);
    }
    Ok(())
}

fn write_keys(dir: &Path, args: &Args) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let key = Credential::default_key(1);
    for venue in &args.venues {
        let path = dir.join(format!("{venue}.toml"));
        let known = known(venue).map_err(anyhow::Error::msg)?;
        key.write(&path, known, args.ed25519)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// Waits until another process is our parent: the first one has ended.
async fn orphaned(parent: nix::unistd::Pid) {
    let mut every = tokio::time::interval(Duration::from_millis(200));
    while nix::unistd::getppid() == parent {
        every.tick().await;
    }
}
