//! RACK: a segment is lost when one sent sufficiently later has arrived (RFC 8985, 6). Time instead of
//! counting duplicates, so a lost retransmission and a reordered one are both told apart.

use crate::board::Sent;
use crate::rtt::Rtt;
use crate::seq::Seq;

/// Recoveries for which a widened reordering window stays (RFC 8985, 6.2, step 4).
const PERSIST: u32 = 16;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rack {
    /// When the latest-sent segment that has arrived was sent.
    at: u64,
    end: Seq,
    /// Its round trip; 0 = none has arrived yet.
    rtt: u64,
    /// Highest sequence delivered.
    fack: Seq,
    is_reordering_seen: bool,
    /// Reordering window in quarters of the minimum round trip.
    quarters: u64,
    persist: u32,
    /// The next DSACK counts once this was acknowledged.
    dsack_round: Option<Seq>,
}

impl Rack {
    pub(crate) fn new(start: Seq) -> Self {
        Self {
            at: 0,
            end: start,
            rtt: 0,
            fack: start,
            is_reordering_seen: false,
            quarters: 1,
            persist: PERSIST,
            dsack_round: None,
        }
    }

    /// Steps 1 to 3, for one segment newly delivered: `is_ambiguous` = timestamps show that the ACK
    /// is for an earlier transmission than the latest.
    pub(crate) fn on_delivered(&mut self, sent: &Sent, now: u64, min_rtt: u64, is_ambiguous: bool) {
        if sent.end().is_after(self.fack) {
            self.fack = sent.end();
        } else if sent.end().is_before(self.fack) && !sent.is_again {
            self.is_reordering_seen = true;
        }
        let rtt = now.saturating_sub(sent.at);
        // The ACK of a retransmission that came too fast is that of the original.
        if sent.is_again && (is_ambiguous || rtt < min_rtt) {
            return;
        }
        if self.rtt == 0 || is_later((sent.at, sent.end()), (self.at, self.end)) {
            (self.at, self.end, self.rtt) = (sent.at, sent.end(), rtt.max(1));
        }
    }

    /// A DSACK came: the window was too narrow, or the path repeats (step 4).
    pub(crate) fn on_dsack(&mut self, una: Seq, nxt: Seq) {
        if self.dsack_round.is_some_and(|round| una.is_before(round)) {
            return;
        }
        self.dsack_round = Some(nxt);
        self.quarters = (self.quarters + 1).min(64);
        self.persist = PERSIST;
    }

    pub(crate) fn on_recovery_end(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.quarters = 1;
        }
    }

    /// How much later a segment may arrive than one sent after it.
    pub(crate) fn reordering_window(&self, rtt: &Rtt, is_recovering: bool, sacked: usize) -> u64 {
        if !self.is_reordering_seen && (is_recovering || sacked >= 3) {
            return 0;
        }
        let Some(smoothed) = rtt.smoothed() else {
            return 0;
        };
        (rtt.min() / 4).saturating_mul(self.quarters).min(smoothed)
    }

    /// When `sent` will have to be thought lost; `None` while nothing sent after it has arrived.
    pub(crate) fn lost_at(&self, sent: &Sent, window: u64) -> Option<u64> {
        let is_overtaken = self.rtt != 0 && is_later((self.at, self.end), (sent.at, sent.end()));
        is_overtaken.then(|| sent.at.saturating_add(self.rtt).saturating_add(window))
    }

    /// At a time-out: what was sent so long ago that it should have arrived (RFC 8985, 6.3). While
    /// nothing ever arrived that is everything.
    pub(crate) fn is_overdue(&self, sent: &Sent, window: u64, now: u64) -> bool {
        sent.at.saturating_add(self.rtt).saturating_add(window) <= now
    }
}

/// Sent after the other: by time, and by sequence among those sent in one instant.
fn is_later(a: (u64, Seq), b: (u64, Seq)) -> bool {
    a.0 > b.0 || (a.0 == b.0 && a.1.is_after(b.1))
}
