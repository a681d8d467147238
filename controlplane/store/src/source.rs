//! Which database.

use crate::{Cluster, StoreError};
use std::path::Path;

/// Where the database is.
///
/// Connections are plain: a unix socket, or TCP inside one's own network. A DSN with `sslmode=require`
/// is refused by the driver rather than used without TLS.
#[derive(Debug)]
pub enum Source {
    /// One that somebody runs.
    Dsn(Box<tokio_postgres::Config>),
    /// Our own.
    Private(Box<Cluster>),
}

impl Source {
    /// By the configuration: `dsn`, or a private cluster under `state_dir` where it is empty.
    ///
    /// Errors: [`StoreError::Dsn`], [`StoreError::Cluster`].
    pub async fn open(dsn: &str, state_dir: &Path) -> Result<Self, StoreError> {
        if dsn.is_empty() {
            return Ok(Self::Private(Box::new(Cluster::start(state_dir).await?)));
        }
        // The driver's message names the key and never the value, which may hold a password.
        let parsed = dsn.parse::<tokio_postgres::Config>();
        let mut config = parsed.map_err(|error| StoreError::Dsn(error.to_string()))?;
        if config.get_application_name().is_none() {
            config.application_name("spinlane");
        }
        Ok(Self::Dsn(Box::new(config)))
    }

    /// How to connect now; brings a private cluster back if it is gone.
    pub(crate) async fn config(&mut self) -> Result<tokio_postgres::Config, StoreError> {
        match self {
            Self::Dsn(config) => Ok(config.as_ref().clone()),
            Self::Private(cluster) => {
                cluster.ensure().await?;
                Ok(cluster.config())
            }
        }
    }

    /// Ends a private cluster in order; does nothing to a database somebody else runs.
    pub async fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Dsn(_) => Ok(()),
            Self::Private(cluster) => Ok(cluster.stop().await?),
        }
    }
}
