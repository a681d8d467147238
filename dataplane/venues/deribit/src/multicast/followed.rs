//! The instruments that are followed, by the venue's numbers, as they are defined on the wire.

use crate::ID;
use dp_types::{InstrumentId, VenueNanos};
use dp_venue_api::{Registry, RegistryError};

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
    /// The first number whose changes are held for a book that is waited for.
    pub(super) since: i64,
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
                since: i64::MIN,
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

    /// The followed instrument with this name, which from now on has this number, and whether it is new to it. A number
    /// that was another instrument's is this one's now.
    pub(super) fn define(
        &mut self,
        registry: &Registry,
        name: &[u8],
        code: u64,
    ) -> Option<(&mut Followed, bool)> {
        let id = registry.find(ID, name)?;
        let index = self.all.iter().position(|followed| followed.id == id)?;
        let followed = self.all.get_mut(index)?;
        let is_new = followed.code != Some(code);
        if is_new {
            followed.code = Some(code);
            self.by_code
                .retain(|(known, at)| *known != code && *at != index);
            let place = self.by_code.partition_point(|(known, _)| *known < code);
            self.by_code.insert(place, (code, index));
        }
        Some((self.all.get_mut(index)?, is_new))
    }

    /// Whether all are defined.
    pub(super) fn is_complete(&self) -> bool {
        self.by_code.len() == self.all.len()
    }

    /// The keeper wants a whole book. Returns it, when it was not waited for before.
    pub(super) fn want(&mut self, id: InstrumentId) -> Option<&mut Followed> {
        let followed = self.all.iter_mut().find(|followed| followed.id == id)?;
        (!core::mem::replace(&mut followed.is_waiting, true)).then_some(followed)
    }

    /// The books of this channel cannot be continued, nor those told whose channel is not known yet: no change of
    /// theirs has come, and the first may be what is missing. Each is told.
    pub(super) fn lose(&mut self, channel: u32, call: u64, tell: impl FnMut(InstrumentId)) {
        let is_lost = |followed: &Followed| match followed.channel {
            Some(own) => own == channel,
            None => !followed.is_waiting,
        };
        self.lose_those(is_lost, call, tell);
    }

    /// No book can be continued.
    pub(super) fn lose_all(&mut self, call: u64, tell: impl FnMut(InstrumentId)) {
        self.lose_those(|_| true, call, tell);
    }

    fn lose_those(
        &mut self,
        is_lost: impl Fn(&Followed) -> bool,
        call: u64,
        mut tell: impl FnMut(InstrumentId),
    ) {
        for followed in self.all.iter_mut().filter(|it| is_lost(it)) {
            (followed.is_waiting, followed.lost) = (true, call);
            // Its channel may begin anew at a lower number.
            followed.since = i64::MIN;
            tell(followed.id);
        }
    }
}
