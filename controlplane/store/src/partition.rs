//! Hourly partitions of `market_data_ticks`, made ahead of time and when a row needs one.
//!
//! With TimescaleDB there is nothing to do: the extension makes its own chunks.

use crate::StoreError;
use crate::rows::TickRow;
use std::collections::BTreeSet;
use tokio_postgres::Client;

const HOUR_NS: u64 = 3_600_000_000_000;
/// Hours made ahead of the newest row: one is enough for the hour to turn without a pause.
const AHEAD: u64 = 2;

/// What is known of the table's partitions.
#[derive(Debug)]
pub(crate) struct Partitions {
    is_native: bool,
    /// Hours since 1970 that have one.
    hours: BTreeSet<u64>,
}

impl Partitions {
    pub async fn load(client: &Client) -> Result<Self, StoreError> {
        let row = client
            .query_one(
                "select relkind = 'p' from pg_class where oid = 'market_data_ticks'::regclass",
                &[],
            )
            .await?;
        Ok(Self {
            is_native: row.get(0),
            hours: BTreeSet::new(),
        })
    }

    /// Makes the partitions these ticks need, and the next hours'.
    pub async fn make_for(&mut self, client: &Client, ticks: &[TickRow]) -> Result<(), StoreError> {
        if !self.is_native {
            return Ok(());
        }
        let needed: BTreeSet<u64> = ticks.iter().map(|tick| tick.at.0 / HOUR_NS).collect();
        let Some(last) = needed.last().copied() else {
            return Ok(());
        };
        let ahead = last + 1..=last + AHEAD;
        for hour in needed.into_iter().chain(ahead) {
            if !self.hours.contains(&hour) {
                make(client, hour).await?;
                self.hours.insert(hour);
            }
        }
        Ok(())
    }
}

/// `market_data_ticks_2026112106` for 06:00 to 07:00 UTC.
async fn make(client: &Client, hour: u64) -> Result<(), StoreError> {
    let seconds = (hour * 3_600).cast_signed();
    client
        .execute(
            "select pg_advisory_lock(hashtext('market_data_ticks'))",
            &[],
        )
        .await?;
    // Names and bounds cannot be parameters of DDL: the server makes the text from a number.
    let text = client
        .query_one(
            "select format(
               'create table if not exists %I partition of market_data_ticks for values from (%L) to (%L)',
               'market_data_ticks_' || to_char(at at time zone 'UTC', 'YYYYMMDDHH24'),
               at, at + interval '1 hour')
             from to_timestamp($1::bigint) as at",
            &[&seconds],
        )
        .await;
    let made = match text {
        Ok(row) => client.batch_execute(row.get(0)).await,
        Err(error) => Err(error),
    };
    client
        .execute(
            "select pg_advisory_unlock(hashtext('market_data_ticks'))",
            &[],
        )
        .await?;
    Ok(made?)
}
