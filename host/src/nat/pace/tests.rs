use std::collections::BTreeMap;

use super::*;

const LIMITS: Limits = Limits {
    per_second: 100,
    at_once: 40,
    at_once_per_network: 8,
    waiting: 1_000,
};

fn network(number: u8) -> Network {
    Network::V4([192, 0, number])
}

#[test]
fn networks() {
    let of = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
    assert_eq!(of("192.0.2.7"), of("::ffff:192.0.2.99"));
    assert_ne!(of("192.0.2.7"), of("192.0.3.7"));
    assert_eq!(of("2001:db8:1::1"), of("2001:db8:1:ffff::2"));
    assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
}

#[test]
fn networks_take_turns() {
    let mut line = Line::new(LIMITS);
    let many: Vec<Ticket> = (0..3)
        .map(|_| line.enter(network(1), Entrance::Back))
        .collect();
    let one = line.enter(network(2), Entrance::Back);
    let again = line.enter(network(1), Entrance::Front);
    let mut now = Instant::now();
    let mut order = Vec::new();
    loop {
        match line.next(now) {
            Next::Start(ticket) => order.push(ticket),
            Next::At(at) => now = at,
            Next::Nothing => break,
        }
    }
    assert_eq!(order, [again, one, many[0], many[1], many[2]]);
}

#[test]
fn who_gives_up_leaves_nothing_behind() {
    let mut line = Line::new(Limits {
        at_once_per_network: 1,
        waiting: 2,
        ..LIMITS
    });
    let now = Instant::now();
    let first = line.enter(network(1), Entrance::Back);
    assert_eq!(line.next(now), Next::Start(first));
    let second = line.enter(network(1), Entrance::Back);
    let third = line.enter(network(1), Entrance::Back);
    assert_eq!(line.next(now), Next::Nothing);
    let full = line.has_room().unwrap_err();
    assert_eq!(full.waiting, 2);
    assert_eq!(full.retry_after, Duration::from_secs(1));
    line.leave(second);
    line.leave(first);
    line.leave(first);
    let Next::At(at) = line.next(now) else {
        panic!("the rate holds it back")
    };
    assert_eq!(at - now, Duration::from_millis(10));
    assert_eq!(line.next(at), Next::Start(third));
    line.leave(third);
    assert!(line.tickets.is_empty() && line.waiting.is_empty());
    assert!(line.lanes.is_empty() && line.turns.is_empty());
}

/// What a thousand tasks have done at once, and when.
#[derive(Default)]
struct Seen {
    running: BTreeMap<u8, usize>,
    most: usize,
    most_of_one: usize,
    starts: Vec<(Duration, u8)>,
}

/// A thousand wake-ups into four networks, 700 of them into one, each call taking 50 ms.
#[tokio::test(start_paused = true)]
async fn a_thousand_at_once() {
    let pace = Pace::new(LIMITS);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1_000_u32 {
        let to = if number < 700 { 1 } else { 2 + (number % 3) as u8 };
        let mut turn = pace.enter(network(to)).unwrap();
        let seen = Arc::clone(&seen);
        tasks.spawn(async move {
            turn.come().await;
            {
                let seen = &mut *seen.lock();
                *seen.running.entry(to).or_default() += 1;
                seen.most_of_one = seen.most_of_one.max(seen.running[&to]);
                seen.most = seen.most.max(seen.running.values().sum());
                seen.starts.push((begun.elapsed(), to));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            *seen.lock().running.get_mut(&to).unwrap() -= 1;
        });
    }
    // Some are under way; those that wait know how many are before them.
    let (waiting, running) = pace.counts();
    assert_eq!((waiting + running, running), (1_000, 1));
    assert_eq!(pace.position(1_000), Some(999));
    tasks.join_all().await;
    let seen = seen.lock();
    assert_eq!(seen.starts.len(), 1_000);
    assert!(seen.most <= LIMITS.at_once, "{}", seen.most);
    assert!(seen.most_of_one <= LIMITS.at_once_per_network, "{}", seen.most_of_one);
    // By the rate, and no slower.
    let took = begun.elapsed();
    assert!(
        (Duration::from_millis(9_900)..Duration::from_millis(10_500)).contains(&took),
        "{took:?}"
    );
    for window in seen.starts.windows(102) {
        let [(first, _), .., (last, _)] = window else {
            panic!("{window:?}")
        };
        assert!(*last - *first >= Duration::from_millis(990), "{window:?}");
    }
    // The three small networks do not wait for the large one: 100 of each, every fourth turn.
    let done = |to: u8| seen.starts.iter().rfind(|(_, of)| *of == to).unwrap().0;
    for small in 2..5 {
        assert!(done(small) < Duration::from_millis(4_200), "{:?}", done(small));
    }
    assert_eq!(pace.counts(), (0, 0));
    assert!(pace.state.lock().starts.is_empty());
}

/// A network whose devices do not answer holds up nobody but itself.
#[tokio::test(start_paused = true)]
async fn a_network_that_does_not_answer() {
    let pace = Pace::new(LIMITS);
    let mut silent: Vec<Turn> = (0..20).map(|_| pace.enter(network(1)).unwrap()).collect();
    let mut other = pace.enter(network(2)).unwrap();
    let begun = Instant::now();
    other.come().await;
    assert!(begun.elapsed() < Duration::from_millis(30));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let started = silent.iter_mut().map(Turn::has_come);
    assert_eq!(started.filter(|come| *come).count(), LIMITS.at_once_per_network);
    // One that had its turn comes before those that wait, and is let in though all is full.
    let mut again = pace.enter_again(network(1));
    assert!(!again.has_come());
    let freed = silent.remove(0);
    drop(freed);
    again.come().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for() {
    let pace = Pace::new(Limits {
        at_once: 4,
        ..LIMITS
    });
    let first = pace.enter_if_idle(network(1)).unwrap();
    let second = pace.enter_if_idle(network(1)).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let third = pace.enter_if_idle(network(1)).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(pace.enter_if_idle(network(1)).is_none(), "3 of 4");
    drop((first, second, third));
    assert!(pace.enter_if_idle(network(1)).is_some());
}
