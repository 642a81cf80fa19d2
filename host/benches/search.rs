//! What a search of 200,000 stored devices costs: `cargo bench -p patchbay --bench search`.
//!
//! The devices are made in a temporary store, which another process then opens: all but a few trees
//! are on disk, and memory is as after a restart. Each search is measured several times, the first time apart.

#![allow(clippy::indexing_slicing, reason = "a benchmark")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use patchbay::device::{DeviceKey, Mode, NatDecision, NatFacts, Summary, UnixTime};
use patchbay::query::Query;
use patchbay::store::{Cancel, Device, Search, Sort, Store, StoreConfig};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEVICES: usize = 200_000;
/// Of each device.
const PARAMETERS: usize = 150;
const PAGE: usize = 100;
const NOW: UnixTime = 1_780_000_000;
/// So many times a search by what is in memory is measured.
const TIMES: usize = 101;
/// And one that looks at parameters.
const TIMES_DEEP: usize = 5;
const INSTANCE: &str = "default";
/// Where the process that searches finds the store.
const STORE: &str = "PATCHBAY_BENCH_STORE";

fn main() -> anyhow::Result<()> {
    if let Some(directory) = std::env::var_os(STORE) {
        return search(Path::new(&directory));
    }
    let directory = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(create(directory.path()))?;
    let searched = Command::new(std::env::current_exe()?)
        .env(STORE, directory.path())
        .status()?;
    ensure!(searched.success(), "the searches: {searched}");
    Ok(())
}

fn search(directory: &Path) -> anyhow::Result<()> {
    let store = opened(directory)?;
    println!(
        "\n{:<58} {:>9} {:>9} {:>9} {:>7}",
        "", "first", "median", "p95", "found"
    );
    pages(&store)?;
    counts(&store)?;
    deep(&store)
}

fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        // What is measured is not what lay in memory by chance.
        devices_cached_max: 2_000,
        readings_flush_interval: Duration::from_secs(3_600),
        ..StoreConfig::new(directory)
    }
}

async fn create(directory: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    let store = Store::open(config(directory))?;
    let paths: Vec<String> = (0..PARAMETERS - 3)
        .map(|number| {
            let (table, row) = (number / 30, number % 30 / 5 + 1);
            let name = ["Enable", "Status", "Alias", "Name", "LastChange"][number % 5];
            format!("Device.Section{table}.Interface.{row}.{name}")
        })
        .collect();
    for number in 0..DEVICES {
        let (cell, _) = store.register(&key(number), summary(number))?;
        cell.contacted(NOW - i64::try_from(number % 86_400)?);
        fill(&mut cell.lock(), number, &paths)?;
        store.touched(&cell);
        if number % 5_000 == 4_999 {
            store.flush().await?;
        }
    }
    store.close().await?;
    println!(
        "{DEVICES} devices of {PARAMETERS} parameters made in {:.0} s, {} MB on disk",
        started.elapsed().as_secs_f64(),
        store.stats().disk_bytes >> 20
    );
    Ok(())
}

fn fill(device: &mut Device, number: usize, paths: &[String]) -> anyhow::Result<()> {
    let tree = device.tree_mut();
    let mut set = |path: &str, value: &str| {
        tree.set(path, value, &cwmp::XsdType::STRING, NOW)
            .map(|_| ())
    };
    for (at, path) in paths.iter().enumerate() {
        set(path, ["true", "Up", "cpe-alias", "eth0", "86400"][at % 5])?;
    }
    set("Device.DeviceInfo.UpTime", &number.to_string())?;
    set(
        "Device.WiFi.SSID.1.SSID",
        &format!("home-{}", number % 50_000),
    )?;
    set("Device.WiFi.SSID.2.SSID", "guest")?;
    Ok(())
}

fn key(number: usize) -> DeviceKey {
    DeviceKey {
        instance: INSTANCE.into(),
        // In another order than they came.
        id: format!(
            "02A1B2-Box{}-SN{:08}",
            number % 20,
            number * 7_919 % 100_000_007
        )
        .into(),
    }
}

fn summary(number: usize) -> Summary {
    let mut tags = vec![format!("ring-{}", number / 7 % 10)];
    if number.is_multiple_of(10_000) {
        tags.push("rare".into());
    }
    Summary {
        manufacturer: ["Acme", "Example", "Generic"][number % 3].into(),
        oui: "02A1B2".into(),
        product_class: format!("Box{}", number % 20),
        serial_number: format!("SN{:08}", number * 7_919 % 100_000_007),
        software_version: format!("3.{}", number / 3 % 40),
        hardware_version: "1.0".into(),
        tags: tags.into_iter().collect(),
        first_contact: NOW - 1_000_000,
        peer_address: format!(
            "100.{}.{}.{}",
            64 + (number >> 16),
            number >> 8 & 255,
            number & 255
        ),
        nat: Some(NatDecision {
            behind_nat: true,
            mode: Mode::ALL[number % 5],
            fallbacks: Vec::new(),
            reason: "its address is not where it comes from".into(),
            decided_by: "nat-default 0.1.0".into(),
            decided_at: NOW,
            facts: 0,
            decided_from: NatFacts::default(),
        }),
        connection_request: patchbay::device::ConnectionRequest {
            url: format!(
                "http://10.0.{}.{}:7547/{number}",
                number >> 8 & 255,
                number & 255
            ),
            ..Default::default()
        },
        ..Summary::default()
    }
}

