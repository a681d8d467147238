//! The instruments that are followed, by the venue's numbers, as they are defined on the wire.

use crate::ID;
use dp_types::{InstrumentId, VenueNanos};
use dp_venue_api::{Control, Event, Registry, RegistryError, Sink};

/// One instrument we follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Followed {
    pub(super) id: InstrumentId,
    /// The venue's number; `None` until it is defined.
    pub(super) code: Option<u64>,
    /// The channel its changes come on; `None` until the first.
    pub(super) channel: Option<u32>,
    /// The call in which its channel was broken last.
    pub(super) lost: u64,
    /// A whole book is waited for.
    pub(super) is_waiting: bool,
    /// The call that changed its rules last.
    pub(super) defined: u64,
    /// Its definition had all there is of its ticks.
    pub(super) is_full: bool,
    /// Quantities are mantissas times ten to this.
    pub(super) exponent: i8,
    /// When the best prices told last were true.
    pub(super) quoted: VenueNanos,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Instruments {
    all: Vec<Followed>,
    /// The venue's number → index, by number.
    by_code: Vec<(u64, usize)>,
}

impl Instruments {
    /// Registers symbols with bare increments. Errors: [`RegistryError`].
    pub(super) fn new(
        symbols: &[String],
        decimals: (u8, u8),
        registry: &mut Registry,
    ) -> Result<Self, RegistryError> {
        let mut all = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let id = registry.register(ID, symbol, decimals.0, decimals.1)?;
            all.push(Followed {
                id,
                code: None,
                channel: None,
                lost: 0,
                is_waiting: true,
                defined: 0,
                is_full: false,
                exponent: 0,
                quoted: VenueNanos(0),
            });
        }
        let by_code = Vec::with_capacity(all.len());
        Ok(Self { all, by_code })
    }

    /// The followed instrument with this number of the venue's.
    pub(super) fn by_code(&mut self, code: u64) -> Option<&mut Followed> {
        let at = self.by_code.binary_search_by_key(&code, |(code, _)| *code);
        let (_, index) = *self.by_code.get(at.ok()?)?;
        self.all.get_mut(index)
    }

    /// The followed instrument with this name, which from now on has this number. A number that was another
    /// instrument's is this one's now.
    pub(super) fn define(
        &mut self,
        registry: &Registry,
        name: &[u8],
        code: u64,
    ) -> Option<&mut Followed> {
        let id = registry.find(ID, name)?;
        let index = self.all.iter().position(|followed| followed.id == id)?;
        let followed = self.all.get_mut(index)?;
        if followed.code != Some(code) {
            followed.code = Some(code);
            self.by_code
                .retain(|(known, at)| *known != code && *at != index);
            let place = self.by_code.partition_point(|(known, _)| *known < code);
            self.by_code.insert(place, (code, index));
        }
        self.all.get_mut(index)
    }

    /// Whether all are defined.
    pub(super) fn is_complete(&self) -> bool {
        self.by_code.len() == self.all.len()
    }

    /// The keeper wants a whole book.
    pub(super) fn want(&mut self, id: InstrumentId) {
        let found = self.all.iter_mut().find(|followed| followed.id == id);
        if let Some(followed) = found {
            followed.is_waiting = true;
        }
    }

    /// The books of this channel cannot be continued, nor those told whose channel is not known yet: no change of
    /// theirs has come, and the first may be what is missing.
    pub(super) fn lose(&mut self, channel: u32, call: u64, out: &mut impl Sink) {
        let is_lost = |followed: &Followed| match followed.channel {
            Some(own) => own == channel,
            None => !followed.is_waiting,
        };
        self.lose_those(is_lost, call, out);
    }

    /// No book can be continued.
    pub(super) fn lose_all(&mut self, call: u64, out: &mut impl Sink) {
        self.lose_those(|_| true, call, out);
    }

    fn lose_those(&mut self, is_lost: impl Fn(&Followed) -> bool, call: u64, out: &mut impl Sink) {
        for followed in self.all.iter_mut().filter(|it| is_lost(it)) {
            (followed.is_waiting, followed.lost) = (true, call);
            out.event(&Event::Control(Control::BookLost(followed.id)));
        }
    }
}
