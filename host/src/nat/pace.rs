//! Who is called next: so many wake-ups a second, so many at once, and few at once into one
//! network, because behind its one NAT or its one DSLAM they meet. Networks take turns; within
//! one, who came first goes first.
//!
//! [`Line`] is the order of things, without a clock; [`Pace`] lets tasks wait in it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What was not used of the rate may be made good for so long: timers are late.
const CATCH_UP: Duration = Duration::from_millis(10);
/// Nobody is asked to come again later than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// How much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls begun in a second.
    pub per_second: u32,
    /// Calls under way.
    pub at_once: usize,
    /// Of those, into one network.
    pub at_once_per_network: usize,
    /// Who waits for a turn; more are refused.
    pub waiting: usize,
}

/// A network of devices: a /24 of IPv4, a /48 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// The first three bytes.
    V4([u8; 3]),
    /// The first three groups.
    V6([u16; 3]),
    /// Of a device of which no address is known.
    Unknown,
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Network::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                Network::V6([a, b, c])
            }
        }
    }
}

/// Too many wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} wake-ups wait for their turn already: come again in {} s", retry_after.as_secs())]
pub struct Full {
    /// So many.
    pub waiting: usize,
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// A place in the line.
pub type Ticket = u64;

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// It is this one's turn.
    Start(Ticket),
    /// Nobody's before then.
    At(Instant),
    /// Nobody's before somebody leaves.
    Nothing,
}

/// Where one enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entrance {
    /// Behind the others of its network.
    Back,
    /// Before them: it had its turn, and has to call once more.
    Front,
}

/// The order of calls. Pure: the time is an argument.
#[derive(Debug)]
struct Line {
    limits: Limits,
    last_ticket: Ticket,
    /// Everybody's network.
    tickets: HashMap<Ticket, Network>,
    /// Those that wait, in the order in which they came.
    waiting: BTreeSet<Ticket>,
    lanes: HashMap<Network, Lane>,
    /// Networks in which somebody waits, and whose turn it is.
    turns: VecDeque<Network>,
    /// The rate allows the next call then.
    free_at: Option<Instant>,
}

/// One network.
#[derive(Debug, Default)]
struct Lane {
    running: usize,
    waiting: VecDeque<Ticket>,
}

impl Line {
    fn new(limits: Limits) -> Line {
        Line {
            limits,
            last_ticket: 0,
            tickets: HashMap::new(),
            waiting: BTreeSet::new(),
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            free_at: None,
        }
    }

    fn running(&self) -> usize {
        self.tickets.len() - self.waiting.len()
    }

    /// Whether there is room for one more that waits.
    fn has_room(&self) -> Result<(), Full> {
        let waiting = self.waiting.len();
        if waiting < self.limits.waiting {
            return Ok(());
        }
        let seconds = waiting as u64 / u64::from(self.limits.per_second) + 1;
        Err(Full {
            waiting,
            retry_after: Duration::from_secs(seconds).min(RETRY_AFTER_MAX),
        })
    }

    fn enter(&mut self, network: Network, entrance: Entrance) -> Ticket {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        self.tickets.insert(ticket, network);
        self.waiting.insert(ticket);
        let lane = self.lanes.entry(network).or_default();
        if lane.waiting.is_empty() {
            self.turns.push_back(network);
        }
        match entrance {
            Entrance::Back => lane.waiting.push_back(ticket),
            Entrance::Front => lane.waiting.push_front(ticket),
        }
        ticket
    }

    fn next(&mut self, now: Instant) -> Next {
        if self.waiting.is_empty() || self.running() >= self.limits.at_once {
            return Next::Nothing;
        }
        let at_once = self.limits.at_once_per_network;
        let lanes = &self.lanes;
        let has_room = |network: &Network| lanes.get(network).is_some_and(|l| l.running < at_once);
        let Some(place) = self.turns.iter().position(has_room) else {
            return Next::Nothing;
        };
        if let Some(free_at) = self.free_at.filter(|free_at| *free_at > now) {
            return Next::At(free_at);
        }
        let Some(network) = self.turns.remove(place) else {
            return Next::Nothing;
        };
        let Some(lane) = self.lanes.get_mut(&network) else {
            return Next::Nothing;
        };
        let Some(ticket) = lane.waiting.pop_front() else {
            return Next::Nothing;
        };
        lane.running += 1;
        if !lane.waiting.is_empty() {
            self.turns.push_back(network);
        }
        self.waiting.remove(&ticket);
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let from = self.free_at.map_or(now, |free_at| free_at.max(earliest));
        self.free_at = Some(from + Duration::from_secs(1) / self.limits.per_second);
        Next::Start(ticket)
    }

