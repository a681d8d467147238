//! The small text files a machine describes itself in, live or recorded.
//!
//! A recording is one text file: a line `PATH<TAB>CONTENT` for each file, paths without the leading slash,
//! line ends in a content written `\n`. It is small enough to be sent to somebody and to be a fixture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Somewhere to read small text files from.
pub trait Tree {
    /// The file's text; `None` when there is none or it cannot be read.
    fn read(&self, path: &str) -> Option<String>;
    /// Names in a directory, sorted; none when there is no such directory.
    fn list(&self, path: &str) -> Vec<String>;
}

/// A real file system below a root, `/` for the machine itself.
#[derive(Debug, Clone)]
pub struct Live(PathBuf);

impl Live {
    /// Reads below `root`.
    pub fn new(root: &Path) -> Self {
        Self(root.to_path_buf())
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new(Path::new("/"))
    }
}

impl Tree for Live {
    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(path)).ok()
    }

    fn list(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.0.join(path)) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// A recorded machine.
#[derive(Debug, Clone, Default)]
pub struct Recorded(BTreeMap<String, String>);

/// A recording that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: not `PATH<TAB>CONTENT`")]
pub struct RecordingError {
    /// Counted from 1.
    pub line: usize,
}

impl Recorded {
    /// Reads a recording. Empty lines and lines that begin with `#` say nothing. Errors: [`RecordingError`].
    pub fn parse(text: &str) -> Result<Self, RecordingError> {
        let mut files = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (path, content) = line
                .split_once('\t')
                .filter(|(path, _)| !path.is_empty())
                .ok_or(RecordingError { line: at + 1 })?;
            files.insert(path.to_owned(), content.replace("\\n", "\n"));
        }
        Ok(Self(files))
    }

    /// Puts a file in, for what a recording was not made of.
    pub fn set(&mut self, path: &str, content: &str) {
        self.0.insert(path.to_owned(), content.to_owned());
    }
}

impl Tree for Recorded {
    fn read(&self, path: &str) -> Option<String> {
        self.0.get(path).cloned()
    }

    fn list(&self, path: &str) -> Vec<String> {
        let head = format!("{}/", path.trim_end_matches('/'));
        let below = self.0.range(head.clone()..);
        let names: BTreeSet<String> = below
            .map_while(|(path, _)| path.strip_prefix(&head))
            .filter_map(|rest| rest.split('/').next().map(str::to_owned))
            .collect();
        names.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_reads_like_the_machine() {
        let text = "# made by hand\n\na/b/c\t1\\n2\\n\na/b0\tx\na/d/e\t\n";
        let recorded = Recorded::parse(text).unwrap();
        let folder = std::env::temp_dir().join(format!("spinlane-tree-{}", std::process::id()));
        for (path, content) in &recorded.0 {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let live = Live::new(&folder);
        for path in ["a/b/c", "a/b0", "a/d/e", "a", "nothing"] {
            assert_eq!(recorded.read(path), live.read(path), "{path}");
        }
        for path in ["a", "a/b", "a/d/", "nothing"] {
            assert_eq!(recorded.list(path), live.list(path), "{path}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let error = Recorded::parse("a\tb\nno tab\n").unwrap_err();
        assert_eq!(error, RecordingError { line: 2 });
        assert!(Recorded::parse("\tb").is_err());
    }
}
