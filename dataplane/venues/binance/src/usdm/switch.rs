//! The dead man's switch: the venue cancels a symbol's orders when we have not put it off in time.
//!
//! ```text
//! symbol 0 ─ armed, answered ─▶ symbol 1 ─▶ … ─▶ symbol 0 ─▶ …       one at a time, a second apart or more
//! a round lasts 5 s, or as many seconds as there are symbols; the countdown is four rounds
//! ```
//! Each arming weighs 10: at one a second a quarter of the venue's weight goes to the switch, and no more. The first
//! round after a login does not wait between symbols. An answer that does not come holds the others up for
//! [`WAIT_NS`] only.
//! Source: venue page, section 9 (`countdownCancelAll`), read 2026-11-22.

use crate::session::{RETRY_NS, SECOND_NS};
use dp_types::{Now, UnixNanos};

/// How often a symbol's countdown is put off, seconds, where there are no more symbols than that.
pub const DEAD_MAN_REARM_S: u64 = 5;
/// Rounds a countdown lasts.
pub const DEAD_MAN_TIMES: u64 = 4;
/// How long an answer is waited for.
const WAIT_NS: u64 = 12 * SECOND_NS;
const _: () = assert!(WAIT_NS < DEAD_MAN_REARM_S * (DEAD_MAN_TIMES - 1) * SECOND_NS);

/// Where the round stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Switch {
    /// When the next symbol is due; `None` while nobody is logged in.
    pub(crate) at: Option<UnixNanos>,
    /// The symbol, by its place among those followed.
    pub(crate) place: usize,
    is_later_round: bool,
    asked: Option<UnixNanos>,
}

/// A round over so many symbols, seconds.
const fn round_s(symbols: usize) -> u64 {
    let symbols = symbols as u64;
    if symbols > DEAD_MAN_REARM_S {
        symbols
    } else {
        DEAD_MAN_REARM_S
    }
}

/// The countdown of each, milliseconds.
pub(crate) const fn countdown_ms(symbols: usize) -> u64 {
    round_s(symbols) * DEAD_MAN_TIMES * 1_000
}

impl Switch {
    /// Logged in: a round begins.
    pub(crate) fn start(&mut self, now: Now) {
        *self = Self {
            at: Some(now.unix),
            ..Self::default()
        };
    }

    /// Not logged in any more: what was armed runs down, unless we are back before.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    /// The link is new: nothing is on its way.
    pub(crate) fn relinked(&mut self, now: Now) {
        self.asked = None;
        self.at = self.at.map(|_| now.unix);
    }

    /// Whether the symbol may be armed now; puts the time off where it may not.
    pub(crate) fn is_due(&mut self, now: Now) -> bool {
        let until = self.asked.map(|at| at.after(WAIT_NS));
        match until.filter(|until| *until > now.unix) {
            Some(until) => {
                self.at = Some(until);
                false
            }
            None => self.at.is_some_and(|at| at <= now.unix),
        }
    }

    /// There was no room for it.
    pub(crate) fn later(&mut self, now: Now) {
        self.at = Some(now.unix.after(RETRY_NS));
    }

    /// The symbol is being armed: the next of `symbols` has its turn.
    pub(crate) fn asked(&mut self, symbols: usize, now: Now) {
        self.asked = Some(now.unix);
        self.place += 1;
        if self.place >= symbols {
            self.place = 0;
            self.is_later_round = true;
        }
        self.at = Some(now.unix.after(WAIT_NS));
    }

    /// An answer came, or the word that none will. One that refuses is made good by the next round.
    pub(crate) fn answered(&mut self, symbols: usize, now: Now) {
        let Some(asked) = self.asked.take() else {
            return;
        };
        let pause = if self.is_later_round {
            round_s(symbols) * SECOND_NS / (symbols.max(1) as u64)
        } else {
            0
        };
        self.at = self.at.map(|_| asked.after(pause).max(now.unix));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(s: u64) -> Now {
        Now {
            tsc: dp_types::Tsc(0),
            unix: UnixNanos(s * SECOND_NS),
        }
    }

    /// When each symbol is armed within `seconds`, each answer a second late.
    fn armed(symbols: usize, seconds: u64) -> Vec<(usize, u64)> {
        let mut switch = Switch::default();
        switch.start(at(0));
        let mut armed = Vec::new();
        for s in 0..seconds {
            switch.answered(symbols, at(s));
            while switch.is_due(at(s)) {
                armed.push((switch.place, s));
                switch.asked(symbols, at(s));
            }
        }
        armed
    }

    #[test]
    fn every_symbol_is_put_off_well_before_its_countdown_ends() {
        for symbols in [1, 2, 5, 7, 40] {
            let all = armed(symbols, 500);
            for symbol in 0..symbols {
                let times: Vec<_> = all.iter().filter(|(it, _)| *it == symbol).collect();
                assert!(times.len() > 2, "{symbols}");
                for pair in times.windows(2) {
                    let pause_ms = (pair[1].1 - pair[0].1) * 1_000;
                    assert!(pause_ms * 2 < countdown_ms(symbols), "{symbols} {pair:?}");
                }
            }
            let in_a_minute = all.iter().filter(|(_, s)| (100..160).contains(s)).count();
            assert!(in_a_minute <= 60, "a quarter of 2,400 in tens");
        }
    }

    #[test]
    fn an_answer_that_never_comes_holds_nobody_up_for_long() {
        let mut switch = Switch::default();
        switch.start(at(0));
        assert!(switch.is_due(at(0)));
        switch.asked(2, at(0));
        assert!(!switch.is_due(at(11)));
        assert!(switch.is_due(at(12)));
        assert_eq!(switch.place, 1);
        switch.stop();
        switch.answered(2, at(13));
        assert!(!switch.is_due(at(100)) && switch.at.is_none());
    }
}
