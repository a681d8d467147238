//! A series thinned evenly as it grows: at most so many of its items, whatever its length.

/// Most items kept.
pub const KEPT_MAX: usize = 2_000;

/// Every item, every second, every fourth … of a series.
#[derive(Debug, Clone)]
pub struct Thin<T> {
    kept: Vec<T>,
    stride: u64,
    seen: u64,
    last: Option<T>,
}

impl<T: Copy + PartialEq> Thin<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            kept: Vec::new(),
            stride: 1,
            seen: 0,
            last: None,
        }
    }

    /// The next item.
    pub fn push(&mut self, item: T) {
        if self.seen.is_multiple_of(self.stride) {
            // One place is the last item's.
            if self.kept.len() >= KEPT_MAX - 1 {
                let mut at = 0;
                self.kept.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                self.stride *= 2;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.kept.push(item);
            }
        }
        self.seen += 1;
        self.last = Some(item);
    }

    /// What is kept, and the last item.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let end = self.last.filter(|last| self.kept.last() != Some(last));
        self.kept.iter().copied().chain(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_few_even_and_end_with_the_last() {
        let mut thin = Thin::new();
        for item in 0..100_001u64 {
            thin.push(item);
        }
        let kept: Vec<u64> = thin.iter().collect();
        assert!((1_000..=KEPT_MAX).contains(&kept.len()), "{}", kept.len());
        assert_eq!((kept[0], kept[kept.len() - 1]), (0, 100_000));
        let step = kept[1];
        let even = kept[..kept.len() - 1].iter().zip(0..);
        assert!(
            even.into_iter()
                .all(|(item, at): (&u64, u64)| *item == at * step)
        );
    }
}
