//! One connection to the database, ready to take batches.
//!
//! ```text
//!   begin
//!     COPY s_orders, s_fills … (temporary, emptied at commit)      one round trip a table
//!     insert into orders select … from s_orders on conflict …      rows told twice change nothing
//!     COPY market_data_ticks                                       guarded by drain_cursor.ticks
//!   commit                                                         only now may the rings move on
//! ```

use crate::batch::Batch;
use crate::partition::Partitions;
use crate::rows::*;
use crate::{Source, StoreError, migrate};
use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::{Client, NoTls, Statement, Transaction};

/// A server that does not answer within this is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a transaction brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Journal rows that were new.
    pub journal_rows: u64,
    /// Journal rows that were there already.
    pub journal_rows_known: u64,
    /// Ticks.
    pub ticks: u64,
}

/// A connection with its schema up to date and its statements prepared.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    driver: JoinHandle<()>,
    tables: HashMap<&'static str, Table>,
    partitions: Partitions,
}

#[derive(Debug)]
struct Table {
    copy: Statement,
    merge: Option<Statement>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Connects, migrates and claims the database for `node`.
    pub async fn open(source: &mut Source, node: &str) -> Result<Self, StoreError> {
        let (mut client, driver) = connect(source).await?;
        migrate::migrate(&mut client, migrate::latest()).await?;
        claim(&client, node).await?;
        let mut session = Self {
            partitions: Partitions::load(&client).await?,
            client,
            driver,
            tables: HashMap::new(),
        };
        session.stage::<EpochRow>().await?;
        session.stage::<OrderRow>().await?;
        session.stage::<EventRow>().await?;
        session.stage::<FillRow>().await?;
        session.stage::<HistoryRow>().await?;
        session.stage::<PositionRow>().await?;
        session.stage::<PaymentRow>().await?;
        session.stage::<FundingRow>().await?;
        session.stage::<RiskRow>().await?;
        session.stage::<ReconciliationRow>().await?;
        session.stage::<SignalRow>().await?;
        session.stage::<PairRow>().await?;
        session.stage::<CursorRow>().await?;
        session.stage::<TickRow>().await?;
        Ok(session)
    }

