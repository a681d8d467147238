//! Which way a lane's bytes take: `[[lane]] transport`, `nic`, `queue`, `xdp_mode`, `busy_poll`, and
//! `[node] ports`.
//!
//! ```toml
//! [node]
//! ports = "49152-50175"     # local ports the kernel keeps off while a lane is on AF_XDP
//!
//! [[lane]]
//! transport = "af_xdp"      # auto, io_uring, sockets, af_xdp; auto never takes a card that is not named
//! nic = "eth1"
//! queue = 0
//! xdp_mode = "auto"         # auto, zero_copy, native, generic
//! busy_poll = true          # the lane polls the card's queue; absent: the planner's choice
//! ```

use crate::Lane;
use serde::Deserialize;
use std::fmt;

/// Local ports one lane on AF_XDP needs at least: two for each socket it may have, so that those that are
/// being closed and those being opened never wait for each other.
pub const LANE_PORTS_MIN: usize = 128;
/// Bytes of an interface's name (IFNAMSIZ, with its zero).
const NAME_BYTES_MAX: usize = 15;

/// `transport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// The planner's choice: AF_XDP where a card is named, else the kernel's TCP.
    #[default]
    Auto,
    /// The kernel's TCP through io_uring.
    IoUring,
    /// The kernel's TCP through plain sockets that are asked over and over.
    Sockets,
    /// Our TCP over raw frames of one queue of a card.
    AfXdp,
}

/// `xdp_mode`: how frames are to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XdpMode {
    /// The best there is: zero-copy, else native, else generic.
    #[default]
    Auto,
    /// As `auto`, and a warning when it is not zero-copy.
    ZeroCopy,
    /// The driver's hook, with a copy; nothing else.
    Native,
    /// The stack's generic hook, with a copy; nothing else.
    Generic,
}

impl XdpMode {
    /// The word in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::ZeroCopy => "zero_copy",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// A range of ports, both ends included: `"49152-50175"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Lowest.
    pub first: u16,
    /// Highest.
    pub last: u16,
}

impl Default for Ports {
    /// 1,024 ports at the low end of what IANA leaves to everybody (RFC 6335, 6).
    fn default() -> Self {
        Self {
            first: 49_152,
            last: 50_175,
        }
    }
}

impl Ports {
    /// How many.
    pub fn count(self) -> usize {
        usize::from(self.last).saturating_sub(usize::from(self.first)) + 1
    }

    /// The `part`th of `of` equal parts; what does not divide is nobody's. `part` below `of`, `of` not above
    /// [`Ports::count`].
    pub fn part(self, part: usize, of: usize) -> Self {
        let size = self.count() / of.max(1);
        let at = |offset: usize| {
            self.first
                .saturating_add(u16::try_from(offset).unwrap_or(u16::MAX))
        };
        Self {
            first: at(part * size),
            last: at((part + 1) * size - 1).min(self.last),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first >= 1024 && first <= last).then_some(Self { first, last })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::{Error, Unexpected};
        let text = String::deserialize(from)?;
        let want = "a range of ports from 1024 up, as \"49152-50175\"";
        Self::parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &want))
    }
}

/// The card a lane has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card<'a> {
    /// Interface name.
    pub nic: &'a str,
    /// Its receive queue.
    pub queue: u16,
    /// How frames are to come.
    pub mode: XdpMode,
    /// Whether its queue is to be polled; `None` = the planner's choice.
    pub busy_poll: Option<bool>,
}

