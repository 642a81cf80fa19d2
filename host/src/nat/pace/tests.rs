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

/// A call that has begun: when, and into which network.
type Start = (Duration, u8);

/// Lets all that wait have their turns, each call taking so long, by a clock that only moves when
/// nothing else does. When each began, and the most calls at once, of all and of one network.
fn run(
    line: &mut Line,
    networks: &HashMap<Ticket, u8>,
    call: Duration,
) -> (Vec<Start>, usize, usize) {
    let begun = Instant::now();
    let mut now = begun;
    let mut under_way: VecDeque<(Instant, Ticket)> = VecDeque::new();
    let (mut starts, mut most, mut most_of_one) = (Vec::new(), 0, 0);
    loop {
        let next = line.next(now);
        if let Next::Start(ticket) = next {
            starts.push((now - begun, networks[&ticket]));
            under_way.push_back((now + call, ticket));
            most = most.max(line.running());
            let of_one = line.lanes.values().map(|lane| lane.running).max();
            most_of_one = most_of_one.max(of_one.unwrap_or(0));
            continue;
        }
        let ends = under_way.front().map(|(at, _)| *at);
        let free = match next {
            Next::At(at) => Some(at),
            _ => None,
        };
        let Some(event) = ends.into_iter().chain(free).min() else {
            return (starts, most, most_of_one);
        };
        now = event;
        while under_way.front().is_some_and(|(at, _)| *at <= now) {
            let (_, ticket) = under_way.pop_front().unwrap();
            line.leave(ticket);
        }
    }
}

/// A thousand wake-ups in four networks, 700 of them in one.
fn a_thousand(line: &mut Line) -> HashMap<Ticket, u8> {
    (0..1_000_u32)
        .map(|number| {
            let to = if number < 700 {
                1
            } else {
                2 + (number % 3) as u8
            };
            (line.enter(network(to), Entrance::Back), to)
        })
        .collect()
}

#[test]
fn a_thousand_at_the_rate() {
    let mut line = Line::new(LIMITS);
    let networks = a_thousand(&mut line);
    assert!(line.has_room().is_err());
    let (starts, most, most_of_one) = run(&mut line, &networks, Duration::from_millis(50));
    assert_eq!(starts.len(), 1_000);
    assert_eq!((most, most_of_one), (5, 5), "100 a second of 50 ms each");
    // As fast as the rate allows, and never faster.
    assert_eq!(starts.last().unwrap().0, Duration::from_millis(9_990));
    for pair in starts.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, Duration::from_millis(10));
    }
    // The three small networks do not wait for the large one: a hundred of each, in turns of four.
    for small in 2..5 {
        let done = starts.iter().rfind(|(_, of)| *of == small).unwrap().0;
        assert!(done < Duration::from_millis(4_000), "{small}: {done:?}");
    }
    assert!(line.tickets.is_empty() && line.lanes.is_empty() && line.turns.is_empty());
}

#[test]
fn a_thousand_that_take_long() {
    let mut line = Line::new(LIMITS);
    let networks = a_thousand(&mut line);
    // Nobody answers: each call takes ten seconds.
    let (starts, most, most_of_one) = run(&mut line, &networks, Duration::from_secs(10));
    assert_eq!(starts.len(), 1_000);
    assert_eq!((most, most_of_one), (4 * 8, 8));
    let last = |of: u8| starts.iter().rfind(|(_, to)| *to == of).unwrap().0;
    // Eight at once, of 100 and of 700.
    for small in 2..5 {
        assert_eq!(last(small).as_secs(), 120);
    }
    assert_eq!(last(1).as_secs(), 870);
}

#[test]
fn no_more_at_once_than_allowed() {
    let mut line = Line::new(Limits {
        at_once: 20,
        per_second: 10_000,
        ..LIMITS
    });
    let networks = a_thousand(&mut line);
    let (starts, most, most_of_one) = run(&mut line, &networks, Duration::from_secs(1));
    assert_eq!((starts.len(), most, most_of_one), (1_000, 20, 8));
}

#[tokio::test]
async fn a_turn_comes_and_goes() {
    let pace = Pace::new(Limits {
        per_second: 10_000,
        at_once_per_network: 1,
        waiting: 2,
        ..LIMITS
    });
    let mut first = pace.enter(network(1)).unwrap();
    first.come().await;
    let mut second = pace.enter(network(1)).unwrap();
    let third = pace.enter(network(1)).unwrap();
    assert!(!second.has_come());
    assert_eq!(pace.counts(), (2, 1));
    assert_eq!(pace.position(third.ticket()), Some(2));
    assert_eq!(pace.position(first.ticket()), None);
    let full = pace.enter(network(2)).unwrap_err();
    assert_eq!(
        full.to_string(),
        "2 wake-ups wait for their turn already: come again in 1 s"
    );
    // It had its turn, so it is let in, before those of its network.
    let mut again = pace.enter_again(network(1));
    drop(first);
    again.come().await;
    assert!(!second.has_come());
    drop(again);
    second.come().await;
    drop(third);
    drop(second);
    assert_eq!(pace.counts(), (0, 0));
    assert!(pace.state.lock().starts.is_empty());
}

#[tokio::test]
async fn what_nobody_waits_for() {
    let pace = Pace::new(Limits {
        at_once: 4,
        at_once_per_network: 3,
        per_second: 10_000,
        ..LIMITS
    });
    let mut turns = Vec::new();
    for _ in 0..3 {
        let mut turn = pace.enter_if_idle(network(1)).unwrap();
        turn.come().await;
        turns.push(turn);
    }
    assert!(pace.enter_if_idle(network(2)).is_none(), "3 of 4");
    turns.truncate(1);
    assert!(pace.enter_if_idle(network(2)).is_some());
    let mut more: Vec<Turn> = (0..3).map(|_| pace.enter(network(1)).unwrap()).collect();
    assert!(pace.enter_if_idle(network(2)).is_none(), "somebody waits");
    turns.clear();
    more[2].come().await;
}
