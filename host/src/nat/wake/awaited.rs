//! Who waits for a session of a device, and which way has called it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cwmp::EventKind;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::device::{DeviceKey, Mode, UnixTime};

/// Those who wait, by device: one each, and who comes later takes the place of who was before.
#[derive(Debug, Default)]
pub(super) struct Sessions(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<HashMap<DeviceKey, Waiting>>,
    /// Length of `waiting`: each Inform asks whether somebody waits.
    count: AtomicUsize,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    opened: watch::Sender<Option<Opened>>,
    calling: Option<Calling>,
}

/// A session that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    /// When.
    pub(super) at: UnixTime,
    /// It came because it was called, as far as its events tell.
    pub(super) was_called: bool,
    /// From the call to the session.
    pub(super) took: Option<Duration>,
}

/// A way that calls the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calling {
    pub(super) mode: Mode,
    pub(super) since: Instant,
    pub(super) is_probe: bool,
}

impl Calling {
    pub(super) fn new(mode: Mode, is_probe: bool) -> Calling {
        Calling {
            mode,
            since: Instant::now(),
            is_probe,
        }
    }
}

/// Somebody who waits. Dropped, nobody does.
#[derive(Debug)]
pub(super) struct Awaited {
    sessions: Arc<Inner>,
    device: DeviceKey,
    number: u64,
    opened: watch::Receiver<Option<Opened>>,
}

impl Sessions {
    /// Waits for the next session of the device from now on.
    pub(super) fn await_one(&self, device: &DeviceKey) -> Awaited {
        let inner = &self.0;
        let number = inner.numbers.fetch_add(1, Ordering::Relaxed);
        let (sender, opened) = watch::channel(None);
        let waiting = Waiting {
            number,
            opened: sender,
            calling: None,
        };
        let mut all = inner.waiting.lock();
        all.insert(device.clone(), waiting);
        inner.count.store(all.len(), Ordering::Release);
        Awaited {
            sessions: Arc::clone(inner),
            device: device.clone(),
            number,
            opened,
        }
    }

    /// This way calls the device: a session that follows is its success.
    pub(super) fn calling(&self, awaited: &Awaited, calling: Calling) {
        let mut all = self.0.waiting.lock();
        let waiting = all.get_mut(&awaited.device);
        if let Some(waiting) = waiting.filter(|waiting| waiting.number == awaited.number) {
            waiting.calling = Some(calling);
        }
    }

    /// A session has begun. The way that has called for it, if one has.
    pub(super) fn opened(
        &self,
        device: &DeviceKey,
        events: &[cwmp::Event],
        at: UnixTime,
    ) -> Option<Calling> {
        if self.0.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut all = self.0.waiting.lock();
        let waiting = all.get_mut(device)?;
        let was_called = waiting
            .calling
            .is_some_and(|calling| explains(calling.mode, events));
        let took = waiting.calling.map(|calling| calling.since.elapsed());
        let opened = Opened {
            at,
            was_called,
            took,
        };
        waiting.opened.send_replace(Some(opened));
        waiting.calling.take().filter(|_| was_called)
    }
}

impl Awaited {
    /// Waits for the session; `None`: somebody else has taken this place.
    pub(super) async fn opened(&mut self) -> Option<Opened> {
        match self.opened.wait_for(Option::is_some).await {
            Ok(opened) => *opened,
            Err(_) => None,
        }
    }

    /// The session, if it has begun.
    pub(super) fn take(&self) -> Option<Opened> {
        *self.opened.borrow()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let mut all = self.sessions.waiting.lock();
        if all
            .get(&self.device)
            .is_some_and(|waiting| waiting.number == self.number)
        {
            all.remove(&self.device);
            self.sessions.count.store(all.len(), Ordering::Release);
        }
    }
}

/// Whether such events can be the answer to a call by that way. A device that was called says
/// `6 CONNECTION REQUEST`; some say nothing that anybody knows. One that has events of its own
/// would have come anyway. A device whose way is to inform by itself comes with any.
fn explains(mode: Mode, events: &[cwmp::Event]) -> bool {
    if mode == Mode::ShortInform {
        return true;
    }
    let called = |event: &cwmp::Event| event.kind() == EventKind::ConnectionRequest;
    let own = |event: &cwmp::Event| {
        matches!(
            event.kind(),
            EventKind::Bootstrap | EventKind::Boot | EventKind::Periodic | EventKind::ValueChange
        )
    };
    events.iter().any(called) || !events.iter().any(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> DeviceKey {
        DeviceKey {
            instance: "default".into(),
            id: "one".into(),
        }
    }

    fn events(codes: &[&str]) -> Vec<cwmp::Event> {
        let event = |code: &&str| cwmp::Event {
            code: (*code).into(),
            command_key: String::new(),
        };
        codes.iter().map(event).collect()
    }

    #[tokio::test]
    async fn a_session_is_the_success_of_the_way_that_called() {
        let sessions = Sessions::default();
        let called = events(&["6 CONNECTION REQUEST"]);
        assert!(
            sessions.opened(&key(), &called, 1).is_none(),
            "nobody waits"
        );
        let mut awaited = sessions.await_one(&key());
        assert!(
            sessions.opened(&key(), &called, 2).is_none(),
            "nobody called"
        );
        let opened = awaited.opened().await.unwrap();
        assert_eq!((opened.at, opened.was_called), (2, false));
        sessions.calling(&awaited, Calling::new(Mode::Stun, false));
        let calling = sessions.opened(&key(), &called, 3).unwrap();
        assert_eq!((calling.mode, calling.is_probe), (Mode::Stun, false));
        assert!(awaited.take().unwrap().was_called);
        assert!(sessions.opened(&key(), &called, 4).is_none(), "only once");
        drop(awaited);
        assert!(sessions.0.waiting.lock().is_empty());
    }

    #[tokio::test]
    async fn who_comes_later_takes_the_place() {
        let sessions = Sessions::default();
        let mut probe = sessions.await_one(&key());
        let wake = sessions.await_one(&key());
        assert_eq!(probe.opened().await, None);
        sessions.calling(&probe, Calling::new(Mode::Stun, true));
        drop(probe);
        assert_eq!(sessions.0.count.load(Ordering::Relaxed), 1);
        assert!(
            sessions
                .opened(&key(), &events(&["6 CONNECTION REQUEST"]), 1)
                .is_none()
        );
        assert!(wake.take().is_some());
    }

    #[test]
    fn events_that_are_answers() {
        for (codes, mode, is_answer) in [
            (&["6 CONNECTION REQUEST"][..], Mode::Stun, true),
            (&["2 PERIODIC", "6 CONNECTION REQUEST"], Mode::Xmpp, true),
            (&["2 PERIODIC"], Mode::Stun, false),
            (&["2 PERIODIC"], Mode::ShortInform, true),
            (&["1 BOOT"], Mode::DirectHttp, false),
            (&["4 VALUE CHANGE"], Mode::Stun, false),
            (&["X ACME WOKEN"], Mode::DirectHttp, true),
            (&[], Mode::DirectHttp, true),
        ] {
            assert_eq!(explains(mode, &events(codes)), is_answer, "{codes:?}");
        }
    }
}
