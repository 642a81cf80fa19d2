//! How a tree is stored: cut into parts along its sorted order, so that a session that
//! changes one value rewrites one part, compressed, of a few kilobytes.
//!
//! The head of a part's record is its first path, so that who wants one parameter unpacks one part.
//! What is packed begins with the format's byte (1) and a time (8 bytes); then for each
//! parameter: bytes it shares with the path before, the rest of its path, the type (a number
//! of `TYPES`, or 255 and the text), whether it can be set, the time of reading as seconds
//! after the part's, the value. Numbers and lengths are LEB128.

use cwmp::XsdType;

use crate::device::{Reading, UnixTime};

use super::StoreError;
use super::backend::{Batch, Pair};
use super::chunks;
use super::keys::{Key, unreadable};
use super::tree::{self, PATH_BYTES_MAX, Tree, VALUE_BYTES_MAX};

/// A part that became larger than this, before compression, is cut.
const PART_BYTES_MAX: usize = 8 * 1024;
/// Into pieces of about this size.
const PIECE_BYTES: usize = 4 * 1024;
/// No part is ever larger: one parameter over the size of a part stands alone.
const RECORD_BYTES_MAX: usize = PART_BYTES_MAX + PATH_BYTES_MAX + VALUE_BYTES_MAX + 64;
const FORMAT: u8 = 1;
const WHAT: &str = "part of a tree";

/// Types that are stored as their position here; only ever append.
const TYPES: [&str; 9] = [
    "string",
    "unsignedInt",
    "boolean",
    "int",
    "dateTime",
    "unsignedLong",
    "long",
    "base64Binary",
    "hexBinary",
];
const OTHER_TYPE: u8 = u8::MAX;

/// The parts of a tree, by the first path that each covers.
#[derive(Debug, Default)]
pub(super) struct Parts {
    parts: Vec<Part>,
    changed: bool,
    /// Stored, but not readable: to be removed with the next write. Numbers and chunks.
    unreadable: Vec<(u16, u16)>,
}

#[derive(Debug)]
struct Part {
    /// Covers paths from here to the next part's start. Empty for the first part.
    start: Box<str>,
    id: u16,
    /// Stored now.
    chunks: u16,
    changed: bool,
}

