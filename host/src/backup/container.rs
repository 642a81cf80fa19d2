//! The file of a backup.
//!
//! [`MAGIC`]; then entries: the kind (1 byte), the name after its length (2), the bytes in pieces after their length
//! (4), a length of 0, the CRC-32 of the entry so far (4). Last an entry of kind 0: the number of entries (8), and its
//! CRC-32 (4). Numbers are little-endian. Nothing follows.

use std::io::{Read, Seek, SeekFrom, Write};

/// What a backup begins with.
pub(super) const MAGIC: &[u8; 16] = b"patchbay backup2";
/// Bytes of a piece at most.
const PIECE_BYTES_MAX: usize = 256 << 10;
const NAME_BYTES_MAX: u16 = 255;
const END: u8 = 0;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// All records, as the store exports them.
    Records = 1,
    /// The bytes of a file; its name is their SHA-256.
    Content = 2,
    /// A file of the audit log.
    Audit = 3,
    /// A file of the plugins' directory.
    Plugin = 4,
}

/// Why a backup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It begins otherwise.
    #[error("this is no backup of Patchbay: it begins otherwise")]
    NoBackup,
    /// It ends too soon.
    #[error("the backup is damaged: it ends after {0} bytes, in the middle")]
    Cut(u64),
    /// Something in it is not as it was written.
    #[error("the backup is damaged at byte {at}: {what}")]
    At {
        /// Bytes before it.
        at: u64,
        /// What was expected, what came.
        what: String,
    },
    /// It cannot be read.
    #[error("the backup cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

/// Writes a backup.
pub(super) struct Writer<W: Write> {
    to: W,
    crc: crc32fast::Hasher,
    piece: Vec<u8>,
    entries: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(mut to: W) -> std::io::Result<Writer<W>> {
        to.write_all(MAGIC)?;
        Ok(Writer {
            to,
            crc: crc32fast::Hasher::new(),
            piece: Vec::with_capacity(PIECE_BYTES_MAX),
            entries: 0,
        })
    }

    /// Begins an entry; what is written from now on is its content.
    pub(super) fn begin(&mut self, kind: Kind, name: &str) -> std::io::Result<()> {
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        if length > NAME_BYTES_MAX {
            return Err(std::io::Error::other(format!("{name} is too long a name")));
        }
        self.crc = crc32fast::Hasher::new();
        self.put(&[kind as u8])?;
        self.put(&length.to_le_bytes())?;
        self.put(name.as_bytes())
    }

    /// Ends the entry.
    pub(super) fn end(&mut self) -> std::io::Result<()> {
        self.put_piece()?;
        self.put(&0_u32.to_le_bytes())?;
        self.entries += 1;
        let crc = std::mem::take(&mut self.crc).finalize();
        self.to.write_all(&crc.to_le_bytes())
    }

    /// Ends the backup.
    pub(super) fn finish(&mut self) -> std::io::Result<&W> {
        self.crc = crc32fast::Hasher::new();
        self.put(&[END])?;
        let entries = self.entries;
        self.put(&entries.to_le_bytes())?;
        let crc = std::mem::take(&mut self.crc).finalize();
        self.to.write_all(&crc.to_le_bytes())?;
        self.to.flush()?;
        Ok(&self.to)
    }

    fn put_piece(&mut self) -> std::io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        self.put(&length.to_le_bytes())?;
        self.put(&piece)?;
        self.piece = piece;
        self.piece.clear();
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.crc.update(bytes);
        self.to.write_all(bytes)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = PIECE_BYTES_MAX - self.piece.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE_BYTES_MAX {
            self.put_piece()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Of its first piece.
    at: u64,
}

/// Reads a backup.
pub(super) struct Reader<R> {
    from: R,
    at: u64,
    crc: crc32fast::Hasher,
}

impl<R: Read + Seek> Reader<R> {
    pub(super) fn new(from: R) -> Reader<R> {
        Reader {
            from,
            at: 0,
            crc: crc32fast::Hasher::new(),
        }
    }

    /// Reads all of it and says what there is; nothing is believed before.
    pub(super) fn check(&mut self) -> Result<Vec<Entry>, Damage> {
        if self.take::<{ MAGIC.len() }>()? != *MAGIC {
            return Err(Damage::NoBackup);
        }
        let mut entries = Vec::new();
        loop {
            self.crc = crc32fast::Hasher::new();
            let [kind] = self.take()?;
            let kind = match kind {
                END => break,
                1 => Kind::Records,
                2 => Kind::Content,
                3 => Kind::Audit,
                4 => Kind::Plugin,
                other => {
                    return Err(self.damage(format!("expected an entry, got one of kind {other}")));
                }
            };
            let length = u16::from_le_bytes(self.take()?);
            if length > NAME_BYTES_MAX {
                return Err(self.damage(format!("expected a name, got {length} bytes of one")));
            }
            let mut name = vec![0; usize::from(length)];
            self.fill(&mut name)?;
            let name =
                String::from_utf8(name).map_err(|_| self.damage("expected a name".into()))?;
            let at = self.at;
            let mut piece = Vec::new();
            while self.piece(&mut piece)? {}
            self.sum(&format!("{kind:?} {name}"))?;
            entries.push(Entry { kind, name, at });
        }
        let counted = u64::from_le_bytes(self.take()?);
        self.sum("its end")?;
        if counted != entries.len() as u64 {
            let got = entries.len();
            return Err(self.damage(format!("expected {counted} entries, got {got}")));
        }
        let mut more = [0];
        match self.from.read(&mut more)? {
            0 => Ok(entries),
            _ => Err(self.damage("expected its end, got more bytes".into())),
        }
    }

