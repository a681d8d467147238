//! Where a private cluster lives: programs, user, directories, socket.
//!
//! ```text
//!   STATE_DIR/pg                  a directory, or a link to /var/lib/spinlane/pg-… when the server's user
//!     ├── data/                   cannot reach STATE_DIR (root's home is closed to others)
//!     ├── run/.s.PGSQL.5432       or a short directory under /run or /tmp when the path is over 107 bytes
//!     ├── server.log
//!     └── lock
//! ```
//!
//! Nobody's permissions are changed but those of directories made here.

use super::{ClusterError, NAME, PORT};
use nix::unistd::{Gid, Uid, User, geteuid};
use std::fs::{DirBuilder, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

/// Longest path a unix socket can have: `sun_path` is 108 bytes with its ending zero (unix(7)).
pub(super) const SOCKET_PATH_MAX: usize = 107;

/// The cluster's directory, its user and its socket's directory.
#[derive(Debug)]
pub(super) struct Place {
    pub base: PathBuf,
    pub socket: PathBuf,
    /// `None` = as ourselves.
    pub user: Option<User>,
}

impl Place {
    /// Finds or makes the directories.
    pub fn prepare(state_dir: &Path) -> Result<Self, ClusterError> {
        std::fs::create_dir_all(state_dir).map_err(ClusterError::io(state_dir, "create"))?;
        let state_dir = state_dir
            .canonicalize()
            .map_err(ClusterError::io(state_dir, "resolve"))?;
        let user = server_user()?;
        let base = base_dir(&state_dir, user.as_ref())?;
        let socket = socket_dir(&base, user.as_ref())?;
        Ok(Self { base, socket, user })
    }

    pub fn data(&self) -> PathBuf {
        self.base.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.base.join("server.log")
    }

    /// Major version of the data; `None` when there is none yet.
    pub fn major(&self) -> Result<Option<(PathBuf, String)>, ClusterError> {
        let path = self.data().join("PG_VERSION");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some((self.data(), text.trim().to_owned()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ClusterError::io(&path, "read")(error)),
        }
    }

    /// Who may connect: our own user and the server's, told by the kernel (peer), to one role.
    pub fn write_access(&self, data: &Path) -> Result<(), ClusterError> {
        let ourselves = User::from_uid(geteuid()).ok().flatten();
        let names = [ourselves.as_ref(), self.user.as_ref()];
        let lines = names.iter().flatten();
        let lines: Vec<String> = lines
            .map(|user| format!("{NAME} {} {NAME}", user.name))
            .collect();
        let write = |name: &str, text: &str| {
            let path = data.join(name);
            std::fs::write(&path, text).map_err(ClusterError::io(&path, "write"))
        };
        write(
            "pg_hba.conf",
            &format!("local all {NAME} peer map={NAME}\n"),
        )?;
        write("pg_ident.conf", &(lines.join("\n") + "\n"))
    }
}

/// PostgreSQL's programs.
#[derive(Debug)]
pub(super) struct Programs {
    pub bin: PathBuf,
}

impl Programs {
    /// The newest version installed, or the one the data was made by.
    pub fn find(major: Option<(PathBuf, String)>) -> Result<Self, ClusterError> {
        let mut found = installed(Path::new("/usr/lib/postgresql"));
        found.extend(on_path());
        found.sort_by_key(|(major, _)| std::cmp::Reverse(major.parse::<u32>().unwrap_or(0)));
        let mut found = found.into_iter();
        let bin = match &major {
            None => found.next(),
            Some((_, want)) => found.find(|(major, _)| major == want),
        };
        match (bin, major) {
            (Some((_, bin)), _) => Ok(Self { bin }),
            (None, None) => Err(ClusterError::NotInstalled),
            (None, Some((data, major))) => Err(ClusterError::Version { data, major }),
        }
    }
}

/// Debian's layout: one directory per major version.
fn installed(root: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path().join("bin"),
            )
        })
        .filter(|(_, bin)| bin.join("initdb").is_file() && bin.join("postgres").is_file())
        .collect()
}

/// Elsewhere than Debian's: the first pair on PATH, with the version it says it is.
fn on_path() -> Option<(String, PathBuf)> {
    let path = std::env::var_os("PATH")?;
    let bin = std::env::split_paths(&path)
        .find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())?;
    let said = std::process::Command::new(bin.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    // "postgres (PostgreSQL) 15.18 (Debian …)"
    let said = String::from_utf8(said.stdout).ok()?;
    let version = said.split_whitespace().nth(2)?;
    Some((version.split('.').next()?.to_owned(), bin))
}

/// The user the server runs as: `None` = ourselves. `initdb` and `postgres` refuse root.
fn server_user() -> Result<Option<User>, ClusterError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(Some)
        .ok_or(ClusterError::NoUser)
}