impl Parts {
    /// The parameter at `path` came, went or changed.
    pub(super) fn changed(&mut self, path: &str) {
        if self.parts.is_empty() {
            self.parts.push(Part {
                start: Box::default(),
                id: 0,
                chunks: 0,
                changed: false,
            });
        }
        let after = self.parts.partition_point(|part| &*part.start <= path);
        if let Some(part) = self.parts.get_mut(after.saturating_sub(1)) {
            part.changed = true;
            self.changed = true;
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }
}

/// Puts what changed since the last call into `batch`, below the tree's `key`.
pub(super) fn write(tree: &mut Tree, key: &Key, batch: &mut Batch) {
    let Parts {
        parts: mut old,
        unreadable,
        ..
    } = std::mem::take(&mut tree.parts);
    for (id, chunks) in unreadable {
        remove_chunks(batch, &key.clone().u16(id), 0..chunks);
    }
    let mut free_ids = FreeIds::new(&old);
    let mut parts = Vec::with_capacity(old.len());
    let mut rest = old.drain(..).peekable();
    while let Some(mut part) = rest.next() {
        if !part.changed {
            parts.push(part);
            continue;
        }
        let end = rest.peek().map(|next| next.start.clone());
        let pieces = encode(tree, &part.start, end.as_deref());
        let stored = part.chunks;
        part.chunks = 0;
        part.changed = false;
        let part_key = key.clone().u16(part.id);
        let mut pieces = pieces.into_iter();
        match pieces.next() {
            Some(first) => part.chunks = first.put(batch, &part_key),
            None if !part.start.is_empty() => {
                remove_chunks(batch, &part_key, 0..stored);
                continue; // its range is now the part's before
            }
            None => {}
        }
        remove_chunks(batch, &part_key, part.chunks..stored);
        parts.push(part);
        for piece in pieces {
            let id = free_ids.take();
            let chunks = piece.put(batch, &key.clone().u16(id));
            parts.push(Part {
                start: piece.start,
                id,
                chunks,
                changed: false,
            });
        }
    }
    drop(rest);
    tree.parts.parts = parts;
    tree.shrink();
}

/// Makes a tree of its records, as a scan below the tree's key gives them. A record that
/// cannot be read is left out (its parameters are readings: the device has them) and reported
/// to `bad`.
pub(super) fn read(records: &[Pair], key_bytes: usize, mut bad: impl FnMut(StoreError)) -> Tree {
    let mut tree = Tree::default();
    let mut parts: Vec<Part> = Vec::new();
    let mut unreadable_parts = Vec::new();
    for chunk_records in parts_of(records, key_bytes) {
        let Some(id) = chunk_records
            .first()
            .and_then(|(key, _)| part_id(key, key_bytes))
        else {
            bad(unreadable(WHAT, "its key is too short"));
            continue;
        };
        let start = unpack(chunk_records).and_then(|bytes| decode(&bytes, &mut tree));
        let chunks = u16::try_from(chunk_records.len()).unwrap_or(u16::MAX);
        match start {
            Ok(start) => parts.push(Part {
                start,
                id,
                chunks,
                changed: false,
            }),
            Err(error) => {
                unreadable_parts.push((id, chunks));
                bad(error);
            }
        }
    }
    parts.sort_by(|one, other| one.start.cmp(&other.start));
    if let Some(first) = parts.first_mut() {
        first.start = Box::default();
    }
    tree.parts = Parts {
        parts,
        changed: false,
        unreadable: unreadable_parts,
    };
    tree.shrink();
    tree
}

/// Calls `visit` with each parameter below the path or pattern that the records of a tree have.
/// Only the parts that can have any are unpacked.
pub(super) fn visit(
    records: &[Pair],
    key_bytes: usize,
    pattern: &str,
    mut visit: impl FnMut(&str, &str, UnixTime),
) -> Result<(), StoreError> {
    let literal = tree::literal(pattern);
    let mut parts: Vec<(&str, &[Pair])> = parts_of(records, key_bytes)
        .filter_map(|records| {
            let (_, first) = records.first()?;
            let (head, _) = chunks::split_head(first);
            Some((std::str::from_utf8(head).ok()?, records))
        })
        .collect();
    parts.sort_unstable_by_key(|(head, _)| *head);
    for (number, (head, records)) in parts.iter().enumerate() {
        let next = parts.get(number + 1).map(|(next, _)| *next);
        // Parts without a head may have anything.
        let ends_before = next.is_some_and(|next| !head.is_empty() && next <= literal);
        let begins_after = *head > literal && !head.starts_with(literal);
        if ends_before || begins_after {
            continue;
        }
        each(&unpack(records)?, |path, raw| {
            let is_past = path > literal && !path.starts_with(literal);
            if path.starts_with(literal) && tree::matches(pattern, path) {
                visit(path, raw.value, raw.read_at);
            }
            !is_past
        })?;
    }
    Ok(())
}

/// The records of each part.
fn parts_of(records: &[Pair], key_bytes: usize) -> impl Iterator<Item = &[Pair]> {
    records
        .chunk_by(move |(one, _), (other, _)| part_id(one, key_bytes) == part_id(other, key_bytes))
}

fn unpack(chunk_records: &[Pair]) -> Result<Vec<u8>, StoreError> {
    if let [(_, only)] = chunk_records {
        return chunks::unpack(WHAT, only, RECORD_BYTES_MAX);
    }
    let packed: Vec<u8> = chunk_records
        .iter()
        .flat_map(|(_, chunk)| chunk)
        .copied()
        .collect();
    chunks::unpack(WHAT, &packed, RECORD_BYTES_MAX)
}

fn part_id(key: &[u8], key_bytes: usize) -> Option<u16> {
    let id = key.get(key_bytes..)?.first_chunk()?;
    Some(u16::from_be_bytes(*id))
}

fn remove_chunks(batch: &mut Batch, part: &Key, chunks: std::ops::Range<u16>) {
    for chunk in chunks {
        batch.remove(part.clone().u16(chunk).bytes());
    }
}

/// Numbers that no part has.
struct FreeIds {
    used: std::collections::BTreeSet<u16>,
    next: u16,
}

impl FreeIds {
    fn new(parts: &[Part]) -> FreeIds {
        FreeIds {
            used: parts.iter().map(|part| part.id).collect(),
            next: 0,
        }
    }

