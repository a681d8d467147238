//! Requests on their way over a link that answers one at a time.

use crate::RestTag;
use dp_types::UnixNanos;

/// Questions about single orders that are not answered yet: none is asked twice while its answer is still
/// coming, and only so many wait before what is more urgent (a snapshot, a dead man's switch).
///
/// It can hold nobody up for good: an entry ends with the answer (whatever it was, a status of 0 included),
/// with the link, or after `wait_ns`.
#[derive(Debug)]
pub struct InFlight {
    asked: Vec<(RestTag, UnixNanos)>,
    wait_ns: u64,
}

impl InFlight {
    /// Questions on their way at once: at 100 ms each the last waits near 3 s.
    pub const MAX: usize = 32;

    /// Nothing on its way; `wait_ns` is how long an answer may take before it counts as lost. Takes its
    /// memory here.
    pub fn new(wait_ns: u64) -> Self {
        Self {
            asked: Vec::with_capacity(Self::MAX),
            wait_ns,
        }
    }

    /// Whether this very question is on its way.
    pub fn contains(&self, tag: RestTag, now: UnixNanos) -> bool {
        self.asked
            .iter()
            .any(|(asked, at)| *asked == tag && at.after(self.wait_ns) > now)
    }

    /// Whether one more may be asked. Cost: O([`InFlight::MAX`]).
    pub fn has_room(&mut self, now: UnixNanos) -> bool {
        let wait_ns = self.wait_ns;
        self.asked.retain(|(_, at)| at.after(wait_ns) > now);
        self.asked.len() < Self::MAX
    }

    /// Notes a question that goes out. One too many is not noted: it is asked, and may be asked again.
    pub fn add(&mut self, tag: RestTag, now: UnixNanos) {
        if self.has_room(now) {
            self.asked.push((tag, now));
        }
    }

    /// It was answered, or lost.
    pub fn done(&mut self, tag: RestTag) {
        self.asked.retain(|(asked, _)| *asked != tag);
    }

    /// The link is gone, and with it whatever was on its way.
    pub fn clear(&mut self) {
        self.asked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT_NS: u64 = 1_000;

    #[test]
    fn each_question_once_until_it_is_answered_lost_or_old() {
        let (tag, now) = (RestTag(7), UnixNanos(5));
        let mut asked = InFlight::new(WAIT_NS);
        type End = fn(&mut InFlight);
        let ends: [End; 2] = [|asked| asked.done(RestTag(7)), InFlight::clear];
        for end in ends {
            assert!(!asked.contains(tag, now));
            asked.add(tag, now);
            assert!(asked.contains(tag, now) && !asked.contains(RestTag(8), now));
            end(&mut asked);
        }
        asked.add(tag, now);
        assert!(asked.contains(tag, now.after(WAIT_NS - 1)));
        assert!(!asked.contains(tag, now.after(WAIT_NS)));
    }

    #[test]
    fn only_so_many() {
        let mut asked = InFlight::new(WAIT_NS);
        let now = UnixNanos(5);
        let count = (0..100)
            .filter(|tag| {
                let has_room = asked.has_room(now);
                asked.add(RestTag(*tag), now);
                has_room
            })
            .count();
        assert_eq!(count, InFlight::MAX);
        asked.done(RestTag(3));
        assert!(asked.has_room(now));
        asked.add(RestTag(3), now);
        assert!(!asked.has_room(now) && asked.has_room(now.after(WAIT_NS)));
    }
}
