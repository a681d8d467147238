//! Who owns what. Money only moves: the sum over all accounts never changes after the deposits.

use super::order::{AccountId, Amount, MARKET};

/// One asset of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// May be spent.
    pub free: Amount,
    /// Held for working orders.
    pub locked: Amount,
}

/// All balances: `[account][asset]`. The last account collects the fees.
#[derive(Debug, Clone)]
pub struct Ledger {
    accounts: Vec<Vec<Balance>>,
}

impl Ledger {
    /// `clients` accounts beside the market's and the venue's own, all empty.
    pub fn new(clients: usize, assets: usize) -> Self {
        Self {
            accounts: vec![vec![Balance::default(); assets]; clients + 2],
        }
    }

    /// The account that fees go to.
    pub fn venue(&self) -> AccountId {
        self.accounts.len() - 1
    }

    /// Adds money from outside.
    pub fn deposit(&mut self, account: AccountId, asset: usize, amount: Amount) {
        self.at(account, asset).free += amount;
    }

    /// A part of what is free of every client's money goes to the venue, millionths.
    pub fn withdraw(&mut self, ppm: Amount) {
        let venue = self.venue();
        for account in (MARKET + 1)..venue {
            for asset in 0..self.accounts[account].len() {
                let amount = self.accounts[account][asset].free * ppm / 1_000_000;
                self.pay((account, false), venue, asset, amount);
            }
        }
    }

    /// Holds `amount`; false when there is not enough. The market may always.
    pub fn lock(&mut self, account: AccountId, asset: usize, amount: Amount) -> bool {
        let balance = self.at(account, asset);
        if account != MARKET && balance.free < amount {
            return false;
        }
        balance.free -= amount;
        balance.locked += amount;
        true
    }

    /// Gives back what was held.
    pub fn unlock(&mut self, account: AccountId, asset: usize, amount: Amount) {
        let balance = self.at(account, asset);
        balance.locked -= amount;
        balance.free += amount;
    }

    /// Pays `amount` out of what is held (or free, for orders that never lock) to another account.
    pub fn pay(&mut self, from: (AccountId, bool), to: AccountId, asset: usize, amount: Amount) {
        let (account, is_locked) = from;
        let balance = self.at(account, asset);
        if is_locked {
            balance.locked -= amount;
        } else {
            balance.free -= amount;
        }
        self.at(to, asset).free += amount;
    }

    /// One balance.
    pub fn balance(&self, account: AccountId, asset: usize) -> Balance {
        self.accounts[account][asset]
    }

    /// Sum over all accounts of one asset: what was deposited, always.
    pub fn total(&self, asset: usize) -> Amount {
        self.accounts
            .iter()
            .map(|assets| assets[asset].free + assets[asset].locked)
            .sum()
    }

    fn at(&mut self, account: AccountId, asset: usize) -> &mut Balance {
        &mut self.accounts[account][asset]
    }
}
