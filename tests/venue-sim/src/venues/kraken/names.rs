//! Names: pairs in the venue's three spellings, assets, ids.
//!
//! ```text
//!  BTC/USDT                WebSocket v2
//!  XBT/USDT                `wsname`: v1's name, told by REST
//!  XBTUSDT  XXBTZUSD       REST: altname; the key, where both assets have an old name with a letter before it
//!  OABCDE-12345-FGHIJK     orders begin with O, executions and amends with T, ledger entries with L
//! ```

/// Assets whose REST name has a letter before it: X for coins, Z for money. Newer ones have none.
const LETTERED: [&str; 17] = [
    "XETC", "XETH", "XLTC", "XMLN", "XREP", "XXBT", "XXDG", "XXLM", "XXMR", "XXRP", "XZEC", "ZAUD",
    "ZCAD", "ZEUR", "ZGBP", "ZJPY", "ZUSD",
];

/// The name v1 and REST pairs use.
pub fn old_name(asset: &str) -> &str {
    match asset {
        "BTC" => "XBT",
        "DOGE" => "XDG",
        asset => asset,
    }
}

/// The REST name of an asset.
pub fn asset_id(asset: &str) -> String {
    let old = old_name(asset);
    let lettered = LETTERED.iter().find(|name| name.get(1..) == Some(old));
    lettered.map_or_else(|| old.to_owned(), |name| (*name).to_owned())
}

/// One pair's names.
#[derive(Debug, Clone)]
pub struct Pair {
    /// `BTC/USDT`.
    pub symbol: String,
    /// `XBTUSDT`.
    pub altname: String,
    /// `XBTUSDT`, `XXBTZUSD`.
    pub key: String,
    /// `XBT/USDT`.
    pub wsname: String,
    /// `XXBT`.
    pub base_id: String,
    /// `USDT`.
    pub quote_id: String,
}

impl Pair {
    /// The names of a pair of assets.
    pub fn new(base: &str, quote: &str) -> Self {
        let (old_base, old_quote) = (old_name(base), old_name(quote));
        let (base_id, quote_id) = (asset_id(base), asset_id(quote));
        let altname = format!("{old_base}{old_quote}");
        let key = if base_id != old_base && quote_id != old_quote {
            format!("{base_id}{quote_id}")
        } else {
            altname.clone()
        };
        Self {
            symbol: format!("{base}/{quote}"),
            wsname: format!("{old_base}/{old_quote}"),
            altname,
            key,
            base_id,
            quote_id,
        }
    }

    /// Whether REST means this pair by a name.
    pub fn is_called(&self, name: &str) -> bool {
        [&self.altname, &self.key, &self.wsname].contains(&&name.to_owned())
    }
}

const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Numbers one apart make ids that look nothing alike. The second undoes the first, modulo 2^64.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const GATHER: u64 = 0xf1de_83e1_9937_733d;

/// The text of an id: the kind's letter, then 80 bits in groups of five.
pub fn id_text(kind: char, id: u64) -> String {
    let spread = id.wrapping_mul(SPREAD);
    let wide = u128::from(spread >> 48 ^ spread & 0xffff) << 64 | u128::from(spread);
    let mut text = String::from(kind);
    for at in (0..16).rev() {
        if at == 10 || at == 5 {
            text.push('-');
        }
        let letter = LETTERS.get((wide >> (5 * at) & 31) as usize);
        text.push(letter.map_or('A', |letter| char::from(*letter)));
    }
    text
}

/// The id of a text; `None` when the venue made no such text.
pub fn id_of(kind: char, text: &str) -> Option<u64> {
    let letters = text
        .strip_prefix(kind)?
        .bytes()
        .filter(|letter| *letter != b'-');
    let wide = letters.take(17).try_fold(0u128, |wide, letter| {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        Some(wide << 5 | value as u128)
    })?;
    let id = (wide as u64).wrapping_mul(GATHER);
    (id_text(kind, id) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_have_the_names_recorded() {
        for (base, quote, symbol, key, altname, wsname, ids) in [
            (
                "BTC",
                "USDT",
                "BTC/USDT",
                "XBTUSDT",
                "XBTUSDT",
                "XBT/USDT",
                ["XXBT", "USDT"],
            ),
            (
                "BTC",
                "USD",
                "BTC/USD",
                "XXBTZUSD",
                "XBTUSD",
                "XBT/USD",
                ["XXBT", "ZUSD"],
            ),
            (
                "ETH",
                "BTC",
                "ETH/BTC",
                "XETHXXBT",
                "ETHXBT",
                "ETH/XBT",
                ["XETH", "XXBT"],
            ),
            (
                "ADA",
                "ETH",
                "ADA/ETH",
                "ADAETH",
                "ADAETH",
                "ADA/ETH",
                ["ADA", "XETH"],
            ),
        ] {
            let pair = Pair::new(base, quote);
            assert_eq!((pair.symbol.as_str(), pair.key.as_str()), (symbol, key));
            assert_eq!(
                (pair.altname.as_str(), pair.wsname.as_str()),
                (altname, wsname)
            );
            assert_eq!([pair.base_id.as_str(), pair.quote_id.as_str()], ids);
            assert!(pair.is_called(key) && pair.is_called(altname) && pair.is_called(wsname));
            assert!(!pair.is_called(""));
        }
    }

    proptest::proptest! {
        #[test]
        fn ids_come_back_and_nothing_else_does(id: u64, text in "[A-Z2-7-]{0,24}") {
            let made = id_text('O', id);
            proptest::prop_assert_eq!((made.len(), id_of('O', &made)), (19, Some(id)));
            proptest::prop_assert_eq!(id_of('T', &made), None);
            if let Some(id) = id_of('O', &text) {
                proptest::prop_assert_eq!(id_text('O', id), text);
            }
        }
    }
}
