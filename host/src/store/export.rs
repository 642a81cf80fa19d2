//! All records as one stream: for backups, and to make a store small again by copying it.
//!
//! A zstd stream of [`MAGIC`]; for each record its key and its value, each after its length
//! (4 bytes); then [`END`], the number of records (8) and the CRC-32 of all that (4). Numbers
//! are little-endian. `audit/` and `traces/` are not in it: their files are copied as they are.

use std::io::{BufReader, Read, Write};

use super::backend::{Backend, Batch, Start, VALUE_BYTES_MAX};
use super::commit::Work;
use super::keys::{Key, Kind};
use super::{Store, StoreConfig, StoreError, start};

const MAGIC: &[u8; 16] = b"patchbay export1";
/// Where a key's length is expected: there are no more records.
const END: u32 = u32::MAX;
const KEY_BYTES_MAX: usize = 4096;
const BATCH_BYTES: usize = 1 << 20;
const UNFINISHED: &[u8] = b"of an unfinished import";
const ZSTD_LEVEL: i32 = 3;

impl Store {
    /// Writes all records as they are at one moment: readings are flushed before. How many.
    ///
    /// Other writes wait meanwhile (some seconds for 100 000 devices), reading does not.
    ///
    /// # Errors
    /// When `to` takes no more, or the store takes no writes.
    pub async fn export(&self, to: impl Write + Send + 'static) -> Result<u64, StoreError> {
        self.flush().await?;
        let (counted, count) = std::sync::mpsc::channel();
        // On the commit thread: a task must not move while its records are read.
        let build = move |backend: &Backend| {
            let _ = counted.send(write(backend, to)?);
            Ok(Batch::default())
        };
        self.core()
            .committer
            .commit(Work::Build(Box::new(build)))
            .await?;
        count.recv().map_err(|_| StoreError::Closed)
    }

    /// Whether an import may begin.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`].
    pub fn check_empty(config: &StoreConfig) -> Result<(), StoreError> {
        let directory = &config.directory;
        match directory.join("records").exists() {
            true => Err(StoreError::NotEmpty {
                directory: directory.clone(),
            }),
            false => Ok(()),
        }
    }

    /// Makes a store of an export, in a directory that has none. How many records. Blocks.
    /// The directory is no store before all of it is durable.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`], [`StoreError::NoExport`] (then remove what there is of the
    /// directory), and those of [`Store::open`].
    pub fn import(config: &StoreConfig, from: impl Read) -> Result<u64, StoreError> {
        let directory = &config.directory;
        std::fs::create_dir_all(directory)
            .map_err(|cause| StoreError::io("create", directory, &cause))?;
        let _lock = start::lock(directory)?;
        let backend = Backend::open(directory, config.cache_bytes)?;
        if !backend.scan(&[], Start::First, 1)?.is_empty() {
            return Err(StoreError::NotEmpty {
                directory: directory.clone(),
            });
        }
        put_version(&backend, UNFINISHED.to_vec())?;
        let (records, version) = read(&backend, from)?;
        backend.sync()?;
        put_version(&backend, version)?;
        Ok(records)
    }
}

/// Until it is replaced, no version opens the store.
fn put_version(backend: &Backend, version: Vec<u8>) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put(Key::new(Kind::Version).bytes(), version);
    backend.apply(batch)?;
    backend.sync()
}

fn write(backend: &Backend, to: impl Write) -> Result<u64, StoreError> {
    let stream = zstd::Encoder::new(to, ZSTD_LEVEL).map_err(not_written)?;
    let mut output = Summed {
        inner: stream,
        crc: crc32fast::Hasher::new(),
    };
    output.write_all(MAGIC).map_err(not_written)?;
    let mut records = 0_u64;
    backend.each(&[], |key, value| {
        records += 1;
        for bytes in [key, value] {
            let length = u32::try_from(bytes.len()).unwrap_or(END);
            output
                .write_all(&length.to_le_bytes())
                .map_err(not_written)?;
            output.write_all(bytes).map_err(not_written)?;
        }
        Ok(())
    })?;
    output.write_all(&END.to_le_bytes()).map_err(not_written)?;
    output
        .write_all(&records.to_le_bytes())
        .map_err(not_written)?;
    let crc = output.crc.finalize();
    let mut stream = output.inner;
    stream.write_all(&crc.to_le_bytes()).map_err(not_written)?;
    let mut to = stream.finish().map_err(not_written)?;
    to.flush().map_err(not_written)?;
    Ok(records)
}

/// All records but the format, which is the last to be written: how many, and the format.
fn read(backend: &Backend, from: impl Read) -> Result<(u64, Vec<u8>), StoreError> {
    let stream = zstd::Decoder::new(from).map_err(not_read)?;
    let mut input = Summed {
        inner: BufReader::new(stream),
        crc: crc32fast::Hasher::new(),
    };
    if &input.array::<{ MAGIC.len() }>()? != MAGIC {
        return Err(no_export("it begins otherwise"));
    }
    let format = start::FORMAT.to_string().into_bytes();
    let (mut records, mut version) = (0_u64, None);
    let mut batch = Batch::default();
    loop {
        let length = u32::from_le_bytes(input.array()?);
        if length == END {
            break;
        }
        let key = input.bytes(length, KEY_BYTES_MAX)?;
        let length = u32::from_le_bytes(input.array()?);
        let value = input.bytes(length, VALUE_BYTES_MAX)?;
        records += 1;
        if key == Key::new(Kind::Version).bytes() {
            version = Some(value);
        } else {
            batch.put(key, value);
        }
        if batch.bytes() > BATCH_BYTES {
            backend.apply(std::mem::take(&mut batch))?;
        }
    }
    let counted = u64::from_le_bytes(input.array()?);
    let sum = input.crc.clone().finalize();
    if u32::from_le_bytes(input.array()?) != sum || counted != records {
        return Err(no_export("its checksum is another one"));
    }
    match version {
        Some(version) if version == format => {
            backend.apply(batch)?;
            Ok((records, version))
        }
        other => Err(no_export(&format!(
            "format {} expected, {:?} came",
            start::FORMAT,
            other.map(|other| String::from_utf8_lossy(&other).into_owned())
        ))),
    }
}

/// Sums up what passes.
struct Summed<T> {
    inner: T,
    crc: crc32fast::Hasher,
}

impl<T: Write> Summed<T> {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.crc.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<T: Read> Summed<T> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(not_read)?;
        self.crc.update(&bytes);
        Ok(bytes)
    }

    fn bytes(&mut self, length: u32, max: usize) -> Result<Vec<u8>, StoreError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > max {
            return Err(no_export(&format!(
                "{length} bytes in a row, at most {max} expected"
            )));
        }
        let mut bytes = vec![0; length];
        self.inner.read_exact(&mut bytes).map_err(not_read)?;
        self.crc.update(&bytes);
        Ok(bytes)
    }
}

fn not_written(cause: std::io::Error) -> StoreError {
    StoreError::io("write", std::path::Path::new("the export"), &cause)
}

fn not_read(cause: std::io::Error) -> StoreError {
    no_export(&cause.to_string())
}

fn no_export(cause: &str) -> StoreError {
    StoreError::NoExport {
        cause: cause.to_owned(),
    }
}
