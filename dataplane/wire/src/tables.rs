//! Constant tables. The compiler fills them: an index out of range is an error of the build.
#![allow(clippy::indexing_slicing)]

/// What two digits of base 36 hold.
pub(crate) const PAIR: u64 = 36 * 36;

/// Those two digits, by what they are worth.
pub(crate) const PAIRS: [[u8; 2]; PAIR as usize] = {
    let digits = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut table = [[0; 2]; PAIR as usize];
    let mut at = 0;
    while at < table.len() {
        table[at] = [digits[at / 36], digits[at % 36]];
        at += 1;
    }
    table
};

/// 10^n.
pub(crate) const POW10: [u64; 17] = {
    let mut table = [1u64; 17];
    let mut at = 1;
    while at < table.len() {
        table[at] = table[at - 1] * 10;
        at += 1;
    }
    table
};

/// Keeps the last n of eight bytes.
pub(crate) const KEEP: [u64; 9] = {
    let mut table = [0; 9];
    let mut n = 1;
    while n < table.len() {
        table[n] = u64::MAX << (64 - 8 * n);
        n += 1;
    }
    table
};

/// What is behind the point of a number.
#[derive(Clone, Copy)]
pub(crate) struct Fraction {
    /// Which of eight bytes are its digits.
    pub(crate) keep: u64,
    /// 10^digits.
    pub(crate) scale: i64,
    /// -digits.
    pub(crate) exponent: i8,
}

/// By the bytes from the point, which counts, to the end of the number; none = no point.
pub(crate) const FRACTIONS: [Fraction; 10] = {
    let mut table = [Fraction {
        keep: 0,
        scale: 1,
        exponent: 0,
    }; 10];
    let mut bytes = 2;
    while bytes < table.len() {
        table[bytes] = Fraction {
            keep: KEEP[bytes - 1],
            scale: table[bytes - 1].scale * 10,
            exponent: table[bytes - 1].exponent - 1,
        };
        bytes += 1;
    }
    table
};
