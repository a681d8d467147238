//! What can go wrong with a private cluster, each with the mend.

use std::path::{Path, PathBuf};

/// Why there is no private cluster. Blame is in the variant: the host's, except [`ClusterError::Held`].
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No PostgreSQL programs on this machine.
    #[error(
        "PostgreSQL is not installed (no initdb in /usr/lib/postgresql/*/bin or on PATH); \
         install it (Debian: apt-get install postgresql) or set `store.dsn`"
    )]
    NotInstalled,
    /// The data was made by a major version that is not installed.
    #[error(
        "{data} was made by PostgreSQL {major}, which is not installed; \
         install postgresql-{major} or move the directory away"
    )]
    Version {
        /// The data directory.
        data: PathBuf,
        /// The version it needs.
        major: String,
    },
    /// Root may not run PostgreSQL, and there is no user to drop to.
    #[error(
        "PostgreSQL refuses to run as root and there is neither a user `postgres` nor `nobody`; \
         add one or run as another user"
    )]
    NoUser,
    /// Another control plane has this cluster.
    #[error("{0}: another control plane holds this cluster; stop that one first")]
    Held(PathBuf),
    /// No directory for the socket.
    #[error(
        "no directory for the unix socket: {0} is too long for a socket (107 bytes) and neither \
         /run nor /tmp can be used; set `node.state_dir` to a shorter path"
    )]
    NoSocketDir(PathBuf),
    /// `initdb` failed.
    #[error("initdb: {0}")]
    Init(String),
    /// The server ended.
    #[error("the private PostgreSQL does not start; it said: {0}")]
    Died(String),
    /// The server does not answer, or does not end.
    #[error("the private PostgreSQL has not done what was asked within a minute; it said: {0}")]
    Slow(String),
    /// The system refused.
    #[error("{path}: cannot {what}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The system's word.
        error: std::io::Error,
    },
}

impl ClusterError {
    /// For `map_err`.
    pub(super) fn io(path: &Path, what: &'static str) -> impl Fn(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io {
            path: path.clone(),
            what,
            error,
        }
    }
}
