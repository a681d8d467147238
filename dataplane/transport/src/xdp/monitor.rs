//! A helper thread that watches the kernel's tables for a lane and tells it what changed.
//!
//! ```text
//!   kernel ──notifications──▶ thread ──asks again, compares──▶ NetEvent ──▶ lane: next()
//!                               ▲──────────watch(peer)───────────────────────┘
//! ```
//!
//! A notification only says *that* something changed: the thread then asks for the whole state, and tells
//! what differs from what it told last. So nothing depends on the order or completeness of notifications.
//! Links are the exception: each change is told, however short, and lost carriers are counted by the kernel.
//!
//! A lane that does not listen loses events, never the truth: [`NetEvent::Missed`], then everything anew.

use super::fault::XdpFault;
use super::netlink::Message;
use super::path::{Link, NoPath, Path, Rtnl, link};
use super::program::Flow;
use super::rules::{FlowRules, Rule};
use core::net::Ipv4Addr;
use core::time::Duration;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::time::Instant;

/// Events that wait for the lane.
const EVENTS_MAX: usize = 256;
/// Peers of one monitor.
pub const PEERS_MAX: usize = 1024;
/// How often everything is asked again without a reason, and neighbours that went stale are confirmed.
const REFRESH: Duration = Duration::from_secs(10);
/// The same while a path is missing: how fast a neighbour is asked for again.
const RETRY: Duration = Duration::from_millis(200);
/// Between two rounds of questions, however many notifications come.
const PAUSE: Duration = Duration::from_millis(10);
/// `RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE`.
const GROUPS: u32 = 0x1 | 0x4 | 0x10 | 0x40;

/// What changed. The first events tell what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetEvent {
    /// The interface: up or down, MTU, hardware address. Each change is told. `None`: it is gone.
    Link(Option<Link>),
    /// An IPv4 address of ours came to the interface or left it.
    Address {
        /// The address.
        address: Ipv4Addr,
        /// Whether it is there now.
        is_there: bool,
    },
    /// The way to a watched peer is this now.
    Path(Ipv4Addr, Path),
    /// There is no way to a watched peer now, or not yet.
    NoPath(Ipv4Addr, NoPath),
    /// Events were lost. Everything that is follows.
    Missed,
}

enum Command {
    Watch(Ipv4Addr),
    Unwatch(Ipv4Addr),
    Steer(FlowRules, Flow),
    Unsteer(FlowRules, Flow),
    Stop,
}

