//! When to look at the directory again: on events of the file system, after some quiet; when the
//! directory itself was made, replaced or swapped by a link; and every so often, if wanted.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::{Plugins, PluginsConfig};

/// How often it is checked that the directory watched is the one at its path.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// Where the file system reports no changes and no interval is set.
const POLL_WITHOUT_EVENTS: Duration = Duration::from_secs(10);

/// Which directory is at a path, links followed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    fn at(path: &Path) -> Option<Place> {
        let path = path.canonicalize().ok()?;
        let metadata = std::fs::metadata(&path).ok()?;
        metadata.is_dir().then(|| Place {
            device: metadata.dev(),
            inode: metadata.ino(),
            path,
        })
    }
}

/// Whether an event may mean a change. Reading the files makes events too.
fn matters(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// Events come as long as the watcher lives.
fn watch(place: &Place, changed: &mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let changed = changed.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error may be a queue that ran over: look again.
        if event.as_ref().map_or(true, matters) {
            // A full channel has its message waiting.
            let _ = changed.try_send(());
        }
    })?;
    watcher.watch(&place.path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Runs until the plugins are gone.
pub(super) async fn run(plugins: Weak<Plugins>, config: PluginsConfig) {
    let (changed, mut changes) = mpsc::channel(1);
    let mut place = None;
    let mut _watcher = None;
    let mut poll_interval = config.poll_interval;
    let mut polled = Instant::now();
    let mut look = false;
    loop {
        let now_at = Place::at(&config.directory);
        if now_at != place {
            // What happened before the watch began was not seen.
            look = true;
            _watcher = now_at
                .as_ref()
                .and_then(|place| match watch(place, &changed) {
                    Ok(watcher) => Some(watcher),
                    Err(error) => {
                        let every = *poll_interval.get_or_insert(POLL_WITHOUT_EVENTS);
                        tracing::warn!(
                            directory = %config.directory.display(),
                            %error,
                            every_seconds = every.as_secs(),
                            "cannot watch the plugins' directory; it is looked at every so often"
                        );
                        None
                    }
                });
            place = now_at;
        }
        if poll_interval.is_some_and(|every| polled.elapsed() >= every) {
            look = true;
        }
        let Some(plugins) = plugins.upgrade() else {
            return;
        };
        if std::mem::take(&mut look) {
            polled = Instant::now();
            look = plugins.look().await.again;
        }
        plugins.trim();
        drop(plugins);
        let wait = if look {
            config.debounce_quiet
        } else {
            poll_interval.unwrap_or(CHECK_EVERY).min(CHECK_EVERY)
        };
        if let Ok(Some(())) = timeout(wait, changes.recv()).await {
            look = true;
            quiet(&mut changes, &config).await;
        }
    }
}

/// Waits until nothing happened for a while.
async fn quiet(changes: &mut mpsc::Receiver<()>, config: &PluginsConfig) {
    let latest = sleep(config.debounce_max);
    tokio::pin!(latest);
    loop {
        tokio::select! {
            biased;
            () = &mut latest => return,
            more = timeout(config.debounce_quiet, changes.recv()) => if more.is_err() { return },
        }
    }
}
