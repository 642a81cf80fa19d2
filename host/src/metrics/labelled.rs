//! Counters told apart by one label whose values are known beforehand.

/// One thing for each of some names, and one for everything else.
#[derive(Debug)]
pub struct Labelled<T> {
    names: &'static [&'static str],
    each: Box<[T]>,
    other: T,
}

/// What is not among the names: whatever a device says, there are no more labels than that.
const OTHER: &str = "other";

impl<T> Labelled<T> {
    /// One for each name.
    pub fn new(names: &'static [&'static str], make: impl Fn() -> T) -> Labelled<T> {
        Labelled {
            names,
            each: names.iter().map(|_| make()).collect(),
            other: make(),
        }
    }

    /// That of a name.
    pub fn of(&self, name: &str) -> &T {
        let at = self.names.iter().position(|known| *known == name);
        at.and_then(|at| self.each.get(at)).unwrap_or(&self.other)
    }

    /// All of them by name; `other` comes last.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &T)> {
        let named = self.names.iter().copied().zip(&self.each);
        named.chain([(OTHER, &self.other)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Counter;

    #[test]
    fn what_is_not_known_is_other() {
        let counters = Labelled::new(&["a", "b"], Counter::default);
        for name in ["a", "c", "", "a", "X_ACME"] {
            counters.of(name).add(1);
        }
        let read: Vec<_> = counters.iter().map(|(name, c)| (name, c.get())).collect();
        assert_eq!(read, [("a", 2), ("b", 0), ("other", 3)]);
    }
}