/// The lane's end. Dropping it ends the thread.
#[derive(Debug)]
pub struct Monitor {
    events: Receiver<NetEvent>,
    commands: Sender<Command>,
    wake: Arc<EventFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Monitor {
    /// Starts watching an interface of the calling thread's namespace; returns once the thread has left the
    /// core and class it inherited, or a lane that spins from here on would never let it. Errors: no netlink
    /// socket.
    pub fn start(ifindex: u32) -> Result<Self, XdpFault> {
        let (events_in, events) = sync_channel(EVENTS_MAX);
        let (commands, commands_out) = channel();
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = EventFd::from_value_and_flags(0, flags).map_err(XdpFault::nix("eventfd"))?;
        let wake = Arc::new(wake);
        let watcher = Watcher {
            ifindex,
            told: Told::default(),
            peers: Vec::new(),
            refused: Vec::new(),
            rules: Vec::new(),
            questions: Rtnl::new()?,
            notices: Rtnl::subscribed(GROUPS)?,
            events: events_in,
            must_retell: false,
        };
        let its_wake = Arc::clone(&wake);
        let (aside, is_aside) = channel();
        let thread = std::thread::Builder::new()
            .name("net-monitor".to_owned())
            .spawn(move || {
                crate::realtime::stand_aside();
                drop(aside);
                watcher.run(&commands_out, &its_wake);
            })
            .map_err(XdpFault::io("thread of the network monitor"))?;
        // Ends when the other half is dropped: nothing is ever sent.
        let _: Result<(), _> = is_aside.recv();
        Ok(Self {
            events,
            commands,
            wake,
            thread: Some(thread),
        })
    }

    /// The next thing that changed. Neither blocks, nor allocates, nor calls the kernel.
    pub fn next(&self) -> Option<NetEvent> {
        self.events.try_recv().ok()
    }

    /// Tells of the path to `peer` from now on. Not for a lane's turn: allocates, one system call.
    /// More than [`PEERS_MAX`] are ignored.
    pub fn watch(&self, peer: Ipv4Addr) {
        self.command(Command::Watch(peer));
    }

    /// No more of `peer`.
    pub fn unwatch(&self, peer: Ipv4Addr) {
        self.command(Command::Unwatch(peer));
    }

    /// Has a flow brought to a queue by a rule of the card, before any path to its peer that is asked for from
    /// now on is told: a rule is written down in a file first, which is not for a lane's thread. A card that
    /// refuses is a path that is not there. As [`Monitor::watch`], not for a lane's turn.
    pub fn steer(&self, rules: FlowRules, flow: Flow) {
        self.command(Command::Steer(rules, flow));
    }

    /// Has the rule of a flow taken out of the card again.
    pub fn unsteer(&self, rules: FlowRules, flow: Flow) {
        self.command(Command::Unsteer(rules, flow));
    }

    fn command(&self, command: Command) {
        // A thread that has ended listens to nobody; `next` then tells nothing either.
        let _ = self.commands.send(command);
        let _ = self.wake.write(1);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.command(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the lane knows.
#[derive(Debug, Default)]
struct Told {
    /// Whether a link was told, and which.
    is_link_told: bool,
    link: Option<Link>,
    addresses: Vec<Ipv4Addr>,
}

#[derive(Debug)]
struct Peer {
    address: Ipv4Addr,
    told: Option<Result<Path, NoPath>>,
}

struct Watcher {
    ifindex: u32,
    told: Told,
    peers: Vec<Peer>,
    /// Peers whose frames the card does not bring to our queue, and its error number.
    refused: Vec<(Ipv4Addr, i32)>,
    /// Flows the card brings to our queue.
    rules: Vec<(Flow, Rule)>,
    questions: Rtnl,
    notices: Rtnl,
    events: SyncSender<NetEvent>,
    must_retell: bool,
}

impl Watcher {
    fn run(mut self, commands: &Receiver<Command>, wake: &EventFd) {
        let mut due = Instant::now();
        let mut asked = due;
        loop {
            let now = Instant::now();
            if now >= due {
                let is_settled = self.refresh();
                asked = Instant::now();
                due = asked + if is_settled { REFRESH } else { RETRY };
            }
            self.wait(wake, due.saturating_duration_since(Instant::now()));
            let _ = wake.read();
            while let Ok(command) = commands.try_recv() {
                match command {
                    Command::Stop => return,
                    Command::Watch(address) => self.watch(address),
                    Command::Unwatch(address) => self.peers.retain(|peer| peer.address != address),
                    Command::Steer(rules, flow) => self.steer(&rules, flow),
                    Command::Unsteer(rules, flow) => self.unsteer(&rules, flow),
                }
                due = due.min(asked + PAUSE);
            }
            if self.hear() {
                due = due.min(asked + PAUSE);
            }
        }
    }

    fn wait(&self, wake: &EventFd, timeout: Duration) {
        let mut fds = [
            PollFd::new(self.notices.as_fd(), PollFlags::POLLIN),
            PollFd::new(wake.as_fd(), PollFlags::POLLIN),
        ];
        // Rounded up, or the last part of a millisecond would spin.
        let ms = u16::try_from(timeout.as_millis())
            .unwrap_or(u16::MAX)
            .saturating_add(1);
        // A signal ends it early, which the loop does not mind.
        let _ = poll(&mut fds, PollTimeout::from(ms));
    }

    fn watch(&mut self, address: Ipv4Addr) {
        let is_new = !self.peers.iter().any(|peer| peer.address == address);
        if is_new && self.peers.len() < PEERS_MAX {
            self.peers.push(Peer {
                address,
                told: None,
            });
        }
    }

    fn steer(&mut self, rules: &FlowRules, flow: Flow) {
        let address = *flow.venue.ip();
        self.refused.retain(|(refused, _)| *refused != address);
        if self.rules.iter().any(|(steered, _)| *steered == flow) {
            return;
        }
        match rules.insert(flow) {
            Ok(rule) => self.rules.push((flow, rule)),
            Err(fault) => {
                let errno = fault.errno().unwrap_or(libc::ENOSPC);
                self.refused.push((address, errno));
            }
        }
    }

    fn unsteer(&mut self, rules: &FlowRules, flow: Flow) {
        let address = *flow.venue.ip();
        self.refused.retain(|(refused, _)| *refused != address);
        // One that the card keeps stays written down, and serves the flow should it come again.
        self.rules
            .retain(|(steered, rule)| *steered != flow || rules.remove(*rule).is_err());
    }

    /// Reads notifications; true when everything must be asked again.
    fn hear(&mut self) -> bool {
        let (ifindex, mut links, mut is_changed) = (self.ifindex, Vec::new(), false);
        let heard = self.notices.notifications(|message| match message {
            Message::Link(info) if info.ifindex == ifindex => links.push(info),
            // The rest of an interface's own news, or of others.
            Message::Link(_) | Message::Answered { .. } => {}
            Message::LinkGone { ifindex: gone } => is_changed |= gone == ifindex,
            Message::Address { ifindex: on, .. } => is_changed |= on == ifindex,
            Message::Neighbour(neighbour) => is_changed |= neighbour.ifindex == ifindex,
            Message::Route(_) => is_changed = true,
        });
        is_changed |= !links.is_empty();
        for info in links {
            self.tell_link(link(info));
        }
        if heard.is_err() {
            // The kernel had more to say than it had room for: ask for all of it.
            self.must_retell = true;
        }
        is_changed || self.must_retell
    }

    /// Asks for everything and tells what differs. False: it should be asked again soon.
    fn refresh(&mut self) -> bool {
        if self.must_retell && self.events.try_send(NetEvent::Missed).is_ok() {
            self.must_retell = false;
            self.told = Told::default();
            self.peers.iter_mut().for_each(|peer| peer.told = None);
        }
        self.ask_all().unwrap_or(false) && !self.must_retell
    }

    fn ask_all(&mut self) -> Result<bool, XdpFault> {
        let link = self.questions.link(self.ifindex)?;
        self.tell_link(link);
        let addresses = self.questions.addresses(self.ifindex)?;
        self.tell_addresses(addresses);
        let mut is_settled = true;
        for at in 0..self.peers.len() {
            let address = self.peers[at].address;
            let refused = self.refused.iter().find(|(refused, _)| *refused == address);
            let path = match (&link, refused) {
                (_, Some((_, errno))) => Err(NoPath::NoRule(*errno)),
                (Some(link), None) => self.questions.path(link, address, true)?,
                (None, None) => Err(NoPath::LinkDown),
            };
            is_settled &= path.is_ok();
            if self.peers[at].told != Some(path) {
                let event = match path {
                    Ok(path) => NetEvent::Path(address, path),
                    Err(why) => NetEvent::NoPath(address, why),
                };
                self.tell(event);
                self.peers[at].told = Some(path);
            }
        }
        Ok(is_settled)
    }

    fn tell_link(&mut self, link: Option<Link>) {
        if !self.told.is_link_told || self.told.link != link {
            self.tell(NetEvent::Link(link));
            (self.told.is_link_told, self.told.link) = (true, link);
        }
    }

    fn tell_addresses(&mut self, now: Vec<Ipv4Addr>) {
        let before = core::mem::replace(&mut self.told.addresses, now.clone());
        let (gone, new) = (
            before.iter().filter(|address| !now.contains(address)),
            now.iter().filter(|address| !before.contains(address)),
        );
        let gone = gone.map(|address| (*address, false));
        for (address, is_there) in gone.chain(new.map(|address| (*address, true))) {
            self.tell(NetEvent::Address { address, is_there });
        }
    }

    fn tell(&mut self, event: NetEvent) {
        if let Err(TrySendError::Full(_)) = self.events.try_send(event) {
            self.must_retell = true;
        }
    }
}
