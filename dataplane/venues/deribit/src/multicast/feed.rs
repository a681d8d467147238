//! Which feed a datagram is of, and which instruments it defines: for tools that read a recording and know no symbols.

use super::frame::{Frame, Message};
use super::places::{instrument, instrument_v2};
use super::starbase;

/// The venue's two feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Levels, schema 1.
    Classic,
    /// Single orders, schema 2102.
    Starbase,
}

impl Feed {
    /// The feed of a datagram, by its form: nothing in it names its feed. `None` when it has neither's.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if let Ok(frame) = Frame::read(bytes) {
            let mut body = frame.body;
            return (body.is_empty() || Message::read(&mut body).is_ok()).then_some(Self::Classic);
        }
        starbase::is_one(bytes).then_some(Self::Starbase)
    }

    /// Tells the name of each instrument that is defined in a datagram.
    pub fn names(self, bytes: &[u8], tell: &mut impl FnMut(&str)) {
        if self == Self::Starbase {
            starbase::names(bytes, tell);
            return;
        }
        let Ok(frame) = Frame::read(bytes) else {
            return;
        };
        let mut body = frame.body;
        while !body.is_empty()
            && let Ok(message) = Message::read(&mut body)
        {
            if matches!(
                message.template,
                instrument::TEMPLATE | instrument_v2::TEMPLATE
            ) && let Ok(name) = core::str::from_utf8(message.text)
            {
                tell(name);
            }
        }
    }
}
