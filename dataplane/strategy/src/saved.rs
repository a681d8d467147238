//! What a strategy keeps over a restart: integers, in the order it wrote them.

/// Integers one strategy may keep.
pub const STATE_MAX: usize = 120;

/// Takes what a strategy keeps.
#[derive(Debug, Clone)]
pub struct StateWriter {
    words: [i64; STATE_MAX],
    len: usize,
    has_all: bool,
}

impl Default for StateWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl StateWriter {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            words: [0; STATE_MAX],
            len: 0,
            has_all: true,
        }
    }

    /// Keeps an integer. One beyond [`STATE_MAX`] makes the whole too long, and then nothing of it is kept.
    pub const fn put(&mut self, word: i64) {
        if self.len < STATE_MAX {
            self.words[self.len] = word;
            self.len += 1;
        } else {
            self.has_all = false;
        }
    }

    /// Keeps several.
    pub fn put_all(&mut self, words: &[i64]) {
        for word in words {
            self.put(*word);
        }
    }

    /// What was put; `None`: it was too much, or nothing.
    pub fn words(&self) -> Option<&[i64]> {
        (self.has_all && self.len > 0).then(|| &self.words[..self.len])
    }
}

/// Gives back what a strategy kept, in the order it was put.
#[derive(Debug, Clone)]
pub struct StateReader<'a> {
    words: core::slice::Iter<'a, i64>,
}

impl<'a> StateReader<'a> {
    /// Over what [`StateWriter::words`] gave.
    pub fn new(words: &'a [i64]) -> Self {
        Self {
            words: words.iter(),
        }
    }

    /// The next integer. Errors: [`StateFault`]: there is none.
    pub fn take(&mut self) -> Result<i64, StateFault> {
        self.words
            .next()
            .copied()
            .ok_or(StateFault("it ends too soon"))
    }

    /// The next few. Errors: as [`StateReader::take`].
    pub fn take_all<const N: usize>(&mut self) -> Result<[i64; N], StateFault> {
        let mut words = [0; N];
        for word in &mut words {
            *word = self.take()?;
        }
        Ok(words)
    }
}

/// Why a strategy cannot take up what it kept; it then starts fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StateFault(pub &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken_in_its_order_and_too_much_is_nothing() {
        let mut out = StateWriter::new();
        assert_eq!(out.words(), None);
        out.put(-1);
        out.put_all(&[2, 3]);
        let mut back = StateReader::new(out.words().unwrap());
        assert_eq!(back.take_all(), Ok([-1, 2]));
        assert_eq!(
            (back.take(), back.take()),
            (Ok(3), Err(StateFault("it ends too soon")))
        );
        out.put_all(&[0; STATE_MAX]);
        assert_eq!(out.words(), None);
    }
}
