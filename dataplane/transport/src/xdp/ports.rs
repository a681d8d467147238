//! The kernel kept off our local ports: it hands none of them out by itself while we have them.
//!
//! `net.ipv4.ip_local_reserved_ports` is a list of ranges, of the network namespace. Ours is added to
//! whatever an operator has there, and only what we added is taken away again. It does not keep a program
//! from binding such a port by name. Source: Documentation/networking/ip-sysctl.rst.

use super::fault::XdpFault;
use super::program::PortRange;
use super::undo::{Change, Undo};
use std::io::Read as _;

const SYSCTL: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";
/// The longest list: every other port. It must be read in one call: the kernel gives as many ranges as fit
/// the first read, and nothing to the next (`proc_do_large_bitmap`, kernel/sysctl.c).
const TEXT_BYTES_MAX: usize = 32_768 * "65535,".len() + 1;
const WORDS: usize = 65_536 / 64;

/// Reserves a range, until `undo` is dropped. Ports that are reserved already stay so afterwards.
/// Errors: no right to write the setting.
pub fn reserve_ports(undo: &mut Undo, ports: PortRange) -> Result<(), XdpFault> {
    let mut set = Ports::read()?;
    let missing: Vec<(u16, u16)> = {
        let mut ours = Ports::default();
        (ports.first..=ports.last)
            .filter(|port| !set.has(*port))
            .for_each(|port| ours.put(port, true));
        ours.ranges()
    };
    for (first, last) in missing {
        undo.record(Change::Ports { first, last })?;
        (first..=last).for_each(|port| set.put(port, true));
    }
    set.write()
}

/// The ranges the kernel hands no port out of, as it tells them.
pub fn reserved_ports() -> Result<Vec<PortRange>, XdpFault> {
    let ranges = Ports::read()?.ranges();
    let ranges = ranges.into_iter();
    Ok(ranges
        .map(|(first, last)| PortRange { first, last })
        .collect())
}

/// Takes a range off the list.
pub(super) fn release(first: u16, last: u16) -> Result<(), XdpFault> {
    let mut set = Ports::read()?;
    (first..=last).for_each(|port| set.put(port, false));
    set.write()
}

/// A set of ports.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ports(Box<[u64; WORDS]>);

impl Default for Ports {
    fn default() -> Self {
        Self(Box::new([0; WORDS]))
    }
}

impl Ports {
    fn read() -> Result<Self, XdpFault> {
        const WHAT: &str = "reserved local ports";
        let mut text = vec![0; TEXT_BYTES_MAX];
        let mut file = std::fs::File::open(SYSCTL).map_err(XdpFault::io(WHAT))?;
        let len = file.read(&mut text).map_err(XdpFault::io(WHAT))?;
        text.truncate(len);
        let text = String::from_utf8(text).ok();
        text.and_then(|text| Self::parse(&text))
            .ok_or(XdpFault::Answer(WHAT))
    }

    fn write(&self) -> Result<(), XdpFault> {
        // A lone newline is the empty list.
        let text = format!("{}\n", self.text());
        std::fs::write(SYSCTL, text).map_err(XdpFault::io("reserved local ports (needs root)"))
    }

    /// `1000-2000,3000`; nothing for none.
    fn parse(text: &str) -> Option<Self> {
        let mut set = Self::default();
        for range in text.trim().split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
            (first..=last).for_each(|port| set.put(port, true));
        }
        Some(set)
    }

    fn text(&self) -> String {
        let ranges = self.ranges().into_iter();
        let texts = ranges.map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        });
        texts.collect::<Vec<_>>().join(",")
    }

    fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for port in (0..=u16::MAX).filter(|port| self.has(*port)) {
            match ranges.last_mut() {
                Some((_, last)) if port.checked_sub(1) == Some(*last) => *last = port,
                _ => ranges.push((port, port)),
            }
        }
        ranges
    }

    fn has(&self, port: u16) -> bool {
        self.0[usize::from(port) / 64] & Self::bit(port) != 0
    }

    fn put(&mut self, port: u16, is_in: bool) {
        let word = &mut self.0[usize::from(port) / 64];
        *word = *word & !Self::bit(port) | if is_in { Self::bit(port) } else { 0 };
    }

    const fn bit(port: u16) -> u64 {
        1 << (port % 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        for text in ["", "8080", "1-5,7,65535", "0-65535", "40000-40063"] {
            assert_eq!(Ports::parse(text).unwrap().text(), text);
        }
        assert_eq!(Ports::parse("5,4,3\n").unwrap().text(), "3-5");
        for text in ["x", "1-", "70000", "1-2-3"] {
            assert_eq!(Ports::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_was_meant(ranges in prop::collection::vec((any::<u16>(), 0u16..300), 0..8)) {
            let mut set = Ports::default();
            for (first, more) in ranges {
                (first..=first.saturating_add(more)).for_each(|port| set.put(port, true));
            }
            prop_assert_eq!(Ports::parse(&set.text()), Some(set));
        }
    }
}
