//! Funding of perpetuals: what the log of transactions says was realised of it.
//!
//! ```text
//! funding runs on every moment, and is realised by a trade that changes the position, and at the settlement:
//!   trade       interest_pl   since the one before
//!   settlement  interest_pl   since the last of them; total_interest_pl is the session's sum of both: not read
//!               session_rpl, session_upl, change   P&L by the settlement's price, funding in it: not read
//! ```
//! Our P&L is made of our fills' prices and of marks, never of the venue's session, so `interest_pl` of each row is
//! booked and nothing twice: a settlement changes no price we paid. That the rows of a session add up to its total is
//! read out of the venue's example, where realised and unrealised P&L make the whole change [U].
//!
//! No stream tells any of it: after each comparison each currency's log is read back to the newest row known, at first a
//! day, a page a second, which is what the venue allows an account of this method; our share of that is as much slower.
//! Source: the venue's reference of `private/get_transaction_log`, read 2026-11-22; fixture `rest_transaction_log.json`.

use crate::account::{followed, text};
use crate::feed::{NOT_FOLLOWED, at, millis, optional};
use crate::rest::{Ask, RUN_MASK};
use crate::session::{ANSWER_WAIT_NS, SECOND_NS};
use crate::symbols::currency;
use dp_types::{AssetId, FundingReport, Now, TradeId, UnixNanos};
use dp_venue_api::limits::Share;
use dp_venue_api::{DecodeError, Event, Registry, Sink};
use dp_wire::json::Value;

/// Rows of a page: what the venue gives when it is not asked for a number.
pub const LOG_PAGE_LEN: usize = 100;
/// Pages of one currency we read after a comparison: 5,000 rows.
pub const LOG_PAGES_MAX: u32 = 50;
/// Between two pages where the account is ours alone.
const PACE_NS: u64 = SECOND_NS + SECOND_NS / 10;
/// Pause after a question that failed: nothing waits for its answer.
const AGAIN_NS: u64 = 10 * SECOND_NS;
/// How far back the first question goes, and each after it behind the newest row known, milliseconds.
const FIRST_MS: u64 = 24 * 3_600 * 1_000;
const OVERLAP_MS: u64 = 60 * 1_000;

/// One currency's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    currency: String,
    /// The newest row: its number and its time, Unix milliseconds.
    newest: (u64, u64),
}

/// When the logs are asked for, and how far they are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) at: Option<UnixNanos>,
    logs: Vec<Known>,
    /// Between two pages.
    pace_ns: u64,
    /// Which question, and page of it: no other answer turns a page.
    run: u32,
    page: u32,
    /// The currency that is read, the pages read of it, where it goes on, the newest row of it.
    place: usize,
    pages: u32,
    after: Option<u64>,
    newest: (u64, u64),
}

/// A page of a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogPage {
    /// The smallest number, and the largest with its time.
    oldest: u64,
    newest: (u64, u64),
    /// Where older rows begin.
    after: Option<u64>,
}

impl Log {
    /// Of the currencies in which these symbols' perpetuals are settled.
    pub(crate) fn new(symbols: &[String], share: Share) -> Self {
        let perpetuals = symbols.iter().filter(|name| name.ends_with("-PERPETUAL"));
        let mut currencies: Vec<_> = perpetuals.map(|name| currency(name).to_owned()).collect();
        currencies.sort();
        currencies.dedup();
        let log = |currency| Known {
            currency,
            newest: (0, 0),
        };
        Self {
            logs: currencies.into_iter().map(log).collect(),
            pace_ns: PACE_NS * 100 / u64::from(share.of(100).max(1)),
            ..Self::default()
        }
    }

    /// Some may have been realised; a reading under way goes on, and the next comparison asks for what it misses.
    pub(crate) fn compared(&mut self, now: Now) {
        if !self.logs.is_empty() {
            self.at.get_or_insert(now.unix);
        }
    }

    pub(crate) fn is_due(&self, now: Now) -> bool {
        self.at.is_some_and(|at| at <= now.unix)
    }

    /// The page that is waited for.
    pub(crate) fn awaited(&self) -> Ask {
        Ask::Log(self.run, self.page)
    }

