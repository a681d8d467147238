//! What can go wrong between the journal and the database.

use crate::ClusterError;

/// Why rows could not be stored or read. Blame: [`StoreError::Sql`] and [`StoreError::Gone`] the
/// database's (retried), the others the operator's or the release's (not retried).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The private cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The connection string.
    #[error("store.dsn: {0}; use host=… user=… dbname=… or a postgresql:// URL")]
    Dsn(String),
    /// The schema and this build do not fit.
    #[error("{0}")]
    Schema(&'static str),
    /// The database has another owner.
    #[error(
        "the database belongs to node `{owner}` and this is `{node}`; give each node its own database"
    )]
    Foreign {
        /// Whose it is.
        owner: String,
        /// Who asked.
        node: String,
    },
    /// An epoch was given twice: rows of two runs would be taken for one.
    #[error(
        "epoch {0} is in the database with another start: the node's epoch file was lost or turned \
         back; stop the dataplane, write an epoch above {1} into STATE_DIR/epoch, and start it again"
    )]
    EpochReused(i32, i32),
    /// The connection is gone.
    #[error("the database does not answer")]
    Gone,
    /// The database's word.
    #[error("database: {}", describe(.0))]
    Sql(#[from] tokio_postgres::Error),
}

impl StoreError {
    /// Whether the same step may succeed later without anybody's help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Gone | Self::Sql(_) | Self::Cluster(_))
    }
}

/// The driver's own text says "db error"; the reason is behind it.
fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
