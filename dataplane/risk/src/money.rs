//! One currency for all: what an asset is worth in the one that limits and reports are in.

use dp_types::{AssetId, Notional};

/// Parts of one unit in which rates are kept, those of [`Notional`].
const PARTS: i128 = 1_000_000_000_000;

/// Worth of each asset in the reporting currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates {
    /// 10^-12 of the reporting currency a unit; 0 = not known.
    rates: Box<[u64]>,
}

impl Rates {
    /// Nothing is known of any of `assets`. Takes its memory here.
    pub fn new(assets: usize) -> Self {
        Self {
            rates: vec![0; assets].into_boxed_slice(),
        }
    }

    /// One unit of an asset is worth `rate` 10^-12 units of the reporting currency; 0: that is not known any more. An asset
    /// that is not in the table is left out.
    pub fn set(&mut self, asset: AssetId, rate: u64) {
        if let Some(slot) = self.rates.get_mut(usize::from(asset.0)) {
            *slot = rate;
        }
    }

    /// An amount of an asset (10^-12 units) in the reporting currency, rounded towards zero. `None` where the rate is not
    /// known or the product leaves its range: what cannot be counted must not be taken for nothing.
    pub fn convert(&self, amount: Notional, asset: AssetId) -> Option<Notional> {
        let rate = self.rate(asset)?;
        // In two parts: the plain product leaves an `i128` at amounts that can be held.
        let (whole, rest) = (amount.0 / PARTS, amount.0 % PARTS);
        let rate = i128::from(rate);
        let whole = whole.checked_mul(rate)?;
        whole.checked_add(rest * rate / PARTS).map(Notional)
    }

    /// The worth of an asset, 10^-12 units of the reporting currency a unit; `None` = not known.
    pub fn rate(&self, asset: AssetId) -> Option<u64> {
        let rate = self.rates.get(usize::from(asset.0)).copied();
        rate.filter(|rate| *rate > 0)
    }

    /// An amount of one asset in units of another, rounded towards zero. As [`Rates::convert`].
    pub fn between(&self, amount: Notional, from: AssetId, to: AssetId) -> Option<Notional> {
        let to = i128::from(self.rate(to)?);
        let worth = self.convert(amount, from)?.0;
        let (whole, rest) = (worth / to, worth % to);
        let whole = whole.checked_mul(PARTS)?;
        whole.checked_add(rest * PARTS / to).map(Notional)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn converts_by_hand_and_never_guesses() {
        let mut rates = Rates::new(3);
        let (usd, btc, eth) = (AssetId(0), AssetId(1), AssetId(2));
        rates.set(usd, PARTS as u64);
        rates.set(btc, 65_000 * PARTS as u64);
        rates.set(AssetId(9), 1);
        let amount = Notional(-3 * PARTS / 2);
        assert_eq!(rates.convert(amount, usd), Some(amount));
        assert_eq!(rates.convert(amount, btc), Some(Notional(-97_500 * PARTS)));
        assert_eq!(rates.convert(amount, eth), None);
        assert_eq!(rates.convert(Notional(i128::MAX), btc), None);
        let fee = Notional(PARTS / 1_000);
        assert_eq!(rates.between(fee, btc, usd), Some(Notional(65 * PARTS)));
        assert_eq!(rates.between(Notional(65 * PARTS), usd, btc), Some(fee));
        assert_eq!(rates.between(fee, btc, eth), None);
        rates.set(btc, 0);
        assert_eq!(rates.convert(Notional(0), btc), None);
    }

    proptest! {
        #[test]
        fn is_the_rounded_product_where_that_fits(amount in -(1i128 << 62)..1i128 << 62, rate in 1u64..) {
            let mut rates = Rates::new(1);
            rates.set(AssetId(0), rate);
            let got = rates.convert(Notional(amount), AssetId(0)).unwrap().0;
            prop_assert_eq!(got, amount * i128::from(rate) / PARTS);
        }
    }
}
