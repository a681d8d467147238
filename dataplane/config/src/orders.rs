//! Which books are followed order by order. Whether a venue shows them is known to the dataplane alone.

use crate::Venue;
use dp_types::limit::{ORDERS_MAX, ORDERS_MAX_MAX};

/// Less has no use: a hundred orders of ten prices.
const ORDERS_MAX_MIN: usize = 1 << 10;

pub const fn max() -> u32 {
    ORDERS_MAX as u32
}

impl Venue {
    /// Errors: the key, and what is wrong with it.
    pub(crate) fn check_orders(&self) -> Result<(), (&'static str, String)> {
        let is_followed = |symbol: &&String| self.symbols.contains(*symbol);
        if let Some(symbol) = self.single_orders.iter().find(|it| !is_followed(it)) {
            let why = format!("`{symbol}` is not among symbols: name it there too");
            return Err(("single_orders", why));
        }
        let bounds = ORDERS_MAX_MIN..=ORDERS_MAX_MAX;
        if !bounds.contains(&(self.single_orders_max as usize)) {
            let why = format!(
                "{}: use {ORDERS_MAX_MIN} to {ORDERS_MAX_MAX}",
                self.single_orders_max
            );
            return Err(("single_orders_max", why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{GOOD, load};

    #[test]
    fn single_orders_are_of_symbols_and_have_bounds() {
        let venue = load(GOOD).unwrap().venue["binance"].clone();
        assert_eq!(
            (venue.single_orders.len(), venue.single_orders_max),
            (0, 131_072)
        );
        let with = |line: &str| load(&GOOD.replace("symbols = [", &format!("{line}\nsymbols = [")));
        assert!(with("single_orders = [\"BTCUSDT\"]\nsingle_orders_max = 1024").is_ok());
        for (bad, mend) in [
            ("single_orders = [\"X\"]", "among symbols"),
            ("single_orders_max = 1023", "1024 to 1048576"),
            ("single_orders_max = 1048577", "1024 to 1048576"),
        ] {
            let error = with(bad).unwrap_err();
            assert!(
                error.contains(mend) && error.contains("venue.binance.single_orders"),
                "{error}"
            );
        }
    }
}
