//! Values of any size as records that are small enough: compressed, then cut.
//!
//! The first byte of chunk 0 says whether the joined bytes are plain or zstd's; before it there may
//! be a head, which is read without unpacking.

use std::cell::RefCell;

use zstd::bulk::Decompressor;

use super::StoreError;
use super::backend::{Backend, Batch, Start};
use super::keys::{Key, unreadable};

/// Well below what the engine refuses.
const CHUNK_BYTES: usize = 30 * 1024;
/// Smaller values do not get smaller enough to pay for the time.
const COMPRESS_FROM_BYTES: usize = 256;
const ZSTD_LEVEL: i32 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Before a head: its length in two bytes, the head, and then what is packed.
const HEADED: u8 = 2;

thread_local! {
    /// Making one costs more than most values.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses `bytes` if that pays; the result begins with the byte that says so.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    if bytes.len() >= COMPRESS_FROM_BYTES
        && let Ok(compressed) = zstd::bulk::compress(bytes, ZSTD_LEVEL)
        && compressed.len() < bytes.len()
    {
        return with_first(ZSTD, &compressed);
    }
    with_first(PLAIN, bytes)
}

/// The reverse of [`pack`], of at most `bytes_max`.
pub(super) fn unpack(
    what: &'static str,
    packed: &[u8],
    bytes_max: usize,
) -> Result<Vec<u8>, StoreError> {
    match split_head(packed).1.split_first() {
        Some((&PLAIN, bytes)) => Ok(bytes.to_vec()),
        Some((&ZSTD, bytes)) => {
            // The frame says its size: no more is allocated than that, nor than may be.
            let size = zstd::zstd_safe::get_frame_content_size(bytes)
                .ok()
                .flatten();
            let capacity = size.map_or(bytes_max, |size| {
                bytes_max.min(usize::try_from(size).unwrap_or(bytes_max))
            });
            decompress(bytes, capacity).map_err(|cause| unreadable(what, cause))
        }
        Some((first, _)) => Err(unreadable(
            what,
            format_args!("first byte 0 or 1 expected, {first} came"),
        )),
        None => Err(unreadable(what, "it is empty")),
    }
}

fn decompress(bytes: &[u8], capacity: usize) -> std::io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let mut decompressor = match kept.take() {
            Some(kept) => kept,
            None => Decompressor::new()?,
        };
        let unpacked = decompressor.decompress(bytes, capacity)?;
        *kept = Some(decompressor);
        Ok(unpacked)
    })
}

/// The head of a packed value, and the value. A value without one has an empty head.
pub(super) fn split_head(packed: &[u8]) -> (&[u8], &[u8]) {
    let head = || {
        let (first, rest) = packed.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        (*first == HEADED).then(|| rest.split_at_checked(length))?
    };
    head().unwrap_or((&[], packed))
}

/// [`put`] with a head.
pub(super) fn put_headed(batch: &mut Batch, key: &Key, head: &[u8], bytes: &[u8]) -> u16 {
    let packed = pack(bytes);
    let Ok(length) = u16::try_from(head.len()) else {
        return put_packed(batch, key, &packed);
    };
    let mut headed = Vec::with_capacity(packed.len() + head.len() + 3);
    headed.push(HEADED);
    headed.extend(length.to_be_bytes());
    headed.extend(head);
    headed.extend(packed);
    put_packed(batch, key, &headed)
}

/// Puts `bytes` below `key`; how many chunks it made. Chunks that an earlier value had beyond
/// that are the caller's to remove.
pub(super) fn put(batch: &mut Batch, key: &Key, bytes: &[u8]) -> u16 {
    put_packed(batch, key, &pack(bytes))
}

fn put_packed(batch: &mut Batch, key: &Key, packed: &[u8]) -> u16 {
    let mut chunks = 0_u16;
    for chunk in packed.chunks(CHUNK_BYTES) {
        batch.put(key.clone().u16(chunks).bytes(), chunk.to_vec());
        chunks = chunks.saturating_add(1);
    }
    chunks
}

/// Reads what [`put`] wrote.
pub(super) fn get(
    backend: &Backend,
    what: &'static str,
    key: &Key,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(mut packed) = backend.get(key.clone().u16(0).as_ref())? else {
        return Ok(None);
    };
    if packed.len() == CHUNK_BYTES {
        let first = key.clone().u16(0);
        for (_, chunk) in backend.scan(
            key.as_ref(),
            Start::After(first.as_ref()),
            usize::from(u16::MAX),
        )? {
            packed.extend(chunk);
        }
    }
    unpack(what, &packed, bytes_max).map(Some)
}

/// Removes all chunks below `key`.
pub(super) fn remove(backend: &Backend, batch: &mut Batch, key: &Key) -> Result<(), StoreError> {
    for (chunk, _) in backend.scan(key.as_ref(), Start::First, usize::from(u16::MAX))? {
        batch.remove(chunk);
    }
    Ok(())
}

fn with_first(first: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 1);
    out.push(first);
    out.extend_from_slice(bytes);
    out
}
