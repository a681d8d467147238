//! The door under a virtual clock. What the client written here sends is numbered as it should be, unless a test says
//! otherwise; what it gets is read by the simulator's own codec, which QuickFIX checks in `tests/it/quickfix.rs`.

mod binance;
mod coinbase;
mod deribit;
mod gateway;
mod kraken;
mod market;
mod sessions;

use super::codec::{Framer, Message};
use super::{WithFix, time};
use crate::core::ConnId;
use crate::venues::Face;
use crate::venues::rig::{MS, Rig};
use base64::Engine as _;

/// A rig with a FIX door.
type FixRig<F> = Rig<WithFix<F>>;

/// A client's end of a session.
struct Us {
    conn: ConnId,
    next: u64,
    begin: &'static str,
    us: String,
    them: &'static str,
    framer: Framer,
}

impl Us {
    fn open<F: Face>(
        rig: &mut FixRig<F>,
        begin: &'static str,
        us: &str,
        them: &'static str,
    ) -> Self {
        Self {
            conn: rig.fix_open(),
            next: 1,
            begin,
            us: us.to_owned(),
            them,
            framer: Framer::default(),
        }
    }

    /// The header's fields under a number.
    fn header<F: Face>(&self, rig: &FixRig<F>, seq: u64) -> Vec<(u32, String)> {
        vec![
            (49, self.us.clone()),
            (56, self.them.to_owned()),
            (34, seq.to_string()),
            (52, time::text((rig.now / MS) as i64)),
        ]
    }

    /// Sends a message under the next number; what came back at once.
    fn send<F: Face>(&mut self, rig: &mut FixRig<F>, message: &Message) -> Vec<Message> {
        let header = self.header(rig, self.next);
        self.next += 1;
        self.send_as(rig, message, &header)
    }

    /// Sends a message behind this header.
    fn send_as<F: Face>(
        &mut self,
        rig: &mut FixRig<F>,
        message: &Message,
        header: &[(u32, String)],
    ) -> Vec<Message> {
        self.take(rig);
        rig.fix_send(self.conn, &message.encode(self.begin, header));
        self.take(rig)
    }

    /// What came since.
    fn take<F: Face>(&mut self, rig: &mut FixRig<F>) -> Vec<Message> {
        let got: Vec<Vec<u8>> = rig.binary.insert(self.conn, Vec::new()).unwrap_or_default();
        for bytes in got {
            self.framer.feed(&bytes);
        }
        assert_eq!(self.framer.garbled, 0);
        self.framer.by_ref().collect()
    }

    fn is_closed<F: Face>(&self, rig: &FixRig<F>) -> bool {
        rig.closed.contains_key(&self.conn)
    }

    /// The connection breaks.
    fn cut<F: Face>(&self, rig: &mut FixRig<F>) {
        rig.face.step(rig.now);
        rig.face.closed(self.conn);
        rig.run(1);
    }
}

/// A message from `tag=value|tag=value`, the first being its type.
fn message(text: &str) -> Message {
    let mut message = Message::default();
    for field in text.split('|') {
        let (tag, value) = field.split_once('=').expect("tag=value");
        message.put(tag.parse().expect("a tag"), value);
    }
    message
}

/// Types and a field of each.
fn seen(messages: &[Message], tag: u32) -> Vec<(&str, &str)> {
    messages
        .iter()
        .map(|one| (one.kind(), one.text(tag)))
        .collect()
}

/// Fields of a message.
fn fields<const N: usize>(message: &Message, tags: [u32; N]) -> [&str; N] {
    tags.map(|tag| message.text(tag))
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
