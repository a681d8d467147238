//! Funding of swaps: the stream tells that some was paid, the list of bills what for which swap.
//!
//! ```text
//! balance_and_position, eventType = funding_fee ─▶ a balance, no amount paid      ─▶ asked a while later
//! a comparison has ended                        ──────────────────────────────────▶ asked
//! bills  type 8  {billId, instId, ccy, pnl, ts}, newest first, page by page ─▶ a payment each, as often as it is listed
//! ```
//! Asked for is what came since a while before the newest known, at first since a day: what is told twice is booked
//! once, and what was due before the account was ours is not booked (`dp-lane`). That a bill is listed within
//! [`LISTED_NS`] of its push is not documented [U]; the next comparison asks in any case.
//! Source: the venue's page "Get bills details (last 7 days)", 5 requests a second and user, read 2026-11-22: of a bill of
//! funding `pnl` is what was paid. Fixtures `account_funding.json`, `rest_bills.json`.

use crate::account::{id, text};
use crate::feed::{at, instrument, millis};
use crate::rest::{ListPage, PAGE_LEN, RUN_MASK};
use crate::session::{ANSWER_WAIT_NS, SECOND_NS};
use dp_types::{AssetId, FundingReport, Now, TradeId, UnixNanos};
use dp_venue_api::{DecodeError, Event, Registry, Sink};
use dp_wire::json::Value;

/// Pages of one question: 2,000 bills, hourly funding of 83 swaps for a day.
pub const BILL_PAGES_MAX: u32 = 20;
/// After a push the list is asked for when it should have it.
const LISTED_NS: u64 = 5 * SECOND_NS;
/// Pause after a question that failed: nothing waits for its answer.
const AGAIN_NS: u64 = 10 * SECOND_NS;
/// How far back the first question goes, and each after it behind the newest payment known, milliseconds.
const FIRST_MS: u64 = 24 * 3_600 * 1_000;
const AGAIN_MS: u64 = 3_600 * 1_000;

/// When the list is asked for, from when on, and how far it is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bills {
    pub(crate) at: Option<UnixNanos>,
    /// Which question: no answer to another turns its pages.
    run: u32,
    page: u32,
    /// Page on from this bill.
    after: u128,
    /// The newest payment known, Unix milliseconds; of before this question, until all its pages are read.
    known_ms: u64,
    newest_ms: u64,
    /// Some was paid while the list is being read.
    is_again: bool,
}

/// A page of bills: how many, the oldest's id, and when the newest was paid, Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BillPage {
    pub(crate) items: usize,
    pub(crate) id_min: u128,
    pub(crate) newest_ms: u64,
}

impl Bills {
    /// Some was paid.
    pub(crate) fn paid(&mut self, now: Now) {
        if self.page == 0 {
            self.at = Some(now.unix.after(LISTED_NS));
        } else {
            self.is_again = true;
        }
    }

    /// Some may have been paid unheard.
    pub(crate) fn compared(&mut self, now: Now) {
        self.at.get_or_insert(now.unix);
    }

    pub(crate) fn is_due(&self, now: Now) -> bool {
        self.at.is_some_and(|at| at <= now.unix)
    }

    /// A page is being asked for: which, and the request's query.
    pub(crate) fn asked(&mut self, now: Now) -> (ListPage, String) {
        self.at = Some(now.unix.after(ANSWER_WAIT_NS));
        if self.page == 0 {
            self.run = (self.run.wrapping_add(1) & RUN_MASK).max(1);
        }
        let begin = match self.known_ms {
            0 => now.unix.millis().saturating_sub(FIRST_MS),
            known => known.saturating_sub(AGAIN_MS),
        };
        let mut query = format!("instType=SWAP&type=8&begin={begin}&limit={PAGE_LEN}");
        if self.page > 0 {
            query = format!("{query}&after={}", self.after);
        }
        (self.awaited(), query)
    }

    /// The page that is waited for.
    pub(crate) fn awaited(&self) -> ListPage {
        ListPage {
            run: self.run,
            page: self.page,
        }
    }

    /// There was no room, or no answer.
    pub(crate) fn failed(&mut self, now: Now) {
        self.at = self.at.map(|_| now.unix.after(AGAIN_NS));
    }

    /// The page waited for was told: the next one, or no more.
    ///
    /// Errors: more pages than the maximum. The older ones are left out, and told so; what is newer is known.
    pub(crate) fn listed(&mut self, told: BillPage, now: Now) -> Result<(), DecodeError> {
        self.newest_ms = self.newest_ms.max(told.newest_ms);
        let is_last = told.items < PAGE_LEN;
        let is_over = !is_last && self.page + 1 >= BILL_PAGES_MAX;
        if !is_last && !is_over {
            (self.page, self.after) = (self.page + 1, told.id_min);
            self.at = Some(now.unix);
            return Ok(());
        }
        self.known_ms = self.newest_ms.min(now.unix.millis());
        self.page = 0;
        let is_again = std::mem::take(&mut self.is_again);
        self.at = is_again.then(|| now.unix.after(LISTED_NS));
        if is_over {
            return Err(DecodeError::TooMuch("funding payments"));
        }
        Ok(())
    }
}

/// Whether a push of `balance_and_position` says that funding was paid.
pub(crate) fn is_paid(root: Value<'_>) -> Result<bool, DecodeError> {
    let mut data = root.array("data").map_err(at("data"))?;
    Ok(data.any(|item| text(item, "eventType") == "funding_fee"))
}

/// A page of the list of bills, each read by itself.
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_bills(
    registry: &Registry,
    root: Value<'_>,
    out: &mut impl Sink,
) -> Result<BillPage, DecodeError> {
    let (mut page, mut result) = (
        BillPage {
            items: 0,
            id_min: u128::MAX,
            newest_ms: 0,
        },
        Ok(()),
    );
    for item in root.array("data").map_err(at("data"))? {
        page.items += 1;
        match payment(registry, item, out) {
            Ok((bill, at_ms)) => {
                page.id_min = page.id_min.min(bill);
                page.newest_ms = page.newest_ms.max(at_ms);
            }
            Err(error) => result = result.and(Err(error)),
        }
    }
    result.map(|()| page)
}

/// One bill: its id, and its time in Unix milliseconds.
fn payment(
    registry: &Registry,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<(u128, u64), DecodeError> {
    let bill = match id(item, "billId")? {
        0 => return Err(DecodeError::Field("billId")),
        bill => bill,
    };
    let venue_ns = millis(item, "ts")?;
    if text(item, "type") != "8" {
        out.event(&Event::Ignored("an income that is no funding"));
        return Ok((bill, venue_ns.0 / 1_000_000));
    }
    match instrument(registry, item) {
        Ok(instrument) => {
            let asset = item.str("ccy").map_err(at("ccy"))?;
            out.event(&Event::Funding(FundingReport {
                instrument,
                id: TradeId(bill),
                amount: item.decimal("pnl").map_err(at("pnl"))?,
                asset: registry.find_asset(asset).unwrap_or(AssetId::NONE),
                venue_ns,
            }));
        }
        Err(DecodeError::UnknownSymbol) => {
            out.event(&Event::Ignored("an instrument we do not follow"));
        }
        Err(error) => return Err(error),
    }
    Ok((bill, venue_ns.0 / 1_000_000))
}
