//! Hand scanning: reading a message whose shape is known, byte for byte, without a tape.
//!
//! ```text
//!   {"u":1000105,"s":"BTCUSDT","b":"65000.01","B":"0.512"}
//!   └eat─┘└uint┘└eat─┘└text─┘└─eat─┘└decimal┘ ...            a mismatch anywhere is `None`
//!
//!   ["65000.01","0.51200000"],["64999.50",...               level: 32 bytes are looked at together
//!     └──┬──┘└┘ └─┬──────┘                                  quotes and points as bits, four groups of at
//!      65000 01   0  51200000                               most eight digits converted together
//! ```
//!
//! A venue's `scan` module strings these together in the order in which the venue writes its fields, and gives
//! the message to the general parser ([`crate::json`]) whenever anything here says `None`: another order,
//! white space, an escape, an exponent. So `None` needs no reason, and what is accepted here must mean exactly
//! what the general parser makes of it. Deliberately not here: nesting, escapes, floats, skipping of unknown
//! fields.
//!
//! A number of more than eight digits before or behind its point, or with a sign, is given to
//! [`Decimal::parse`], the same as the general path's, so limits and refusals are that function's.

mod bare;
mod lanes;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)] // one kind of block: SSE2 is there
mod wide;

use crate::tables::{FRACTIONS, KEEP};
use dp_types::{Decimal, RawLevel};
use lanes::WINDOW;

/// Longest text taken, in bytes: the longest symbol and a stream's suffix.
pub const TEXT_MAX: usize = WINDOW - 1;
/// Most digits of an integer taken: any number of 18 fits an `i64`.
const DIGITS_MAX: usize = 18;
/// Longest decimal looked at, in bytes: what [`Decimal::parse`] could take at all is shorter.
const DECIMAL_MAX: usize = 48;