/// Opens the store and waits for its rows.
fn opened(directory: &Path) -> anyhow::Result<Store> {
    let before = resident()?;
    let started = Instant::now();
    let config = StoreConfig {
        cache_bytes: 64 << 20,
        ..config(directory)
    };
    let store = Store::open(config)?;
    let open = started.elapsed();
    let count = store.count_matching(INSTANCE, &Query::all(), NOW, &Cancel::default())?;
    ensure!(count == DEVICES, "{count} devices");
    println!(
        "opened in {:.2} s, can be searched after {:.2} s; {} bytes of memory per device, \
         a cache of at most 64 MB included",
        open.as_secs_f64(),
        started.elapsed().as_secs_f64(),
        resident()?.saturating_sub(before) / DEVICES
    );
    Ok(store)
}

/// The first page.
fn pages(store: &Store) -> anyhow::Result<()> {
    for (query, sort) in [
        ("", ""),
        ("product_class = Box7", ""),
        ("serial_number = SN00007919", ""),
        ("serial_number = SN0000*", ""),
        ("id = 02A1B2-Box7-SN0*", ""),
        ("peer_address = 100.64.3.7", ""),
        ("tag = rare", ""),
        (
            "tag = ring-3 and software_version < 3.2 and mode = xmpp",
            "",
        ),
        ("software_version >= 3.39 or tag = rare", ""),
        ("product_class = Box7", "-last_contact"),
        ("", "-last_contact"),
        ("00007919", ""),
        ("age(last_contact) > 23h59m", ""),
        ("nobody", ""),
    ] {
        measure("page", query, sort, TIMES, |query, sort| {
            page(store, query, sort)
        })?;
    }
    Ok(())
}

fn counts(store: &Store) -> anyhow::Result<()> {
    for query in [
        "product_class = Box7",
        "tag = ring-3 and age(last_contact) < 1h",
    ] {
        measure("count", query, "", TIMES, |query, _| {
            Ok(store.count_matching(INSTANCE, query, NOW, &Cancel::default())?)
        })?;
    }
    Ok(())
}

/// Nothing but the trees tells.
fn deep(store: &Store) -> anyhow::Result<()> {
    for query in [
        "Device.DeviceInfo.UpTime > 199990",
        "Device.WiFi.SSID.*.SSID = home-49999",
        "Device.DeviceInfo.UpTime > 100",
        "tag = rare and Device.DeviceInfo.UpTime > 100",
    ] {
        measure("page", query, "", TIMES_DEEP, |query, sort| {
            page(store, query, sort)
        })?;
    }
    measure(
        "count",
        "Device.DeviceInfo.UpTime < 1000",
        "",
        TIMES_DEEP,
        |query, _| Ok(store.count_matching(INSTANCE, query, NOW, &Cancel::default())?),
    )
}

fn page(store: &Store, query: &Query, sort: &Sort) -> anyhow::Result<usize> {
    let page = store.search(&Search {
        instance: INSTANCE,
        query,
        sort,
        after: None,
        limit: PAGE,
        now: NOW,
        cancel: &Cancel::default(),
    })?;
    Ok(page.items.len())
}

fn measure(
    what: &str,
    query: &str,
    sort: &str,
    times: usize,
    mut run: impl FnMut(&Query, &Sort) -> anyhow::Result<usize>,
) -> anyhow::Result<()> {
    let sorted = Sort::parse(sort).map_err(anyhow::Error::msg)?;
    let parsed = Query::parse(query)?;
    let mut took = Vec::with_capacity(times);
    let mut found = 0;
    for _ in 0..times {
        let started = Instant::now();
        found = run(&parsed, &sorted)?;
        took.push(started.elapsed());
    }
    let first = took[0];
    took.sort_unstable();
    let milliseconds = |took: Duration| format!("{:.2} ms", took.as_secs_f64() * 1_000.0);
    let by = if sort.is_empty() { "" } else { " by " };
    println!(
        "{:<58} {:>9} {:>9} {:>9} {found:>7}",
        format!("{what}: {query}{by}{sort}"),
        milliseconds(first),
        milliseconds(took[times / 2]),
        milliseconds(took[times * 95 / 100]),
    );
    Ok(())
}

/// Bytes of this process in memory.
fn resident() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: usize = kilobytes.context("no VmRSS")?.trim().parse()?;
    Ok(kilobytes * 1_024)
}
