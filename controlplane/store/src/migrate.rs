//! Schema migrations: numbered, up and down, one transaction each, one runner at a time.
//!
//! The text of an applied migration is fingerprinted: one that was edited afterwards is refused, because
//! two nodes would then have two schemas under one number.

use crate::StoreError;
use tokio_postgres::Client;

/// One step of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Number, dense from 1.
    pub version: i32,
    /// What it brings.
    pub name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal,)+) => {
        &[$(Migration {
            version: $version,
            name: $name,
            up: include_str!(concat!("schema/", $version, "_", $name, ".up.sql")),
            down: include_str!(concat!("schema/", $version, "_", $name, ".down.sql")),
        },)+]
    };
}

/// All of them, by number.
pub const MIGRATIONS: &[Migration] = migrations![
    1 "trading",
    2 "market_data",
    3 "strategy_positions",
    4 "reconciliations",
    5 "performance_metrics",
    6 "funding",
    7 "pair_results",
];

/// Key of the advisory lock: "spinlane" as a number.
const LOCK: i64 = i64::from_be_bytes(*b"spinlane");

/// The newest version this build knows.
pub const fn latest() -> i32 {
    MIGRATIONS.len() as i32
}

/// Brings the schema to `target` (0 = nothing of ours), forward or back. Returns the version it had.
///
/// Going back drops tables with what is in them. Errors: [`StoreError::Schema`] when the database is
/// newer than this build or a migration was edited, [`StoreError::Sql`].
pub async fn migrate(client: &mut Client, target: i32) -> Result<i32, StoreError> {
    client
        .batch_execute(
            "create table if not exists schema_migrations (
               version     integer     primary key,
               name        text        not null,
               fingerprint bigint      not null,
               applied_at  timestamptz not null default now())",
        )
        .await?;
    client
        .execute("select pg_advisory_lock($1)", &[&LOCK])
        .await?;
    let result = step_to(client, target).await;
    // The lock belongs to the connection: it is let go even when a step failed.
    client
        .execute("select pg_advisory_unlock($1)", &[&LOCK])
        .await?;
    result
}

async fn step_to(client: &mut Client, target: i32) -> Result<i32, StoreError> {
    let found = applied(client).await?;
    let mut version = found;
    while version != target {
        let is_up = version < target;
        let number = if is_up { version + 1 } else { version };
        let step = usize::try_from(number - 1)
            .ok()
            .and_then(|index| MIGRATIONS.get(index))
            .ok_or(StoreError::Schema("no such version of the schema"))?;
        let transaction = client.transaction().await?;
        if is_up {
            transaction.batch_execute(step.up).await?;
            transaction
                .execute(
                    "insert into schema_migrations (version, name, fingerprint) values ($1, $2, $3)",
                    &[&step.version, &step.name, &fingerprint(step)],
                )
                .await?;
        } else {
            transaction.batch_execute(step.down).await?;
            transaction
                .execute(
                    "delete from schema_migrations where version = $1",
                    &[&step.version],
                )
                .await?;
        }
        transaction.commit().await?;
        version = if is_up { number } else { number - 1 };
    }
    Ok(found)
}

/// The version the database is at; its history must be ours.
async fn applied(client: &Client) -> Result<i32, StoreError> {
    let rows = client
        .query(
            "select version, fingerprint from schema_migrations order by version",
            &[],
        )
        .await?;
    for (index, row) in rows.iter().enumerate() {
        let (version, held): (i32, i64) = (row.get(0), row.get(1));
        let Some(step) = MIGRATIONS.get(index) else {
            return Err(StoreError::Schema(
                "the database is newer than this build; run the newer release",
            ));
        };
        if version != step.version || held != fingerprint(step) {
            return Err(StoreError::Schema(
                "a migration was changed after it was applied; use the release that applied it",
            ));
        }
    }
    Ok(rows.len() as i32)
}

/// FNV-1a of both texts.
fn fingerprint(step: &Migration) -> i64 {
    let text = step.up.bytes().chain(step.down.bytes());
    text.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
    .cast_signed()
}