/// `0x30` in each byte: the digit characters less their values.
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// A place in a message. Steps that return `None` or `false` may have moved it: the message is given up then,
/// but for [`Cursor::eat`], which moves only over what it found.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The beginning of a message.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Whether everything was taken.
    #[inline]
    pub const fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Takes these bytes if they come next. Says whether they did.
    #[inline(always)]
    pub fn eat<const N: usize>(&mut self, literal: &[u8; N]) -> bool {
        let is_here = self.from(self.at).and_then(<[u8]>::first_chunk) == Some(literal);
        if is_here {
            self.at = self.at.wrapping_add(N);
        }
        is_here
    }

    /// Takes these bytes, which must come next.
    #[inline(always)]
    pub fn need<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        self.eat(literal).then_some(())
    }

    /// An integer as JSON prints it: no sign, no leading zero, at most 18 digits. What follows them is the
    /// caller's to check: a point or an exponent is no literal of any shape.
    ///
    /// Cost: about 3 ns up to 16 digits.
    #[inline]
    pub fn uint(&mut self) -> Option<u64> {
        let count = self.digits()?;
        let end = self.at.wrapping_add(count);
        let value = match count {
            ..=8 if end >= 8 => u64::from(lanes::value(self.word(end)? & *KEEP.get(count)?)?),
            9..=16 => {
                let low = lanes::value(self.word(end)?)?;
                let keep = KEEP.get(count.wrapping_sub(8))?;
                let high = lanes::value(self.word(end.wrapping_sub(8))? & keep)?;
                u64::from(high) * 100_000_000 + u64::from(low)
            }
            ..=DIGITS_MAX => self
                .bytes
                .get(self.at..end)?
                .iter()
                .fold(0, |value, byte| value * 10 + u64::from(byte & 15)),
            _ => return None,
        };
        self.at = end;
        Some(value)
    }

    /// Passes over an integer that [`Cursor::uint`] would take.
    #[inline]
    pub fn pass_uint(&mut self) -> Option<()> {
        let count = self.digits().filter(|&count| count <= DIGITS_MAX)?;
        self.at = self.at.wrapping_add(count);
        Some(())
    }

    /// How many digits come next, up to 32; `None` when there is none, or a zero in front.
    #[inline(always)]
    fn digits(&self) -> Option<usize> {
        let count = match self.window() {
            Some((window, shift)) => {
                // The end of the message ends a number as well.
                let others = u64::from(lanes::others(window)) | 1 << WINDOW;
                (others >> shift).trailing_zeros() as usize
            }
            // A message shorter than a window.
            None => {
                let digits = self.from(self.at)?.iter();
                digits.take_while(|byte| byte.is_ascii_digit()).count()
            }
        };
        let is_padded = count > 1 && self.from(self.at)?.first() == Some(&b'0');
        (count > 0 && !is_padded).then_some(count)
    }

    /// Passes over one to seven digits and the closing quote behind them.
    #[inline(always)]
    pub fn pass_digits(&mut self) -> Option<()> {
        let bytes = u64::from_le_bytes(*self.from(self.at)?.first_chunk()?);
        let count = lanes::quote_in(bytes);
        let digits = (bytes ^ ZEROS) << (8 * (8 - count.clamp(1, 8)));
        lanes::value(digits)?;
        self.at = self.at.wrapping_add(count as usize + 1);
        (1..8).contains(&count).then_some(())
    }

    /// As [`Cursor::uint`], with a minus before it or none. Minus zero is given up.
    #[inline]
    pub fn int(&mut self) -> Option<i64> {
        let is_negative = self.eat(b"-");
        let value = i64::try_from(self.uint()?).ok()?;
        match (is_negative, value) {
            (false, value) => Some(value),
            (true, 0) => None,
            (true, value) => Some(-value),
        }
    }

    /// `true` or `false`.
    #[inline]
    pub fn bool(&mut self) -> Option<bool> {
        if self.eat(b"true") {
            return Some(true);
        }
        self.need(b"false").map(|()| false)
    }

    /// Printable ASCII without escapes up to the closing quote, which is taken as well; at most [`TEXT_MAX`]
    /// bytes.
    #[inline]
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let (window, shift) = self.window()?;
        let length = (lanes::marks(window).quotes >> shift).trailing_zeros();
        let specials = lanes::specials(window) >> shift;
        if specials.trailing_zeros() < length || length as usize > TEXT_MAX {
            return None;
        }
        let text = self.from(self.at)?.get(..length as usize)?;
        self.at = self.at.wrapping_add(length as usize + 1);
        Some(text)
    }

    /// The text behind a literal that ends with its opening quote.
    #[inline(always)]
    pub fn text_after<const N: usize>(&mut self, literal: &[u8; N]) -> Option<&'a [u8]> {
        self.need(literal)?;
        self.text()
    }

    /// A name and its text, `name":"text"`, from behind the first quote to behind the last: both as
    /// [`Cursor::text`] takes them.
    ///
    /// Cost: about 3 ns when both lie in 32 bytes; else that of two texts.
    #[inline(always)]
    pub fn pair(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.short_pair().or_else(|| self.any_pair())
    }

    #[inline(always)]
    fn short_pair(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (window, shift) = self.window()?;
        let quotes = lanes::marks(window).quotes >> shift;
        let name_end = quotes.trailing_zeros();
        let later = quotes & quotes.wrapping_sub(1);
        let text_start = later.trailing_zeros().wrapping_add(1);
        let end = (later & later.wrapping_sub(1)).trailing_zeros();
        let specials = lanes::specials(window) >> shift;
        // Without a third quote the end is behind the window.
        if end as usize >= WINDOW || specials.trailing_zeros() < end {
            return None;
        }
        let rest = self.from(self.at)?;
        let between = rest.get(name_end as usize..text_start as usize)?;
        if between != br#"":""# {
            return None;
        }
        let name = rest.get(..name_end as usize)?;
        let text = rest.get(text_start as usize..end as usize)?;
        self.at = self.at.wrapping_add(end as usize + 1);
        Some((name, text))
    }

    #[cold]
    #[inline(never)]
    fn any_pair(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let name = self.text()?;
        self.need(br#":""#)?;
        Some((name, self.text()?))
    }

    /// A decimal number up to the closing quote, which is taken as well.
    ///
    /// Equals [`Decimal::parse`] of the same bytes where that succeeds; else `None`.
    #[inline]
    pub fn decimal(&mut self) -> Option<Decimal> {
        self.short_decimal().or_else(|| self.any_decimal())
    }

    /// Two decimal numbers, `P","Q"`, from behind the first quote to behind the last: a level, put behind
    /// `levels`.
    ///
    /// Equals [`Decimal::parse`] of both. Cost: about 6 ns, when both have at most eight digits before and
    /// behind their points and lie in 32 bytes; else that of two times `parse`. No allocation while `levels`
    /// has room.
    #[inline(always)]
    pub fn level(&mut self, levels: &mut Vec<RawLevel>) -> Option<()> {
        // The rare way writes its level itself: returned, it would go through memory, and the usual one's too.
        self.at = match self.short_level() {
            Some((level, end)) => {
                levels.push(level);
                end
            }
            None => self.any_level(levels)?,
        };
        Some(())
    }

    #[inline(always)]
    fn short_level(&self) -> Option<(RawLevel, usize)> {
        let view = self.view()?;
        let marks = lanes::marks(view.window()?);
        let here = u32::MAX.wrapping_shl(view.start);
        let (quotes, points) = (marks.quotes & here, marks.points & here);
        let price_end = quotes.trailing_zeros();
        // The quote behind the comma is checked with it; the one after that ends the quantity.
        let later = quotes & quotes.wrapping_sub(1);
        let later = later & later.wrapping_sub(1);
        if later == 0 || !view.is_between(price_end) {
            return None;
        }
        let qty_end = later.trailing_zeros();
        let qty_start = price_end.wrapping_add(3);
        // The number's own end stands in for the point that an integer does not have.
        let price_point = (points | bit(price_end)).trailing_zeros();
        let behind = u32::MAX.wrapping_shl(qty_start);
        let qty_point = ((points | bit(qty_end)) & behind).trailing_zeros();

        let price = view.number(view.start, price_point, price_end)?;
        let qty = view.number(qty_start, qty_point, qty_end)?;
        let [a, b, c, d] = lanes::digits([price.whole, price.fraction, qty.whole, qty.fraction])?;
        let level = RawLevel {
            price: price.decimal(a, b),
            qty: qty.decimal(c, d),
        };
        Some((level, self.behind(&view, qty_end)))
    }

    /// Returns where the level ended.
    #[cold]
    #[inline(never)]
    fn any_level(mut self, levels: &mut Vec<RawLevel>) -> Option<usize> {
        let price = self.any_decimal()?;
        self.need(br#",""#)?;
        let qty = self.any_decimal()?;
        levels.push(RawLevel { price, qty });
        Some(self.at)
    }

    #[inline(always)]
    fn short_decimal(&mut self) -> Option<Decimal> {
        let view = self.view()?;
        let marks = lanes::marks(view.window()?);
        let here = u32::MAX.wrapping_shl(view.start);
        let quotes = marks.quotes & here;
        if quotes == 0 {
            return None;
        }
        let end = quotes.trailing_zeros();
        let point = (marks.points & here | bit(end)).trailing_zeros();
        let number = view.number(view.start, point, end)?;
        let (whole, fraction) = (lanes::value(number.whole)?, lanes::value(number.fraction)?);
        self.at = self.behind(&view, end);
        Some(number.decimal(whole, fraction))
    }

    #[cold]
    #[inline(never)]
    fn any_decimal(&mut self) -> Option<Decimal> {
        let rest = self.from(self.at)?;
        let end = rest
            .iter()
            .take(DECIMAL_MAX)
            .position(|&byte| byte == b'"')?;
        self.at = self.at.wrapping_add(end + 1);
        Decimal::parse(rest.get(..end)?).ok()
    }

    #[inline(always)]
    fn from(&self, at: usize) -> Option<&'a [u8]> {
        self.bytes.get(at..)
    }

    /// The window that begins here, or the last one of the message, and which of its bytes is the next one.
    #[inline(always)]
    fn window(&self) -> Option<(&'a [u8; WINDOW], u32)> {
        let (from, start) = self.place()?;
        Some((self.from(from)?.first_chunk()?, start))
    }

    /// As [`Cursor::window`], with the eight bytes before it.
    #[inline(always)]
    fn view(&self) -> Option<View<'a>> {
        let (from, start) = self.place()?;
        Some(View {
            bytes: self.from(from.checked_sub(8)?)?.first_chunk()?,
            start,
        })
    }

    #[inline(always)]
    fn place(&self) -> Option<(usize, u32)> {
        let last = self.bytes.len().checked_sub(WINDOW)?;
        let from = self.at.min(last);
        let start = self.at.wrapping_sub(from);
        (start < WINDOW).then_some((from, start as u32))
    }

    /// The place in the message behind byte `end` of the window.
    #[inline(always)]
    fn behind(&self, view: &View<'_>, end: u32) -> usize {
        self.at
            .wrapping_add(end.wrapping_sub(view.start) as usize)
            .wrapping_add(1)
    }

    /// The eight bytes before `end` as digit values, the last one in the top byte. Reading up to the end of a
    /// number, not from its start, stays inside the message wherever the number is.
    #[inline(always)]
    fn word(&self, end: usize) -> Option<u64> {
        let bytes = self.bytes.get(..end)?.last_chunk()?;
        Some(u64::from_le_bytes(*bytes) ^ ZEROS)
    }
}

