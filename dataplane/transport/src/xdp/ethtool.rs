//! The few settings of an interface that raw frames depend on, by the ethtool ioctl.
//!
//! - Generic receive offload and large receive offload glue segments together before the generic hook
//!   sees them: too large for a frame. Off in generic mode.
//! - A VLAN tag the card strips is not in the frame: a tagged frame would look like one of ours. Off.
//! - A kernel peer on a veth leaves checksums and segmentation to "hardware" that is not there. Off at
//!   the peer, in tests.
//!
//! Source: include/uapi/linux/ethtool.h.

use super::fault::XdpFault;
use super::undo::{Change, Undo};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::AsRawFd;

/// Something a card does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// Checksums of what is sent.
    TxChecksum,
    /// TCP segmentation.
    Tso,
    /// Segmentation by the stack, just before the card.
    Gso,
    /// Received segments glued together by the stack.
    Gro,
    /// The same by the card.
    Lro,
    /// VLAN tags taken out of received frames.
    RxVlan,
    /// VLAN tags put into sent frames.
    TxVlan,
    /// Flow rules of the card: [`super::Rule`].
    Ntuple,
}

impl Offload {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::TxChecksum,
        Self::Tso,
        Self::Gso,
        Self::Gro,
        Self::Lro,
        Self::RxVlan,
        Self::TxVlan,
        Self::Ntuple,
    ];

    /// As `ethtool -K` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TxChecksum => "tx",
            Self::Tso => "tso",
            Self::Gso => "gso",
            Self::Gro => "gro",
            Self::Lro => "lro",
            Self::RxVlan => "rxvlan",
            Self::TxVlan => "txvlan",
            Self::Ntuple => "ntuple",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|offload| offload.name() == name)
    }

    /// Commands that read and write it, and its bit where several share a word.
    const fn commands(self) -> (u32, u32, u32) {
        const FLAGS: (u32, u32) = (0x25, 0x26);
        match self {
            Self::TxChecksum => (0x16, 0x17, 1),
            Self::Tso => (0x1e, 0x1f, 1),
            Self::Gso => (0x23, 0x24, 1),
            Self::Gro => (0x2b, 0x2c, 1),
            Self::TxVlan => (FLAGS.0, FLAGS.1, 1 << 7),
            Self::RxVlan => (FLAGS.0, FLAGS.1, 1 << 8),
            Self::Lro => (FLAGS.0, FLAGS.1, 1 << 15),
            Self::Ntuple => (FLAGS.0, FLAGS.1, 1 << 27),
        }
    }
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    rx_max: u32,
    tx_max: u32,
    other_max: u32,
    combined_max: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// Whether an offload is on. Errors: no such interface, or it has no such thing.
pub fn offload(interface: &str, offload: Offload) -> Result<bool, XdpFault> {
    let (command, _, bit) = offload.commands();
    let mut value = Value { command, data: 0 };
    call(interface, &mut value).map_err(os("ethtool: reading an offload"))?;
    Ok(value.data & bit != 0)
}

/// Switches an offload, and reads it back. Errors: no rights, or the interface cannot.
pub fn set_offload(interface: &str, which: Offload, is_on: bool) -> Result<(), XdpFault> {
    const WHAT: &str = "ethtool: switching an offload (needs CAP_NET_ADMIN)";
    let (read, command, bit) = which.commands();
    let mut value = Value {
        command: read,
        data: 0,
    };
    call(interface, &mut value).map_err(os(WHAT))?;
    if (value.data & bit != 0) == is_on {
        return Ok(());
    }
    value.command = command;
    value.data = value.data & !bit | if is_on { bit } else { 0 };
    call(interface, &mut value).map_err(os(WHAT))?;
    if offload(interface, which)? == is_on {
        Ok(())
    } else {
        Err(XdpFault::Os {
            what: WHAT,
            errno: libc::EOPNOTSUPP,
        })
    }
}

/// Switches an offload until `undo` is dropped. One that is so already is left alone.
pub fn switch(
    undo: &mut Undo,
    interface: &str,
    which: Offload,
    is_on: bool,
) -> Result<(), XdpFault> {
    let was = offload(interface, which)?;
    if was == is_on {
        return Ok(());
    }
    undo.record(Change::Offload {
        interface: interface.to_owned(),
        offload: which,
        was,
    })?;
    set_offload(interface, which, is_on)
}

/// Receive queues in use. An interface that cannot say has one.
pub fn rx_queues(interface: &str) -> Result<u32, XdpFault> {
    const GET_CHANNELS: u32 = 0x3c;
    let mut channels = Channels {
        command: GET_CHANNELS,
        ..Channels::default()
    };
    match call(interface, &mut channels) {
        Ok(()) => Ok(channels.rx.saturating_add(channels.combined).max(1)),
        Err(libc::EOPNOTSUPP) => Ok(1),
        Err(errno) => Err(os("ethtool: number of queues")(errno)),
    }
}

fn os(what: &'static str) -> impl Fn(i32) -> XdpFault {
    move |errno| XdpFault::Os { what, errno }
}

/// One ioctl. `request` starts with its command and is as long as that command reads and writes.
pub(super) fn call<T>(interface: &str, request: &mut T) -> Result<(), i32> {
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    if interface.is_empty() || interface.len() >= libc::IFNAMSIZ {
        return Err(libc::ENODEV);
    }
    let (kind, flags) = (SockType::Datagram, SockFlag::SOCK_CLOEXEC);
    let fd = socket(AddressFamily::Inet, kind, flags, None).map_err(|errno| errno as i32)?;
    let mut name = [0; libc::IFNAMSIZ];
    for (to, from) in name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    let data = libc::__c_anonymous_ifr_ifru {
        ifru_data: core::ptr::from_mut(request).cast(),
    };
    let mut ifreq = libc::ifreq {
        ifr_name: name,
        ifr_ifru: data,
    };
    // SAFETY: an ifreq of this stack, whose data points at `request`, exclusively ours during the call; each
    // caller passes the structure its command reads and writes, whole.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), SIOCETHTOOL, &raw mut ifreq) };
    if result == 0 {
        Ok(())
    } else {
        Err(nix::errno::Errno::last_raw())
    }
}