    /// The bytes of an entry.
    pub(super) fn content(&mut self, entry: &Entry) -> Result<Content<'_, R>, Damage> {
        self.from.seek(SeekFrom::Start(entry.at))?;
        self.at = entry.at;
        Ok(Content {
            reader: self,
            piece: Vec::new(),
            read: 0,
            ended: false,
        })
    }

    /// The next piece; false: there was none.
    fn piece(&mut self, piece: &mut Vec<u8>) -> Result<bool, Damage> {
        let length = u32::from_le_bytes(self.take()?);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > PIECE_BYTES_MAX {
            return Err(self.damage(format!(
                "expected at most {PIECE_BYTES_MAX} bytes in a row, got {length}"
            )));
        }
        piece.resize(length, 0);
        self.fill(piece)?;
        Ok(length > 0)
    }

    fn sum(&mut self, of: &str) -> Result<(), Damage> {
        let expected = self.crc.clone().finalize();
        if u32::from_le_bytes(self.take()?) == expected {
            return Ok(());
        }
        Err(self.damage(format!("the checksum of {of} is another one")))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Damage> {
        let read = self.from.read_exact(bytes);
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Damage::Cut(self.at),
            _ => Damage::Io(error),
        })?;
        self.at += bytes.len() as u64;
        self.crc.update(bytes);
        Ok(())
    }

    fn damage(&self, what: String) -> Damage {
        Damage::At { at: self.at, what }
    }
}

/// The bytes of one entry, of a backup that was checked.
pub(super) struct Content<'r, R> {
    reader: &'r mut Reader<R>,
    piece: Vec<u8>,
    read: usize,
    ended: bool,
}

impl<R: Read + Seek> Read for Content<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.piece.len() && !self.ended {
            self.read = 0;
            let more = self.reader.piece(&mut self.piece);
            self.ended = !more.map_err(std::io::Error::other)?;
        }
        let left = self.piece.get(self.read..).unwrap_or_default();
        let count = left.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(left) {
            *to = *from;
        }
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn backup() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for (kind, name, size) in [
            (Kind::Records, "", 700),
            (Kind::Content, "abc", 0),
            (Kind::Audit, "1.seg", 3),
            (Kind::Plugin, "a.wasm", 5),
        ] {
            writer.begin(kind, name).unwrap();
            writer.write_all(&vec![7; size]).unwrap();
            writer.end().unwrap();
        }
        writer.finish().unwrap().clone()
    }

    #[test]
    fn what_was_written_is_read() {
        let mut writer = Writer::new(Vec::new()).unwrap();
        let large: Vec<u8> = (0..PIECE_BYTES_MAX * 2 + 5).map(|n| n as u8).collect();
        writer.begin(Kind::Content, "large").unwrap();
        writer.write_all(&large).unwrap();
        writer.end().unwrap();
        let mut reader = Reader::new(Cursor::new(writer.finish().unwrap().clone()));
        let entries = reader.check().unwrap();
        assert_eq!((entries.len(), entries[0].name.as_str()), (1, "large"));
        let mut content = Vec::new();
        let mut read = reader.content(&entries[0]).unwrap();
        read.read_to_end(&mut content).unwrap();
        assert!(content == large);
    }

    #[test]
    fn no_byte_can_change_and_none_be_missing() {
        let whole = backup();
        assert_eq!(Reader::new(Cursor::new(&whole)).check().unwrap().len(), 4);
        for at in 0..whole.len() {
            let cut = &whole[..at];
            let error = Reader::new(Cursor::new(cut)).check().unwrap_err();
            assert!(matches!(error, Damage::Cut(_)), "{at}: {error}");
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                let checked = Reader::new(Cursor::new(&flipped)).check();
                assert!(checked.is_err(), "byte {at}, bit {bit}: {checked:?}");
            }
        }
        let mut longer = whole;
        longer.push(0);
        let error = Reader::new(Cursor::new(&longer)).check().unwrap_err();
        assert!(error.to_string().contains("got more bytes"), "{error}");
    }
}
