//! The rows of an instance, and what finds them: groups of devices with the same traits, and
//! the order of serial numbers and addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::device::{DeviceKey, Mode, Summary, UnixTime};
use crate::query::{DeviceField, Field, Node, Operator, Pattern, Query, Value};
use crate::store::contacts::ContactBlock;

use super::row::{Own, Row, Traits};

/// Numbers of devices, in order.
type Numbers = Vec<u32>;

#[derive(Debug, Default)]
pub(in crate::store) struct Rows {
    /// By the device's number.
    rows: Vec<Option<Arc<Row>>>,
    groups: Vec<Option<Group>>,
    by_traits: HashMap<Arc<Traits>, u32>,
    free_groups: Vec<u32>,
    serial_numbers: BTreeSet<(Box<str>, u32)>,
    peer_addresses: BTreeSet<(Box<str>, u32)>,
}

/// Devices with the same traits.
#[derive(Debug)]
struct Group {
    traits: Arc<Traits>,
    members: BTreeSet<u32>,
}

/// What a query says of each group; `None`: it depends on the device.
pub(super) struct Verdicts(Vec<Option<bool>>);

impl Verdicts {
    pub(super) fn of(&self, row: &Row) -> Option<bool> {
        self.0.get(row.group as usize).copied().flatten()
    }
}

/// Which devices have to be looked at.
pub(super) enum Candidates {
    /// These, and no others.
    These(Numbers),
    /// Those of some groups: so many.
    Groups(usize),
}

impl Rows {
    pub(super) fn get(&self, number: u64) -> Option<&Arc<Row>> {
        self.rows.get(usize::try_from(number).ok()?)?.as_ref()
    }

    pub(in crate::store) fn has(&self, number: u64) -> bool {
        self.get(number).is_some()
    }

    /// Makes the row what the summary says.
    pub(in crate::store) fn put(
        &mut self,
        key: &DeviceKey,
        number: u64,
        summary: &Summary,
        contacts: &Arc<ContactBlock>,
    ) {
        // More devices than that no host has ever seen.
        let Ok(short) = u32::try_from(number) else {
            return;
        };
        let (traits, own) = (Traits::of(summary), Own::of(summary));
        if let Some(row) = self.get(number) {
            if *row.traits == traits && *row.own() == own {
                return;
            }
            self.remove(number);
        }
        let grouped = self.join(traits, short);
        for (index, text) in [
            (&mut self.serial_numbers, own.serial_number()),
            (&mut self.peer_addresses, own.peer_address()),
        ] {
            if !text.is_empty() {
                index.insert((text.into(), short));
            }
        }
        let row = Row::new(key.clone(), number, grouped, own, Arc::clone(contacts));
        let place = short as usize;
        if self.rows.len() <= place {
            self.rows.resize(place + 1, None);
        }
        if let Some(at) = self.rows.get_mut(place) {
            *at = Some(Arc::new(row));
        }
    }

    pub(in crate::store) fn remove(&mut self, number: u64) {
        let (Ok(short), Ok(place)) = (u32::try_from(number), usize::try_from(number)) else {
            return;
        };
        let Some(row) = self.rows.get_mut(place).and_then(Option::take) else {
            return;
        };
        let own = row.own();
        self.serial_numbers
            .remove(&(own.serial_number().into(), short));
        self.peer_addresses
            .remove(&(own.peer_address().into(), short));
        let Some(slot) = self.groups.get_mut(row.group as usize) else {
            return;
        };
        if let Some(group) = slot {
            group.members.remove(&short);
            if group.members.is_empty() {
                self.by_traits.remove(&group.traits);
                self.free_groups.push(row.group);
                *slot = None;
            }
        }
    }

