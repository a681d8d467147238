//! A region of shared memory for one scenario, taken away when it ends, however it ends.

use anyhow::Context as _;
use dp_shm::{Region, layout::Shape};
use std::path::PathBuf;

/// The region and its file.
pub struct Scratch {
    /// The region.
    pub region: Region,
    path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Scratch {
    /// A fresh region, on tmpfs where there is one. Errors: it cannot be made.
    pub fn new(shape: &Shape) -> anyhow::Result<Self> {
        let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
        let folder = PathBuf::from("/dev/shm");
        let folder = if folder.is_dir() {
            folder
        } else {
            std::env::temp_dir()
        };
        let path = folder.join(format!("spinlane-bench-{}-{thread}", std::process::id()));
        let (region, _) = Region::open_or_create(&path, shape)
            .with_context(|| format!("making {}", path.display()))?;
        Ok(Self { region, path })
    }
}
