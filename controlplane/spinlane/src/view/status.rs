//! `spinlane status`.

use super::lanes::Standing;
use super::{age_ms, instrument, is_alive, now};
use crate::table::{Table, count, nanos};
use dp_shm::{BookTop, LinkState, PAPER, Region, VenueStatus};
use dp_types::{Epoch, Instrument, InstrumentId, Price, Qty, UnixNanos, VenueId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

/// How a node stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// `done`.
    pub outcome: &'static str,
    /// Name.
    pub node: String,
    /// It trades on paper: nothing is sent, and its orders and fills are made up.
    pub is_paper: bool,
    /// The run that holds or last held the node.
    pub epoch: u16,
    /// The trading process.
    pub dataplane: Process,
    /// The keeping process.
    pub control: Process,
    /// Journal records not in the database yet, all lanes.
    pub journal_waiting: u64,
    /// Kill switch.
    pub kill: Kill,
    /// Right to trade.
    pub lease: Lease,
    /// Orders that are not final, all venues.
    pub open_orders: u32,
    /// By lane.
    pub lanes: Vec<Lane>,
    /// By venue.
    pub venues: Vec<Venue>,
    /// By instrument.
    pub books: Vec<Book>,
}

/// A process.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Its id, 0 when it ended in order.
    pub pid: u32,
    /// It exists.
    pub is_running: bool,
    /// Milliseconds since it started; `None` where not known.
    pub uptime_ms: Option<u64>,
}

/// The kill switch.
#[derive(Debug, Clone, Serialize)]
pub struct Kill {
    /// Trading is killed.
    pub is_killed: bool,
    /// Changes so far.
    pub changes: u64,
    /// Who changed it last.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When, Unix nanoseconds.
    pub at_ns: Option<u64>,
}

/// The right to trade.
#[derive(Debug, Clone, Serialize)]
pub struct Lease {
    /// `stub`: in this release nothing grants or renews it, and it is always held.
    pub kind: &'static str,
    /// Held now.
    pub is_held: bool,
    /// In whose name.
    pub epoch: Option<u16>,
}

/// A lane.
#[derive(Debug, Clone, Serialize)]
pub struct Lane {
    /// How it stands with the machine.
    #[serde(flatten)]
    pub standing: Standing,
    /// Sends nothing new.
    pub is_paused: bool,
    /// Records in its journal and not in the database.
    pub journal_waiting: u64,
    /// Ticks waiting for the database.
    pub ticks_waiting: u64,
    /// By name.
    pub counters: BTreeMap<&'static str, u64>,
}

/// A venue.
#[derive(Debug, Clone, Serialize)]
pub struct Venue {
    /// Which.
    pub venue: String,
    /// Its lane.
    pub lane: u8,
    /// Each link's state.
    pub links: Vec<&'static str>,
    /// Orders may be sent.
    pub is_logged_in: bool,
    /// Open orders were compared with the venue's.
    pub is_reconciled: bool,
    /// Orders that are not final.
    pub open_orders: u32,
    /// Orders whose outcome is not known.
    pub unknown_orders: u32,
    /// Connections opened again.
    pub reconnects: u64,
    /// Since the last message.
    pub message_age_ms: Option<u64>,
}

/// A book's best levels.
#[derive(Debug, Clone, Serialize)]
pub struct Book {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: String,
    /// `empty`, `syncing`, `synced`, `stale`.
    pub state: &'static str,
    /// Best bid.
    pub bid: Option<String>,
    /// Its quantity.
    pub bid_qty: Option<String>,
    /// Best ask.
    pub ask: Option<String>,
    /// Its quantity.
    pub ask_qty: Option<String>,
    /// Messages applied.
    pub updates: u64,
    /// Since the last.
    pub age_ms: Option<u64>,
}

impl Status {
    /// Reads it.
    pub fn read(region: &Region) -> Self {
        let now = now();
        let header = region.header();
        let started = UnixNanos(header.started_unix_ns.load(Relaxed));
        let dataplane_pid = header.dataplane_pid.load(Relaxed);
        let control_pid = header.control_pid.load(Relaxed);
        let venues: Vec<Venue> = venues(region).map(|status| venue(&status, now)).collect();
        let lanes = lanes(region, now);
        let node = region.node();
        let name = node.as_str();
        Self {
            outcome: "done",
            node: name.strip_prefix(PAPER).unwrap_or(name).to_owned(),
            is_paper: name.starts_with(PAPER),
            epoch: region.epoch().0,
            dataplane: Process {
                pid: dataplane_pid,
                is_running: is_alive(dataplane_pid),
                uptime_ms: age_ms(started, now).filter(|_| is_alive(dataplane_pid)),
            },
            control: Process {
                pid: control_pid,
                is_running: is_alive(control_pid),
                uptime_ms: None,
            },
            journal_waiting: lanes.iter().map(|lane| lane.journal_waiting).sum(),
            kill: kill(region),
            lease: Lease {
                kind: "stub",
                is_held: region.lease().may_trade(region.epoch(), now),
                epoch: region.lease().epoch().map(|Epoch(raw)| raw),
            },
            open_orders: venues.iter().map(|venue| venue.open_orders).sum(),
            lanes,
            venues,
            books: books(region)
                .map(|(it, top)| book(&it, &top, now))
                .collect(),
        }
    }