    /// A page is being asked for: the target. `None`: there is no currency left.
    pub(crate) fn asked(&mut self, now: Now) -> Option<String> {
        if self.page == 0 {
            self.run = (self.run.wrapping_add(1) & RUN_MASK).max(1);
        }
        self.at = Some(now.unix.after(ANSWER_WAIT_NS));
        let Known { currency, newest } = self.logs.get(self.place)?;
        let end = now.unix.millis();
        let since = match newest.1 {
            0 => end.saturating_sub(FIRST_MS),
            known => known.saturating_sub(OVERLAP_MS),
        };
        let mut target = format!(
            "/api/v2/private/get_transaction_log?currency={currency}&start_timestamp={since}&end_timestamp={end}&count={LOG_PAGE_LEN}"
        );
        if let Some(after) = self.after {
            target = format!("{target}&continuation={after}");
        }
        Some(target)
    }

    /// There was no room, or no answer.
    pub(crate) fn failed(&mut self, now: Now) {
        self.at = self.at.map(|_| now.unix.after(AGAIN_NS));
    }

    /// The page waited for was told: the next one, the next currency, or no more.
    ///
    /// Errors: more pages than the maximum. The older ones are left out, and told so; what is newer is known.
    pub(crate) fn listed(&mut self, told: LogPage, now: Now) -> Result<(), DecodeError> {
        self.newest = self.newest.max(told.newest);
        (self.page, self.pages) = (self.page.wrapping_add(1), self.pages + 1);
        let known = self.logs.get(self.place).map_or(0, |log| log.newest.0);
        let has_more = told.oldest > known && told.after.is_some();
        let is_over = has_more && self.pages >= LOG_PAGES_MAX;
        self.at = Some(now.unix.after(self.pace_ns));
        if has_more && !is_over {
            self.after = told.after;
            return Ok(());
        }
        let (number, at_ms) = self.newest;
        if let Some(log) = self.logs.get_mut(self.place) {
            log.newest = log.newest.max((number, at_ms.min(now.unix.millis())));
        }
        (self.place, self.pages, self.after) = (self.place + 1, 0, None);
        self.newest = (0, 0);
        if self.place >= self.logs.len() {
            (self.place, self.page, self.at) = (0, 0, None);
        }
        if is_over {
            return Err(DecodeError::TooMuch("funding payments"));
        }
        Ok(())
    }
}

/// A page of a log, newest first, each row read by itself.
///
/// Errors: the first that cannot be read; all the others are out.
pub(crate) fn on_log(
    registry: &Registry,
    result: Value<'_>,
    out: &mut impl Sink,
) -> Result<LogPage, DecodeError> {
    let mut page = LogPage {
        oldest: u64::MAX,
        newest: (0, 0),
        after: result.get("continuation").and_then(Value::as_u64),
    };
    let mut told = Ok(());
    for item in result.array("logs").map_err(at("logs"))? {
        match row(registry, item, out) {
            Ok(number) => {
                page.oldest = page.oldest.min(number.0);
                page.newest = page.newest.max(number);
            }
            Err(error) => told = told.and(Err(error)),
        }
    }
    if page.newest.0 == 0 {
        page.after = None; // nothing to go on from
    }
    told.map(|()| page)
}

/// One row: its number, and its time in Unix milliseconds.
fn row(
    registry: &Registry,
    item: Value<'_>,
    out: &mut impl Sink,
) -> Result<(u64, u64), DecodeError> {
    let number = item.u64("id").map_err(at("id"))?;
    let venue_ns = millis(item, "timestamp")?;
    let paid = optional(item, "interest_pl")?.filter(|paid| !paid.is_zero());
    let Some(amount) = paid.filter(|_| !text(item, "instrument_name").is_empty()) else {
        out.event(&Event::Ignored("an income that is no funding"));
        return Ok((number, venue_ns.0 / 1_000_000));
    };
    match followed(registry, item)? {
        None => out.event(&NOT_FOLLOWED),
        Some(instrument) => {
            let asset = item.str("currency").map_err(at("currency"))?;
            out.event(&Event::Funding(FundingReport {
                instrument,
                id: TradeId(u128::from(number)),
                amount,
                asset: registry.find_asset(asset).unwrap_or(AssetId::NONE),
                venue_ns,
            }));
        }
    }
    Ok((number, venue_ns.0 / 1_000_000))
}