    /// The group of these traits, with one more member.
    fn join(&mut self, traits: Traits, number: u32) -> (Arc<Traits>, u32) {
        if let Some((traits, slot)) = self.by_traits.get_key_value(&traits)
            && let Some(Some(group)) = self.groups.get_mut(*slot as usize)
        {
            group.members.insert(number);
            return (Arc::clone(traits), *slot);
        }
        let traits = Arc::new(traits);
        let group = Some(Group {
            traits: Arc::clone(&traits),
            members: BTreeSet::from([number]),
        });
        let slot = match self.free_groups.pop() {
            Some(slot) => {
                if let Some(free) = self.groups.get_mut(slot as usize) {
                    *free = group;
                }
                slot
            }
            None => {
                self.groups.push(group);
                u32::try_from(self.groups.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_traits.insert(Arc::clone(&traits), slot);
        (traits, slot)
    }

    /// [`Rows::verdicts`] for a few rows: nothing is said of more groups than there are rows.
    pub(super) fn verdicts_for(&self, rows: usize, query: &Query, now: UnixTime) -> Verdicts {
        if self.groups.len() > rows {
            return Verdicts(Vec::new());
        }
        self.verdicts(query, now)
    }

    /// What the query says of each group as a whole.
    pub(super) fn verdicts(&self, query: &Query, now: UnixTime) -> Verdicts {
        let judge = |group: &Option<Group>| match group {
            Some(group) => query.judge(&*group.traits, now),
            None => Some(false),
        };
        Verdicts(self.groups.iter().map(judge).collect())
    }

    /// The devices that can match.
    pub(super) fn candidates(
        &self,
        query: &Query,
        verdicts: &Verdicts,
        ids: &BTreeMap<Arc<str>, u64>,
    ) -> Candidates {
        if let Some(numbers) = self.found(query.root(), ids) {
            return Candidates::These(numbers);
        }
        let possible = self
            .possible(verdicts)
            .map(|(group, _)| group.members.len());
        Candidates::Groups(possible.sum())
    }

    /// The groups that are not ruled out, and whether all of their devices match.
    fn possible<'r>(
        &'r self,
        verdicts: &'r Verdicts,
    ) -> impl Iterator<Item = (&'r Group, bool)> + 'r {
        let groups = self.groups.iter().zip(&verdicts.0);
        groups.filter_map(|(group, verdict)| {
            let group = group.as_ref().filter(|_| *verdict != Some(false))?;
            Some((group, *verdict == Some(true)))
        })
    }

    /// The devices of these groups.
    pub(super) fn members(&self, verdicts: &Verdicts) -> Numbers {
        let members = self.possible(verdicts);
        members
            .flat_map(|(group, _)| &group.members)
            .copied()
            .collect()
    }

    /// How many devices match because of their group alone, and those that depend on themselves.
    pub(super) fn counted(&self, verdicts: &Verdicts) -> (usize, Numbers) {
        let (mut count, mut open) = (0, Vec::new());
        for (group, all) in self.possible(verdicts) {
            if all {
                count += group.members.len();
            } else {
                open.extend(&group.members);
            }
        }
        (count, open)
    }

    /// How many devices have this mode.
    pub(super) fn with_mode(&self, mode: Mode) -> usize {
        let groups = self.groups.iter().flatten();
        let own = groups.filter(|group| group.traits.mode() == Some(mode));
        own.map(|group| group.members.len()).sum()
    }

    /// All devices that can match, if the query asks for ids, serial numbers or addresses.
    fn found(&self, node: &Node, ids: &BTreeMap<Arc<str>, u64>) -> Option<Numbers> {
        match node {
            // The shortest list will do: the others hold for its devices too, or do not.
            Node::And(nodes) => nodes
                .iter()
                .filter_map(|node| self.found(node, ids))
                .min_by_key(Vec::len),
            Node::Or(nodes) => {
                let found: Option<Vec<Numbers>> =
                    nodes.iter().map(|node| self.found(node, ids)).collect();
                Some(distinct(found?.into_iter().flatten().collect()))
            }
            Node::Is {
                field,
                operator: Operator::Is,
                value: Value::Text(pattern),
            } => self.with(field, pattern, ids),
            Node::In { field, values } => {
                let found: Option<Vec<Numbers>> = values
                    .iter()
                    .map(|value| match value {
                        Value::Text(pattern) => self.with(field, pattern, ids),
                        _ => None,
                    })
                    .collect();
                Some(distinct(found?.into_iter().flatten().collect()))
            }
            _ => None,
        }
    }

    /// The devices whose value of an ordered field begins as the pattern does.
    fn with(
        &self,
        field: &Field,
        pattern: &Pattern,
        ids: &BTreeMap<Arc<str>, u64>,
    ) -> Option<Numbers> {
        let Field::Named { position, .. } = field else {
            return None;
        };
        let (prefix, literal) = (pattern.prefix(), pattern.as_literal());
        if prefix.is_empty() {
            return None;
        }
        let fits = |text: &str| literal.is_none_or(|literal| literal == text);
        let index = match DeviceField::at(*position)? {
            DeviceField::Id => {
                let from = (Bound::Included(prefix), Bound::Unbounded);
                let found = ids
                    .range::<str, _>(from)
                    .take_while(|(id, _)| id.starts_with(prefix) && fits(id));
                return Some(
                    found
                        .filter_map(|(_, number)| u32::try_from(*number).ok())
                        .collect(),
                );
            }
            DeviceField::SerialNumber => &self.serial_numbers,
            DeviceField::PeerAddress => &self.peer_addresses,
            _ => return None,
        };
        let found = index
            .range((Box::from(prefix), 0)..)
            .take_while(|(text, _)| text.starts_with(prefix) && fits(text));
        Some(found.map(|(_, number)| *number).collect())
    }
}

fn distinct(mut numbers: Numbers) -> Numbers {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