    /// One counter, all lanes.
    pub fn counter(&self, name: &str) -> u64 {
        self.lanes
            .iter()
            .filter_map(|lane| lane.counters.get(name))
            .sum()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if self.is_paper {
            text += "*** PAPER *** nothing is sent; orders, fills and positions are made up\n";
        }
        text += &format!(
            "node {}  epoch {}  lease {} (stub, always held)\n",
            self.node,
            self.epoch,
            if self.lease.is_held {
                "held"
            } else {
                "not held"
            }
        );
        text += &format!("dataplane  {}\n", process(&self.dataplane));
        text += &format!(
            "control    {}, {} journal records not in the database\n",
            process(&self.control),
            count(self.journal_waiting)
        );
        text += &self.kill_text();
        text += &format!(
            "\n{}\n\n{}\n\n{}",
            self.lane_table() + &self.feed_table() + &self.wire_table(),
            self.venue_table(),
            self.book_table()
        );
        text
    }

    fn kill_text(&self) -> String {
        let by = self.kill.by.as_deref().unwrap_or("nobody");
        let why = self.kill.reason.as_deref().unwrap_or("-");
        match (self.kill.is_killed, self.kill.changes) {
            (true, _) => format!("KILLED     by {by}: {why}\n"),
            (false, 0) => "armed      never killed\n".to_owned(),
            (false, _) => format!("armed      by {by}: {why}\n"),
        }
    }

    fn lane_table(&self) -> String {
        let mut table = Table::new(&[
            "lane",
            "roles",
            ">core",
            ">beat",
            ">cycle max",
            ">messages",
            ">orders",
            ">acks",
            ">rejects",
            ">fills",
            ">gaps",
        ]);
        let mut complaints = String::new();
        for lane in &self.lanes {
            let counter = |name: &str| count(lane.counters.get(name).copied().unwrap_or(0));
            let standing = &lane.standing;
            table.row([
                format!(
                    "{}{}",
                    standing.lane,
                    if lane.is_paused { " paused" } else { "" }
                ),
                standing.roles_text(),
                standing.core.map_or("-".into(), |core| core.to_string()),
                standing
                    .beat_age_ms
                    .map_or("never".into(), |ms| format!("{ms} ms")),
                standing.cycle_ns_max.map_or("-".into(), nanos),
                counter("messages_rx"),
                counter("orders_sent"),
                counter("acks"),
                counter("rejects"),
                counter("fills"),
                counter("gaps"),
            ]);
            if let Some(complaint) = standing.complaint() {
                let health = standing.health.name();
                complaints += &format!("\nlane {} {health}: {complaint}", standing.lane);
            }
        }
        table.render() + &complaints
    }

    /// Lanes that have a card's frames: what the kernel would count for the others. Nothing where there are none.
    fn wire_table(&self) -> String {
        let columns = &[
            (">in", "frames_in"),
            (">out", "frames_out"),
            (">dropped", "frames_dropped"),
            (">bad", "bad_checksums"),
            (">resent", "tcp_retransmits"),
            (">RTO", "tcp_timeouts"),
            (">SACK", "tcp_sack_blocks"),
            (">link downs", "link_downs"),
        ];
        self.counter_table("wire", columns, "frames_out")
    }

    /// Lanes with several feeds of a venue: messages each feed was the first to bring. Nothing where there are none.
    fn feed_table(&self) -> String {
        let columns = &[
            (">first: 0", "feed_0_first"),
            (">1", "feed_1_first"),
            (">2", "feed_2_first"),
            (">3", "feed_3_first"),
            (">copies", "feed_copies"),
            (">filled", "holes_filled"),
            (">anew", "feed_resyncs"),
            (">races", "races"),
            (">moves", "link_moves"),
        ];
        self.counter_table("feeds", columns, "feed_copies")
    }