    fn take(&mut self) -> u16 {
        while self.used.contains(&self.next) {
            self.next += 1; // a tree has far fewer parts than 65536
        }
        self.used.insert(self.next);
        self.next
    }
}

struct Piece {
    start: Box<str>,
    bytes: Vec<u8>,
}

impl Piece {
    fn put(&self, batch: &mut Batch, key: &Key) -> u16 {
        chunks::put_headed(batch, key, self.start.as_bytes(), &self.bytes)
    }
}

/// The records of the parameters from `start` to before `end`: one, or more if it is too large
/// for one, or none if there are no parameters.
fn encode(tree: &Tree, start: &str, end: Option<&str>) -> Vec<Piece> {
    let whole = encode_pieces(tree, start, end, usize::MAX);
    match whole.first() {
        Some(piece) if piece.bytes.len() > PART_BYTES_MAX => {
            encode_pieces(tree, start, end, PIECE_BYTES)
        }
        _ => whole,
    }
}

fn encode_pieces(tree: &Tree, start: &str, end: Option<&str>, piece_bytes: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut last_path = "";
    let mut base = 0;
    for (path, reading) in tree.range(start, end) {
        let fits = pieces.last().is_some_and(|piece| {
            piece.bytes.len() < piece_bytes
                && piece.bytes.len() + reading.value.len() < piece_bytes.saturating_mul(2)
        });
        if !fits {
            base = reading.read_at;
            last_path = "";
            let mut bytes = Vec::with_capacity(PIECE_BYTES);
            bytes.push(FORMAT);
            bytes.extend(base.to_le_bytes());
            pieces.push(Piece {
                start: (&**path).into(),
                bytes,
            });
        }
        if let Some(piece) = pieces.last_mut() {
            encode_parameter(&mut piece.bytes, last_path, path, reading, base);
        }
        last_path = path;
    }
    pieces
}

fn encode_parameter(out: &mut Vec<u8>, last_path: &str, path: &str, reading: &Reading, base: i64) {
    let shared = last_path
        .bytes()
        .zip(path.bytes())
        .take_while(|(one, other)| one == other)
        .count();
    number(out, shared as u64);
    text(out, path.as_bytes().get(shared..).unwrap_or_default());
    let name = reading.xsd_type.as_str();
    match TYPES.iter().position(|known| *known == name) {
        Some(position) => out.push(u8::try_from(position).unwrap_or(OTHER_TYPE)),
        None => {
            out.push(OTHER_TYPE);
            text(out, name.as_bytes());
        }
    }
    out.push(match reading.writable {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    });
    let after = reading.read_at.wrapping_sub(base);
    number(out, ((after << 1) ^ (after >> 63)).cast_unsigned());
    text(out, reading.value.as_bytes());
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    number(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Puts the parameters of a record into the tree and says which is the first.
fn decode(bytes: &[u8], tree: &mut Tree) -> Result<Box<str>, StoreError> {
    let mut first: Option<Box<str>> = None;
    each(bytes, |path, raw| {
        if first.is_none() {
            first = Some(path.into());
        }
        let reading = Reading {
            value: raw.value.into(),
            xsd_type: XsdType::new(raw.xsd_type),
            read_at: raw.read_at,
            writable: raw.writable,
        };
        tree.restore(path, reading);
        true
    })?;
    first.ok_or_else(|| unreadable(WHAT, "it has no parameters"))
}

/// A parameter as it stands in a record, but for its path.
struct Raw<'a> {
    value: &'a str,
    xsd_type: &'a str,
    read_at: UnixTime,
    writable: Option<bool>,
}

/// Calls `visit` with each parameter of a record, by path, until it wants no more.
fn each(bytes: &[u8], mut visit: impl FnMut(&str, Raw<'_>) -> bool) -> Result<(), StoreError> {
    let mut input = Input(bytes);
    match input.byte() {
        Some(FORMAT) => {}
        other => {
            return Err(unreadable(
                WHAT,
                format_args!("format {FORMAT} expected, {other:?} came"),
            ));
        }
    }
    let ends_early = || unreadable(WHAT, "it ends within a parameter");
    let base = input.time().ok_or_else(ends_early)?;
    let mut path: Vec<u8> = Vec::new();
    while !input.0.is_empty() {
        let raw = raw(&mut input, &mut path, base).ok_or_else(ends_early)?;
        let path = std::str::from_utf8(&path).map_err(|error| unreadable(WHAT, error))?;
        if !visit(path, raw) {
            break;
        }
    }
    Ok(())
}

fn raw<'a>(input: &mut Input<'a>, path: &mut Vec<u8>, base: i64) -> Option<Raw<'a>> {
    path.truncate(usize::try_from(input.number()?).ok()?);
    path.extend(input.text()?);
    let xsd_type = match input.byte()? {
        OTHER_TYPE => std::str::from_utf8(input.text()?).ok()?,
        position => TYPES.get(usize::from(position))?,
    };
    let writable = match input.byte()? {
        0 => None,
        1 => Some(false),
        _ => Some(true),
    };
    let after = input.number()?;
    let after = (after >> 1).cast_signed() ^ -(after & 1).cast_signed();
    Some(Raw {
        value: std::str::from_utf8(input.text()?).ok()?,
        xsd_type,
        read_at: base.wrapping_add(after),
        writable,
    })
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn time(&mut self) -> Option<i64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i64::from_le_bytes(*bytes))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}