impl Lane {
    /// The card and queue of a lane that runs over AF_XDP; `None` for all others.
    pub fn card(&self) -> Option<Card<'_>> {
        let is_kernels = matches!(self.transport, Transport::IoUring | Transport::Sockets);
        let nic = self.nic.as_deref().filter(|_| !is_kernels)?;
        Some(Card {
            nic,
            queue: self.queue.unwrap_or(0),
            mode: self.xdp_mode.unwrap_or_default(),
            busy_poll: self.busy_poll,
        })
    }

    /// What contradicts itself: the key and why.
    pub(crate) fn check_transport(&self) -> Result<(), (&'static str, String)> {
        if !self.has_sockets() && (self.nic.is_some() || self.transport != Transport::Auto) {
            let key = if self.nic.is_some() {
                "nic"
            } else {
                "transport"
            };
            let why = "a lane without feed or gateway has no connections; leave it out";
            return Err((key, why.into()));
        }
        match (self.transport, &self.nic) {
            (Transport::AfXdp, None) => {
                return Err((
                    "nic",
                    "af_xdp takes a card: say which, as nic = \"eth1\"".into(),
                ));
            }
            (Transport::IoUring | Transport::Sockets, Some(nic)) => {
                let why = format!(
                    "`{nic}`: only af_xdp takes a card; leave it out, or say transport = \"af_xdp\""
                );
                return Err(("nic", why));
            }
            _ => {}
        }
        let Some(nic) = &self.nic else {
            for (key, is_there) in [
                ("queue", self.queue.is_some()),
                ("xdp_mode", self.xdp_mode.is_some()),
                ("busy_poll", self.busy_poll.is_some()),
            ] {
                if is_there {
                    return Err((
                        key,
                        "it says which way a card is used: name one with nic".into(),
                    ));
                }
            }
            return Ok(());
        };
        let is_name = |c: char| c.is_ascii_graphic() && c != '/' && c != ':';
        if nic.is_empty() || nic.len() > NAME_BYTES_MAX || !nic.chars().all(is_name) {
            let why = format!(
                "`{nic}`: an interface's name has 1 to {NAME_BYTES_MAX} characters, none of them / or :"
            );
            return Err(("nic", why));
        }
        if self.xdp_mode == Some(XdpMode::Generic) && self.busy_poll == Some(true) {
            let why =
                "the generic hook has no queue to poll; leave it out, or say another xdp_mode";
            return Err(("busy_poll", why.into()));
        }
        Ok(())
    }
}

/// What contradicts itself between lanes and node: the key and why.
pub(crate) fn check_cards(lanes: &[Lane], ports: Ports) -> Result<(), (String, String)> {
    let cards: Vec<_> = lanes.iter().map(Lane::card).collect();
    for (index, card) in cards.iter().enumerate() {
        let Some(card) = card else { continue };
        let before = cards.iter().take(index).flatten();
        for other in before.filter(|other| other.nic == card.nic) {
            if other.mode != card.mode {
                let why = format!(
                    "`{}`: another lane on {} says `{}`; one program serves all queues of a card, say the same",
                    card.mode.name(),
                    card.nic,
                    other.mode.name(),
                );
                return Err((format!("lane[{index}].xdp_mode"), why));
            }
            if other.queue == card.queue {
                let why = format!(
                    "queue {} of {} is another lane's; one lane a queue",
                    card.queue, card.nic
                );
                return Err((format!("lane[{index}].queue"), why));
            }
        }
    }
    let count = cards.iter().flatten().count();
    if count > 0 && ports.count() / count < LANE_PORTS_MIN {
        let why = format!(
            "{ports} has {} ports; each lane on af_xdp needs {LANE_PORTS_MIN}, {} in all",
            ports.count(),
            count * LANE_PORTS_MIN,
        );
        return Err(("node.ports".into(), why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_and_nothing_else_is() {
        let ports = Ports {
            first: 49_152,
            last: 50_175,
        };
        assert_eq!(Ports::parse("49152-50175"), Some(ports));
        assert_eq!(Ports::parse(&Ports::default().to_string()), Some(ports));
        for text in [
            "",
            "-",
            "1-2-3",
            "80-90",
            "50000-40000",
            "1024",
            "1024-70000",
        ] {
            assert_eq!(Ports::parse(text), None, "{text}");
        }
    }

    proptest! {
        /// Parts lie apart, inside, and are all of the same size.
        #[test]
        fn parts_do_not_meet(first in 1024u16..=65_535, more in 0u16..2_000, of in 1usize..=16) {
            let ports = Ports { first, last: first.saturating_add(more) };
            prop_assume!(ports.count() >= of);
            let parts: Vec<Ports> = (0..of).map(|part| ports.part(part, of)).collect();
            for (at, part) in parts.iter().enumerate() {
                prop_assert_eq!(part.count(), ports.count() / of);
                prop_assert!(part.first >= ports.first && part.last <= ports.last);
                prop_assert!(at == 0 || parts[at - 1].last < part.first);
            }
        }
    }
}
