use super::*;

fn config(segment_bytes_max: u64) -> SegmentsConfig {
    SegmentsConfig {
        segment_bytes_max,
        total_bytes_max: u64::MAX,
        age_seconds_max: i64::MAX,
    }
}

fn open(directory: &Path, segment_bytes_max: u64) -> Segments {
    Segments::open(directory.to_owned(), config(segment_bytes_max)).unwrap()
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.number).collect()
}

/// Does not compress.
fn noise(n: u64) -> Vec<u8> {
    let mut seed = n + 1;
    let bytes = std::iter::repeat_with(|| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 56) as u8
    });
    bytes.take(100).collect()
}

#[test]
fn records_are_read_in_order_over_files_and_restarts() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let segments = open(directory.path(), 1000);
        for n in round * 10..round * 10 + 10 {
            assert_eq!(segments.append(n as i64, &noise(n)).unwrap(), n + 1);
        }
        segments.sync().unwrap();
    }
    let segments = open(directory.path(), 1000);
    assert!(segments.files().unwrap().len() > 3);
    let all = segments.read(0, 99).unwrap();
    assert_eq!(numbers(&all), (1..=30).collect::<Vec<_>>());
    assert!(
        all.iter()
            .all(|record| record.bytes == noise(record.number - 1))
    );
    assert!(
        all.iter()
            .all(|record| record.at == record.number as i64 - 1)
    );
    assert_eq!(numbers(&segments.read(17, 3).unwrap()), [17, 18, 19]);
    let tail = |before, limit| numbers(&segments.tail(before, limit, |_| true).unwrap());
    assert_eq!(tail(None, 99), (1..=30).rev().collect::<Vec<_>>());
    assert_eq!(tail(Some(12), 3), [11, 10, 9]);
    let even = segments.tail(None, 3, |record| record.at % 2 == 0).unwrap();
    assert_eq!(numbers(&even), [29, 27, 25]);
}

#[test]
fn a_torn_tail_is_cut_off_at_any_byte() {
    let whole = tempfile::tempdir().unwrap();
    let segments = open(whole.path(), u64::MAX);
    for n in 0..5 {
        segments.append(7, &noise(n)).unwrap();
    }
    segments.sync().unwrap();
    let path = segments.files().unwrap()[0].path.clone();
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..=bytes.len() {
        let directory = tempfile::tempdir().unwrap();
        let torn = directory.path().join(path.file_name().unwrap());
        std::fs::write(&torn, &bytes[..length]).unwrap();
        let segments = open(directory.path(), u64::MAX);
        let kept = segments.read(0, 99).unwrap().len() as u64;
        let expected = length.saturating_sub(8) / ((bytes.len() - 8) / 5);
        assert_eq!(kept, expected as u64, "{length}");
        assert_eq!(segments.append(8, b"after").unwrap(), kept + 1);
        segments.sync().unwrap();
        drop(segments);
        let segments = open(directory.path(), u64::MAX);
        assert_eq!(segments.tail(None, 1, |_| true).unwrap()[0].bytes, b"after");
    }
}

#[test]
fn zeros_and_noise_after_the_last_record_are_cut_off() {
    for tail in [vec![0; 64], noise(3)] {
        let directory = tempfile::tempdir().unwrap();
        let segments = open(directory.path(), u64::MAX);
        segments.append(7, b"good").unwrap();
        segments.sync().unwrap();
        let path = segments.files().unwrap()[0].path.clone();
        drop(segments);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(tail);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(
            numbers(&open(directory.path(), u64::MAX).read(0, 9).unwrap()),
            [1]
        );
    }
}

#[test]
fn a_damaged_record_costs_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let segments = open(directory.path(), u64::MAX);
    for n in 0..5 {
        segments.append(7, &noise(n)).unwrap();
    }
    segments.sync().unwrap();
    let path = segments.files().unwrap()[0].path.clone();
    drop(segments);
    let mut bytes = std::fs::read(&path).unwrap();
    let third = 8 + 2 * ((bytes.len() - 8) / 5) + 50;
    bytes[third] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let segments = open(directory.path(), u64::MAX);
    assert_eq!(numbers(&segments.read(0, 9).unwrap()), [1, 2, 4, 5]);
    assert_eq!(segments.get(3).unwrap(), None);
    assert_eq!(segments.get(4).unwrap().unwrap().bytes, noise(3));
    assert_eq!(segments.append(7, b"after").unwrap(), 6);
}

#[test]
fn heads_are_read_without_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let segments = open(directory.path(), 1000);
    for n in 0..30 {
        let head = format!("head {n}");
        segments
            .append_with_head(n, head.as_bytes(), &noise(n as u64))
            .unwrap();
    }
    segments.append(30, b"without").unwrap();
    let mut heads = Vec::new();
    segments
        .heads(|head| heads.push((head.number, String::from_utf8(head.head.to_vec()).unwrap())))
        .unwrap();
    let expected: Vec<_> = (0..30).map(|n| (n + 1, format!("head {n}"))).collect();
    assert_eq!(heads, expected);
    let record = segments.get(17).unwrap().unwrap();
    assert_eq!(
        (record.head, record.bytes),
        (b"head 16".to_vec(), noise(16))
    );
    assert_eq!(segments.get(99).unwrap(), None);
    assert_eq!(segments.get(31).unwrap().unwrap().head, b"");
}

#[test]
fn a_file_that_never_gets_full_grows_old_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let config = SegmentsConfig {
        age_seconds_max: 80,
        ..config(u64::MAX)
    };
    let segments = Segments::open(directory.path().to_owned(), config).unwrap();
    segments.append(1000, b"first").unwrap();
    assert_eq!(segments.sweep(1009).unwrap(), 0);
    segments.append(1009, b"second").unwrap();
    assert_eq!(segments.sweep(1011).unwrap(), 0);
    segments.append(1011, b"third").unwrap();
    assert_eq!(segments.sweep(1090).unwrap(), 1);
    assert_eq!(numbers(&segments.read(0, 9).unwrap()), [3]);
    assert_eq!(segments.first(), 3);
}

#[test]
fn old_files_go_by_size_and_by_age() {
    let directory = tempfile::tempdir().unwrap();
    let config = SegmentsConfig {
        segment_bytes_max: 1000,
        total_bytes_max: 5000,
        age_seconds_max: 100,
    };
    let segments = Segments::open(directory.path().to_owned(), config.clone()).unwrap();
    for n in 0..200 {
        segments.append(n as i64, &noise(n)).unwrap();
    }
    assert!(segments.bytes() <= 6000, "{}", segments.bytes());
    let left = segments.read(0, 999).unwrap();
    assert!(left.len() < 60);
    assert_eq!(left.last().unwrap().number, 200);
    segments.sync().unwrap();
    drop(segments);
    let segments = Segments::open(directory.path().to_owned(), config).unwrap();
    assert_eq!(segments.sweep(left[0].at + 100).unwrap(), 0);
    assert!(segments.sweep(left[0].at + 115).unwrap() >= 1);
    segments.sweep(i64::MAX).unwrap();
    assert_eq!(segments.files().unwrap().len(), 1, "the last one stays");
    assert_eq!(segments.append(1, b"x").unwrap(), 201);
}

#[test]
fn a_record_over_the_limit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let segments = open(directory.path(), u64::MAX);
    assert!(segments.append(1, &vec![0; RECORD_BYTES_MAX + 1]).is_err());
    assert_eq!(segments.append(1, &vec![0; RECORD_BYTES_MAX]).unwrap(), 1);
    assert_eq!(
        segments.read(0, 9).unwrap()[0].bytes.len(),
        RECORD_BYTES_MAX
    );
}
