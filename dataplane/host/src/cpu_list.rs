//! The kernel's list of processors: `0-3,8,10-11`.

use core::fmt;
use std::collections::BTreeSet;

/// Highest processor number taken: a list is bytes from outside, and `0-4294967295` must not fill memory.
const CPU_MAX: u16 = 8191;

/// A set of processors in the kernel's text form (Documentation/admin-guide/cputopology, "cpulist").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuList(BTreeSet<u16>);

impl CpuList {
    /// Reads a list; `None` when it is none, or names a processor above 8191. An empty text is the empty set.
    pub fn parse(text: &str) -> Option<Self> {
        let mut set = BTreeSet::new();
        let text = text.trim();
        if text.is_empty() {
            return Some(Self(set));
        }
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            set.extend(first..=last);
        }
        Some(Self(set))
    }

    /// Whether it names `cpu`.
    pub fn has(&self, cpu: u16) -> bool {
        self.0.contains(&cpu)
    }

    /// Nobody is on it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are on it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The lowest.
    pub fn first(&self) -> Option<u16> {
        self.0.first().copied()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().copied()
    }
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|cpu| *cpu <= CPU_MAX)
}

impl FromIterator<u16> for CpuList {
    fn from_iter<I: IntoIterator<Item = u16>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut is_first = true;
        while let Some(first) = cpus.next() {
            let mut last = first;
            while cpus.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            let comma = if is_first { "" } else { "," };
            is_first = false;
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_reads_what_the_kernel_writes() {
        let list = CpuList::parse("0-3,8,10-11\n").unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(list.to_string(), "0-3,8,10-11");
        assert_eq!(CpuList::parse("\n"), Some(CpuList::default()));
        for wrong in ["3-1", "a", "1,,2", "1-", "0-99999", "-1", "8192"] {
            assert_eq!(CpuList::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn text_and_set_are_one(cpus in prop::collection::btree_set(0u16..=CPU_MAX, 0..40)) {
            let list: CpuList = cpus.iter().copied().collect();
            prop_assert_eq!(CpuList::parse(&list.to_string()), Some(list));
        }

        #[test]
        fn no_text_harms(text in "[-0-9,]{0,40}") {
            if let Some(list) = CpuList::parse(&text) {
                prop_assert_eq!(CpuList::parse(&list.to_string()), Some(list));
            }
        }
    }
}