/// One bit of 32.
#[inline(always)]
const fn bit(at: u32) -> u32 {
    1u32.wrapping_shl(at)
}

/// A window with the eight bytes before it, so that every number in it has eight bytes before its end. Places
/// are those in the window.
struct View<'a> {
    bytes: &'a [u8; 8 + WINDOW],
    /// The place of the cursor.
    start: u32,
}

impl View<'_> {
    #[inline(always)]
    fn window(&self) -> Option<&[u8; WINDOW]> {
        self.bytes.last_chunk()
    }

    /// Whether a number ends here and another begins: `","`.
    #[inline(always)]
    fn is_between(&self, at: u32) -> bool {
        let bytes = self.bytes.get(at as usize + 8..);
        bytes.and_then(<[u8]>::first_chunk).is_some_and(|bytes| {
            // Four bytes are read at once, three looked at.
            u32::from_le_bytes(*bytes) << 8 == u32::from_le_bytes(*b"\0\",\"")
        })
    }

    /// The eight bytes before `end` as digit values, the last one in the top byte.
    #[inline(always)]
    fn word(&self, end: u32) -> Option<u64> {
        let bytes = self.bytes.get(end as usize..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes) ^ ZEROS)
    }

    /// A number by where it begins, where its point is or would be, and where it ends. `None` when there is no
    /// digit where there must be one, or more than eight.
    #[inline(always)]
    fn number(&self, start: u32, point: u32, end: u32) -> Option<Number> {
        let (wholes, behind) = (point.wrapping_sub(start), end.wrapping_sub(point));
        // A point needs digits on both sides.
        if wholes == 0 || behind == 1 {
            return None;
        }
        let keep = KEEP.get(wholes as usize)?;
        let fraction = FRACTIONS.get(behind as usize)?;
        Some(Number {
            whole: self.word(point)? & keep,
            fraction: self.word(end)? & fraction.keep,
            scale: fraction.scale,
            exponent: fraction.exponent,
        })
    }
}

/// The digits of a number before and behind its point, right-aligned in words, zeros in front.
#[derive(Clone, Copy)]
struct Number {
    whole: u64,
    fraction: u64,
    scale: i64,
    exponent: i8,
}

impl Number {
    /// At most sixteen digits: always in range.
    #[inline(always)]
    fn decimal(self, whole: u32, fraction: u32) -> Decimal {
        let mantissa = i64::from(whole)
            .wrapping_mul(self.scale)
            .wrapping_add(i64::from(fraction));
        Decimal {
            mantissa,
            exponent: self.exponent,
        }
    }
}

#[cfg(test)]
mod tests;