    /// How far the tick ring of each lane is in, for lanes that were drained from the file of this birth.
    ///
    /// An earlier connection of ours may still be committing: its transaction holds the cursor's row, so
    /// both statements wait for its end, whatever that is.
    pub async fn ticks_read(
        &self,
        lanes: &[i16],
        born: i64,
    ) -> Result<HashMap<i16, i64>, StoreError> {
        self.client
            .execute(
                "insert into drain_cursor (lane, epoch, seq, born, ticks, updated_at)
                   select lane, 0, 0, 0, 0, now() from unnest($1::smallint[]) as lane
                   on conflict do nothing",
                &[&lanes],
            )
            .await?;
        let rows = self
            .client
            .query("select lane, ticks, born from drain_cursor for update", &[])
            .await?;
        let ours = rows.iter().filter(|row| row.get::<_, i64>(2) == born);
        Ok(ours.map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Writes a batch in one transaction. When this returns `Ok`, the batch is in and synced; after an
    /// error it may be in or not, and writing it again is right: no journal row enters twice.
    pub async fn write(&mut self, batch: &Batch) -> Result<Written, StoreError> {
        self.partitions.make_for(&self.client, &batch.ticks).await?;
        let transaction = self.client.transaction().await?;
        let into = Into {
            transaction: &transaction,
            tables: &self.tables,
        };
        let mut rows = into.rows(&batch.epochs).await?;
        check_epochs(&transaction, &batch.epochs).await?;
        into.rows(&batch.orders()).await?;
        rows += into.rows(&batch.events).await?;
        rows += into.rows(&batch.fills).await?;
        rows += into.rows(&batch.history).await?;
        into.rows(&batch.positions()).await?;
        rows += into.rows(&batch.payments).await?;
        into.rows(&batch.funding()).await?;
        rows += into.rows(&batch.risk).await?;
        rows += into.rows(&batch.reconciliations).await?;
        rows += into.rows(&batch.signals).await?;
        rows += into.rows(&batch.pairs).await?;
        let ticks = into.rows(&batch.ticks).await?;
        into.rows(&batch.cursors).await?;
        transaction.commit().await?;
        Ok(Written {
            journal_rows: rows,
            journal_rows_known: batch.journal_rows() as u64 - rows,
            ticks,
        })
    }

    /// For statements that stand elsewhere.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// As [`Session::client`], for transactions.
    pub const fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Prepares a table: its COPY and, where rows may be there already, a temporary twin and the merge.
    async fn stage<R: Row>(&mut self) -> Result<(), StoreError> {
        let columns = R::COLUMNS.join(", ");
        let (copy_into, merge) = match R::MERGE {
            None => (R::TABLE.to_owned(), None),
            Some(merge) => {
                let stage = format!("s_{}", R::TABLE);
                self.client
                    .batch_execute(&format!(
                        "create temporary table {stage} on commit delete rows as
                           select {columns} from {} with no data",
                        R::TABLE
                    ))
                    .await?;
                let text = format!(
                    "insert into {} as t ({columns}) select {columns} from {stage} {merge}",
                    R::TABLE
                );
                let merge = self.client.prepare(&text).await?;
                (stage, Some(merge))
            }
        };
        let text = format!("copy {copy_into} ({columns}) from stdin (format binary)");
        let copy = self.client.prepare(&text).await?;
        self.tables.insert(R::TABLE, Table { copy, merge });
        Ok(())
    }
}

/// Connects to the source; brings a private cluster back first if it is gone.
pub(crate) async fn connect(source: &mut Source) -> Result<(Client, JoinHandle<()>), StoreError> {
    let mut config = source.config().await?;
    config.connect_timeout(CONNECT_TIMEOUT);
    let (client, connection) = config.connect(NoTls).await?;
    let driver = tokio::spawn(async move {
        // How a connection ended is told by whoever uses it next.
        connection.await.ok();
    });
    Ok((client, driver))
}

/// The database is ours from the first connection on.
async fn claim(client: &Client, node: &str) -> Result<(), StoreError> {
    client
        .execute(
            "insert into node (name) values ($1) on conflict do nothing",
            &[&node],
        )
        .await?;
    let owner: String = client.query_one("select name from node", &[]).await?.get(0);
    if owner == node {
        Ok(())
    } else {
        Err(StoreError::Foreign {
            owner,
            node: node.to_owned(),
        })
    }
}

/// An epoch that is there with another start would make two runs one, and the second run's rows would
/// count as known: refuse before anything is lost.
async fn check_epochs(
    transaction: &Transaction<'_>,
    epochs: &[EpochRow],
) -> Result<(), StoreError> {
    for row in epochs {
        let other = transaction
            .query_opt(
                "select (select max(epoch) from epochs) from epochs
                   where epoch = $1 and lane = $2 and (starts, seq) <> ($3, $4)",
                &[&row.epoch, &row.lane, &row.starts, &row.seq],
            )
            .await?;
        if let Some(other) = other {
            return Err(StoreError::EpochReused(row.epoch, other.get(0)));
        }
    }
    Ok(())
}

struct Into<'t> {
    transaction: &'t Transaction<'t>,
    tables: &'t HashMap<&'static str, Table>,
}

impl Into<'_> {
    /// Sends rows and merges them; says how many changed something.
    async fn rows<R: Row>(&self, rows: &[R]) -> Result<u64, StoreError> {
        let Some(table) = self.tables.get(R::TABLE).filter(|_| !rows.is_empty()) else {
            return Ok(0);
        };
        let sink = self.transaction.copy_in(&table.copy).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, R::TYPES));
        for row in rows {
            writer.as_mut().write(&row.values()).await?;
        }
        let copied = writer.finish().await?;
        match &table.merge {
            None => Ok(copied),
            Some(merge) => Ok(self.transaction.execute(merge, &[]).await?),
        }
    }
}