    /// It has called, or does not want to any more.
    fn leave(&mut self, ticket: Ticket) {
        let Some(network) = self.tickets.remove(&ticket) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&network) else {
            return;
        };
        if self.waiting.remove(&ticket) {
            lane.waiting.retain(|waiting| *waiting != ticket);
            if lane.waiting.is_empty() {
                self.turns.retain(|turn| *turn != network);
            }
        } else {
            lane.running = lane.running.saturating_sub(1);
        }
        if lane.running == 0 && lane.waiting.is_empty() {
            self.lanes.remove(&network);
        }
    }
}

/// The line in which tasks wait.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    line: Line,
    starts: HashMap<Ticket, oneshot::Sender<()>>,
    /// A task sleeps until the rate allows the next call.
    is_timed: bool,
}

/// A place in the line, and then a turn. Dropped, it makes room.
#[derive(Debug)]
pub struct Turn {
    pace: Arc<Pace>,
    ticket: Ticket,
    start: oneshot::Receiver<()>,
    has_started: bool,
}

impl Pace {
    /// An empty line.
    pub fn new(limits: Limits) -> Arc<Pace> {
        Arc::new(Pace {
            state: Mutex::new(State {
                line: Line::new(limits),
                starts: HashMap::new(),
                is_timed: false,
            }),
        })
    }

    /// Enters the line.
    ///
    /// # Errors
    /// When too many wait.
    pub fn enter(self: &Arc<Self>, network: Network) -> Result<Turn, Full> {
        self.state.lock().line.has_room()?;
        Ok(self.enter_by(network, Entrance::Back))
    }

    /// For who had a turn and has to call once more: let in even if the line is full, and first
    /// of its network.
    pub fn enter_again(self: &Arc<Self>, network: Network) -> Turn {
        self.enter_by(network, Entrance::Front)
    }

    /// For what nobody waits for: only while the line is empty, and half of what may be under
    /// way is not.
    pub fn enter_if_idle(self: &Arc<Self>, network: Network) -> Option<Turn> {
        {
            let line = &self.state.lock().line;
            if !line.waiting.is_empty() || line.running() * 2 > line.limits.at_once {
                return None;
            }
        }
        self.enter(network).ok()
    }

    /// From now on so much at once; who is in the line stays.
    pub fn set_limits(self: &Arc<Self>, limits: Limits) {
        let mut state = self.state.lock();
        if state.line.limits != limits {
            state.line.limits = limits;
            drop(state);
            self.dispatch();
        }
    }

    /// How many wait, and how many calls are under way.
    pub fn counts(&self) -> (usize, usize) {
        let line = &self.state.lock().line;
        (line.waiting.len(), line.running())
    }

    /// How many came before it and still wait, itself included; `None`: it does not wait.
    pub fn position(&self, ticket: Ticket) -> Option<usize> {
        let line = &self.state.lock().line;
        let waits = line.waiting.contains(&ticket);
        waits.then(|| line.waiting.range(..=ticket).count())
    }

    fn enter_by(self: &Arc<Self>, network: Network, entrance: Entrance) -> Turn {
        let (sender, start) = oneshot::channel();
        let ticket = {
            let mut state = self.state.lock();
            let ticket = state.line.enter(network, entrance);
            state.starts.insert(ticket, sender);
            ticket
        };
        self.dispatch();
        Turn {
            pace: Arc::clone(self),
            ticket,
            start,
            has_started: false,
        }
    }

    /// Starts all whose turn it is.
    fn dispatch(self: &Arc<Self>) {
        let mut state = self.state.lock();
        loop {
            match state.line.next(Instant::now()) {
                Next::Start(ticket) => {
                    // Who is not there any more leaves by dropping its turn.
                    if let Some(start) = state.starts.remove(&ticket) {
                        let _ = start.send(());
                    }
                }
                Next::At(at) if !state.is_timed => {
                    state.is_timed = true;
                    let pace = Arc::clone(self);
                    tokio::spawn(async move {
                        tokio::time::sleep_until(at).await;
                        pace.state.lock().is_timed = false;
                        pace.dispatch();
                    });
                    return;
                }
                Next::At(_) | Next::Nothing => return,
            }
        }
    }
}

impl Turn {
    /// Where it stands in the line.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Whether it has come, without waiting.
    pub fn has_come(&mut self) -> bool {
        self.has_started |= self.start.try_recv().is_ok();
        self.has_started
    }

    /// Waits until it comes.
    pub async fn come(&mut self) {
        if !self.has_started {
            let _ = (&mut self.start).await;
            self.has_started = true;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut state = self.pace.state.lock();
            state.line.leave(self.ticket);
            state.starts.remove(&self.ticket);
        }
        self.pace.dispatch();
    }
}

#[cfg(test)]
mod tests;
