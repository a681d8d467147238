//! The journal as it grows: each strategy's orders and fills, and the digest of all of them.

use crate::account::Account;
use crate::curve::{Curve, Point};
use dp_config::Config;
use dp_journal::{Entry, ReadItem, Reader, Record};
use dp_types::{
    ClientOrderId, Instrument, InstrumentId, Notional, OrderState, Price, RejectReason, StrategyId,
    UnixNanos, VenueId,
};
use dp_venue_api::Registry;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// One strategy.
#[derive(Debug)]
pub struct Book {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its accounts, one a leg.
    pub accounts: Vec<Account>,
    /// All of them together, where their quote asset is the same.
    pub total: Option<Curve>,
    /// Wishes the risk gate refused, as far as they are journaled: one a second and rule.
    pub refusals: u64,
}

/// An order that is not over.
#[derive(Debug, Clone, Copy)]
struct Open {
    book: usize,
    account: usize,
    is_filled: bool,
}

/// All strategies.
pub struct Ledger {
    /// In order of their ids.
    pub books: Vec<Book>,
    open: HashMap<ClientOrderId, Open>,
    hash: Sha256,
    /// Journal records that were lost or torn: 0, or the result is not whole.
    pub lost: u64,
}

impl Ledger {
    /// For the configuration's strategies.
    pub fn new(config: &Config, registry: &Registry) -> Self {
        let books = (0..config.strategy.len()).map(|at| {
            let section = &config.strategy[at];
            let legs = section.legs().into_iter().filter_map(|leg| {
                registry.find(VenueId::from_name(&leg.venue)?, leg.symbol.as_bytes())
            });
            let accounts: Vec<Account> = legs.map(Account::new).collect();
            let quote = |account: &Account| registry.get(account.instrument).map(|it| it.quote);
            let first = accounts.first().and_then(quote);
            let is_one = accounts.iter().all(|account| quote(account) == first);
            Book {
                name: config
                    .strategy_name(StrategyId(at as u16))
                    .unwrap_or_default(),
                kind: section.kind.clone(),
                accounts,
                total: is_one.then(Curve::new),
                refusals: 0,
            }
        });
        Self {
            books: books.collect(),
            open: HashMap::new(),
            hash: Sha256::new(),
            lost: 0,
        }
    }

    /// Takes what the journal has gained.
    pub fn read(&mut self, reader: &mut Reader<'_>, instruments: &[Instrument]) {
        let before = Reader::position(reader);
        for item in &mut *reader {
            match item {
                ReadItem::Record(record) => self.take(&record, instruments),
                _ => self.lost += 1,
            }
        }
        let after = Reader::position(reader);
        if after != before {
            reader.set_drained(after);
        }
    }