    /// Counters of the lanes in which `sign` has counted anything.
    fn counter_table(
        &self,
        name: &'static str,
        columns: &[(&'static str, &str)],
        sign: &str,
    ) -> String {
        let counter = |lane: &Lane, name: &str| lane.counters.get(name).copied().unwrap_or(0);
        let titles = columns.iter().map(|(title, _)| *title);
        let titles: Vec<&'static str> = std::iter::once(name).chain(titles).collect();
        let mut table = Table::new(&titles);
        for lane in self.lanes.iter().filter(|lane| counter(lane, sign) > 0) {
            let cells = columns.iter().map(|(_, name)| count(counter(lane, name)));
            table.row(std::iter::once(lane.standing.lane.to_string()).chain(cells));
        }
        if table.is_empty() {
            return String::new();
        }
        format!("\n\n{}", table.render())
    }

    fn venue_table(&self) -> String {
        let mut table = Table::new(&[
            "venue",
            ">lane",
            "links",
            "login",
            "reconciled",
            ">open",
            ">unknown",
            ">reconnects",
            ">silent",
        ]);
        for venue in &self.venues {
            table.row([
                venue.venue.clone(),
                venue.lane.to_string(),
                venue.links.join(" "),
                yes(venue.is_logged_in),
                yes(venue.is_reconciled),
                venue.open_orders.to_string(),
                venue.unknown_orders.to_string(),
                venue.reconnects.to_string(),
                venue
                    .message_age_ms
                    .map_or("never".into(), |ms| format!("{ms} ms")),
            ]);
        }
        table.render()
    }

    fn book_table(&self) -> String {
        let mut table = Table::new(&[
            "book", "symbol", "state", ">bid qty", ">bid", ">ask", ">ask qty", ">age",
        ]);
        let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        for book in &self.books {
            table.row([
                book.venue.clone(),
                book.symbol.clone(),
                book.state.to_owned(),
                cell(&book.bid_qty),
                cell(&book.bid),
                cell(&book.ask),
                cell(&book.ask_qty),
                book.age_ms.map_or("-".into(), |ms| format!("{ms} ms")),
            ]);
        }
        table.render()
    }
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

fn process(process: &Process) -> String {
    match (process.pid, process.is_running) {
        (0, _) => "stopped".to_owned(),
        (pid, true) => match process.uptime_ms {
            Some(ms) => format!("running, pid {pid}, for {} s", ms / 1_000),
            None => format!("running, pid {pid}"),
        },
        (pid, false) => format!("DEAD, was pid {pid}"),
    }
}

fn lanes(region: &Region, now: UnixNanos) -> Vec<Lane> {
    let pid = region.header().dataplane_pid.load(Relaxed);
    let lane = |view: dp_shm::LaneView<'_>| Lane {
        standing: Standing::read(region, &view, pid, now),
        is_paused: view.beat.is_paused.load(Relaxed) != 0,
        journal_waiting: view.journal.head().saturating_sub(view.journal.drained()),
        ticks_waiting: view.ticks_waiting(),
        counters: view
            .counters
            .iter()
            .map(|(counter, n)| (counter.name(), n))
            .collect(),
    };
    region.lanes().map(lane).collect()
}

/// Every venue whose line was ever written.
pub fn venues(region: &Region) -> impl Iterator<Item = VenueStatus> + '_ {
    (1..=VenueId::LAST).filter_map(|raw| region.venue(VenueId(raw))?.read())
}

/// Every instrument with a book.
pub fn books(region: &Region) -> impl Iterator<Item = (Instrument, BookTop)> + '_ {
    (0..region.shape().instruments).filter_map(|raw| {
        let id = InstrumentId(raw);
        let top = region.book(id)?.read()?;
        Some((instrument(region, VenueId(0), id), top))
    })
}

fn venue(status: &VenueStatus, now: UnixNanos) -> Venue {
    let links = status.links.iter().filter(|link| **link != LinkState::None);
    Venue {
        venue: status.venue.name().to_owned(),
        lane: status.lane.0,
        links: links.map(|link| link.name()).collect(),
        is_logged_in: status.is_logged_in,
        is_reconciled: status.is_reconciled,
        open_orders: status.open_orders,
        unknown_orders: status.unknown_orders,
        reconnects: status.reconnects,
        message_age_ms: age_ms(status.last_message, now),
    }
}

fn book(it: &Instrument, top: &BookTop, now: UnixNanos) -> Book {
    let price = |price: Price, qty: Qty| (qty.0 > 0).then(|| it.price_decimal(price).to_string());
    let qty = |qty: Qty| (qty.0 > 0).then(|| it.qty_decimal(qty).to_string());
    Book {
        venue: it.venue.name().to_owned(),
        symbol: it.symbol.as_str().to_owned(),
        state: top.state.name(),
        bid: price(top.bid_price, top.bid_qty),
        bid_qty: qty(top.bid_qty),
        ask: price(top.ask_price, top.ask_qty),
        ask_qty: qty(top.ask_qty),
        updates: top.updates,
        age_ms: age_ms(top.updated, now),
    }
}

/// The kill switch with its last change.
pub fn kill(region: &Region) -> Kill {
    let state = region.kill().state();
    let change = region.kill().last_change();
    Kill {
        is_killed: state.is_killed,
        changes: state.changes,
        by: change.map(|change| change.who.as_str().to_owned()),
        reason: change.map(|change| change.why.as_str().to_owned()),
        at_ns: change.map(|change| change.at.0),
    }
}
