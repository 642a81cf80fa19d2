//! Connections that break off: the line, the NAT, the power.

use crate::Seed;

/// The requests of a connection among which it is cut.
const REQUESTS: u64 = 8;

/// Which connections are cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cuts {
    /// Of all connections: 0.05 is every twentieth.
    pub share: f64,
    /// The same number cuts the same ones.
    pub seed: u64,
}

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// After so many whole exchanges.
    pub(super) after: u64,
    pub(super) moment: Moment,
}

/// At which moment of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Half of the request has left.
    Request,
    /// All of it has, no answer has come.
    BeforeAnswer,
    /// Half of the answer has come.
    Answer,
}

impl Cuts {
    /// Whether and where the connection with this number is cut.
    pub(crate) fn of(&self, connection: u64) -> Option<Cut> {
        let mut seed = Seed::new(self.seed).of(connection);
        if seed.fraction() >= self.share {
            return None;
        }
        let moment = match seed.below(3) {
            0 => Moment::Request,
            1 => Moment::BeforeAnswer,
            _ => Moment::Answer,
        };
        Some(Cut {
            after: seed.below(REQUESTS),
            moment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_were_asked_for_at_all_moments() {
        let cuts = Cuts {
            share: 0.05,
            seed: 7,
        };
        let all: Vec<Cut> = (0..10_000).filter_map(|n| cuts.of(n)).collect();
        assert!((400..600).contains(&all.len()), "{}", all.len());
        for moment in [Moment::Request, Moment::BeforeAnswer, Moment::Answer] {
            let count = all.iter().filter(|cut| cut.moment == moment).count();
            assert!(count > 100, "{moment:?}: {count}");
        }
        assert_eq!(cuts.of(3), cuts.of(3));
        assert!(
            Cuts {
                share: 0.0,
                seed: 7
            }
            .of(1)
            .is_none()
        );
    }
}
