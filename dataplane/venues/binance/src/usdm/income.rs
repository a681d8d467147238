//! Funding: the stream tells that some was paid, REST what for which symbol.
//!
//! ```text
//! ACCOUNT_UPDATE, m = FUNDING_FEE ─▶ a balance, for crossed positions without any symbol ─▶ asked a while later
//! a comparison has ended           ─────────────────────────────────────────────────────▶ asked
//! income  [{symbol,incomeType,income,asset,time,tranId}]  ─▶ a payment each, told again as often as it is listed
//! ```
//! Asked for is what came since a while before the newest known, at first since a day: what is told twice is booked
//! once, and what was due before the account was ours is not booked (`dp-lane`). That a payment is listed within
//! [`LISTED_NS`] of its push is not documented [U]; the next comparison asks in any case.
//! Source: developers.binance.com, "Event: Balance and Position Update", "Get Income History", read 2026-11-22;
//! fixtures `usdm_funding*.json`.

use crate::account::{asset, followed, text};
use crate::feed::{at, millis};
use crate::product::Market;
use crate::session::{ANSWER_WAIT_NS, RETRY_NS, SECOND_NS};
use dp_types::{FundingReport, Now, TradeId, UnixNanos};
use dp_venue_api::{DecodeError, Event, Sink};
use dp_wire::json::Value;

/// Rows of one answer: the venue's most.
pub(crate) const ROWS_MAX: usize = 1_000;
/// What the request weighs.
pub(crate) const WEIGHT: u32 = 30;
/// After a push the list is asked for when it should have it.
const LISTED_NS: u64 = 5 * SECOND_NS;
/// How far back the first question goes, and each after it behind the newest payment known, milliseconds.
const FIRST_MS: u64 = 24 * 3_600 * 1_000;
const AGAIN_MS: u64 = 3_600 * 1_000;

/// When the list is asked for, and from when on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Income {
    pub(crate) at: Option<UnixNanos>,
    /// The newest payment listed, Unix milliseconds.
    newest_ms: u64,
}

impl Income {
    /// Some was paid.
    pub(crate) fn paid(&mut self, now: Now) {
        self.at = Some(now.unix.after(LISTED_NS));
    }

    /// Some may have been paid unheard.
    pub(crate) fn compared(&mut self, now: Now) {
        self.at.get_or_insert(now.unix);
    }

    pub(crate) fn is_due(&self, now: Now) -> bool {
        self.at.is_some_and(|at| at <= now.unix)
    }

    /// It is being asked for; from this Unix millisecond on.
    pub(crate) fn asked(&mut self, now: Now) -> u64 {
        self.at = Some(now.unix.after(ANSWER_WAIT_NS));
        match self.newest_ms {
            0 => now.unix.millis().saturating_sub(FIRST_MS),
            newest => newest.saturating_sub(AGAIN_MS),
        }
    }

    /// There was no room, or no answer.
    pub(crate) fn failed(&mut self, now: Now) {
        self.at = self.at.map(|_| now.unix.after(RETRY_NS));
    }

    /// So many rows were listed, up to this time: a full page has more behind it, as long as it brought news.
    pub(crate) fn listed(&mut self, (rows, newest_ms): (usize, u64), now: Now) {
        let has_more = rows >= ROWS_MAX && newest_ms > self.newest_ms;
        self.newest_ms = self.newest_ms.max(newest_ms);
        self.at = has_more.then_some(now.unix);
    }
}

/// Whether a push says that funding was paid.
pub(crate) fn is_paid(data: Value<'_>) -> bool {
    data.get("a")
        .is_some_and(|update| text(update, "m") == "FUNDING_FEE")
}

/// The payments listed: how many rows there were, and when the newest was due, Unix milliseconds.
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_income(
    market: Market<'_>,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<(usize, u64), DecodeError> {
    let (mut rows, mut newest, mut result) = (0, 0, Ok(()));
    for item in root.as_array().ok_or(DecodeError::Shape("no list"))? {
        rows += 1;
        match payment(market, item, out) {
            Ok(at_ms) => newest = newest.max(at_ms),
            Err(error) => result = result.and(Err(error)),
        }
    }
    result.map(|()| (rows, newest))
}

fn payment(market: Market<'_>, item: Value<'_>, out: &mut impl Sink) -> Result<u64, DecodeError> {
    let venue_ns = millis(item, "time")?;
    if text(item, "incomeType") != "FUNDING_FEE" {
        out.event(&Event::Ignored("an income that is no funding"));
    } else if let Some(instrument) = followed(market, item, "symbol", out)? {
        let id = item.u64("tranId").map_err(at("tranId"))?;
        out.event(&Event::Funding(FundingReport {
            instrument,
            id: TradeId(u128::from(id)),
            amount: item.decimal("income").map_err(at("income"))?,
            asset: asset(market, item.str("asset").map_err(at("asset"))?),
            venue_ns,
        }));
    }
    Ok(venue_ns.0 / 1_000_000)
}
