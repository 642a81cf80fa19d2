//! The directory changes while plugins run.

use super::*;

async fn tags(host: &Host, plugin: &str) -> Vec<String> {
    let record = Arc::new(Record::default());
    let (_, end) = drive(&mut host.start(plugin, &record)).await;
    assert!(matches!(end, FlowStep::Ended(Ok(()))), "{end:?}");
    record.tags()
}

#[tokio::test]
async fn a_new_version_while_a_session_runs() {
    let host = Host::with(&[("version.wasm", &guest("test/version-1"))]).await;
    assert_eq!(tags(&host, "version").await, ["v1"]);
    let table = host.plugins.table();
    let former = table.matched("default", &device());
    let record = Arc::new(Record::default());
    let occasion = || Occasion {
        events: events(&["2 PERIODIC"]),
        ..Occasion::default()
    };
    let mut in_flight = FlowRun::start(
        &former.flows[0],
        &about(&key(), &device()),
        occasion(),
        record.clone(),
    );

    // Into place by renaming; the watcher finds it.
    let path = host.directory.path();
    std::fs::write(path.join(".version.tmp"), guest("test/version-2")).unwrap();
    std::fs::rename(path.join(".version.tmp"), path.join("version.wasm")).unwrap();
    eventually("version 2", || host.status("version").version == "2.0.0").await;
    assert_eq!(tags(&host, "version").await, ["v2"]);
    assert_eq!(drive(&mut in_flight).await.0.len(), 3);
    assert_eq!(record.tags(), ["v1"], "a session keeps what it began with");
    drop((former, in_flight));

    host.plugins.rollback("version").await.unwrap();
    assert_eq!(tags(&host, "version").await, ["v1"]);
    assert_eq!(host.status("version").state, PluginState::Outdated);
    assert!(table.generation() < host.plugins.table().generation());
    assert!(host.plugins.rollback("nobody").await.is_err());
}

#[tokio::test]
async fn what_is_broken_leaves_the_old_version_running() {
    let good = guest("test/version-1");
    let host = Host::with(&[("version.wasm", &good)]).await;
    let generation = host.plugins.table().generation();

    // The same bytes again: nothing happens.
    host.put("version.wasm", &good).await;
    assert_eq!(host.plugins.statuses()[0].generation, 1);

    for (bytes, expected) in [
        (&good[..good.len() / 2], "not a valid component"),
        (b"hello, rubbish", "not a WebAssembly"),
    ] {
        host.put("version.wasm", bytes).await;
        let status = host.status("version");
        assert_eq!(
            (status.state, status.version.as_str()),
            (PluginState::Outdated, "1.0.0")
        );
        assert!(status.last_error.unwrap().contains(expected));
        assert_eq!(tags(&host, "version").await, ["v1"]);
    }
    host.put("version.toml", b"nonsense = 1").await;
    assert!(host.error("version").contains("version.toml: line 1"));
    host.put("version.wasm", &guest("test/version-2")).await;
    assert_eq!(
        host.status("version").version,
        "1.0.0",
        "the operator's file is broken still"
    );
    host.put("version.toml", b"").await;
    let status = host.status("version");
    assert_eq!(
        (status.state, status.version.as_str(), status.last_error),
        (PluginState::Running, "2.0.0", None)
    );

    host.put("version.toml", b"enabled = false").await;
    assert_eq!(host.status("version").state, PluginState::Disabled);
    assert!(host.matched().flows.is_empty());
    std::fs::remove_file(host.directory.path().join("version.toml")).unwrap();
    host.plugins.reload().await;
    assert_eq!(tags(&host, "version").await, ["v2"]);

    std::fs::remove_file(host.directory.path().join("version.wasm")).unwrap();
    eventually("removed", || host.plugins.statuses().is_empty()).await;
    assert!(host.matched().flows.is_empty());
    assert!(host.plugins.table().generation() > generation);
}

#[tokio::test]
async fn a_directory_made_later_swapped_and_gone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("plugins");
    let mut config = PluginsConfig::new(&path);
    config.cache_directory = Some(cache());
    let plugins = Plugins::start(config, Arc::new(Memory::default()))
        .await
        .unwrap();
    assert!(plugins.statuses().is_empty());
    let version = |plugins: &Plugins| {
        plugins
            .statuses()
            .first()
            .map(|status| status.version.clone())
    };

    for (place, guest_name) in [("a", "test/version-1"), ("b", "test/version-2")] {
        std::fs::create_dir(root.path().join(place)).unwrap();
        std::fs::write(
            root.path().join(place).join("version.wasm"),
            guest(guest_name),
        )
        .unwrap();
    }
    std::os::unix::fs::symlink(root.path().join("a"), &path).unwrap();
    eventually("made", || version(&plugins).as_deref() == Some("1.0.0")).await;

    std::os::unix::fs::symlink(root.path().join("b"), root.path().join("new")).unwrap();
    std::fs::rename(root.path().join("new"), &path).unwrap();
    eventually("swapped", || version(&plugins).as_deref() == Some("2.0.0")).await;

    std::fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    plugins.reload().await;
    assert_eq!(
        version(&plugins).as_deref(),
        Some("2.0.0"),
        "what runs goes on"
    );
}

#[tokio::test]
async fn a_slow_upload() {
    use std::io::Write as _;
    let bytes = guest("test/version-1");
    let host = Host::with(&[]).await;
    let mut file = std::fs::File::create(host.directory.path().join("version.wasm")).unwrap();
    file.write_all(&bytes[..bytes.len() / 2]).unwrap();
    file.flush().unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    file.write_all(&bytes[bytes.len() / 2..]).unwrap();
    drop(file);
    eventually("loaded", || {
        host.plugins
            .statuses()
            .first()
            .is_some_and(|status| status.state == PluginState::Running)
    })
    .await;
}

#[tokio::test]
async fn without_events_an_interval() {
    let root = tempfile::tempdir().unwrap();
    let mut config = PluginsConfig::new(root.path());
    config.poll_interval = Some(Duration::from_millis(50));
    config.cache_directory = Some(cache());
    let plugins = Plugins::start(config, Arc::new(Memory::default()))
        .await
        .unwrap();
    std::fs::write(root.path().join("version.wasm"), guest("test/version-1")).unwrap();
    eventually("polled", || !plugins.statuses().is_empty()).await;
    plugins.shutdown();
}
