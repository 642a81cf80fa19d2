//! Which wave a device belongs to: by a hash of campaign and device, so that it is the same
//! whenever it is asked, and a device more or less moves nobody far.

use sha2::{Digest, Sha256};

use super::definition::Wave;
use super::record::CampaignId;

/// Where a device stands in the order of a campaign.
pub(super) fn rank(campaign: CampaignId, device: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(campaign.0.to_be_bytes());
    hash.update(device.as_bytes());
    let digest = hash.finalize();
    digest
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// How many devices each wave has, of so many; none is empty but the first of no devices.
pub(super) fn sizes(waves: &[Wave], devices: usize) -> Vec<usize> {
    let mut sizes = Vec::with_capacity(waves.len() + 1);
    let mut left = devices;
    for number in waves.iter().filter_map(|wave| wave.devices) {
        let size = left.min(usize::try_from(number).unwrap_or(usize::MAX));
        sizes.push(size);
        left -= size;
    }
    let (rest, mut taken, mut sum) = (left, 0, 0.0);
    for percent in waves.iter().filter_map(|wave| wave.percent) {
        sum += percent;
        let upto = share_of(rest, sum).max(taken);
        sizes.push(upto - taken);
        taken = upto;
    }
    sizes.push(rest - taken);
    sizes.retain(|size| *size > 0);
    sizes
}

/// So many percent of a number, rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of a number of devices is between 0 and that number"
)]
fn share_of(number: usize, percent: f64) -> usize {
    ((number as f64 * percent / 100.0).round() as usize).min(number)
}

/// The devices with the wave of each, in the order in which they are begun.
pub(super) fn deal<T: AsRef<str>>(
    campaign: CampaignId,
    waves: &[Wave],
    devices: Vec<T>,
) -> Vec<(T, u16)> {
    let mut ranked: Vec<(u64, T)> = devices
        .into_iter()
        .map(|device| (rank(campaign, device.as_ref()), device))
        .collect();
    ranked.sort_by(|(a, x), (b, y)| (a, x.as_ref()).cmp(&(b, y.as_ref())));
    let sizes = sizes(waves, ranked.len());
    let of_each = (0_u16..)
        .zip(sizes)
        .flat_map(|(wave, size)| std::iter::repeat_n(wave, size));
    ranked
        .into_iter()
        .map(|(_, device)| device)
        .zip(of_each)
        .collect()
}

/// The wave of a device that has come to a campaign of so many waves that is at `current`: by its
/// hash among the waves that are still to come.
pub(super) fn of_newcomer(campaign: CampaignId, device: &str, current: u16, waves: u16) -> u16 {
    let left = u64::from(waves.saturating_sub(current).max(1));
    let place = rank(campaign, device) % left;
    current.saturating_add(u16::try_from(place).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(number: u32) -> Wave {
        Wave {
            devices: Some(number),
            percent: None,
        }
    }

    fn percent(percent: f64) -> Wave {
        Wave {
            devices: None,
            percent: Some(percent),
        }
    }

    #[test]
    fn how_many_are_in_each() {
        for (waves, of, expected) in [
            (vec![], 7, vec![7]),
            (vec![devices(2)], 7, vec![2, 5]),
            (vec![devices(9)], 7, vec![7]),
            (
                vec![devices(50), percent(10.0), percent(40.0)],
                5050,
                vec![50, 500, 2000, 2500],
            ),
            (
                vec![percent(33.3), percent(33.3), percent(33.4)],
                10,
                vec![3, 4, 3],
            ),
            (vec![percent(1.0)], 10, vec![10]),
            (vec![devices(3), devices(3)], 10, vec![3, 3, 4]),
            (vec![devices(3)], 0, vec![]),
        ] {
            assert_eq!(sizes(&waves, of), expected, "{waves:?} of {of}");
        }
    }

    #[test]
    fn a_device_more_moves_few_and_the_order_of_asking_nobody() {
        let ids: Vec<String> = (0..1000).map(|n| format!("02A1B2-X-{n}")).collect();
        let waves = [devices(10), percent(10.0), percent(40.0)];
        let dealt = deal(CampaignId(7), &waves, ids.clone());
        let mut backwards: Vec<String> = ids.clone();
        backwards.reverse();
        assert_eq!(deal(CampaignId(7), &waves, backwards), dealt);
        let mut more = ids.clone();
        more.push("02A1B2-X-more".to_owned());
        let again: std::collections::HashMap<String, u16> =
            deal(CampaignId(7), &waves, more).into_iter().collect();
        let moved = dealt.iter().filter(|(id, wave)| again[id] != *wave).count();
        assert!(moved <= 3, "{moved} moved");
        // Another campaign begins with others.
        let other = deal(CampaignId(8), &waves, ids);
        assert_ne!(other[..10], dealt[..10]);
    }

    #[test]
    fn a_newcomer_joins_no_wave_that_is_over() {
        for n in 0..200 {
            let wave = of_newcomer(CampaignId(1), &format!("x-{n}"), 2, 4);
            assert!((2..4).contains(&wave));
        }
        assert_eq!(of_newcomer(CampaignId(1), "x", 5, 4), 5);
    }
}