    fn take(&mut self, record: &Record, instruments: &[Instrument]) {
        let at = record.at;
        match &record.entry {
            Entry::OrderIntent(it) => {
                let numbers = [it.side as i64, it.kind as i64, it.tif as i64];
                self.add(1, at, it.client_id, it.instrument, &numbers);
                self.add(2, at, it.client_id, it.instrument, &[it.price.0, it.qty.0]);
                let Some((book, account)) = self.place(it.strategy, it.instrument) else {
                    return;
                };
                let open = Open {
                    book,
                    account,
                    is_filled: false,
                };
                self.open.insert(it.client_id, open);
                let account = &mut self.books[book].accounts[account];
                account.orders += 1;
                account.ordered += i128::from(it.qty.0);
            }
            Entry::AmendIntent(it) => {
                let numbers = [
                    it.price.map_or(-1, |price| price.0),
                    it.qty.map_or(-1, |qty| qty.0),
                ];
                self.add(3, at, it.client_id, it.instrument, &numbers);
            }
            Entry::CancelIntent(it) => self.add(4, at, it.client_id, it.instrument, &[]),
            Entry::OrderUpdate(it) => {
                let numbers = [it.state as i64, it.cum_qty.0, it.price.0, it.qty.0];
                self.add(5, at, it.client_id, it.instrument, &numbers);
                if it.state.is_final()
                    && let Some(open) = self.open.remove(&it.client_id)
                {
                    let account = &mut self.books[open.book].accounts[open.account];
                    match it.state {
                        OrderState::Rejected => {
                            account.rejects += 1;
                            account.rate_rejects += u64::from(it.reason == RejectReason::RateLimit);
                        }
                        OrderState::Cancelled | OrderState::Expired => account.cancels += 1,
                        _ => {}
                    }
                }
            }
            Entry::Fill(it) => {
                let Some(id) = it.client_id else { return };
                let fee = it.fee.to_increments(12).unwrap_or(0);
                let numbers = [
                    it.side as i64,
                    it.price.0,
                    it.qty.0,
                    fee,
                    it.liquidity as i64,
                ];
                self.add(6, at, id, it.instrument, &numbers);
                let (Some(open), Some(instrument)) = (
                    self.open.get_mut(&id),
                    instruments.get(it.instrument.0 as usize),
                ) else {
                    self.lost += 1;
                    return;
                };
                let account = &mut self.books[open.book].accounts[open.account];
                account.orders_filled += u64::from(!open.is_filled);
                open.is_filled = true;
                if !account.book(at, it, instrument) {
                    self.lost += 1;
                }
            }
            Entry::Risk(it) => {
                if let Some(book) = self.books.get_mut(usize::from(it.strategy.0)) {
                    book.refusals += 1;
                }
            }
            _ => {}
        }
    }

    fn place(&self, strategy: StrategyId, id: InstrumentId) -> Option<(usize, usize)> {
        let book = usize::from(strategy.0);
        let accounts = &self.books.get(book)?.accounts;
        let account = accounts.iter().position(|it| it.instrument == id)?;
        Some((book, account))
    }

    fn add(
        &mut self,
        kind: u8,
        at: UnixNanos,
        id: ClientOrderId,
        instrument: InstrumentId,
        numbers: &[i64],
    ) {
        self.hash.update([kind]);
        self.hash.update(at.0.to_le_bytes());
        self.hash.update(id.0.to_le_bytes());
        self.hash.update(instrument.0.to_le_bytes());
        for number in numbers {
            self.hash.update(number.to_le_bytes());
        }
    }

    /// What every account is worth at the mids there are.
    pub fn look(
        &mut self,
        at: UnixNanos,
        instruments: &[Instrument],
        mid: impl Fn(InstrumentId) -> Option<i64>,
    ) {
        for book in &mut self.books {
            let mut sum = 0i128;
            for account in &mut book.accounts {
                let Some(instrument) = instruments.get(account.instrument.0 as usize) else {
                    continue;
                };
                let mark = mid(account.instrument).map(|doubled| Price(doubled / 2));
                sum = sum.saturating_add(account.look(at, instrument, mark).0);
            }
            if let Some(total) = &mut book.total {
                total.look(Point {
                    at,
                    equity: Notional(sum),
                    qty: 0,
                    mark: Price(0),
                });
            }
        }
    }

    /// Looks after fills whose horizon came before `now`; the market has not changed since.
    pub fn look_after(
        &mut self,
        now: UnixNanos,
        instruments: &[Instrument],
        mid: impl Fn(InstrumentId) -> Option<i64>,
    ) {
        let accounts = self.books.iter_mut().flat_map(|book| &mut book.accounts);
        for account in accounts {
            if account.markouts.next_due().is_none_or(|due| due >= now) {
                continue;
            }
            if let Some(instrument) = instruments.get(account.instrument.0 as usize) {
                let id = account.instrument;
                account.markouts.look(now, instrument, mid(id));
            }
        }
    }

    /// SHA-256 over every order, amend, cancel, update and fill with its time, in hex.
    pub fn digest(&self) -> String {
        let mut text = String::new();
        for byte in self.hash.clone().finalize() {
            text += &format!("{byte:02x}");
        }
        text
    }
}