/// `STATE_DIR/pg`, or where its link points, or a new directory elsewhere and a link to it.
fn base_dir(state_dir: &Path, user: Option<&User>) -> Result<PathBuf, ClusterError> {
    let base = state_dir.join("pg");
    if let Ok(found) = base.canonicalize() {
        return Ok(found);
    }
    // A link whose target is gone: the data was removed on purpose, and a new cluster is wanted.
    std::fs::remove_file(&base).ok();
    let Some(user) = user.filter(|user| !is_reachable(state_dir, user)) else {
        make_dir(&base, user)?;
        return Ok(base);
    };
    let parent = ["/var/lib/spinlane", "/var/tmp/spinlane", "/tmp/spinlane"]
        .iter()
        .map(Path::new)
        .find(|parent| make_parent(parent).is_ok() && is_reachable(parent, user))
        .ok_or(ClusterError::NoUser)?;
    let stamp = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let elsewhere = parent.join(format!("pg-{:x}-{}", stamp.as_nanos(), std::process::id()));
    make_dir(&elsewhere, Some(user))?;
    symlink(&elsewhere, &base).map_err(ClusterError::io(&base, "link"))?;
    tracing::info!(
        "{} is closed to user {}: the private PostgreSQL lives in {}",
        state_dir.display(),
        user.name,
        elsewhere.display()
    );
    Ok(elsewhere)
}

fn make_parent(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Makes a directory for the server's user alone, or takes one that is exactly that.
fn make_dir(path: &Path, user: Option<&User>) -> Result<(), ClusterError> {
    let (uid, gid) = owner(user);
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
            .map_err(ClusterError::io(path, "give to the server's user")),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            // Under /tmp anyone may have made it, or put a link there: only our own will do.
            let is_ours = std::fs::symlink_metadata(path)
                .is_ok_and(|meta| meta.is_dir() && meta.uid() == uid.as_raw());
            if is_ours {
                Ok(())
            } else {
                Err(ClusterError::io(path, "use what is there")(error))
            }
        }
        Err(error) => Err(ClusterError::io(path, "create")(error)),
    }
}

fn owner(user: Option<&User>) -> (Uid, Gid) {
    user.map_or((geteuid(), nix::unistd::getegid()), |user| {
        (user.uid, user.gid)
    })
}

/// Whether `user` may pass through `path` and everything above it.
fn is_reachable(path: &Path, user: &User) -> bool {
    let may_pass = |meta: Metadata| {
        let bit = if meta.uid() == user.uid.as_raw() {
            0o100
        } else if meta.gid() == user.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        meta.mode() & bit != 0
    };
    path.ancestors()
        .all(|dir| std::fs::metadata(dir).is_ok_and(may_pass))
}

/// The socket's directory: beside the data, or a short one when that path does not fit a socket.
fn socket_dir(base: &Path, user: Option<&User>) -> Result<PathBuf, ClusterError> {
    let short = format!("spinlane-{:016x}", fingerprint(base));
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .filter(|_| user.is_none())
        .map(|dir| PathBuf::from(dir).join(&short));
    let candidates = [
        Some(base.join("run")),
        runtime,
        Some(Path::new("/run").join(&short)),
        Some(Path::new("/tmp").join(&short)),
    ];
    candidates
        .into_iter()
        .flatten()
        .find(|dir| socket_fits(dir) && make_dir(dir, user).is_ok())
        .ok_or_else(|| ClusterError::NoSocketDir(base.to_owned()))
}

fn socket_fits(dir: &Path) -> bool {
    dir.join(format!(".s.PGSQL.{PORT}")).as_os_str().len() <= SOCKET_PATH_MAX
}

/// FNV-1a of a path: the same cluster finds the same short directory again.
fn fingerprint(path: &Path) -> u64 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_directory_is_seen_as_closed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let Some(nobody) = User::from_name("nobody").unwrap() else {
            println!("skipped: no user `nobody` here");
            return;
        };
        let inner = dir.path().join("inner");
        DirBuilder::new().mode(0o755).create(&inner).unwrap();
        assert!(!is_reachable(&inner, &nobody), "closed from above");
        assert!(is_reachable(Path::new("/usr"), &nobody));
    }

    #[test]
    fn a_foreign_directory_or_link_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("/usr", &link).unwrap();
        assert!(make_dir(&link, None).is_err());
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(make_dir(&file, None).is_err());
        let own = dir.path().join("own");
        make_dir(&own, None).unwrap();
        make_dir(&own, None).unwrap();
    }

    #[test]
    fn a_long_path_gets_a_short_socket() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(120));
        std::fs::create_dir(&long).unwrap();
        assert!(!socket_fits(&long));
        let socket = socket_dir(&long, None).unwrap();
        assert!(socket_fits(&socket));
        assert_eq!(
            socket,
            socket_dir(&long, None).unwrap(),
            "found again at the next start"
        );
        std::fs::remove_dir(&socket).unwrap();
    }

    #[test]
    fn the_version_that_made_the_data_is_asked_for() {
        let data = PathBuf::from("/x/data");
        let error = Programs::find(Some((data, "7".into()))).unwrap_err();
        assert!(error.to_string().contains("postgresql-7"), "{error}");
    }
}
