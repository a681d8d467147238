//! Writes captures: a line a record, gzip where the name ends so.

use crate::{CaptureError, Record};
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A capture being written.
pub struct Writer {
    name: String,
    to: To,
}

enum To {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({})", self.name)
    }
}

impl Writer {
    /// Makes a new file. Errors: it is there already, or cannot be made.
    pub fn create(path: &Path) -> Result<Self, CaptureError> {
        let name = path.display().to_string();
        let file = File::create_new(path).map_err(|error| CaptureError::Io {
            at: name.clone(),
            error,
        })?;
        let file = BufWriter::with_capacity(1 << 16, file);
        let to = if path.extension().is_some_and(|end| end == "gz") {
            To::Gzip(Box::new(GzEncoder::new(file, flate2::Compression::fast())))
        } else {
            To::Plain(file)
        };
        Ok(Self { name, to })
    }

    /// Writes one line. Errors: the disk's.
    pub fn write(&mut self, record: &Record) -> Result<(), CaptureError> {
        let line = serde_json::to_writer(&mut self.to, record).map_err(std::io::Error::from);
        let written = line.and_then(|()| self.to.write_all(b"\n"));
        written.map_err(|error| self.fault(error))
    }

    /// Ends the file. Errors: the disk's; without this call a gzip is cut.
    pub fn finish(self) -> Result<(), CaptureError> {
        let Self { name, to } = self;
        let file = match to {
            To::Plain(file) => Ok(file),
            To::Gzip(gzip) => gzip.finish(),
        };
        let ended = file.and_then(|mut file| file.flush());
        ended.map_err(|error| CaptureError::Io { at: name, error })
    }

    fn fault(&self, error: std::io::Error) -> CaptureError {
        CaptureError::Io {
            at: self.name.clone(),
            error,
        }
    }
}

impl Write for To {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(gzip) => gzip.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(gzip) => gzip.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capture, Direction};

    #[test]
    fn what_is_written_is_read_and_no_file_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let open = Record {
            ts: Some(1),
            dir: Direction::Out,
            conn: "ws1".into(),
            event: Some("open".into()),
            url: Some("wss://x".into()),
            ..Record::default()
        };
        let records = [
            open,
            Record::message(
                2,
                Direction::In,
                "ws1",
                b"{\"a\":\"\\n\xc3\xa9\"}\n".to_vec(),
            ),
            Record::message(3, Direction::In, "ws1", vec![0xff, 0]),
            Record::binary(4, "ws1", b"text"),
        ];
        for name in ["c.jsonl", "c.jsonl.gz"] {
            let path = dir.path().join(name);
            let mut writer = Writer::create(&path).unwrap();
            for record in &records {
                writer.write(record).unwrap();
            }
            writer.finish().unwrap();
            let mut capture = Capture::open(&path).unwrap();
            let mut read = Vec::new();
            while let Some(record) = capture.next_record().unwrap() {
                read.push(record);
            }
            assert_eq!(read, records, "{name}");
            assert!(Writer::create(&path).is_err(), "{name}");
        }
        assert!(records[2].is_binary() && records[3].is_binary());
        assert_eq!(records[2].bytes().unwrap(), [0xff, 0]);
        assert_eq!(records[3].clone().into_bytes().unwrap(), b"text");
    }
}
